"""Which grant paid for which use: the whole quota rule, for one purse, on values handed in.

Owns grants, draws and the burn. Leaves who owns a purse to the ledger, how much was used to the usage store, and when
to ask to `account_balance`. First `plan_edges` says where to cut time, then one `sums` over these edges, then `burn`
tells.

What holds, whatever order things arrived in (amounts are whole numbers of the pool's unit):

    granted      = spent + left + pending + expired + voided
    used + drawn = spent + overage + forgiven - credit

* A grant pays for use dated inside its life [starts_at, min(expires_at, voided_at)). Under the policy `carry`, use that
  nobody paid waits and is paid, oldest first, by the next grant at its start. Use dated before `carry_from` does not:
  what no grant alive at its time pays stays in `overage` for good (and is shown apart as `overage_before_carry`).
* Under the policy `forgive`, what no grant alive at its time pays is forgiven there and then, so nothing ever waits.
  Within a span no grant starts or ends, so it makes no difference into how many spans the use is cut.
* A span may be negative (free adjustments only). That first lessens what waits to be paid; the rest is `credit`, which
  pays for later use and draws before any grant.
* The balance at `at` counts use before `at`, and grants, ends and draws up to and including `at`: `at` is an edge too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import pairwise

import msgspec
from msgspec import structs

from flowtally.core.edges import format_instant, merge_edges
from flowtally.core.errors import BadRange
from flowtally.core.times import BEGINNING
from flowtally.core.words import GrantState, Overage, UnpaidFate

Order = tuple[int, bool, int, int, str]


class Grant(msgspec.Struct, frozen=True):
    """An amount (1 or more) that pays from `starts_at` until it expires (later than it starts) or is voided."""

    id: str
    amount: int
    priority: int
    starts_at: int
    expires_at: int | None = None
    voided_at: int | None = None


class Draw(msgspec.Struct, frozen=True):
    """Traffic that left without being used, paid like use at `at`.

    Returning takes away from its beginning, so only how much of it was ever `returned` matters, not when.
    """

    id: str
    at: int
    amount: int
    returned: int = 0


class Payment(msgspec.Struct, frozen=True):
    """`grant` (None: a credit) paid `amount` at `at` for use in [start, end), or for the draw `draw` at `start`."""

    grant: str | None
    at: int
    start: int
    end: int
    draw: str | None
    amount: int


class Shortfall(msgspec.Struct, frozen=True):
    """Use in [start, end), or a draw, that nothing paid, and what became of it."""

    fate: UnpaidFate
    start: int
    end: int
    draw: str | None
    amount: int


class GrantBalance(msgspec.Struct, frozen=True):
    """amount = spent + unspent; `left` is what can still pay now: the unspent part while active, else 0."""

    grant: Grant
    state: GrantState
    spent: int
    left: int
    unspent: int


class Balance(msgspec.Struct, frozen=True):
    """One purse at an instant. `overage` is all open overage, `overage_before_carry` the part of it no grant will pay.

    `grants` come in the order given. Payments and shortfalls together are all use and draws, span by span.
    """

    at: int
    used: int
    drawn: int
    granted: int
    spent: int
    left: int
    pending: int
    expired: int
    voided: int
    overage: int
    overage_before_carry: int
    forgiven: int
    credit: int
    grants: tuple[GrantBalance, ...]
    payments: tuple[Payment, ...]
    shortfalls: tuple[Shortfall, ...]


def plan_edges(grants: Sequence[Grant], draws: Sequence[Draw], carry_from: int, at: int) -> list[int]:
    """Where the use must be cut to know the balance at `at`: from BEGINNING to `at`, strictly ascending."""
    if at <= BEGINNING:
        raise BadRange(f"No balance at {format_instant(at)}: time begins at {format_instant(BEGINNING)}")
    edges = [carry_from, *(draw.at for draw in draws)]
    for grant in grants:
        if (end := end_of(grant)) is None:
            edges.append(grant.starts_at)
        elif grant.starts_at < end:  # else it was voided before it began: it never enters
            edges += (grant.starts_at, end)
    return merge_edges((BEGINNING, at), (edge for edge in edges if BEGINNING < edge < at))


def burn(
    grants: Sequence[Grant],
    draws: Sequence[Draw],
    edges: Sequence[int],
    sums: Sequence[int],
    at: int,
    *,
    carry_from: int = BEGINNING,
    overage: Overage = "carry",
) -> Balance:
    """The balance at `at`, given the use `sums[i]` in [edges[i], edges[i + 1]); `edges`: the planned ones, or more."""
    _check_values(grants, draws)
    _check_edges(edges, sums, planned=plan_edges(grants, draws, carry_from, at))
    purse = _Purse(grants)
    counted = [draw for draw in draws if draw.at <= at and draw.amount > draw.returned]
    leaving = deque(sorted(counted, key=lambda draw: (draw.at, draw.id)))
    for edge, until, used in zip(edges, (*edges[1:], at), (*sums, 0), strict=True):
        fate: UnpaidFate | None = "forgiven" if overage == "forgive" else "before_carry" if edge < carry_from else None
        purse.enter(edge)
        while leaving and leaving[0].at <= edge:
            draw = leaving.popleft()
            purse.owe(_Due(edge, edge, draw.id, draw.amount - draw.returned))
        purse.pay(edge, fate)
        purse.owe(_Due(edge, until, None, used))
        purse.pay(edge, fate)
    purse.give_up("open")
    return _burnt(purse, at, used=sum(sums), drawn=sum(draw.amount - draw.returned for draw in counted))


class _Due(msgspec.Struct):
    """What is still to be paid for the use in [start, end) or for a draw."""

    start: int
    end: int
    draw: str | None
    amount: int


class _Purse:
    """The grants that can pay, in order of payment, and what waits to be paid, oldest first."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self.grants = grants
        self.unspent = [grant.amount for grant in grants]
        self.credit = 0
        self.payments: list[Payment] = []
        self.shortfalls: list[Shortfall] = []
        self._due: deque[_Due] = deque()
        self._coming = deque(sorted(range(len(grants)), key=lambda index: grants[index].starts_at))
        self._paying: list[tuple[Order, int]] = []  # a heap of (order, index of the grant)

    def enter(self, edge: int) -> None:
        """Let in the grants that have started. Those that end leave when their turn to pay would come."""
        while self._coming and self.grants[self._coming[0]].starts_at <= edge:
            index = self._coming.popleft()
            grant = self.grants[index]
            heappush(self._paying, (payment_order(grant), index))

    def owe(self, due: _Due) -> None:
        if due.amount < 0:
            self.credit -= due.amount
        elif due.amount > 0:
            self._due.append(due)

    def pay(self, edge: int, unpaid: UnpaidFate | None) -> None:
        """Pay what is due, the oldest first, from credit, then from the grants; the rest waits, or meets its fate."""
        while self._due and self.credit:
            self.credit -= self._settle(None, edge, self.credit)
        while self._due and (index := self._next_payer(edge)) is not None:
            self.unspent[index] -= self._settle(self.grants[index].id, edge, self.unspent[index])
        if unpaid is not None:
            self.give_up(unpaid)

    def _next_payer(self, edge: int) -> int | None:
        while self._paying:
            index = self._paying[0][-1]
            end = end_of(self.grants[index])
            if self.unspent[index] and (end is None or edge < end):
                return index
            heappop(self._paying)
        return None

    def _settle(self, grant: str | None, edge: int, available: int) -> int:
        due = self._due[0]
        amount = min(due.amount, available)
        self.payments.append(Payment(grant, edge, due.start, due.end, due.draw, amount))
        due.amount -= amount
        if due.amount == 0:
            self._due.popleft()
        return amount

    def give_up(self, fate: UnpaidFate) -> None:
        """Nothing will pay what is due now."""
        self.shortfalls += (Shortfall(fate, due.start, due.end, due.draw, due.amount) for due in self._due)
        self._due.clear()


