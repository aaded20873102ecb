"""What an upgrade costs, which spelling an address has, which plan is for what."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.leasing import AgreedPrice, Site, Size, held_until, kept_until, spelt, state_at, upgrade_price
from flowtally.core.times import DAY_MS, END_OF_TIME

HALF = DAY_MS // 2


@pytest.mark.parametrize(
    ("at", "ends_at", "stretches", "price", "days", "costs"),
    [
        # bought 10 days for 100; the larger one is 200 for 10 days
        (0, 10 * DAY_MS, [AgreedPrice(0, 10 * DAY_MS, 100)], 200, 10, 100),
        (5 * DAY_MS, 10 * DAY_MS, [AgreedPrice(0, 10 * DAY_MS, 100)], 200, 10, 50),
        (10 * DAY_MS - 1, 10 * DAY_MS, [AgreedPrice(0, 10 * DAY_MS, 100)], 200, 10, 0),
        # the same price for a day as for ten: what was agreed on for the rest is less
        (5 * DAY_MS, 10 * DAY_MS, [AgreedPrice(0, 10 * DAY_MS, 100)], 100, 1, 450),
        # a renewal at another price counts from where it begins
        (
            5 * DAY_MS,
            20 * DAY_MS,
            [AgreedPrice(0, 10 * DAY_MS, 100), AgreedPrice(10 * DAY_MS, 20 * DAY_MS, 80)],
            200,
            10,
            170,
        ),
        # an upgrade before is worth something, too
        (5 * DAY_MS, 10 * DAY_MS, [AgreedPrice(0, 10 * DAY_MS, 100), AgreedPrice(0, 10 * DAY_MS, 100)], 300, 10, 50),
        # half a millionth goes to the even neighbour
        (HALF, DAY_MS, [AgreedPrice(0, DAY_MS, 0)], 1, 1, 0),
        (HALF, DAY_MS, [AgreedPrice(0, DAY_MS, 0)], 3, 1, 2),
        # what has no end is worth nothing, a cheaper plan less than nothing
        (0, DAY_MS, [AgreedPrice(0, None, 70)], 5, 1, 5),
        (0, DAY_MS, [AgreedPrice(0, DAY_MS, 70)], 5, 1, -65),
    ],
)
def test_an_upgrade_costs_what_the_rest_is_worth_more(
    at: int, ends_at: int, stretches: list[AgreedPrice], price: int, days: int, costs: int
) -> None:
    assert upgrade_price(at, ends_at, stretches, price=price, days=days) == costs


@given(
    days=st.integers(1, 400),
    prices=st.tuples(st.integers(0, 2**53 - 1), st.integers(1, 2**53 - 1)),
    upgrades=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 2**53 - 1)), max_size=4),
    rest=st.integers(1, DAY_MS),
)
def test_after_any_upgrades_the_rest_is_worth_what_its_plan_says_but_for_one_rounding(
    days: int, prices: tuple[int, int], upgrades: list[tuple[int, int]], rest: int
) -> None:
    ends = days * DAY_MS
    stretches = [AgreedPrice(0, ends, prices[0])]
    last = prices[0]
    for at, price in sorted(upgrades):
        costs = upgrade_price(at, ends, stretches, price=price, days=days)
        worth = sum(Fraction(one.price * (ends - at), ends - one.starts_at) for one in stretches)
        exact = Fraction(price * (ends - at), ends) - worth
        assert abs(costs - exact) <= Fraction(1, 2)
        stretches.append(AgreedPrice(at, ends, costs))
        last = price
    at = ends - rest if rest < ends - 10_000 else 10_000
    again = upgrade_price(at, ends, stretches, price=last, days=days)
    assert abs(again) <= 1, "the same plan again costs nothing"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("Gate-1.Example.COM.", "gate-1.example.com"),
        ("gate", "gate"),
        ("192.0.2.256", None),
        ("192.0.2", None),
        ("192.0.02.1", None),
        ("fe80::1%eth0", None),
        ("a b", None),
        ("a..b", None),
        ("-a.example", None),
        ("x" * 64, None),
        (".".join(["x" * 60] * 5), None),
        ("", None),
        ("http://a.example", None),
    ],
)
def test_an_address_has_one_spelling(given: str, written: str | None) -> None:
    assert spelt(given) == written
    if written is not None:
        assert spelt(written) == written


def test_a_plan_is_for_what_is_as_it_says_as_far_as_it_says_something() -> None:
    berlin = Site("DE", "be", "berlin", "eu-1")
    assert Site().holds(berlin)
    assert Site("DE").holds(berlin)
    assert not Site("FR").holds(berlin)
    assert not berlin.holds(Site("DE"))
    assert Size(8).holds(Size(8, 16))
    assert not Size(8, 32).holds(Size(8, 16))
    assert Size(bandwidth_mbps=500).over(Size(8, 16, 200)) == Size(8, 16, 500)


@pytest.mark.parametrize(
    ("one", "other", "is_larger"),
    [
        (Size(8, 16, 200), Size(8, 16, 200), False),
        (Size(8, 16, 300), Size(8, 16, 200), True),
        (Size(16, 8, 300), Size(8, 16, 200), False),
        (Size(1), Size(), True),
        (Size(), Size(), False),
    ],
)
def test_an_upgrade_is_nowhere_smaller_and_somewhere_larger(one: Size, other: Size, is_larger: bool) -> None:
    assert one.exceeds(other) is is_larger


@pytest.mark.parametrize(
    ("at", "ends_at", "released_at", "state"),
    [
        (0, 10, None, "active"),
        (9, 10, None, "active"),
        (10, 10, None, "grace"),
        (14, 10, None, "grace"),
        (15, 10, None, "ended"),
        (99, None, None, "active"),
        (7, 10, 7, "released"),
        (6, 10, 7, "active"),
        (12, 10, 12, "released"),
    ],
)
def test_what_a_lease_is_follows_from_its_instants(
    at: int, ends_at: int | None, released_at: int | None, state: str
) -> None:
    assert state_at(at, ends_at, 5, released_at) == state


def test_a_release_ends_both_being_held_and_being_kept() -> None:
    assert (held_until(10, None), kept_until(10, 5, None)) == (10, 15)
    assert (held_until(10, 7), kept_until(10, 5, 7)) == (7, 7)
    assert (held_until(10, 12), kept_until(10, 5, 12)) == (10, 12)
    assert (held_until(None, None), kept_until(None, 5, None)) == (END_OF_TIME, END_OF_TIME)
