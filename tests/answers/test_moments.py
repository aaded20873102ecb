"""The moment of an answer, over the whole server: its token has the same answer for ever, whatever happens since."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import NOW
from tests.usage.blocks import block
from tests.world.world import DAY, World

from flowtally.answers.moment import Moment, Moments
from flowtally.core.edges import format_instant
from flowtally.core.errors import NotYet
from flowtally.ledger import installation
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import Commit
from flowtally.web.operation import OPERATIONS

ACME = "/v1/accounts/acme"
FAY = f"{ACME}/users/fay"
HOUR = 3_600_000


@pytest.fixture(scope="module")
def begun(new_ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Acme has grants in two pools, a funded user, a closed month and use."""
    place = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.sync", lambda: None)
        made = World(place, Path(shutil.copy(new_ledger, place / "ledger.db")), MemoryStore(), 1)
        made.write(f"{ACME}/grants", {"amount": 1000, "starts_at": format_instant(NOW - 40 * DAY)})
        made.write(f"{ACME}/users", {"name": "fay", "funded": True, "limit": {"amount": 50}})
        made.write(f"{FAY}/allocations", {"amount": 100})
        use(made, 10)
        use(made, 7, user="fay")
        use(made, 3, at=NOW - 30 * DAY)
        made.write(f"{ACME}/periods", {"from": "2026-02-01", "to": "2026-03-01"})
        use(made, 4, at=NOW - 30 * DAY)
        made.close()
    return made


