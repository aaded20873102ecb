"""When a vendor's balance runs out: of which use, over which days, and what expires before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.answers.test_reconciliation import Scene, scene  # noqa: F401
from tests.core.reconciling.planting import START

from flowtally.answers.provider_balance import Lot, provider_balance, run_out, whole_days
from flowtally.core.edges import format_instant
from flowtally.core.reported import BalanceSaid, BalancesSaid, Grain, GrantSaid, Paying
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.ledger.providers import connected, said
from flowtally.ledger.providers.stretches import Stretch
from flowtally.protocol import RunOut
from flowtally.vendors import PULLERS

GB = 10**9
NOW = START + 10 * DAY_MS + 60_000  # the tenth day is a minute old
TRAFFIC = Paying("traffic", "residential")


def told(start: int, end: int, asked_at: int = NOW, *, zone: str = "UTC", grain: Grain = "day") -> Stretch:
    return Stretch(START + start * DAY_MS, START + end * DAY_MS, grain, zone, 1, asked_at)


def ask(scene: Scene, *balances: BalanceSaid, grants: Sequence[GrantSaid] = (), paying: Any = TRAFFIC) -> RunOut:  # noqa: F811
    with scene.ledger.begin() as tx:
        provider = connected.read_provider(tx, "thor")
        said.put_balances(tx, provider, BalancesSaid(balances).balances, now=NOW)
        said.put_grants(tx, provider, grants, {}, now=NOW)
        return provider_balance(tx, scene.usage, provider, paying, NOW).run_out


def in_days(count: float) -> str:
    return format_instant(NOW + int(count * DAY_MS))


@pytest.fixture
def used(scene: Scene) -> Scene:  # noqa: F811
    """100 GB a day for seven days, and today so far 5."""
    with scene.ledger.begin() as tx:
        connected.change_provider(tx, "thor", now=2, settings={"residential": "homes"})
    for day in range(3, 10):
        scene.bill("bob", START + day * DAY_MS, 100 * GB, product="homes")
    scene.bill("bob", START + 10 * DAY_MS, 5 * GB, product="homes")
    scene.tell(START, START + 11 * DAY_MS, at=NOW)
    return scene


def test_a_day_that_is_not_over_is_no_whole_one(used: Scene) -> None:
    found = ask(used, BalanceSaid("traffic", "bytes", 1000 * GB))
    assert found == RunOut(in_days(10), 100 * GB, 7, "", "traffic")


def test_only_use_that_is_taken_from_the_balance_counts(used: Scene) -> None:
    used.bill("eve", START + 9 * DAY_MS, 5000 * GB, product="unlimited")
    assert ask(used, BalanceSaid("traffic", "bytes", 1000 * GB)).at == in_days(10)
    for day in range(3, 10):
        used.bill("", START + day * DAY_MS, 50 * GB, product="homes")
    own = Paying("traffic", "residential", sub_user="")
    assert ask(used, BalanceSaid("traffic", "bytes", 1000 * GB), paying=own).at == in_days(20)


def test_only_the_balance_that_use_is_taken_from_is_left(used: Scene) -> None:
    others = [BalanceSaid("bob residential", "bytes", 5000 * GB), BalanceSaid("old", "bytes", 9 * GB, expires_at=1)]
    assert ask(used, BalanceSaid("traffic", "bytes", 1000 * GB), *others).at == in_days(10)
    assert ask(used, *others) == RunOut(None, 100 * GB, 7, "the vendor does not tell what is left", "traffic")
    assert ask(used, *others, paying=None) == RunOut(None, None, 0, "the vendor does not tell what is left")


def test_what_expires_before_it_is_used_up_ends_then(used: Scene) -> None:
    early, late = NOW + 4 * DAY_MS, NOW + 400 * DAY_MS
    found = ask(used, BalanceSaid("traffic", "bytes", 1000 * GB, expires_at=early))
    assert (found.at, found.expires, found.per_day) == (in_days(4), True, 100 * GB)
    found = ask(used, BalanceSaid("traffic", "bytes", 1000 * GB, expires_at=late))
    assert (found.at, found.expires) == (in_days(10), False)
    found = ask(used, BalanceSaid("traffic", "bytes", 1000 * GB, expires_at=START))
    assert (found.at, found.expires) == (in_days(0), True)


def test_grants_end_one_by_one(used: Scene) -> None:
    def grant(name: str, left: int, ends_in: float | None, standing: Any = "active") -> GrantSaid:
        ends_at = None if ends_in is None else NOW + int(ends_in * DAY_MS)
        return GrantSaid(name, "", "order", "bytes", (left + 50) * GB, 50 * GB, START, ends_at, standing)

    grants = [grant("1", 600, 2), grant("2", 300, None), grant("3", 100, 1), grant("4", 900, 9, "ended")]
    found = ask(
        used, BalanceSaid("traffic", "bytes", 1000 * GB), grants=grants, paying=Paying("traffic", "", None, True)
    )
    assert (found.at, found.expires) == (in_days(5), False), (
        "one day of the third, one of the first, three of the second"
    )
    [last] = [
        ask(
            used,
            BalanceSaid("traffic", "bytes", 700 * GB),
            grants=grants[::2],
            paying=Paying("traffic", "", None, True),
        )
    ]
    assert (last.at, last.expires) == (in_days(2), True)


def test_days_are_those_of_the_vendors_calendar() -> None:
    for zone, hours in (("+08:00", -8), ("UTC", 0), ("America/New_York", 5)):
        begins = START + hours * HOUR_MS
        mine = Stretch(begins, begins + 11 * DAY_MS, "day", zone, 1, NOW + DAY_MS)
        days = whole_days([mine], NOW)
        assert len(days) == 7
        # New York sets its clocks forward on the eighth of March: its days begin an hour earlier from then on.
        assert {(start - begins) % DAY_MS for start, _ in days} <= {0, DAY_MS - HOUR_MS}
        assert NOW - DAY_MS < days[-1][1] <= NOW


def test_days_of_which_something_was_not_told_are_left_out() -> None:
    def days(*stretches: Stretch) -> list[int]:
        return [(start - START) // DAY_MS for start, _ in whole_days(stretches, NOW)]

    assert days() == []
    assert days(told(0, 11)) == [3, 4, 5, 6, 7, 8, 9]
    assert days(told(0, 5), told(6, 11)) == [3, 4, 6, 7, 8, 9]
    assert days(told(0, 2)) == []
    assert days(told(0, 9, asked_at=START + 8 * DAY_MS + HOUR_MS)) == [3, 4, 5, 6, 7], "the eighth was not over"
    half = Stretch(START, START + 9 * DAY_MS + HOUR_MS, "pull", "UTC", 1, NOW)
    looked = Stretch(half.ends_at, NOW + 1, "pull", "UTC", 1, NOW)
    assert days(half) == [3, 4, 5, 6, 7, 8]
    assert days(half, looked) == [3, 4, 5, 6, 7, 8, 9]


LOTS = st.lists(
    st.tuples(st.integers(-10, 1000), st.none() | st.integers(-10, 100).map(lambda n: n * DAY_MS)), max_size=6
)
WEEK = [(-7 * DAY_MS, 0)]


@given(lots=LOTS, used=st.integers(1, 7000), more=st.integers(1, 100))
def test_more_use_and_an_earlier_end_never_make_it_last_longer(lots: list[Lot], used: int, more: int) -> None:
    found = run_out(lots, used, WEEK, 0, 0)
    assert found.at is not None
    faster = run_out(lots, used + more, WEEK, 0, 0)
    earlier = run_out([(left, None if end is None else end - more * HOUR_MS) for left, end in lots], used, WEEK, 0, 0)
    assert faster.at is not None
    assert earlier.at is not None
    assert max(faster.at, earlier.at) <= found.at
    ends = [end for left, end in lots if left > 0]
    if ends and None not in ends:
        assert found.at <= format_instant(max(0, *(end for end in ends if end is not None)))


def test_what_cannot_be_said_is_not() -> None:
    assert run_out([(5, None)], 0, [], 0, 0).reason == "the vendor has told no whole day of the last seven"
    assert run_out([(5, None)], 0, WEEK, 0, 0).reason == "nothing was used in these days"
    assert run_out([(5, None)], -3, WEEK, 0, 0) == RunOut(None, 0, 1, "nothing was used in these days")
    assert run_out([(10**15, None)], 7, WEEK, 0, 0).reason == "it lasts beyond the year 9999"
    assert run_out([(0, None)], 7, WEEK, 0, NOW).at == format_instant(NOW)
    assert run_out([(7, DAY_MS)], 0, WEEK, 0, 0) == RunOut(format_instant(DAY_MS), 0, 1, "", "", True)


def test_what_was_left_goes_on_being_used_while_the_vendor_is_not_asked() -> None:
    assert run_out([(700, None)], 700, [(0, 7 * DAY_MS)], START, START + 2 * DAY_MS).at == format_instant(
        START + 7 * DAY_MS
    )


@pytest.mark.parametrize("vendor", PULLERS)
def test_the_settings_and_balances_that_pay_are_the_vendors_own(vendor: str) -> None:
    puller = PULLERS[vendor]
    if puller.paying is not None:
        assert puller.paying.product in {one.name for one in puller.settings}
