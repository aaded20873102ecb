"""A burn that goes on: one purse, paid up to its last edge, and what was used since.

Owns the rule of `burndown.burn`, one use after the other instead of all at once, and only its figures: who paid when
is the whole burn's to tell. Leaves whose a purse is, and what reaches it, to who follows the blocks.

Between two edges of a purse (a grant begins or ends, a draw leaves, use begins to wait) no grant enters or leaves, and
a burn pays the sum of the use there, in whatever order it came. So only that sum is kept of the open span, and

    headroom = credit + unspent of the grants that pay since the edge - what waits since then - used in the span

is one whole number that every use lessens. The next edge is one turn, of microseconds, made when somebody asks. What is
said of an instant equals what the whole burn says of it while the purse is `exact`. Use dated before the open span is
late: it is taken off the headroom from now on (it takes at most its amount from what is ever left, and never adds), and
the purse says no more than there is, until it is burnt anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import structs

from flowtally.core.burndown import (
    Balance,
    Draw,
    Grant,
    GrantBalance,
    balance_of_grant,
    end_of,
    make_balance,
    payment_order,
)
from flowtally.core.times import BEGINNING, END_OF_TIME
from flowtally.core.words import Overage


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What the ledger says of a purse: who pays, in order of payment, what leaves unused, and what becomes of the rest.

    `places[i]`: where `grants[i]` stood in the order that was given, which is the order that is shown.
    """

    grants: tuple[Grant, ...]
    places: tuple[int, ...]
    draws: tuple[Draw, ...]
    carry_from: int
    overage: Overage


class OpenPurse(msgspec.Struct, gc=False):
    """A purse in its open span [since, until): `used` there is not paid yet.

    `unspent[i]` is of `terms.grants[i]` at `since`, `waiting` what waited then for a next grant, `lost` what no grant
    will pay (use before it began to wait) or was forgiven, `past` the use before `since`, `ahead` the instant of the
    latest use in the span, `apart` use that could not be placed in a span that was open, `touched` whether a span ever
    came to anything but nothing. Amounts in the pool's unit, instants in milliseconds.
    """

    terms: Terms
    since: int
    until: int
    unspent: tuple[int, ...]
    credit: int = 0
    waiting: int = 0
    lost: int = 0
    drawn: int = 0
    past: int = 0
    used: int = 0
    ahead: int = BEGINNING
    apart: int = 0
    touched: bool = False
    exact: bool = True


def make_terms(grants: Sequence[Grant], draws: Sequence[Draw], carry_from: int, overage: Overage) -> Terms:
    """These, sorted once."""
    order = sorted(range(len(grants)), key=lambda index: payment_order(grants[index]))
    return Terms(tuple(grants[index] for index in order), tuple(order), tuple(draws), carry_from, overage)


def open_purse(terms: Terms) -> OpenPurse:
    """The purse at the beginning of time, nothing used yet."""
    purse = OpenPurse(terms, BEGINNING, BEGINNING, tuple(grant.amount for grant in terms.grants))
    _enter(purse, BEGINNING, all_until=True)
    return purse


def burn_open(terms: Terms, edges: Sequence[int], sums: Sequence[int], at: int) -> OpenPurse:
    """The purse at `at`, given the use `sums[i]` in [edges[i], edges[i + 1]), as `burndown.burn` takes them: cut where
    `burndown.plan_edges` says, or at more instants."""
    purse = open_purse(terms)
    for edge, used in zip(edges, sums, strict=False):
        step(purse, edge)
        purse.used += used
    step(purse, at)
    return purse


def take(purse: OpenPurse, amount: int, first: int, last: int, now: int) -> None:
    """So much more was used at instants from `first` to `last`; less, where it is negative: use and what is given back
    are told apart, never as one sum.

    What lies in the open span is counted; use ahead of `now` a little too early. What does not lie there, and what is
    given back ahead of now, makes the purse a lower bound: use lessens what is left from now on, whatever it was dated,
    and what was given back is not believed."""
    if purse.since <= first and last < purse.until and (amount >= 0 or last < now):
        purse.used += amount
        purse.ahead = max(purse.ahead, last)
        return
    purse.exact = False
    purse.apart += max(0, amount)


