"""The burn-down: tables a bookkeeper could read, then laws against a slow event-by-event model.

A table has one line per kind of thing, entries parted by `|`. Dates are in 2026, UTC, `10 Jan` or `10 Jan 12:00`:

    grants  A 100MB 1 Jan..1 Feb prio 1 void 20 Jan | B 50MB 15 Jan..      (open end: never expires)
    draws   v1 12 Jan 10MB returned 4MB
    usage   10 Jan 90MB | 20 Jan -5MB                                      (negative: a free adjustment)
    at      1 Mar                                                          (default)
    carry   5 Jan                                                          (carry_from; default: the beginning)
    policy  forgive                                                        (default: carry)
    grant   A 70MB spent voided | B 0 active                               (spent of each, state)
    total   spent 70MB | left 30MB | overage 0                             (any total of the balance)
    paid    A 10 Jan 70MB | credit 12 Jan 1MB                              (who paid when how much)
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import burndown_model

from flowtally.core.burndown import Balance, Draw, Grant, Payment, Shortfall, burn, plan_edges
from flowtally.core.edges import merge_edges, parse_instant
from flowtally.core.errors import BadRange
from flowtally.core.times import BEGINNING
from flowtally.core.units import parse_amount
from flowtally.core.words import Overage

# -- The notation -----------------------------------------------------------------------------------------------------

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
DATE = r"\d+ \w{3}(?: \d\d:\d\d)?"


def instant(text: str) -> int:
    day, month, *clock = text.split()
    return parse_instant(f"2026-{MONTHS.index(month) + 1:02d}-{int(day):02d}T{clock[0] if clock else '00:00'}:00Z")


def amount(text: str) -> int:
    return -parse_amount(text[1:]) if text.startswith("-") else parse_amount(text)


def read(pattern: str, entry: str) -> list[Any]:
    match = re.fullmatch(pattern, entry)
    assert match, f"{entry!r} is not {pattern}"
    return list(match.groups())


def read_grant(entry: str) -> Grant:
    pattern = rf"(\w+) (\S+) ({DATE})\.\.({DATE})?(?: prio (\d+))?(?: void ({DATE}))?"
    name, size, start, end, priority, void = read(pattern, entry)
    expires_at, voided_at = instant(end) if end else None, instant(void) if void else None
    return Grant(name, amount(size), int(priority or 100), instant(start), expires_at, voided_at)


def read_draw(entry: str) -> Draw:
    name, at, size, returned = read(rf"(\w+) ({DATE}) (\S+)(?: returned (\S+))?", entry)
    return Draw(name, instant(at), amount(size), amount(returned or "0"))


def read_use(entry: str) -> tuple[int, int]:
    at, size = read(rf"({DATE}) (\S+)", entry)
    return instant(at), amount(size)


def sums_of(events: list[tuple[int, int]], edges: list[int]) -> list[int]:
    """What the usage store would answer."""
    sums = [0] * (len(edges) - 1)
    for at, size in events:
        if edges[0] <= at < edges[-1]:
            sums[bisect_right(edges, at) - 1] += size
    return sums


def balance_of(
    grants: list[Grant],
    draws: list[Draw],
    events: list[tuple[int, int]],
    at: int,
    carry_from: int = BEGINNING,
    overage: Overage = "carry",
    more_edges: list[int] | None = None,
) -> Balance:
    edges = merge_edges(plan_edges(grants, draws, carry_from, at), (e for e in more_edges or () if BEGINNING < e < at))
    return burn(grants, draws, edges, sums_of(events, edges), at, carry_from=carry_from, overage=overage)


def check(table: str) -> None:
    """Burn what the table gives, and compare what it expects."""
    lines = {line.split()[0]: line.split(maxsplit=1)[1].split(" | ") for line in table.strip().splitlines()}
    lines = {kind: [re.sub(r"\s+", " ", entry).strip() for entry in entries] for kind, entries in lines.items()}
    balance = balance_of(
        [read_grant(entry) for entry in lines.pop("grants", [])],
        [read_draw(entry) for entry in lines.pop("draws", [])],
        [read_use(entry) for entry in lines.pop("usage", [])],
        instant(lines.pop("at", ["1 Mar"])[0]),
        instant(lines.pop("carry")[0]) if "carry" in lines else BEGINNING,
        "forgive" if lines.pop("policy", ["carry"]) == ["forgive"] else "carry",
    )
    for entry in lines.pop("total", []):
        name, size = entry.split()
        assert (name, getattr(balance, name)) == (name, amount(size))
    if "grant" in lines:
        expected = [read(r"(\w+) (\S+) spent (\w+)", entry) for entry in lines.pop("grant")]
        shown = [[each.grant.id, each.spent, each.state] for each in balance.grants]
        assert shown == [[name, amount(size), state] for name, size, state in expected]
    if "paid" in lines:
        expected = [read(rf"(\w+) ({DATE}) (\S+)", entry) for entry in lines.pop("paid")]
        paid = [(payment.grant or "credit", payment.at, payment.amount) for payment in balance.payments]
        assert paid == [(name, instant(at), amount(size)) for name, at, size in expected]
    assert not lines, f"unread lines: {lines}"


# -- Worked tables ----------------------------------------------------------------------------------------------------


def test_the_lower_priority_pays_first_and_the_next_one_the_rest() -> None:
    check("""
        grants  A 100MB 1 Jan..1 Feb prio 1 | B 50MB 15 Jan.. prio 2
        usage   10 Jan 90MB | 20 Jan 40MB
        grant   A 100MB spent expired | B 30MB spent active
        total   granted 150MB | spent 130MB | left 20MB | expired 0 | overage 0
        paid    A 1 Jan 90MB | A 15 Jan 10MB | B 15 Jan 30MB
    """)


def test_the_sooner_expiry_pays_first_and_no_expiry_last() -> None:
    check("""
        grants  A 10MB 1 Jan.. | B 10MB 2 Jan..1 Jul | C 10MB 3 Jan..1 Jun | D 10MB 1 Jan..1 Dec prio 101
        usage   10 Jan 25MB
        grant   A 5MB spent active | B 10MB spent spent | C 10MB spent spent | D 0 spent active
        paid    C 3 Jan 10MB | B 3 Jan 10MB | A 3 Jan 5MB
    """)


def test_the_older_start_then_the_smaller_id_pays_first() -> None:
    check("""
        grants  C 10MB 2 Jan.. | B 10MB 2 Jan.. | Z 10MB 1 Jan..
        usage   10 Jan 15MB
        grant   C 0 spent active | B 5MB spent active | Z 10MB spent spent
    """)


def test_use_at_the_very_expiry_is_not_paid_by_that_grant() -> None:
    check("""
        grants  A 100MB 1 Jan..1 Feb
        usage   31 Jan 23:59 10MB | 1 Feb 20MB
        grant   A 10MB spent expired
        total   spent 10MB | left 0 | expired 90MB | overage 20MB
    """)


def test_use_at_the_very_start_is_paid() -> None:
    check("""
        grants  A 100MB 1 Jan..
        usage   1 Jan 10MB
        total   spent 10MB | left 90MB | overage 0
    """)


def test_overage_waits_for_the_next_grant_which_pays_it_at_its_start() -> None:
    check("""
        grants  A 50MB 1 Jan..1 Feb | B 100MB 10 Feb..
        usage   20 Jan 80MB | 5 Feb 5MB | 12 Feb 1MB
        grant   A 50MB spent expired | B 36MB spent active
        total   overage 0 | left 64MB
        paid    A 1 Jan 50MB | B 10 Feb 30MB | B 10 Feb 5MB | B 10 Feb 1MB
    """)


def test_until_then_overage_is_open() -> None:
    check("""
        grants  A 50MB 1 Jan..1 Feb | B 100MB 10 Feb..
        usage   20 Jan 80MB | 5 Feb 5MB | 12 Feb 1MB
        at      9 Feb
        grant   A 50MB spent expired | B 0 spent pending
        total   used 85MB | spent 50MB | overage 35MB | overage_before_carry 0 | pending 100MB | left 0
    """)


def test_history_before_carry_from_is_reported_but_eats_no_new_grant() -> None:
    check("""
        grants  A 100MB 10 Jan..
        usage   5 Jan 70MB | 12 Jan 1MB
        carry   10 Jan
        grant   A 1MB spent active
        total   used 71MB | overage 70MB | overage_before_carry 70MB | left 99MB
    """)


def test_a_back_dated_grant_pays_history_inside_its_life_only() -> None:
    check("""
        grants  A 100MB 3 Jan..6 Jan | B 100MB 7 Jan..
        usage   2 Jan 1MB | 5 Jan 120MB | 8 Jan 5MB
        carry   10 Jan
        grant   A 100MB spent expired | B 5MB spent active
        total   overage 21MB | overage_before_carry 21MB | left 95MB
    """)


def test_overage_before_and_after_carry_from_are_told_apart() -> None:
    check("""
        usage   5 Jan 70MB | 10 Jan 2MB
        carry   10 Jan
        total   overage 72MB | overage_before_carry 70MB | spent 0
    """)


def test_forgiven_overage_never_waits() -> None:
    check("""
        grants  A 50MB 1 Jan.. | B 100MB 10 Feb..
        usage   20 Jan 80MB | 5 Feb 5MB | 12 Feb 1MB
        policy  forgive
        grant   A 50MB spent spent | B 1MB spent active
        total   overage 0 | forgiven 35MB | left 99MB
    """)


def test_a_voided_grant_keeps_what_it_already_paid() -> None:
    check("""
        grants  A 100MB 1 Jan.. void 20 Jan
        usage   10 Jan 30MB | 20 Jan 5MB
        grant   A 30MB spent voided
        total   spent 30MB | voided 70MB | left 0 | overage 5MB
    """)


def test_a_void_is_not_yet_true_before_it() -> None:
    check("""
        grants  A 100MB 1 Jan.. void 20 Jan
        usage   10 Jan 30MB | 20 Jan 5MB
        at      19 Jan 23:59
        grant   A 30MB spent active
        total   voided 0 | left 70MB | overage 0
    """)


def test_a_grant_voided_before_its_start_never_pays() -> None:
    check("""
        grants  A 100MB 10 Jan.. void 5 Jan | B 100MB 10 Jan.. void 10 Jan
        usage   12 Jan 30MB
        grant   A 0 spent voided | B 0 spent voided
        total   voided 200MB | overage 30MB | pending 0
    """)


def test_states_take_precedence_voided_pending_expired_spent_active() -> None:
    check("""
        grants  A 1MB 1 Jan..5 Jan void 7 Jan | B 1MB 20 Jan.. void 7 Jan | C 1MB 20 Jan.. void 25 Jan
        at      10 Jan
        grant   A 0 spent voided | B 0 spent voided | C 0 spent pending
    """)
    check("""
        grants  A 1MB 1 Jan..5 Jan | B 1MB 6 Jan.. | C 1MB 7 Jan..
        usage   2 Jan 1MB | 8 Jan 1MB
        at      10 Jan
        grant   A 1MB spent expired | B 1MB spent spent | C 0 spent active
    """)


def test_a_grant_starts_ends_and_a_draw_leaves_at_the_instant_asked_for_but_use_there_is_later() -> None:
    check("""
        grants  A 10MB 1 Jan..1 Mar | B 10MB 1 Mar.. | C 10MB 1 Feb.. void 1 Mar
        draws   v 1 Mar 4MB
        usage   1 Mar 5MB
        grant   A 0 spent expired | B 4MB spent active | C 0 spent voided
        total   used 0 | drawn 4MB | left 6MB
    """)


def test_a_draw_is_paid_like_use() -> None:
    check("""
        grants  A 100MB 1 Jan..1 Feb | B 100MB 1 Jan..
        draws   v 15 Jan 80MB
        usage   10 Jan 40MB | 20 Jan 10MB
        grant   A 100MB spent expired | B 30MB spent active
        total   used 50MB | drawn 80MB | spent 130MB | overage 0
        paid    A 1 Jan 40MB | A 15 Jan 60MB | B 15 Jan 20MB | B 15 Jan 10MB
    """)


def test_a_returned_draw_was_never_there() -> None:
    check("""
        grants  A 100MB 1 Jan..1 Feb | B 100MB 1 Jan..
        draws   v 15 Jan 80MB returned 80MB | w 16 Jan 9MB returned 4MB
        usage   10 Jan 40MB | 20 Jan 60MB
        grant   A 100MB spent expired | B 5MB spent active
        total   used 100MB | drawn 5MB
    """)


def test_a_credit_pays_later_use_and_draws_before_any_grant() -> None:
    check("""
        grants  A 100MB 1 Jan.. | B 1MB 10 Jan..
        draws   v 10 Jan 2MB
        usage   5 Jan -5MB | 12 Jan 7MB
        grant   A 4MB spent active | B 0 spent active
        total   used 2MB | drawn 2MB | credit 0 | spent 4MB
        paid    credit 10 Jan 2MB | credit 10 Jan 3MB | A 10 Jan 4MB
    """)


def test_a_credit_lessens_open_overage_first_and_the_rest_stays() -> None:
    check("""
        grants  A 10MB 1 Jan..5 Jan | B 10MB 5 Jan..6 Jan | C 10MB 1 Apr..
        usage   2 Jan 14MB | 7 Jan -9MB
        grant   A 10MB spent expired | B 4MB spent expired | C 0 spent pending
        total   used 5MB | credit 9MB | overage 0
    """)
    check("""
        grants  A 10MB 1 Jan..5 Jan
        usage   2 Jan 14MB | 7 Jan -9MB
        total   used 5MB | credit 5MB | overage 0 | spent 10MB
    """)


def test_with_nothing_at_all_everything_is_zero() -> None:
    balance = balance_of([], [], [], at=1)
    assert set(totals(balance).values()) == {0}
    assert (balance.grants, balance.payments, balance.shortfalls) == ((), (), ())


def test_sums_beyond_64_bits_are_exact() -> None:
    grants = [Grant(f"g{n}", 2**63 - 1, 1, n) for n in range(3)]
    balance = balance_of(grants, [], [(10, 3 * 2**63)], at=20)
    assert (balance.left, balance.overage, balance.spent) == (0, 3, 3 * (2**63 - 1))


def test_a_balance_before_time_begins_is_refused() -> None:
    with pytest.raises(BadRange, match="1970"):
        plan_edges([], [], 0, BEGINNING)


def test_the_plan_cuts_at_starts_ends_draws_and_carry_from_only() -> None:
    grants = [Grant("a", 1, 1, 10, 50, 40), Grant("b", 1, 1, 20), Grant("c", 1, 1, 30, None, 25), Grant("d", 1, 1, 99)]
    assert plan_edges(grants, [Draw("v", 15, 1), Draw("w", 60, 1)], carry_from=5, at=60) == [0, 5, 10, 15, 20, 40, 60]


@pytest.mark.parametrize(
    ("edges", "sums"),
    [([0, 60], [0]), ([0, 10, 60], [0]), ([0, 10, 50], [0, 0]), ([5, 10, 60], [0, 0]), ([0, 10, 10, 60], [0, 0, 0])],
)  # fmt: skip
def test_sums_over_other_edges_than_planned_are_a_broken_promise(edges: list[int], sums: list[int]) -> None:
    with pytest.raises(AssertionError):
        burn([Grant("a", 1, 1, 10)], [], edges, sums, 60)


def test_twenty_grants_take_less_than_a_millisecond_and_thousands_are_fine() -> None:
    for many, limit_s in ((20, 0.001), (2_000, 0.2)):
        grants = [Grant(f"g{n:04d}", 1000, n % 3, n * 10, n * 10 + 500) for n in range(many)]
        at = many * 10
        edges = plan_edges(grants, [], 0, at)
        sums = [700] * (len(edges) - 1)
        took = []
        for _ in range(5):
            began = time.process_time()
            burn(grants, [], edges, sums, at)
            took.append(time.process_time() - began)
        assert min(took) < limit_s


# -- Laws -------------------------------------------------------------------------------------------------------------

Purse = tuple[list[Grant], list[Draw], list[tuple[int, int]], int, int, Overage]  # ..., at, carry_from, policy

moments = st.integers(1, 40)
policies: st.SearchStrategy[Overage] = st.sampled_from(["carry", "forgive"])


@st.composite
def grant_lists(draw: st.DrawFn) -> list[Grant]:
    grants = []
    for name in range(draw(st.integers(0, 6))):
        start = draw(moments)
        expires_at = draw(st.none() | st.integers(start + 1, 45))
        priority, voided_at = draw(st.integers(1, 2)), draw(st.none() | st.none() | moments)
        grants.append(Grant("abcdef"[name], draw(st.integers(1, 20)), priority, start, expires_at, voided_at))
    return grants


@st.composite
def draw_lists(draw: st.DrawFn) -> list[Draw]:
    sizes = draw(st.lists(st.integers(1, 15), max_size=4))
    return [Draw(f"v{n}", draw(moments), size, draw(st.integers(0, size))) for n, size in enumerate(sizes)]


uses = st.lists(st.tuples(moments, st.integers(1, 20)), max_size=10)
adjustments = st.lists(st.tuples(moments, st.integers(-20, 20)), max_size=10, unique_by=lambda event: event[0])
purses = st.tuples(grant_lists(), draw_lists(), uses, st.integers(1, 50), st.integers(0, 45), policies)


def totals(balance: Balance) -> dict[str, int]:
    """As the model tells them."""
    names = [name for name in balance.__struct_fields__ if name not in {"at", "grants", "payments", "shortfalls"}]
    found = {name: getattr(balance, name) for name in names}
    found |= {f"spent:{each.grant.id}": each.spent for each in balance.grants}
    return found | {f"left:{each.grant.id}": each.left for each in balance.grants}


@settings(max_examples=400, deadline=None)
@given(purses)
def test_the_burn_agrees_with_the_event_by_event_model(purse: Purse) -> None:
    assert totals(balance_of(*purse)) == burndown_model.balance(*purse)


@settings(max_examples=400, deadline=None)
@given(purses, adjustments)
def test_it_agrees_with_adjustments_too_where_every_event_is_its_own_span(
    purse: Purse, events: list[tuple[int, int]]
) -> None:
    grants, draws, *_ = purse
    balance = balance_of(grants, draws, events, *purse[3:], more_edges=[at for at, _ in events])
    assert totals(balance) == burndown_model.balance(grants, draws, events, *purse[3:])


@settings(deadline=None)
@given(purses, st.lists(moments))
def test_extra_edges_change_nothing(purse: Purse, more_edges: list[int]) -> None:
    finer = balance_of(*purse, more_edges=more_edges)
    assert totals(finer) == totals(balance_of(*purse))


@settings(deadline=None)
@given(purses, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(purse: Purse, random: Any) -> None:
    grants, draws, events, *_ = purse
    mixed = (random.sample(grants, len(grants)), random.sample(draws, len(draws)), random.sample(events, len(events)))
    there = balance_of(*mixed, *purse[3:])
    here = balance_of(*purse)
    assert totals(there) == totals(here)
    assert (there.payments, there.shortfalls) == (here.payments, here.shortfalls)


@settings(deadline=None)
@given(purses, st.integers(-20, 20), st.integers(0, 40))
def test_bytes_are_conserved_at_every_instant(purse: Purse, adjusted: int, when: int) -> None:
    grants, draws, events, *_ = purse
    events = [*events, (when, adjusted)]
    for at in range(1, 50, 3):
        b = balance_of(grants, draws, events, at, *purse[4:])
        assert b.used == sum(size for moment, size in events if moment < at)
        assert b.drawn == sum(draw.amount - draw.returned for draw in draws if draw.at <= at)
        assert b.used + b.drawn == b.spent + b.overage + b.forgiven - b.credit
        assert b.granted == b.spent + b.left + b.pending + b.expired + b.voided


@settings(deadline=None)
@given(purses)
def test_payments_and_shortfalls_explain_every_span_and_every_grant(purse: Purse) -> None:
    balance = balance_of(*purse)
    grants, draws, events, at, *_ = purse
    explained: list[Payment | Shortfall] = [*balance.payments, *balance.shortfalls]
    for draw in draws:
        assert sum(each.amount for each in explained if each.draw == draw.id) == (
            draw.amount - draw.returned if draw.at <= at else 0
        )
    edges = plan_edges(grants, draws, purse[4], at)
    for start, used in zip(edges, sums_of(events, edges), strict=False):
        assert sum(each.amount for each in explained if each.draw is None and each.start == start) == used
    for each in balance.grants:
        assert sum(payment.amount for payment in balance.payments if payment.grant == each.grant.id) == each.spent


@settings(deadline=None)
@given(purses)
def test_a_grant_pays_only_during_its_life_and_never_for_what_came_after(purse: Purse) -> None:
    grants = {grant.id: grant for grant in purse[0]}
    for payment in balance_of(*purse).payments:
        assert payment.grant is not None
        payer = grants[payment.grant]
        assert payer.starts_at <= payment.at < burndown_model.ends(payer)
        assert payment.start <= payment.at
        assert payment.start >= payer.starts_at or (purse[5] == "carry" and payment.start >= purse[4])


@settings(deadline=None)
@given(purses, st.integers(1, 20))
def test_another_grant_never_leaves_less(purse: Purse, size: int) -> None:
    grants, draws, events, *_ = purse
    richer = balance_of([*grants, Grant("z", size, 3, 20)], draws, events, *purse[3:])
    poorer = balance_of(*purse)
    assert richer.overage + richer.forgiven <= poorer.overage + poorer.forgiven