@pytest.fixture
def world(begun: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A copy of it; time stands still unless a test moves it."""
    monkeypatch.setattr("os.sync", lambda: None)
    made = World.copied(begun, tmp_path, 1)
    yield made
    made.kill()


def use(world: World, size: int, *, at: int | None = None, user: str = "ann", account: str = "acme") -> None:
    world.made += 1
    event = {"source": "gw", "id": f"e{world.made}", "account": account, "user": user, "product": "residential"}
    event["time"] = format_instant(world.now - 1 if at is None else at)
    world.ask("POST", "/v1/events", [event | {"bytes_up": size}])


def everything(world: World) -> None:
    """What can change an answer changes."""
    use(world, 1)
    use(world, 2, user="fay")
    use(world, 5, at=NOW - 30 * DAY)
    grant = world.ask("GET", f"{ACME}/grants")["items"][0]["id"]
    world.write(f"{ACME}/grants/{grant}/void", None, status=200)
    world.write(f"{ACME}/grants", {"amount": 9})
    allocation = world.ask("GET", f"{FAY}/allocations")["items"][0]["id"]
    world.write(f"{FAY}/allocations/{allocation}/return", {"amount": 20}, status=200)
    world.ask("PATCH", f"{ACME}/users/ann", {"name": "zoe"})
    world.ask("PATCH", FAY, {"status": "disabled", "limit": {"amount": 1, "window": "day"}})
    world.ask("PATCH", FAY, {"name": "may"})
    world.write(f"{ACME}/users", {"name": "ann"})
    world.ask("PATCH", ACME, {"timezone": "Asia/Tokyo"})
    world.write(f"{ACME}/periods", {"from": "2026-01-01", "to": "2026-02-01"})
    world.clock.at += 2 * DAY


def paths(world: World) -> dict[str, str]:
    """A question of each operation that tells its moment."""
    period = world.ask("GET", f"{ACME}/periods")["items"][0]["id"]
    return {
        "/v1/usage": "/v1/usage?by=account,user&fill=none",
        "/v1/accounts/{account}/usage": f"{ACME}/usage?by=user,product",
        "/v1/accounts/{account}/users/{user}/usage": f"{FAY}/usage",
        "/v1/accounts/{account}/balance": f"{ACME}/balance?",
        "/v1/accounts/{account}/users/{user}/balance": f"{FAY}/balance?",
        "/v1/accounts/{account}/explain": f"{ACME}/explain?top=3",
        "/v1/accounts/{account}/users/{user}/explain": f"{FAY}/explain?top=3",
        "/v1/accounts/{account}/periods/open": f"{ACME}/periods/open?",
        "/v1/accounts/{account}/periods/{period}": f"{ACME}/periods/{period}?limit=1",
        "/v1/accounts/{account}/export": f"{ACME}/export?format=csv",
    }


def get(world: World, path: str, as_of: str | None = None) -> httpx.Response:
    sign = "&" if "?" in path else "?"
    answer = world.client.get(path if as_of is None else f"{path}{sign}as_of={as_of}")
    assert answer.status_code == 200, answer.text
    return answer


def problem(world: World, path: str, as_of: str, status: int, code: str) -> Any:
    answer = world.client.get(path, params={"as_of": as_of})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


def told(world: World, as_of: str | None = None) -> tuple[int, int, int]:
    """Granted, left and drawn of acme's purse."""
    pool = get(world, f"{ACME}/balance", as_of).json()["pools"]["traffic"]
    return pool["granted"], pool["left"], pool["drawn"]


def test_every_answer_tells_its_moment_and_is_the_same_for_ever(world: World) -> None:
    asked = paths(world)
    assert set(asked) == {op.path for op in OPERATIONS if op.tells_moment}
    before = {path: get(world, path) for path in asked.values()}
    instant = {path: get(world, path, format_instant(NOW)) for path in asked.values()}
    everything(world)
    world.kill()
    world.reopen()
    use(world, 100)
    for path, answer in before.items():
        token = answer.headers["Flowtally-As-Of"]
        if "export" not in path:
            assert answer.json()["as_of"]["token"] == token
            assert world.client.get(path).json() != answer.json(), path  # something has changed, of each of them
        assert get(world, path, token).content == answer.content, path
        assert get(world, path, format_instant(NOW)).content == instant[path].content, path


@pytest.mark.parametrize("form", ["csv", "arrow"])
def test_other_forms_tell_it_in_a_header(world: World, form: str) -> None:
    path = f"{ACME}/usage?by=user&format={form}"
    answer = get(world, path)
    everything(world)
    assert get(world, path, answer.headers["Flowtally-As-Of"]).content == answer.content


def test_a_parquet_export_is_of_one_moment(world: World) -> None:
    path = f"{ACME}/export?format=parquet"
    answer = get(world, path)
    everything(world)
    again = get(world, path, answer.headers["Flowtally-As-Of"])
    assert again.content == answer.content
    assert again.headers["Flowtally-Block"] == answer.headers["Flowtally-Block"]


def test_an_answer_is_of_the_block_it_began_with_whatever_comes_before_the_ledger_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage first, then the ledger: a user made by the block that came in between is no reason to count its use."""
    begin = Moments.begin

    def disturbed(self: Moments, as_of: str | None = None) -> Any:
        begun = begin(self, as_of)
        monkeypatch.setattr(Moments, "begin", begin)
        use(world, 1000, user="new")
        world.write(f"{ACME}/grants", {"amount": 77})
        return begun

    for path in paths(world).values():
        monkeypatch.setattr(Moments, "begin", disturbed)
        answer = get(world, path)
        use(world, 1)
        assert get(world, path, answer.headers["Flowtally-As-Of"]).content == answer.content, path


def test_all_figures_of_a_dialects_answer_are_of_one_moment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(f"{ACME}/grants", {"amount": 10**9})
    shown = world.ask("POST", f"{ACME}/credentials", {"scope": "account"}, status=201)
    days, sums = {"from_date": "2026-03-14", "to_date": "2026-03-15"}, MemoryStore.sums

    def ask() -> Any:
        headers = {"token": shown["token"], "key": shown["key"]}
        return world.client.get("/api/account/usage-statistics", params=days, headers=headers).json()["data"]

    def disturbed(self: MemoryStore, *args: Any, **more: Any) -> Any:
        found = sums(self, *args, **more)
        monkeypatch.setattr(MemoryStore, "sums", sums)
        use(world, 10**6)  # between the days and the balance
        return found

    before = ask()
    monkeypatch.setattr(MemoryStore, "sums", disturbed)
    assert ask() == before
    after = ask()
    assert after["total_usage_traffic"] - before["total_usage_traffic"] > 976
    assert before["traffic_balance"] - after["traffic_balance"] > 976


# -- a voucher that is being made -------------------------------------------------------------------------------------


class Voucher(threading.Thread):
    """Is made in a write transaction that begins now and ends when it is let go."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(daemon=True)
        self.made, self.go = threading.Event(), threading.Event()
        self._world, count = world, installation.count_promise

        def slow(*promise: Any) -> Any:
            counted = count(*promise)
            self.made.set()
            assert self.go.wait(20)
            return counted

        monkeypatch.setattr(installation, "count_promise", slow)
        self.start()
        assert self.made.wait(20)

    def run(self) -> None:
        self._world.ask("POST", f"{ACME}/vouchers", {"amount": 50}, status=201)

    def end(self) -> None:
        self.go.set()
        self.join(20)


def test_a_token_told_while_a_voucher_is_made_does_not_know_it_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    voucher = Voucher(world, monkeypatch)
    world.clock.at += 5
    answer = get(world, f"{ACME}/balance").json()
    voucher.end()
    assert answer["pools"]["traffic"]["drawn"] == 100
    assert told(world)[2] == 150
    assert get(world, f"{ACME}/balance", answer["as_of"]["token"]).json() == answer


def test_an_instant_waits_for_a_voucher_begun_before_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.clock.at += 10
    before = format_instant(world.now - 1)
    voucher = Voucher(world, monkeypatch)
    world.clock.at += 5
    assert told(world, before)[2] == 100
    body = problem(world, f"{ACME}/balance", format_instant(world.now - 2), 400, "not_yet")
    assert body["retry_after_s"] >= 1
    voucher.end()
    assert told(world, format_instant(world.now - 2))[2] == 150
    assert told(world, before)[2] == 100


def test_an_instant_waits_for_a_block_received_before_it(world: World) -> None:
    at = world.services.store.inner.date_block(lambda: world.now)
    body = problem(world, f"{ACME}/usage", format_instant(at), 400, "not_yet")
    assert body["retry_after_s"] >= 1
    assert get(world, f"{ACME}/usage", format_instant(at - 1)).status_code == 200
    world.services.store.inner.end_block()
    assert get(world, f"{ACME}/usage", format_instant(at)).status_code == 200


def test_once_an_instant_was_answered_nothing_is_dated_at_it_any_more(world: World) -> None:
    at = format_instant(world.now)
    balance, usage = get(world, f"{ACME}/balance", at).content, get(world, f"{ACME}/usage", at).content
    use(world, 50)  # in the same millisecond
    world.write(f"{ACME}/grants", {"amount": 77})
    for back in (0, 7_000):
        world.clock.at -= back
        world.kill()  # nothing but the stores, and a mark, tells the next process
        world.reopen()
        use(world, 50)
        world.write(f"{ACME}/grants", {"amount": 77})
        assert get(world, f"{ACME}/balance", at).content == balance
        assert get(world, f"{ACME}/usage", at).content == usage


def test_an_instant_that_was_answered_without_any_write_after_it_outlives_a_clock_set_back(world: World) -> None:
    world.clock.at += 60_000
    at = format_instant(world.now)
    balance = get(world, f"{ACME}/balance", at).content
    world.kill()
    world.clock.at -= 7_000
    world.reopen()
    world.write(f"{ACME}/grants", {"amount": 77})
    world.clock.at += 60_000
    assert get(world, f"{ACME}/balance", at).content == balance


def test_before_everything_there_was_nothing(world: World) -> None:
    answer = get(world, f"{ACME}/balance?at=2026-03-15T00:00:00Z", "1960-01-01T00:00:00Z").json()
    assert (answer["as_of"]["block"], answer["pools"]["traffic"]["granted"]) == (0, 0)
    again = get(world, f"{ACME}/balance?at=2026-03-15T00:00:00Z", answer["as_of"]["token"])
    assert again.json() == answer


def test_an_instant_still_to_come_says_when(world: World) -> None:
    body = problem(world, f"{ACME}/balance", format_instant(world.now + 2_500), 400, "not_yet")
    assert body["retry_after_s"] == 3


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_a_bare_block_number_is_told_what_to_give_instead(world: World) -> None:
    body = problem(world, f"{ACME}/usage", "3", 400, "bad_range")
    assert "token" in body["detail"]
    assert body["parameter"] == "as_of"


def test_a_token_of_before_a_restore_is_gone(world: World) -> None:
    token = get(world, f"{ACME}/usage").json()["as_of"]["token"]
    with world.services.ledger.begin() as tx:
        installation.bind(tx, "ins_1", "gen_2")
    body = problem(world, f"{ACME}/usage", token, 410, "as_of_gone")
    assert "restore" in body["detail"]
    now = get(world, f"{ACME}/usage").json()["as_of"]["token"]
    assert get(world, f"{ACME}/usage", now).status_code == 200


@pytest.mark.parametrize("more", [(1, 0), (0, 1), (10**18, 0), (0, 10**18)])
def test_a_token_of_what_is_not_there_is_refused(world: World, more: tuple[int, int]) -> None:
    answer = get(world, f"{ACME}/usage").json()["as_of"]
    with world.services.ledger.read() as tx:
        found = installation.read_installation(tx)
    block, promise = answer["block"] + more[0], found.promises + more[1]
    token = Moment(block, NOW, promise=promise, generation=found.generation).token
    problem(world, f"{ACME}/usage", token, 400, "not_yet")


@pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: t + "A", lambda t: t.swapcase(), lambda t: "A" * 5000])
def test_a_token_that_was_not_made_here_is_refused(world: World, spoil: Callable[[str], str]) -> None:
    token = get(world, f"{ACME}/usage").json()["as_of"]["token"]
    problem(world, f"{ACME}/usage", spoil(token), 400, "bad_range")


