"""A vendor and its customer as two real servers, killed and restored as it comes: each series is what its vendor says.

What the vendor says is read a second time over a connection of the test's own, and natively, where it has its bytes.
The customer asks by its own thread, without the pauses between calls that real vendors want.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import pytest
from tests.care.test_backup import run
from tests.live import Live
from tests.providers.two_sides import (
    DAYS,
    TOKEN,
    WAIT_S,
    ZONES,
    AtVendor,
    Buyer,
    Server,
    by_user,
    first_day,
    now,
    serving,
)
from tests.soak import done, rounds

from flowtally.core.edges import format_instant
from flowtally.core.reported import MIB
from flowtally.core.times import DAY_MS, HOUR_MS

HASTY: Final = "tests.providers.hasty_server"
KILLS: Final = rounds(2, 15)
PAUSE_S: Final = 0.02


class Connected(NamedTuple):
    dialect: str
    settings: dict[str, str]


SERIES: Final = {
    "thor-day": Connected("thordata", {"grain": "day"}),
    "thor-hour": Connected("thordata", {"grain": "hour"}),
    "fox-day": Connected("ipfoxy", {"grain": "day"}),
    "fox-hour": Connected("ipfoxy", {"grain": "hour"}),
    "white": Connected("whitepages", {}),
}


class Sides(msgspec.Struct):
    """`vendors` by dialect."""

    vendor: Server
    customer: Server
    vendors: dict[str, AtVendor]
    buyer: Buyer
    since: int


def uses(vendor: AtVendor, since: int, seed: int, number: int = 60) -> list[tuple[str, int, int]]:
    """Of each user and of nobody, in all the days up to now; odd bytes, so that units round."""
    chance = random.Random(seed)
    hours = range(since + DAY_MS, now() - HOUR_MS, HOUR_MS)
    most = 900 if vendor.dialect == "whitepages" else 3 * MIB
    users = ["", *vendor.users]
    return [(chance.choice(users), chance.choice(hours), chance.randrange(1, most)) for _ in range(number)]


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    place, since = tmp_path_factory.mktemp("sides"), first_day()
    with serving(place / "vendor") as vendor, serving(place / "customer", HASTY) as customer:
        vendors = {name: AtVendor(vendor, name, f"{name}0001") for name in ZONES}
        for number, one in enumerate(vendors.values()):
            one.use(*uses(one, since, number))
        buyer = Buyer(customer, "buyer")
        for name, connected in SERIES.items():
            buyer.connect(name, vendors[connected.dialect], since, **connected.settings)
        buyer.connect("bytes", vendors["bytesflows"], since)
        yield Sides(vendor, customer, vendors, buyer, since)
        for name in (*SERIES, "bytes"):
            buyer.wait(name)
        customer.verify()
        secrets = [one for vendor in vendors.values() for one in vendor.secrets.values()]
        customer.stop()
        assert_nowhere(customer, secrets)


def assert_nowhere(server: Server, secrets: list[str]) -> None:
    """In no file that it keeps, and not in its log."""
    files = [one for one in (*server.data.rglob("*"), server.log) if one.is_file()]
    assert len(files) > 10
    for file in files:
        content = file.read_bytes()
        assert not [one for one in secrets if one.encode() in content], file


def assert_is_as_said(sides: Sides, name: str) -> None:
    dialect, settings = SERIES[name]
    told = sides.vendors[dialect].says(sides.since, now(), **settings)
    assert told.total() > 0
    grain = "hour" if name.endswith("hour") else "day"
    assert sides.buyer.series(name, sides.since, grain, ZONES[dialect]) == told.rows()


@pytest.mark.parametrize("name", SERIES)
def test_a_series_is_what_its_vendor_says_of_each_sub_user_and_span(sides: Sides, name: str) -> None:
    assert sides.buyer.wait(name)["told_until"] >= format_instant(now() // DAY_MS * DAY_MS)
    assert_is_as_said(sides, name)
    found = sides.customer.ask("GET", f"/accounts/buyer/providers/{name}/pulls")["items"]
    assert found[0]["outcome"] == "ok"
    assert found[0]["calls"] > 0


@pytest.mark.parametrize("name", SERIES)
def test_it_is_what_the_vendor_counted_but_for_a_step_of_its_unit(sides: Sides, name: str) -> None:
    sides.buyer.wait(name)
    dialect, _ = SERIES[name]
    vendor, tz, grain = sides.vendors[dialect], ZONES[dialect], "hour" if name == "fox-hour" else "day"
    [step] = {
        one["step"] for one in sides.customer.ask("GET", f"/accounts/buyer/providers/{name}/stretches")["stretches"]
    }
    series, counted = sides.buyer.series(name, sides.since, grain, tz), vendor.natively(grain, sides.since)
    told = {(user, at): amount for (user, _, at), amount in series.items()}
    rounded = len(vendor.users) + 1  # what is nobody's is what is left of others, each of which is rounded
    for (user, _, at), amount in counted.items():
        assert abs(told.pop((user, at), 0) - amount) <= step * (1 if user else rounded), (user, format_instant(at))
    assert sum(told.values()) <= step * rounded * DAYS, "the vendor counted nothing there"
    assert abs(sum(series.values()) - sum(counted.values())) <= step * rounded
    for user, amount in by_user(counted).items():
        assert abs(by_user(series)[user] - amount) <= step * (1 if user else rounded)


def test_of_a_vendor_without_days_what_was_used_from_look_to_look_is_the_series(sides: Sides) -> None:
    vendor = sides.vendors["bytesflows"]
    sides.buyer.wait("bytes")
    before = sides.buyer.total("bytes", sides.since)
    for number in range(1, 4):
        vendor.use(("", now(), 1000 + number))
        sides.buyer.pull("bytes")
        sides.buyer.pull("bytes")
        assert sides.buyer.total("bytes", sides.since) - before == 1000 * number + sum(range(1, number + 1))


@pytest.mark.parametrize("name", ["thor-hour", "fox-day", "white"])
def test_what_a_vendor_says_otherwise_later_is_a_correction_and_what_it_said_then_is_known(
    sides: Sides, name: str
) -> None:
    dialect, _ = SERIES[name]
    vendor, buyer = sides.vendors[dialect], sides.buyer
    buyer.wait(name)
    query = {"series": name, "bucket": "total", "from": format_instant(sides.since), "tz": "UTC"}
    then = sides.customer.ask("GET", "/accounts/buyer/usage", **query)
    cursor = changes(sides.customer)[1]
    had = sorted(one for one in buyer.series(name, sides.since, "hour") if one[0] in vendor.users or not vendor.users)
    user, _, at = had[-1]
    vendor.use((user, at, 7 * MIB if vendor.users else 7))
    buyer.pull(name)
    assert_is_as_said(sides, name)
    moved = [one for one in changes(sides.customer, cursor)[0] if one["series"] == name]
    added = sum(one["bytes"] + one["requests"] for one in moved)
    after = sides.customer.ask("GET", "/accounts/buyer/usage", **query)
    assert added == amount(after["total"]) - amount(then["total"])
    assert abs(added - (7 * MIB if vendor.users else 7)) <= MIB
    assert sum(one["corrections"] for one in moved) >= 1
    known = sides.customer.ask("GET", "/accounts/buyer/usage", **query, as_of=then["as_of"]["token"])
    assert known["total"] == then["total"]
    [last] = sides.customer.ask("GET", f"/accounts/buyer/providers/{name}/pulls")["items"][-1:]
    assert last["changed"] >= 1


def amount(total: dict[str, Any]) -> int:
    return int(total["bytes"] + total["requests"])


def changes(server: Server, since: str = "", token: str = TOKEN) -> tuple[list[dict[str, Any]], str]:
    """All there are since, and where to go on."""
    found, more = [], True
    while more:
        told = server.answer("GET", "/changes", token=token, **({"since": since} if since else {})).json()
        found += told["items"]
        since, more = told["next"], told["more"]
    return found, since


def test_another_account_reads_none_of_it(sides: Sides) -> None:
    sides.buyer.wait("white")
    sides.customer.ask("POST", "/accounts", {"id": "globex"})
    other = sides.customer.ask("POST", "/accounts/globex/credentials", {"scope": "manage"})["token"]
    assert [one for one in changes(sides.customer)[0] if one["series"] == "white"]
    assert changes(sides.customer, token=other)[0] == []
    for path in (
        "/accounts/globex/usage?series=white",
        "/accounts/globex/export?series=white",
        "/accounts/globex/reconciliation?provider=white",
        "/accounts/buyer/usage?series=white",
        "/providers/white",
    ):
        answer = sides.customer.answer("GET", path, token=other)
        assert answer.status_code in {403, 404}, f"{path}: {answer.text}"


def test_a_token_that_is_revoked_in_mid_pull_is_denied_and_a_new_one_goes_on(sides: Sides, tmp_path: Path) -> None:
    vendor = AtVendor(sides.vendor, "thordata", "revoked01")
    for number in range(25):
        vendor.add_user(name := f"another{number:02}")
        vendor.use((name, now() - 30 * HOUR_MS, 5 * MIB))
    connect_until(sides, vendor, "revoked", 15)
    vendor.renew()
    denied = sides.buyer.wait("revoked", "denied")
    assert "token" in denied["detail"].lower(), denied
    assert vendor.credential["token"] not in str(denied)
    live = Live(sides.customer.url, TOKEN, str(sides.customer.data))
    secrets = tmp_path / "new.env"
    secrets.write_text("".join(f"{name}={secret}\n" for name, secret in vendor.secrets.items()))
    run("provider", "change", "revoked", "--secrets", str(secrets), live=live)
    sides.buyer.wait("revoked", before=denied["tried_at"])
    assert sides.buyer.total("revoked", sides.since) == vendor.says(sides.since, now()).total() == 25 * 5 * MIB


def test_a_vendor_that_dies_in_mid_pull_makes_it_late_and_what_it_says_then_is_whole(sides: Sides) -> None:
    vendor = AtVendor(sides.vendor, "thordata", "dying0001")
    for number in range(25):
        vendor.add_user(name := f"mortal{number:02}")
        vendor.use((name, now() - 30 * HOUR_MS, 5 * MIB))
    connect_until(sides, vendor, "dying", 15)
    sides.vendor.kill()
    late = sides.buyer.wait("dying", "late")
    assert "was not answered" in late["detail"], late
    assert late["told_until"] is None, "not all of a stretch was said"
    sides.vendor.start()
    sides.buyer.pull("dying")
    assert sides.buyer.total("dying", sides.since) == vendor.says(sides.since, now()).total() == 25 * 5 * MIB


def connect_until(sides: Sides, vendor: AtVendor, name: str, calls: int) -> None:
    """Connected, and in the middle of its first pull: so many calls of it were answered."""

    before, until = calls_of(sides.vendor), time.monotonic() + WAIT_S
    sides.buyer.connect(name, vendor, sides.since)
    while calls_of(sides.vendor) < before + calls:
        assert time.monotonic() < until
        time.sleep(0.005)


def calls_of(vendor: Server) -> int:
    """How many calls of its dialects it has answered."""
    log = vendor.log.read_text()
    return sum(log.count(f"path={path}/") for path in ("/api", "/ip/open-api", "/v1/account/usage"))


class Sender(threading.Thread):
    """Sends events of the customer's own beside the pulls, and the same again where no answer comes."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.ended, self.acknowledged = server, threading.Event(), 0
        self.faults: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=20, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as http:
            for number in count(1):
                if self.ended.is_set():
                    return
                event = {"source": "own", "sequence": number, "account": "buyer", "bytes_up": 10**6 + number}
                while not self._send(http, event | {"time": "2026-01-01T00:00:00Z"}):
                    time.sleep(PAUSE_S)
                self.acknowledged = number
                self.ended.wait(PAUSE_S)

    def _send(self, http: httpx.Client, event: dict[str, Any]) -> bool:
        try:
            answer = http.post(f"{self.server.url}/v1/events", json=[event])
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        found = answer.json()
        if found["stored"] + found["duplicate"] != 1:
            self.faults.append(answer.text)
        return True

    def assert_counted(self, buyer: Buyer) -> None:
        """Each once, whatever else was written."""
        span = {"from": "2026-01-01", "to": "2026-01-02", "tz": "UTC", "bucket": "total"}
        total = buyer.server.ask("GET", f"/accounts/{buyer.account}/usage", **span)["total"]
        assert total["bytes"] == 10**6 * self.acknowledged + self.acknowledged * (self.acknowledged + 1) // 2


