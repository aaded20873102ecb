"""Pullers over a real connection to a real server that speaks their vendor's dialect: flowtally as the vendor."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.live import Live, live_server
from tests.providers.waits import ONCE
from tests.vendors.asked_app import Series, wanted
from tests.vendors.pulling import Told

from flowtally.core.edges import format_instant
from flowtally.core.reported import KIB, MIB, BalancesSaid
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.providers.asking import VendorClient
from flowtally.providers.connecting import OffLimits
from flowtally.providers.puller import Denied, Puller
from flowtally.vendors.bytesflows.pull import PULLER as BYTESFLOWS
from flowtally.vendors.ipfoxy.pull import PULLER as IPFOXY
from flowtally.vendors.thordata.pull import PULLER as THORDATA
from flowtally.vendors.whitepages.pull import PULLER as WHITEPAGES

ACCOUNT = "walker0001"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("vendor") / "data") as server:
        native(server, "/accounts", {"id": ACCOUNT})
        native(server, f"/accounts/{ACCOUNT}/grants", {"amount": 10**12})
        yield server


def native(live: Live, path: str, body: Any) -> Any:
    headers = {"Authorization": f"Bearer {live.token}"}
    answer = httpx.post(f"{live.url}/v1{path}", json=body, headers=headers, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def open_account(live: Live, account: str) -> Any:
    """One that has traffic to give, and a credential of it."""
    native(live, "/accounts", {"id": account})
    native(live, f"/accounts/{account}/grants", {"amount": 10**12})
    return native(live, f"/accounts/{account}/credentials", {"scope": "manage"})


def use(live: Live, id: str, at: int, account: str = ACCOUNT, **quantity: Any) -> None:
    event = {"source": "gw", "id": id, "account": account, "time": format_instant(at), **quantity}
    assert native(live, "/events", [event])["stored"] == 1


def asking(live: Live, base: str = "") -> VendorClient:
    return VendorClient(live.url + base, ONCE, plain=True, private=True)


def secrets_of(live: Live, puller: Puller) -> dict[str, str]:
    token = native(live, f"/accounts/{ACCOUNT}/credentials", {"scope": "account"})["token"]
    return {puller.secrets[0].name: token}


def now() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def test_whitepages_days_are_brought(live: Live) -> None:
    secrets, series, today = secrets_of(live, WHITEPAGES), Series(), now() // DAY_MS * DAY_MS
    for number, days in enumerate((0, 1, 1, 100)):
        use(live, f"wp-{number}", today - days * DAY_MS, product="api", requests=7 + number)
    with asking(live) as ask:
        series.hear(ask.pull(WHITEPAGES, wanted(WHITEPAGES, secrets, today - 200 * DAY_MS, now())))
        assert ask.calls == 3
        assert ask.check(WHITEPAGES, wanted(WHITEPAGES, secrets, today, now())).works == (
            "Requests by UTC day: 7 today",
        )
    assert series.by_time() == {today: 7, today - DAY_MS: 17, today - 100 * DAY_MS: 10}


def test_bytesflows_use_is_brought_from_look_to_look(live: Live) -> None:
    secrets, series = secrets_of(live, BYTESFLOWS), Series()
    with asking(live) as ask:
        for number in range(4):
            use(live, f"bf-{number}", now(), product="residential", bytes_down=10**9 + number)
            said = series.hear(ask.pull(BYTESFLOWS, wanted(BYTESFLOWS, secrets, 0, now(), looked=series.looked)))
            assert series.total == number * 10**9 + sum(range(1, number + 1)), "the first is of before the first look"
    [balances] = [one for one in said if isinstance(one, BalancesSaid)]
    assert balances.balances[0].left == 10**12 - 4 * 10**9 - 6


@pytest.mark.parametrize("grain", ["day", "hour"])
def test_thordatas_users_and_the_rest_are_brought(live: Live, grain: str) -> None:
    account = f"thor{grain}"
    shown = open_account(live, account)
    native(live, f"/accounts/{account}/users", {"name": "user123", "product": "residential", "password": "password1"})
    today = now() // DAY_MS * DAY_MS
    for number, (user, size) in enumerate((("user123", 10 * KIB), ("", 7 * KIB), ("user123", 512))):
        use(live, f"{account}-{number}", today - number * DAY_MS, account, user=user, product="homes", bytes_down=size)
    secrets = {"token": shown["token"], "key": shown["key"]}
    with asking(live, "/api") as ask:
        told = Told(ask.pull(THORDATA, wanted(THORDATA, secrets, today - 200 * DAY_MS, now(), grain=grain)))
        assert ask.calls == 2 + 3 + 2 * 2, "balances, users of each kind, and a user and the account in two stretches"
    assert told.rows() == {
        ("user123", "residential", today): 10 * KIB,
        ("", "residential", today - DAY_MS): 7 * KIB,
        ("user123", "residential", today - 2 * DAY_MS): 512,
    }
    assert told.sub_users["user123"].used == 10 * KIB + 512


def test_ipfoxys_sub_accounts_and_the_own_use_are_brought_by_hour(live: Live) -> None:
    shown, sub = open_account(live, "foxreseller"), "ABCDEFHGJ2000"
    native(live, "/accounts/foxreseller/users", {"name": sub, "funded": True, "password": "password12"})
    native(live, f"/accounts/foxreseller/users/{sub}/allocations", {"amount": 10**9})
    hour = now() // HOUR_MS * HOUR_MS
    for number, (user, ago, size) in enumerate(((sub, 0, MIB), ("", 5, MIB // 2), (sub, 30 * 24, MIB // 4))):
        use(live, f"fox-{number}", hour - ago * HOUR_MS, "foxreseller", user=user, product="homes", bytes_down=size)
    secrets = {"api_id": shown["id"], "api_token": shown["token"]}
    with asking(live, "/ip/open-api") as ask:
        told = Told(ask.pull(IPFOXY, wanted(IPFOXY, secrets, 0, now(), grain="hour")))
    assert told.rows() == {
        (sub, "residential", hour): MIB,
        ("", "residential", hour - 5 * HOUR_MS): MIB // 2,
        (sub, "residential", hour - 30 * DAY_MS): MIB // 4,
    }


@pytest.mark.parametrize("puller", [WHITEPAGES, BYTESFLOWS], ids=lambda one: one.vendor)
def test_a_wrong_secret_is_denied_and_a_server_of_this_machine_is_not_asked_unless_allowed(
    live: Live, puller: Puller
) -> None:
    wrong = wanted(puller, {puller.secrets[0].name: "nobody-knows-this"}, now(), now())
    with asking(live) as ask, pytest.raises(Denied):
        ask.check(puller, wrong)
    with VendorClient(live.url, ONCE, plain=True) as ask, pytest.raises(OffLimits):
        ask.check(puller, wrong)