def test_a_token_opens_nothing(world: World) -> None:
    """It is a moment, no right: an account's credential sees with it what it sees without."""
    token = get(world, "/v1/usage").json()["as_of"]["token"]
    made = world.ask("POST", "/v1/accounts/beta/credentials", {"scope": "account"}, status=201)["token"]
    mine = {"Authorization": f"Bearer {made}"}
    for path, status in ((f"{ACME}/usage", 404), ("/v1/usage", 403), ("/v1/accounts/beta/usage", 200)):
        assert world.client.get(path, params={"as_of": token}, headers=mine).status_code == status


# -- clocks -----------------------------------------------------------------------------------------------------------


def test_a_void_with_the_clock_set_back_leaves_paid_what_was_paid(world: World) -> None:
    world.clock.at += 9_000
    use(world, 500)
    paid = get(world, f"{ACME}/balance").json()["pools"]["traffic"]
    world.clock.at -= 7_000
    for grant in world.ask("GET", f"{ACME}/grants")["items"]:
        voided = world.write(f"{ACME}/grants/{grant['id']}/void", None, status=200)
        assert voided["voided_at"] == format_instant(NOW + 9_000)
    world.clock.at += 8_000
    after = get(world, f"{ACME}/balance").json()["pools"]["traffic"]
    assert (after["spent"], after["overage"]) == (paid["spent"], 0)