def end_of(grant: Grant) -> int | None:
    """When the grant stops paying; None: never."""
    return min((end for end in (grant.expires_at, grant.voided_at) if end is not None), default=None)


def payment_order(grant: Grant) -> Order:
    """Who pays first has the least: by priority, the sooner expiry, the earlier start, the id."""
    return (grant.priority, grant.expires_at is None, grant.expires_at or 0, grant.starts_at, grant.id)


def balance_of_grant(grant: Grant, unspent: int, at: int) -> GrantBalance:
    """What the grant is at `at`, of which so much was not spent."""
    state = _state(grant, unspent, at)
    return GrantBalance(grant, state, grant.amount - unspent, unspent if state == "active" else 0, unspent)


def _state(grant: Grant, unspent: int, at: int) -> GrantState:
    if grant.voided_at is not None and grant.voided_at <= at:
        return "voided"
    if grant.starts_at > at:
        return "pending"
    if grant.expires_at is not None and grant.expires_at <= at:
        return "expired"
    return "active" if unspent else "spent"


def _burnt(purse: _Purse, at: int, used: int, drawn: int) -> Balance:
    unpaid: dict[UnpaidFate, int] = {"open": 0, "before_carry": 0, "forgiven": 0}
    for shortfall in purse.shortfalls:
        unpaid[shortfall.fate] += shortfall.amount
    balance = make_balance(
        at,
        tuple(balance_of_grant(*each, at) for each in zip(purse.grants, purse.unspent, strict=True)),
        used=used,
        drawn=drawn,
        waiting=unpaid["open"],
        before_carry=unpaid["before_carry"],
        forgiven=unpaid["forgiven"],
        credit=purse.credit,
    )
    assert balance.spent == sum(payment.amount for payment in purse.payments if payment.grant is not None), balance
    return structs.replace(balance, payments=tuple(purse.payments), shortfalls=tuple(purse.shortfalls))