def is_touched(purse: OpenPurse) -> bool:
    """Whether any of its spans ever came to anything but nothing."""
    return purse.touched or purse.used != 0


def headroom(purse: OpenPurse) -> int:
    """What can still be used in the open span; less than nothing: what was used beyond it there, or waits."""
    return purse.credit + _payable(purse) - purse.waiting - purse.used - purse.apart


def step(purse: OpenPurse, now: int) -> None:
    """Go on to the span that holds `now`; nothing where it is open already, or time was set back."""
    while purse.until <= now:
        _settle(purse)
        _enter(purse, purse.until)


def balance_at(purse: OpenPurse, at: int) -> Balance:
    """The figures of the purse at `at`, which its open span holds, without who paid when."""
    assert purse.since <= at < purse.until, (purse.since, at, purse.until)
    paid = structs.replace(purse)
    _settle(paid)
    grants: list[GrantBalance | None] = [None] * len(paid.unspent)
    for place, grant, unspent in zip(paid.terms.places, paid.terms.grants, paid.unspent, strict=True):
        grants[place] = balance_of_grant(grant, unspent, at)
    forgiving = paid.terms.overage == "forgive"
    return make_balance(
        at,
        tuple(one for one in grants if one is not None),
        used=paid.past,
        drawn=paid.drawn,
        waiting=paid.waiting,
        before_carry=0 if forgiving else paid.lost,
        forgiven=paid.lost if forgiving else 0,
        credit=paid.credit,
    )


def _enter(purse: OpenPurse, edge: int, *, all_until: bool = False) -> None:
    """Open the span that begins at `edge`: draws leave there, and what waits is paid by who can pay now."""
    purse.since = edge
    purse.until = next_edge(purse.terms, edge)
    leaving = sum(
        draw.amount - draw.returned for draw in purse.terms.draws if (draw.at <= edge if all_until else draw.at == edge)
    )
    purse.drawn += leaving
    _pay(purse, purse.waiting + leaving)


def _settle(purse: OpenPurse) -> None:
    """Pay what was used in the open span, as of its beginning."""
    used, purse.used = purse.used, 0
    purse.touched = purse.touched or used != 0
    purse.past += used
    if used < 0:
        purse.credit -= used
    _pay(purse, purse.waiting + max(0, used))


def _pay(purse: OpenPurse, due: int) -> None:
    """Pay what is due from credit, then from the grants in their order; the rest waits, or is lost."""
    from_credit = min(due, purse.credit)
    purse.credit -= from_credit
    due -= from_credit
    if due:
        unspent = list(purse.unspent)
        for index in _payers(purse):
            part = min(due, unspent[index])
            unspent[index] -= part
            due -= part
        purse.unspent = tuple(unspent)
    if purse.terms.overage == "forgive" or purse.since < purse.terms.carry_from:
        purse.lost += due
        due = 0
    purse.waiting = due


def _payers(purse: OpenPurse) -> Iterator[int]:
    """The grants that pay in the open span, in order of payment."""
    for index, grant in enumerate(purse.terms.grants):
        end = end_of(grant)
        if grant.starts_at <= purse.since and (end is None or purse.since < end):
            yield index


def _payable(purse: OpenPurse) -> int:
    return sum(purse.unspent[index] for index in _payers(purse))


def next_edge(terms: Terms, edge: int) -> int:
    """The first edge of the purse after this one, as `burndown.plan_edges` plans them; END_OF_TIME: none."""
    found = END_OF_TIME
    for at in _edges(terms):
        if edge < at < found:
            found = at
    return found


def _edges(terms: Terms) -> Iterator[int]:
    yield terms.carry_from
    for draw in terms.draws:
        yield draw.at
    for grant in terms.grants:
        end = end_of(grant)
        if end is None:
            yield grant.starts_at
        elif grant.starts_at < end:  # else it was voided before it began: it makes no edge
            yield grant.starts_at
            yield end
