"""How a balance came about: grant by grant, span by span, with the rows behind the largest parts (law 8).

Owns the taking apart, not the figures: the pools of an account, or a funded user's own, are burnt exactly as for a
balance, from one question that splits the use by kind, so that every part adds up to what the balance says. All rows
are those of one moment: what is committed after the question began is left out of the figures and of the rows shown
alike.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, Protocol

import msgspec

from flowtally.answers.account_balance import Burnt, burn_pools, oldest, show_grant, show_never_paid, show_pool
from flowtally.answers.moment import Moment, show_moment
from flowtally.answers.user_balance import burn_user, grant_of
from flowtally.core import burndown
from flowtally.core.corrections import referred
from flowtally.core.edges import format_instant
from flowtally.ledger import pools
from flowtally.ledger.database import Tx
from flowtally.ledger.people import accounts, users
from flowtally.ledger.pools import Pools
from flowtally.ledger.traffic.grants import Grant
from flowtally.protocol import (
    AsOf,
    Behind,
    DrawExplained,
    ExplainAnswer,
    GrantExplained,
    Paid,
    PoolExplained,
    SpanExplained,
    Unpaid,
)
from flowtally.usage.values import Part, Row, Sum, Where
from flowtally.usage.verbs import Breakdowns, Commits, Rows

LARGEST_SPANS: Final = 5  # of each pool, with rows shown
MAX_TOP: Final = 50  # rows of each of these
DEFAULT_TOP: Final = 5

For = tuple[int, int, str | None]  # the use in [start, end), or the draw of that id


class ExplainUsage(Rows, Breakdowns, Commits, Protocol):
    """What an explanation asks: sums taken apart, and when the oldest of something was."""


def make_explanation(
    tx: Tx, usage: ExplainUsage, account_id: str, at: int, top: int = DEFAULT_TOP, moment: Moment | None = None
) -> ExplainAnswer:
    """The balance at `at` taken apart, as known at `moment`, or all that is there. UnknownAccount; BadRange when `at`
    is not after 1970 began."""
    explaining = _Explaining(tx, usage, top, moment)
    given, burnt = burn_pools(tx, account_id, at, explaining.ask, moment=moment)
    explained = explaining.pools(given, burnt)
    lost = show_never_paid(burnt, explaining.oldest)
    told = (account_id, format_instant(at), explaining.block, explained)
    return ExplainAnswer(*told, as_of=_as_of(moment), never_paid=lost)


def make_user_explanation(
    tx: Tx,
    usage: ExplainUsage,
    account_id: str,
    user: str,
    at: int,
    top: int = DEFAULT_TOP,
    moment: Moment | None = None,
) -> ExplainAnswer:
    """The purses of a user (by id or name) taken apart in the same way, its allocations being the grants; of one that
    is not funded there are none. UnknownAccount, UnknownUser; BadRange when `at` is not after 1970 began."""
    known = None if moment is None else moment.known
    account = accounts.read_account(tx, account_id, known)
    found = users.read_user(tx, account_id, user, known)
    explaining = _Explaining(tx, usage, top, moment)
    burnt = burn_user(tx, account, found, at, explaining.ask, moment=moment)
    explained = explaining.pools([grant_of(one) for one in burnt.got], burnt.pools)
    named = (found.name, found.id, _as_of(moment), show_never_paid(burnt.pools, explaining.oldest))
    return ExplainAnswer(account_id, format_instant(at), explaining.block, explained, *named)


class _Explaining:
    """One question, kept with its answer, and the pools that were burnt from it taken apart."""

    def __init__(self, tx: Tx, usage: ExplainUsage, top: int, moment: Moment | None) -> None:
        self._tx, self._usage, self._top = tx, usage, top
        self._known: Pools = pools.read_pools(tx)
        self._then = None if moment is None else moment.known
        self.block = usage.last_commit().block if moment is None else moment.block
        self._where = Where()
        self._edges: list[int] = []
        self._parts: list[Part] = []

    def pools(self, given: Sequence[Grant], burnt: Mapping[str, Burnt]) -> dict[str, PoolExplained]:
        return {name: self._pool(name, one, given) for name, one in burnt.items()}

    def ask(self, where: Where, edges: list[int]) -> list[Sum]:
        self._where = where
        self._edges = edges
        self._parts = self._usage.parts(edges, self._where, self.block)
        by_product = groupby(self._parts, key=lambda part: (part.span, part.product))
        return [_sum(span, product, list(parts)) for (span, product), parts in by_product]

    def _pool(self, name: str, burnt: Burnt, given: Sequence[Grant]) -> PoolExplained:
        balance = burnt.balance
        by_id = {grant.id: grant for grant in given}
        cover = _Cover(balance)
        parts = self._parts_of(name, burnt)
        largest = _largest_spans(burnt)
        spans = [self._span(burnt, index, parts.get(index, []), cover, index in largest) for index in _indices(burnt)]
        _check(balance, spans)
        return PoolExplained(
            balance=show_pool(balance, burnt.unit),
            used=balance.used,
            drawn=balance.drawn,
            forgiven=balance.forgiven,
            overage_before_carry=balance.overage_before_carry,
            grants=[_grant(by_id[one.grant.id], one, cover) for one in balance.grants],
            spans=[one for one in spans if one.rows or one.paid or one.unpaid],
            draws=_draws(cover),
        )

    def oldest(self, products: tuple[str, ...], before: int) -> int | None:
        where = msgspec.structs.replace(self._where, until_block=self.block)
        return oldest(self._usage, where, products, before)

    def _parts_of(self, pool: str, burnt: Burnt) -> dict[int, list[Part]]:
        """The pool's parts by span: the question was cut at the edges of all pools, so each lies in one span."""
        found: dict[int, list[Part]] = {}
        for part in self._parts:
            if self._known.pool_of(part.product) == pool:
                found.setdefault(bisect_right(burnt.edges, self._edges[part.span]) - 1, []).append(part)
        return found

    def _span(self, burnt: Burnt, index: int, parts: Sequence[Part], cover: _Cover, show: bool) -> SpanExplained:
        start, end = burnt.edges[index], burnt.edges[index + 1]
        by_kind = {"use": 0, "correction": 0, "adjustment": 0}
        for part in parts:
            by_kind[part.kind] += _charged(part, burnt.unit)
        paid, unpaid = cover.of(start, end, None)
        return SpanExplained(
            start=format_instant(start),
            end=format_instant(end),
            used=burnt.used[index],
            events=by_kind["use"],
            corrections=by_kind["correction"],
            adjustments=by_kind["adjustment"],
            rows=sum(part.rows for part in parts),
            paid=paid,
            unpaid=unpaid,
            credit=max(0, -burnt.used[index]),
            largest=self._largest(start, end, parts, burnt) if show and parts and self._top else [],
        )

    def _largest(self, start: int, end: int, parts: Sequence[Part], burnt: Burnt) -> list[Behind]:
        where = msgspec.structs.replace(self._where, products=tuple(sorted({part.product for part in parts})))
        rows = self._usage.largest(start, end, where, self.block, burnt.unit, self._top)
        names = users.names_of(self._tx, {row.event.user for row in rows}, self._then)
        return [_row(row, names, burnt) for row in rows]


