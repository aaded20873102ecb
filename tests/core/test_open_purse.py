"""A burn that goes on equals the whole burn, after every use and at every instant; late use makes it say less, never
more."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from flowtally.core.burndown import Balance, Draw, Grant, burn, plan_edges
from flowtally.core.open_purse import (
    OpenPurse,
    balance_at,
    burn_open,
    headroom,
    make_terms,
    next_edge,
    open_purse,
    step,
    take,
)
from flowtally.core.times import BEGINNING, END_OF_TIME
from flowtally.core.words import Overage

Use = tuple[int, int]
GB = 1_000_000_000

moments = st.integers(0, 40)
policies: st.SearchStrategy[Overage] = st.sampled_from(["carry", "forgive"])
sizes = st.integers(1, 20)


@st.composite
def grant_lists(draw: st.DrawFn) -> list[Grant]:
    grants = []
    for name in range(draw(st.integers(0, 5))):
        start = draw(moments)
        expires_at = draw(st.none() | st.integers(start + 1, 45))
        grants.append(
            Grant("abcde"[name], draw(sizes), draw(st.integers(1, 2)), start, expires_at, draw(st.none() | moments))
        )
    return grants


@st.composite
def draw_lists(draw: st.DrawFn) -> list[Draw]:
    amounts = draw(st.lists(sizes, max_size=3))
    return [Draw(f"v{n}", draw(moments), size, draw(st.integers(0, size))) for n, size in enumerate(amounts)]


laws = st.tuples(grant_lists(), draw_lists(), st.integers(0, 45), policies)
Law = tuple[list[Grant], list[Draw], int, Overage]
uses = st.lists(st.tuples(moments, st.integers(-20, 30)), max_size=12)


def whole_burn(law: Law, events: list[Use], at: int) -> Balance:
    grants, draws, carry_from, overage = law
    edges = plan_edges(grants, draws, carry_from, at)
    sums = [0] * (len(edges) - 1)
    for when, size in events:
        if when < at:
            sums[bisect_right(edges, when) - 1] += size
    return burn(grants, draws, edges, sums, at, carry_from=carry_from, overage=overage)


def figures(balance: Balance) -> Balance:
    """Without who paid when, which only the whole burn tells."""
    return structs.replace(balance, payments=(), shortfalls=())


def left_to_use(balance: Balance) -> int:
    return balance.left + balance.credit - (balance.overage - balance.overage_before_carry)


@given(laws, uses, st.integers(1, 50))
def test_opened_at_an_instant_it_is_the_whole_burn(law: Law, events: list[Use], at: int) -> None:
    grants, draws, carry_from, overage = law
    edges = plan_edges(grants, draws, carry_from, at)
    sums = [sum(size for when, size in events if a <= when < b) for a, b in pairwise(edges)]
    purse = burn_open(make_terms(grants, draws, carry_from, overage), edges, sums, at)
    assert balance_at(purse, at) == figures(whole_burn(law, events, at))


@settings(max_examples=400)
@given(laws, uses)
def test_use_in_the_order_of_time_keeps_it_exact_at_every_instant(law: Law, events: list[Use]) -> None:
    purse = open_purse(make_terms(*law))
    come: list[Use] = []
    waiting = sorted(events)
    for now in range(1, 47):
        while waiting and waiting[0][0] < now:
            when, size = waiting.pop(0)
            step(purse, when)
            take(purse, size, when, when, now)
            come.append((when, size))
        step(purse, now)
        expected = whole_burn(law, come, now)
        assert purse.exact
        assert balance_at(purse, now) == figures(expected)
        assert max(headroom(purse), 0) == max(left_to_use(expected), 0)


@settings(max_examples=400)
@given(laws, st.lists(st.tuples(moments, moments, st.integers(-20, 30)), max_size=12))
def test_late_and_early_use_never_makes_it_more_generous(law: Law, events: list[tuple[int, int, int]]) -> None:
    """Each comes at an instant of its own, dated before or after it."""
    purse = open_purse(make_terms(*law))
    come: list[Use] = []
    arrivals = sorted(events)
    for now in range(1, 47):
        step(purse, now)
        while arrivals and arrivals[0][0] <= now:
            _, when, size = arrivals.pop(0)
            take(purse, size, when, when, now)
            come.append((when, size))
        expected = whole_burn(law, come, now)
        assert max(headroom(purse), 0) <= max(left_to_use(expected), 0)
        if purse.exact and purse.ahead < now:
            assert balance_at(purse, now) == figures(expected)


@given(laws)
def test_its_edges_are_the_planned_ones(law: Law) -> None:
    grants, draws, carry_from, _ = law
    terms = make_terms(*law)
    edges, edge = [BEGINNING], BEGINNING
    while (edge := next_edge(terms, edge)) < END_OF_TIME:
        edges.append(edge)
    assert [*edges, END_OF_TIME] == plan_edges(grants, draws, carry_from, END_OF_TIME)


def opened(*grants: Grant, draws: tuple[Draw, ...] = (), overage: Overage = "carry", now: int = 100) -> OpenPurse:
    purse = open_purse(make_terms(grants, draws, BEGINNING, overage))
    step(purse, now)
    return purse


def test_a_table_of_a_bookkeeper() -> None:
    """5 GB until 200, then 2 GB: 4 used, 2 used (one too many, which waits), and the next grant pays what waits."""
    purse = opened(Grant("A", 5 * GB, 100, 50, 200), Grant("B", 2 * GB, 100, 200))
    assert (headroom(purse), purse.since, purse.until) == (5 * GB, 50, 200)
    take(purse, 4 * GB, 110, 120, 199)
    assert headroom(purse) == 1 * GB
    take(purse, 2 * GB, 150, 150, 199)
    assert headroom(purse) == -1 * GB
    step(purse, 200)
    assert (headroom(purse), purse.until, purse.exact) == (1 * GB, END_OF_TIME, True)


def test_what_a_grant_has_left_when_it_ends_is_gone() -> None:
    purse = opened(Grant("A", 5 * GB, 100, 50, 200))
    take(purse, GB, 110, 110, 199)
    step(purse, 199)
    assert headroom(purse) == 4 * GB
    step(purse, 200)
    assert headroom(purse) == 0


def test_a_grant_that_ends_as_another_begins_whole_eaten_by_what_waited() -> None:
    """What waits eats B at the very instant: never a yes in between."""
    purse = opened(Grant("A", GB, 100, 50, 200), Grant("B", GB, 100, 200))
    take(purse, 2 * GB, 110, 110, 199)
    assert headroom(purse) == -GB
    step(purse, 200)
    assert headroom(purse) == 0


def test_late_use_is_taken_off_at_once_and_a_late_correction_is_not_believed() -> None:
    purse = opened(Grant("A", 5 * GB, 100, 0, 50), Grant("B", 5 * GB, 100, 50))
    take(purse, GB, 10, 10, 199)
    assert (headroom(purse), purse.exact) == (4 * GB, False)
    take(purse, -GB, 10, 10, 199)
    assert (headroom(purse), purse.exact) == (4 * GB, False)


def test_use_dated_beyond_the_span_is_taken_off_and_makes_it_a_lower_bound() -> None:
    purse = opened(Grant("A", 5 * GB, 100, 0, 200))
    take(purse, GB, 199, 201, 199)
    assert (headroom(purse), purse.exact) == (4 * GB, False)


def test_what_is_given_back_ahead_of_now_is_not_believed_yet() -> None:
    purse = opened(Grant("A", 5 * GB, 100, 0, 200))
    take(purse, -GB, 150, 150, 150)
    assert (headroom(purse), purse.exact) == (5 * GB, False)


def test_a_draw_leaves_at_its_instant_and_what_was_returned_of_it_never_left() -> None:
    purse = opened(Grant("A", 5 * GB, 100, 0), draws=(Draw("v", 150, 3 * GB, GB),))
    assert headroom(purse) == 5 * GB
    step(purse, 150)
    assert headroom(purse) == 3 * GB


def test_time_set_back_changes_nothing() -> None:
    purse = opened(Grant("A", GB, 100, 0), Grant("B", GB, 100, 150), now=150)
    step(purse, 140)
    assert (purse.since, headroom(purse)) == (150, 2 * GB)