@pytest.mark.soak
def test_whenever_it_is_killed_or_set_back_its_series_are_what_the_vendors_say(tmp_path: Path) -> None:
    """Nothing twice, nothing lost; and its keys, its journal and its texts are whole at the end."""
    chance, since = random.Random(7), first_day()
    vendors: dict[str, AtVendor] = {}
    names = ("thor-hour", "fox-day", "white")
    with serving(tmp_path / "vendor") as vendor, serving(tmp_path / "customer", HASTY) as customer:
        buyer = Buyer(customer, "buyer")
        sender = Sender(customer)
        sender.start()
        sides = Sides(vendor, customer, vendors, buyer, since)
        for number, name in enumerate(names):
            dialect, settings = SERIES[name]
            vendors[dialect] = made = AtVendor(vendor, dialect, f"{dialect}0001")
            made.use(*uses(made, since, number))
            buyer.connect(name, made, since, **settings)
        for _ in range(KILLS):
            before, until = calls_of(vendor) + chance.randrange(1, 20), time.monotonic() + 2
            for name in names:
                buyer.want(name)
            while calls_of(vendor) < before and time.monotonic() < until:
                time.sleep(0.002)
            customer.kill()
            for one in vendors.values():
                one.use(*uses(one, now() // DAY_MS * DAY_MS - 2 * DAY_MS, chance.randrange(10**6), 5))
            customer.start()
            for name in names:
                buyer.pull(name)
                assert_is_as_said(sides, name)
        customer.verify()
        done(kills=KILLS)

        live = Live(customer.url, TOKEN, str(customer.data))
        backup = Path(run("backup", "before", live=live)["path"])
        for one in vendors.values():
            one.use(*uses(one, now() // DAY_MS * DAY_MS - 2 * DAY_MS, 1, 9))
        for name in names:
            buyer.pull(name)
            assert_is_as_said(sides, name)
        sender.ended.set()
        sender.join(WAIT_S)
        assert sender.faults == []
        assert sender.acknowledged > 5
        sender.assert_counted(buyer)
        customer.verify()
        customer.stop()
        secrets = [one for made in vendors.values() for one in made.secrets.values()]
        assert_nowhere(customer, secrets)
        assert backup.is_relative_to(customer.data), "the backup was looked at, too"

        back = tmp_path / "restored"
        run("restore", str(backup), "--data", str(back), "--old-ledger", str(customer.data))
        for file in back.glob("keys.db*"):
            file.unlink()
        run("rebuild-keys", "--data", str(back))
        with serving(back, HASTY) as restored:
            again = Buyer(restored, "buyer", there=True)
            as_restored = msgspec.structs.replace(sides, customer=restored, buyer=again)
            for name in names:
                again.pull(name)
                assert_is_as_said(as_restored, name)
                again.pull(name)
                [pulled] = restored.ask("GET", f"/accounts/buyer/providers/{name}/pulls")["items"][-1:]
                assert (pulled["outcome"], pulled["changed"]) == ("ok", 0)
            restored.verify()
            erase(as_restored, names)


def erase(sides: Sides, names: tuple[str, ...]) -> None:
    """Its figures stay, the names of the vendor's users and what it was asked with go."""
    totals = {name: sides.buyer.total(name, sides.since) for name in names}
    for name in names:  # what a vendor billed is kept by the names of its users
        sides.customer.ask("POST", f"/accounts/buyer/providers/{name}/reconciliations", {})
    secrets = [one for vendor in sides.vendors.values() for one in vendor.secrets.values()]
    users = [user for vendor in sides.vendors.values() for user in vendor.users]
    sides.customer.ask("PATCH", "/accounts/buyer", {"status": "closed"})
    sides.customer.ask("POST", "/accounts/buyer/erase")
    until = time.monotonic() + WAIT_S
    while (told := sides.customer.ask("GET", "/accounts/buyer/erase"))["state"] != "finished":
        assert time.monotonic() < until, told
        time.sleep(0.05)
    assert {name: sides.buyer.total(name, sides.since) for name in names} == totals
    sides.customer.verify()
    sides.customer.stop()
    assert_nowhere(sides.customer, secrets)
    ledger = (sides.customer.data / "ledger.db").read_bytes()
    assert not [user for user in users if user.encode() in ledger]