class _Cover:
    """Payments and shortfalls of a balance by what they are for, and by grant."""

    def __init__(self, balance: burndown.Balance) -> None:
        self.paid: dict[For, list[burndown.Payment]] = {}
        self.unpaid: dict[For, list[burndown.Shortfall]] = {}
        self.by_grant: dict[str, list[burndown.Payment]] = {}
        for payment in balance.payments:
            self.paid.setdefault((payment.start, payment.end, payment.draw), []).append(payment)
            if payment.grant is not None:
                self.by_grant.setdefault(payment.grant, []).append(payment)
        for shortfall in balance.shortfalls:
            self.unpaid.setdefault((shortfall.start, shortfall.end, shortfall.draw), []).append(shortfall)

    def of(self, start: int, end: int, draw: str | None) -> tuple[list[Paid], list[Unpaid]]:
        """What paid for the use in [start, end), or for a draw, and what nothing paid."""
        key = (start, end, draw)
        paid = [Paid(format_instant(one.at), one.amount, grant=one.grant or "") for one in self.paid.get(key, [])]
        return paid, [Unpaid(one.fate, one.amount) for one in self.unpaid.get(key, [])]


def _as_of(moment: Moment | None) -> AsOf | None:
    return None if moment is None else show_moment(moment)


def _check(balance: burndown.Balance, spans: Sequence[SpanExplained]) -> None:
    """A broken promise of our own, should it ever not add up."""
    assert sum(one.used for one in spans) == balance.used
    for one in spans:
        covered = sum(each.amount for each in one.paid) + sum(each.amount for each in one.unpaid)
        assert one.used == one.events + one.corrections + one.adjustments == covered - one.credit, one


def _indices(burnt: Burnt) -> range:
    return range(len(burnt.used))


def _sum(span: int, product: str, parts: Sequence[Part]) -> Sum:
    up, down = sum(part.bytes_up for part in parts), sum(part.bytes_down for part in parts)
    return Sum(span, (product,), up, down, sum(part.requests for part in parts))


def _charged(part: Part, unit: str) -> int:
    return part.requests if unit == "requests" else part.bytes_up + part.bytes_down


def _largest_spans(burnt: Burnt) -> frozenset[int]:
    order = sorted(_indices(burnt), key=lambda index: (-abs(burnt.used[index]), index))
    return frozenset(order[:LARGEST_SPANS])


def _draws(cover: _Cover) -> list[DrawExplained]:
    found: list[DrawExplained] = []
    for start, end, draw in sorted({*cover.paid, *cover.unpaid}, key=lambda one: (one[0], one[2] or "")):
        if draw is not None:
            paid, unpaid = cover.of(start, end, draw)
            amount = sum(one.amount for one in paid) + sum(one.amount for one in unpaid)
            found.append(DrawExplained(draw, format_instant(start), amount, paid, unpaid))
    return found


def _grant(given: Grant, found: burndown.GrantBalance, cover: _Cover) -> GrantExplained:
    shown = msgspec.structs.replace(show_grant(given), spent=found.spent, left=found.left, state=found.state)
    paid = [
        Paid(
            format_instant(one.at),
            one.amount,
            start=format_instant(one.start),
            end=format_instant(one.end),
            draw=one.draw or "",
        )
        for one in cover.by_grant.get(given.id, [])
    ]
    assert sum(one.amount for one in paid) == found.spent
    return GrantExplained(shown, found.unspent, paid)


def _id(row: Row) -> str:
    """What names the entry; nothing names a compacted row, which has no source either."""
    if not row.entry.source:
        return ""
    return str(row.event.sequence) if row.event.sequence else row.entry.id


def _row(row: Row, names: Mapping[str, str], burnt: Burnt) -> Behind:
    event, entry = row.event, row.entry
    return Behind(
        kind=entry.kind,
        source=entry.source,
        id=_id(row),
        corrects=referred(entry.refers_to) if entry.refers_to else None,
        time=format_instant(event.time),
        received_at=format_instant(event.received_at),
        user=names.get(event.user, ""),
        user_id=event.user,
        product=event.product,
        amount=event.requests if burnt.unit == "requests" else event.bytes_up + event.bytes_down,
        reason=entry.reason,
        block=event.block,
    )