def test_promises_and_blocks_are_dated_in_one_order_across_a_restart(world: World) -> None:
    world.clock.at += HOUR
    use(world, 1)
    world.clock.at -= 7_000
    for again in (False, True):
        if again:
            world.kill()
            world.reopen()
        made = world.write(f"{ACME}/grants", {"amount": 1})
        assert made["created_at"] == format_instant(NOW + HOUR)


def test_a_clock_far_behind_what_was_dated_writes_nothing_and_reads_on(world: World) -> None:
    world.clock.at += HOUR
    use(world, 1)
    before = get(world, f"{ACME}/balance").json()["pools"]
    world.clock.at -= HOUR
    for again in (False, True):
        if again:
            world.kill()
            world.reopen()
        for path, body in (("/v1/events", []), (f"{ACME}/grants", {"amount": 1})):
            event = {"source": "gw", "id": "late", "account": "acme", "time": format_instant(NOW), "product": "p"}
            refused = world.client.post(path, json=[event] if path == "/v1/events" else body)
            assert (refused.status_code, refused.json()["code"]) == (503, "clock_jumped"), refused.text
            assert refused.headers["Retry-After"]
            for instant in (NOW, NOW + HOUR):
                assert format_instant(instant) in refused.json()["detail"]
        assert world.client.get("/readyz").json()["code"] == "clock_jumped"
        assert world.client.get("/healthz").status_code == 200
        assert get(world, f"{ACME}/balance").json()["pools"] == before
    world.clock.at += HOUR
    use(world, 1)
    assert world.client.get("/readyz").status_code == 200


def test_blocks_dated_a_year_ahead_hide_nothing_from_who_asks_with_a_token(world: World) -> None:
    """As an earlier program left them, whose clock was ahead: what came after them has their instant too."""
    store: Any = world.services.store.inner
    last = store.published().block
    world.kill()
    ahead = NOW + 365 * DAY
    for number in (last + 1, last + 2):
        store.append(block(number, {"time": NOW, "id": f"x{number}"}, received_at=ahead))
    store.publish(Commit(last + 2, ahead))
    world.clock.at += 60_000
    moments = Moments(store, world.services.ledger, world.steady)
    token = Moment(last + 1, NOW, promise=0).token
    assert moments.begin(token).commit.block == last + 1
    assert moments.begin().commit.block == last + 2
    assert moments.begin(format_instant(NOW - DAY)).commit.block == 0
    with pytest.raises(NotYet, match="dated 2027-03-15T12:00:00Z, by a clock that was ahead"):
        moments.begin(format_instant(world.now))