def make_balance(
    at: int,
    grants: tuple[GrantBalance, ...],
    *,
    used: int,
    drawn: int,
    waiting: int,
    before_carry: int,
    forgiven: int,
    credit: int,
) -> Balance:
    """The totals of these grants at `at`, beside what was used and what became of the use that nobody paid."""
    unspent: dict[GrantState, int] = {"pending": 0, "active": 0, "spent": 0, "expired": 0, "voided": 0}
    for each in grants:
        unspent[each.state] += each.unspent
    balance = Balance(
        at=at,
        used=used,
        drawn=drawn,
        granted=sum(each.grant.amount for each in grants),
        spent=sum(each.spent for each in grants),
        left=unspent["active"],
        pending=unspent["pending"],
        expired=unspent["expired"],
        voided=unspent["voided"],
        overage=waiting + before_carry,
        overage_before_carry=before_carry,
        forgiven=forgiven,
        credit=credit,
        grants=grants,
        payments=(),
        shortfalls=(),
    )
    _assert_conserved(balance)
    return balance


def _assert_conserved(b: Balance) -> None:
    """Law 5, and that no grant is lost or used twice."""
    assert b.used + b.drawn == b.spent + b.overage + b.forgiven - b.credit, b
    assert b.granted == b.spent + b.left + b.pending + b.expired + b.voided, b
    assert all(0 <= each.spent <= each.grant.amount for each in b.grants), b
    assert b.credit == 0 or b.overage == b.overage_before_carry, b


def _check_values(grants: Sequence[Grant], draws: Sequence[Draw]) -> None:
    """What the ledger promises: its doors refuse anything else."""
    assert all(grant.amount >= 1 for grant in grants), "a grant is of 1 or more"
    assert all(grant.expires_at is None or grant.starts_at < grant.expires_at for grant in grants), "start < expiry"
    assert all(draw.amount >= 1 and 0 <= draw.returned <= draw.amount for draw in draws), "returned at most the draw"


def _check_edges(edges: Sequence[int], sums: Sequence[int], planned: Sequence[int]) -> None:
    """What who asks promises: the planned edges, or more of them, and one sum for each span."""
    assert len(sums) == len(edges) - 1, "one sum for each span"
    assert (edges[0], edges[-1]) == (planned[0], planned[-1]), "from the beginning to the instant asked for"
    assert all(edge < after for edge, after in pairwise(edges)), "strictly ascending"
    assert set(planned) <= set(edges), "cut where it was planned"
