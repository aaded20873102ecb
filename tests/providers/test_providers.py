"""Providers asked in turn: what was said is kept, what was not is not taken for nothing, and nobody waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.fernet import Fernet
from tests.providers.scripted import Reported, Vendor, connect

from flowtally.core.errors import Unavailable, Unprocessable
from flowtally.core.reported import (
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
    GrantSaid,
    GrantsSaid,
    SubUserSaid,
    SubUsersSaid,
    UseSaid,
    span_key,
)
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.providers import connected, pulls, said, stretches
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.vault import Vault, VaultKeys
from flowtally.providers import providers as runner
from flowtally.providers.connecting import ServerStops
from flowtally.providers.providers import Providers, check_address, check_given
from flowtally.providers.puller import ChangedShape, Denied, EarlierLooks, Failed, Limited

T0 = 20_000 * DAY_MS  # a midnight
KEY = Fernet.generate_key()


class Clock:
    at = T0

    def __call__(self) -> int:
        return self.at


def day(number: int, amount: int, *, closes: bool = True, days: int = 1) -> UseSaid:
    """What is said of a day, counted from T0."""
    start = T0 + number * DAY_MS
    figure = FigureSaid(span_key("day", start, "residential", ""), start, "", "residential", amount)
    return UseSaid("bytes", "day", "UTC", start, start + days * DAY_MS, 1024, (figure,), closes=closes)


class World:
    def __init__(self, ledger: Ledger, vendor: Vendor, clock: Clock) -> None:
        self.ledger, self.vendor, self.clock = ledger, vendor, clock
        self.vault = Vault(VaultKeys(KEY, KEY))
        self.reported = Reported()
        self.providers = Providers(
            ledger,
            self.vault,
            self.reported,
            clock,
            {"scripted": vendor.puller},
            connect=connect,
            chance=lambda: 0.0,
        )

    def add(self, name: str = "thor", since: int = T0 - 3 * DAY_MS, account: str = "acme") -> Provider:
        with self.ledger.begin() as tx:
            return connected.add_provider(
                tx,
                account,
                name,
                "scripted",
                secrets={"token": self.vault.seal_secret("token", "s3cret")},
                settings={"grain": "day"},
                since=since,
                now=self.clock(),
            )

    def read(self, name: str = "thor") -> Provider:
        with self.ledger.read() as tx:
            return connected.read_provider(tx, name)

    def told(self, name: str = "thor") -> list[tuple[int, int]]:
        provider = self.read(name)
        with self.ledger.read() as tx:
            found = stretches.read_stretches(tx, provider.id, 0, 10**15)
        return [((one.starts_at - T0) // DAY_MS, (one.ends_at - T0) // DAY_MS) for one in found]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def world(new_ledger: Path, tmp_path: Path, vendor: Vendor, clock: Clock) -> Iterator[World]:
    path = tmp_path / "ledger.db"
    path.write_bytes(new_ledger.read_bytes())
    ledger = Ledger.open(f"sqlite:///{path}")
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    world = World(ledger, vendor, clock)
    yield world
    world.providers.close()
    ledger.close()


def test_what_is_said_is_kept_where_it_belongs(world: World, vendor: Vendor) -> None:
    grant = GrantSaid("7", "A-1", "order", "bytes", 900, 30, 1, 2, "active")
    vendor.script = [
        [
            BalancesSaid((BalanceSaid("traffic", "bytes", 500),)),
            GrantsSaid((grant,)),
            SubUsersSaid((SubUserSaid("bob", True),)),
            day(-1, 70),
        ]
    ]
    made = world.add()
    assert world.providers.pull_due()
    assert not world.providers.pull_due(), "its next turn is in half an hour"
    assert world.reported.said == [("acme", "thor", day(-1, 70))]
    with world.ledger.read() as tx:
        assert [one.balance.left for one in said.read_balances(tx, made.id)] == [500]
        assert [(one.grant, one.baseline) for one in said.read_grants(tx, made.id)] == [(grant, 30)]
        assert [one.sub_user.name for one in said.read_sub_users(tx, made.id)] == ["bob"]
        [pull] = pulls.list_pulls(tx, made).items
    assert (pull.outcome, pull.calls, pull.figures, pull.changed) == ("ok", 4, 1, 0)
    found = world.read()
    assert (found.state, found.pulled_at, found.next_at) == ("ok", T0, T0 + 1800_000)
    assert vendor.asked[0].secrets == {"token": "s3cret"}
    assert vendor.asked[0].looked is None


def test_what_had_been_used_of_a_grant_before_the_first_look_is_its_baseline_and_later_ones_have_none(
    world: World, vendor: Vendor, clock: Clock
) -> None:
    old = GrantSaid("7", "", "order", "bytes", 900, 30, 1, 2, "active")
    new = GrantSaid("8", "", "order", "bytes", 900, 5, 1, 2, "active")
    vendor.script = [[GrantsSaid((old,)), day(-1, 0)], [GrantsSaid((old, new)), day(0, 0)], []]
    made = world.add()
    for _ in range(3):
        world.providers.pull_due()
        clock.at += DAY_MS
    with world.ledger.read() as tx:
        assert {one.grant.id: one.baseline for one in said.read_grants(tx, made.id)} == {"7": 30, "8": 0}
    assert [one.looked for one in vendor.asked] == [
        None,
        EarlierLooks(T0, {"7": 30}),
        EarlierLooks(T0 + DAY_MS, {"7": 30, "8": 0}),
    ]


def test_the_next_pull_begins_where_figures_may_still_move(world: World, vendor: Vendor, clock: Clock) -> None:
    vendor.script = [[day(-3, 1, days=4)], [day(-1, 1, days=3)]]
    world.add(since=T0 - 3 * DAY_MS)
    world.providers.pull_due()
    clock.at += DAY_MS
    world.providers.pull_due()
    clock.at += DAY_MS
    world.providers.pull_due()
    assert [(one.since - T0) // DAY_MS for one in vendor.asked] == [-3, -2, -1], "two days before it was asked last"


def test_what_the_vendor_does_not_tell_is_asked_for_once_a_day_and_not_at_each_pull(
    world: World, vendor: Vendor, clock: Clock
) -> None:
    """It answers from the tenth day back only, though it is asked for thirty."""
    vendor.script = [[day(-10, 1, days=10 + n)] for n in range(9)]
    made = world.add(since=T0 - 30 * DAY_MS)
    for _ in range(4):
        world.providers.pull(world.read())
        clock.at += DAY_MS // 2
    asked = [(one.since - T0) / DAY_MS for one in vendor.asked]
    assert asked == [-30, -2, -30, -1]
    with world.ledger.begin() as tx:
        connected.change_provider(tx, made.name, now=clock.at, settings={"grain": "day", "zone": "UTC"})
    world.providers.pull(world.read())
    assert vendor.asked[-1].since == T0 - 30 * DAY_MS, "with other settings it may see more"


def test_a_hole_that_a_pull_left_because_it_failed_is_asked_for_at_the_next(
    world: World, vendor: Vendor, clock: Clock
) -> None:
    vendor.script = [[day(-10, 1, days=10), Failed("HTTP 502")], [Failed("HTTP 502")], []]
    world.add(since=T0 - 30 * DAY_MS)
    for _ in range(3):
        world.providers.pull(world.read())
        clock.at += 60_000
    assert [(one.since - T0) // DAY_MS for one in vendor.asked] == [-30, -30, -30]


def test_only_as_far_back_as_the_vendor_answers(world: World, vendor: Vendor) -> None:
    world.add(since=0)
    world.providers.pull_due()
    assert vendor.asked[0].since == T0 - 90 * DAY_MS


def test_a_stretch_is_told_only_when_all_of_it_was_said_and_what_was_said_before_stays(
    world: World, vendor: Vendor, clock: Clock
) -> None:
    vendor.script = [
        [day(-3, 1), day(-2, 2, closes=False), Failed("GET https://vendor.example/x: HTTP 502")],
        [day(-2, 2), day(-1, 3)],
    ]
    world.add()
    world.providers.pull_due()
    late = world.read()
    assert (late.state, late.detail, late.failures) == ("late", "GET https://vendor.example/x: HTTP 502", 1)
    assert late.next_at == T0 + 60_000
    assert world.told() == [(-3, -2)]
    assert len(world.reported.said) == 2
    clock.at = late.next_at
    world.providers.pull_due()
    assert world.read().state == "ok"
    assert world.told() == [(-3, -2), (-2, 0)]


@pytest.mark.parametrize(
    ("error", "state", "detail", "pause_s"),
    [
        (Denied("10047 Token error"), "denied", "10047 Token error", 86_400),
        (Limited("HTTP 429", 7_200.0), "late", "HTTP 429", 7_200),
        (Failed("no answer"), "late", "no answer", 60),
        (ChangedShape("no object", '{"data":[]}'), "changed_shape", 'no object; it said: {"data":[]}', 21_600),
        (ZeroDivisionError("s3cret"), "late", "It failed inside (ZeroDivisionError); the server's log says how.", 60),
    ],
)  # fmt: skip
def test_each_way_it_can_go_wrong_has_a_state_a_reason_and_a_pause(
    world: World, vendor: Vendor, error: Exception, state: str, detail: str, pause_s: int
) -> None:
    vendor.script = [[error]]
    world.add()
    world.providers.pull_due()
    found = world.read()
    assert (found.state, found.detail, found.failures) == (state, detail, 1)
    assert found.next_at == T0 + pause_s * 1000


def test_what_could_not_be_stored_is_asked_again(world: World, vendor: Vendor, clock: Clock) -> None:
    vendor.script = [[day(-1, 7)], [day(-1, 7)]]
    world.add()
    world.reported.fault = Unavailable("the disk is full")
    world.providers.pull_due()
    assert world.read().detail == "what it said could not be kept: the disk is full"
    assert world.told() == []
    world.reported.fault = None
    clock.at += 60_000
    world.providers.pull_due()
    assert (world.read().state, world.told()) == ("ok", [(-1, 0)])


def test_one_that_was_removed_while_it_was_asked_stays_removed(world: World, vendor: Vendor) -> None:
    def remove() -> None:
        with world.ledger.begin() as tx:
            connected.remove_provider(tx, "thor", now=T0)

    vendor.script = [[day(-1, 7), remove, SubUsersSaid((SubUserSaid("bob", True),)), day(0, 7)]]
    made = world.add()
    world.providers.pull_due()
    assert world.read().state == "removed"
    with world.ledger.read() as tx:
        assert said.read_sub_users(tx, made.id) == [], "its account's texts may be gone: none comes back"
    assert world.reported.said == [("acme", "thor", day(-1, 7))]


def test_one_that_is_paused_while_it_is_asked_is_asked_no_further(world: World, vendor: Vendor, clock: Clock) -> None:
    def pause() -> None:
        with world.ledger.begin() as tx:
            connected.change_provider(tx, "thor", paused=True, now=clock.at)

    vendor.script = [[day(-3, 1), pause, day(-2, 2), day(-1, 3)], [day(-2, 2), day(-1, 3)]]
    world.add()
    world.providers.pull_due()
    found = world.read()
    assert (found.state, found.next_at) == ("late", connected.NEVER)
    assert found.detail == "It was paused while it was asked; what it had said until then is kept"
    assert world.told() == [(-3, -2)]
    with world.ledger.begin() as tx:
        pulls.ask_now(tx, found, now=clock.at)
    world.providers.pull_due()
    assert (world.read().state, world.told()) == ("ok", [(-3, 0)]), "somebody wants it though it is paused"


def test_one_that_nobody_asks_is_late_an_hour_after_its_time(world: World, vendor: Vendor, clock: Clock) -> None:
    def states() -> dict[str, float]:
        return {
            name: count for name, count in world.providers.measures().items() if name.startswith("state_") and count
        }

    def seen(asked: str | None = None) -> Provider:
        return connected.as_it_is(world.read(), clock.at, asked)

    world.add()
    clock.at += HOUR_MS - 1
    assert (seen().state, states()) == ("new", {"state_new": 1})
    clock.at += 1
    late = seen()
    assert (late.state, late.state_since, states()) == ("late", T0, {"state_late": 1})
    assert late.detail.startswith("It was to be asked at 2024-10-04T00:00:00Z, and nobody has: ")
    assert seen(asked=late.id).state == "new", "a pull may take hours"
    vendor.script = [[lambda: asserted.append(states())]]
    asserted: list[dict[str, float]] = []
    world.providers.pull_due()
    assert asserted == [{"state_new": 1}]
    assert (seen().state, states()) == ("ok", {"state_ok": 1})
    clock.at += 1800_000 + HOUR_MS
    assert (seen().state, states()) == ("late", {"state_late": 1})
    with world.ledger.begin() as tx:
        connected.change_provider(tx, "thor", paused=True, now=clock.at)
    assert (seen().state, states()) == ("ok", {"state_ok": 1}), "nobody is to ask it"


def test_use_that_is_said_after_it_was_removed_is_not_kept(world: World, vendor: Vendor) -> None:
    def remove() -> None:
        with world.ledger.begin() as tx:
            connected.remove_provider(tx, "thor", now=T0)

    vendor.script = [[day(-2, 7), remove, day(-1, 7)]]
    world.add()
    world.providers.pull_due()
    assert (world.reported.said, world.told()) == ([("acme", "thor", day(-2, 7))], [(-2, -1)])


def test_a_server_that_stops_leaves_what_it_was_asking_and_says_nothing_of_it(world: World, vendor: Vendor) -> None:
    vendor.script = [[day(-1, 7), ServerStops()]]
    world.add()
    with pytest.raises(ServerStops):
        world.providers.pull_due()
    assert (world.read().state, world.read().next_at) == ("new", T0)


def test_the_thread_asks_who_is_due_and_whoever_is_wanted_now_and_ends_at_once(
    world: World, vendor: Vendor, clock: Clock
) -> None:
    asked = threading.Event()
    vendor.script = [[asked.set], [asked.set]]
    world.providers.begin()
    world.add()
    world.providers.nudge()
    assert asked.wait(60)
    asked.clear()
    until = time.monotonic() + 60
    while world.read().state == "new" and time.monotonic() < until:
        time.sleep(0.01)
    with world.ledger.begin() as tx:
        pulls.ask_now(tx, connected.read_live(tx, "thor"), now=T0)
    world.providers.nudge()
    assert asked.wait(60)
    world.providers.close()
    assert not [one for one in threading.enumerate() if one.name == "providers"]


def test_a_vendor_that_this_version_does_not_know_is_named_and_asked_by_nobody(world: World) -> None:
    with world.ledger.begin() as tx:
        connected.add_provider(tx, "acme", "x", "gone", secrets={}, settings={}, since=0, now=T0)
    world.providers.pull_due()
    assert world.read("x").detail == "this version of flowtally does not know the vendor 'gone'"


def test_a_check_asks_with_the_stored_secrets_and_keeps_nothing(world: World, vendor: Vendor) -> None:
    made = world.add()
    assert world.providers.check(made).works == ("all",)
    assert vendor.asked[0].secrets == {"token": "s3cret"}
    vendor.sight = Denied("403")
    with pytest.raises(Denied):
        world.providers.check(made)
    assert world.read() == made


def test_figures_for_monitoring_count_states_and_pulls(world: World, vendor: Vendor) -> None:
    vendor.script = [[Denied("403")], []]
    world.add("a")
    world.add("b")
    world.providers.pull_due()
    world.providers.pull_due()
    measured = world.providers.measures()
    assert (measured["state_denied"], measured["state_ok"], measured["state_new"]) == (1, 1, 0)
    assert (measured["pulls_denied"], measured["pulls_ok"]) == (1, 1)


# What is given when one is added


@pytest.mark.parametrize(
    ("secrets", "settings", "detail"),
    [
        ({}, {}, "secret token is missing: the token"),
        ({"token": ""}, {}, "secret token is missing"),
        ({"token": "x", "tokn": "y"}, {}, "^secrets: a name is none of this vendor's: key, token$"),
        ({"token": "x"}, {"calendar": "UTC"}, "settings: 'calendar' is none of this vendor's: grain, zone"),
        ({"token": "x"}, {"grain": "week"}, "setting grain is 'week': one of day, hour"),
    ],
)
def test_what_its_vendor_does_not_know_or_needs_is_named(
    vendor: Vendor, secrets: dict[str, str], settings: dict[str, str], detail: str
) -> None:
    with pytest.raises(Unprocessable, match=detail):
        check_given(vendor.puller, secrets, settings)


def test_what_is_not_said_has_its_default(vendor: Vendor) -> None:
    assert check_given(vendor.puller, {"token": "x"}, {}) == {"grain": "day", "zone": "UTC"}
    assert check_given(vendor.puller, {"token": "x"}, {"grain": "hour"}) == {"grain": "hour", "zone": "UTC"}


@pytest.mark.parametrize("address", ["ftp://x", "https://", "https://me:pw@x", "https://x?a=1", "x", "https://x#y"])
def test_an_address_that_cannot_be_asked_is_refused_without_showing_it(address: str) -> None:
    with pytest.raises(Unprocessable, match="address: ") as found:
        check_address(address)
    assert "pw" not in str(found.value)


def test_everybody_has_a_turn(world: World, vendor: Vendor, clock: Clock) -> None:
    for name in ("a", "b", "c"):
        world.add(name)
        clock.at += 1
    clock.at += 10
    while world.providers.pull_due():
        pass
    with world.ledger.read() as tx:
        due = connected.due_providers(tx, 10**15, 9)
    assert [one.name for one in due] == ["a", "b", "c"]


def test_accounts_take_turns_however_many_providers_each_has(world: World, vendor: Vendor, clock: Clock) -> None:
    with world.ledger.begin() as tx:
        accounts.create_account(tx, "beta", now=1)
    for name in ("a1", "a2", "a3"):
        world.add(name)
        clock.at += 1
    world.add("b1", account="beta")
    clock.at += 10
    asked = []
    vendor.script = [[] for _ in range(4)]
    while world.providers.pull_due():
        asked += [one for one in ("a1", "a2", "a3", "b1") if one not in asked and world.read(one).state == "ok"]
    assert asked == ["a1", "b1", "a2", "a3"]


def test_one_that_cannot_be_asked_at_all_holds_up_nobody(world: World, vendor: Vendor, clock: Clock) -> None:
    """As where its secrets were sealed with another key than the one that is there."""
    other = Vault(VaultKeys(Fernet.generate_key(), Fernet.generate_key()))
    with world.ledger.begin() as tx:
        sealed = {"token": other.seal_secret("token", "s3cret")}
        connected.add_provider(tx, "acme", "sealed", "scripted", secrets=sealed, settings={}, since=0, now=T0 - 1)
    world.add()
    world.providers.pull_due()
    world.providers.pull_due()
    lost = world.read("sealed")
    assert (lost.state, lost.next_at, world.read().state) == ("late", T0 + 60_000, "ok")
    assert "the server's log says how" in lost.detail


def test_a_store_that_hangs_does_not_keep_a_server_from_stopping(
    world: World, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "JOIN_S", 0.1)
    begun, ended = threading.Event(), threading.Event()
    vendor.script = [[begun.set, lambda: assert_(ended.wait(60))]]
    world.add()
    world.providers.begin()
    assert begun.wait(60)
    world.providers.close()
    ended.set()


def assert_(what: bool) -> None:
    assert what


def test_what_is_doubtful_of_what_was_said_is_told_though_all_went_well(world: World, vendor: Vendor) -> None:
    doubtful = msgspec.structs.replace(day(-1, 7), doubts=("its total says 8",))
    vendor.script = [[doubtful, msgspec.structs.replace(day(0, 7), doubts=("and another",))]]
    world.add()
    world.providers.pull_due()
    assert (world.read().state, world.read().detail) == ("ok", "its total says 8; and another")
