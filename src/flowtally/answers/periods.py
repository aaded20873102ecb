"""Closing a period: freezing what an account used in a span, and telling what came into it afterwards.

Owns what a statement says and the law

    frozen + adjustments = usage now        exactly, for every closed period, at every moment

which holds because a row is in the statement if its block is at most the statement's, and an adjustment if it is later.
Nothing is edited: a late event counts at its own time, as ever, and shows as an adjustment of the open period. The next
closing of the account, of whatever span, takes into its statement what came into earlier closed periods since the
closing before it; so every row is in exactly one statement, or in none yet. Leaves balances to `account_balance`, usage
to the usage store, and keeping to the ledger.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from flowtally.answers.account_balance import BalanceUsage, make_balance
from flowtally.answers.moment import Moment, latest, show_moment
from flowtally.answers.statement import total
from flowtally.core.cursors import Walk
from flowtally.core.edges import calendar_edges, format_instant, load_zone, parse_bound
from flowtally.core.errors import BadRange, BadRequest
from flowtally.ledger import pools
from flowtally.ledger.database import Tx
from flowtally.ledger.pages import walk_of
from flowtally.ledger.people import accounts
from flowtally.ledger.pools import Pools
from flowtally.ledger.traffic import periods as ledger
from flowtally.ledger.traffic.periods import ClosedSpan, Period
from flowtally.protocol import (
    OpenPeriodAnswer,
    PeriodAdjustment,
    PeriodAdjustments,
    PeriodAnswer,
    PeriodChange,
    PeriodChanges,
    PeriodDetailAnswer,
    PeriodStatement,
    PoolTotals,
    ProductTotals,
)
from flowtally.usage.values import MAX_BLOCK, BlockSum, Sum, Where
from flowtally.usage.verbs import Breakdowns, Commits

_CHANGES = "period changes"


class PeriodUsage(BalanceUsage, Breakdowns, Commits, Protocol):
    """What a statement asks: what a balance does, what came since, and the last commit."""


class Closing(msgspec.Struct, frozen=True):
    """A period about to be closed: everything asked of the usage store before the ledger's transaction begins."""

    starts_at: int
    ends_at: int
    timezone: str
    block: int
    after: int
    statement: PeriodStatement
    known_promise: int = 0


def plan_closing(
    tx: Tx, usage: PeriodUsage, account_id: str, start: str, end: str, now: int, moment: Moment | None = None
) -> Closing:
    """The statement of a span as of `moment` (None: now). UnknownAccount, BadRange (empty, not over yet),
    PeriodOverlap."""
    moment = moment or latest(usage, now)
    account = accounts.read_account(tx, account_id, moment.known)
    zone = load_zone(account.timezone)
    starts_at, ends_at = parse_bound(start, zone), parse_bound(end, zone)
    if starts_at >= ends_at:
        raise BadRange(f"The period is empty: from {start} to {end}", field="to")
    if ends_at > now:
        raise BadRange(f"The period is not over yet: it ends at {format_instant(ends_at, zone)}", field="to")
    ledger.require_free(tx, account_id, starts_at, ends_at)
    known, closed = pools.read_pools(tx), ledger.closed_spans(tx, account_id)
    sums = usage.sums([starts_at, ends_at], Where(account=account_id, until_block=moment.block), ("product",))
    balance = make_balance(tx, usage, account_id, ends_at, moment)
    statement = PeriodStatement(
        products=by_product(sums, known),
        pools=by_pool(sums, known),
        total=total(sums),
        balance=balance.pools,
        grants=balance.grants,
        adjustments=_pending(usage, account_id, closed, known, account.timezone, moment.block),
    )
    return Closing(starts_at, ends_at, account.timezone, moment.block, len(closed), statement, moment.promise or 0)


def close_period(tx: Tx, account_id: str, closing: Closing, now: int) -> PeriodAnswer:
    """Keep the planned statement for ever. PeriodOverlap; Conflict where another period was closed meanwhile."""
    kept = ledger.close_period(
        tx,
        account_id,
        closing.starts_at,
        closing.ends_at,
        now=now,
        timezone=closing.timezone,
        block=closing.block,
        statement=msgspec.json.encode(closing.statement).decode(),
        after=closing.after,
        known_promise=closing.known_promise,
    )
    return show_period(kept)


def show_period(period: Period) -> PeriodAnswer:
    zone = load_zone(period.timezone)
    return PeriodAnswer(
        id=period.id,
        account=period.account,
        number=period.number,
        start=format_instant(period.starts_at, zone),
        end=format_instant(period.ends_at, zone),
        timezone=period.timezone,
        block=period.block,
        closed_at=format_instant(period.closed_at),
        statement=msgspec.json.decode(period.statement, type=PeriodStatement),
    )


def read_period(
    tx: Tx,
    usage: PeriodUsage,
    account_id: str,
    period_id: str,
    cursor: str | None,
    limit: int,
    now: int,
    moment: Moment | None = None,
) -> PeriodDetailAnswer:
    """The frozen statement and everything that came since, up to `moment` (None: now); a page of it by block and day.
    NotFound, BadRequest."""
    period = ledger.read_period(tx, period_id, account_id, None if moment is None else moment.known)
    known, until = pools.read_pools(tx), (moment or latest(usage, now)).block
    since = Where(account=account_id, after_block=period.block, until_block=until)
    sums = usage.sums([period.starts_at, period.ends_at], since, ("product",)) if until > period.block else []
    adjustments = PeriodAdjustments(
        until_block=until,
        products=by_product(sums, known),
        pools=by_pool(sums, known),
        total=total(sums),
        changes=_changes(usage, period, since, walk_of(tx, _CHANGES, (account_id, period.id)), cursor, limit),
    )
    shown = show_period(period)
    values = {name: getattr(shown, name) for name in PeriodAnswer.__struct_fields__}
    return PeriodDetailAnswer(**values, adjustments=adjustments, as_of=None if moment is None else show_moment(moment))


def read_open_period(
    tx: Tx, usage: PeriodUsage, account_id: str, now: int, moment: Moment | None = None
) -> OpenPeriodAnswer:
    """What came into closed periods since the last closing, up to `moment` (None: now): in no statement yet.
    UnknownAccount."""
    then = None if moment is None else moment.known
    account = accounts.read_account(tx, account_id, then)
    closed, until = ledger.closed_spans(tx, account_id, then), (moment or latest(usage, now)).block
    pending = _pending(usage, account_id, closed, pools.read_pools(tx), account.timezone, until)
    since = closed[-1].block if closed else until
    as_of = None if moment is None else show_moment(moment)
    return OpenPeriodAnswer(account_id, since, until, pending, total(one.total for one in pending), as_of)


def by_product(sums: Iterable[Sum], known: Pools) -> list[ProductTotals]:
    """One line per product, in order of name; `sums` are split by product alone."""
    grouped: dict[str, list[Sum]] = defaultdict(list)
    for found in sums:
        grouped[found.by[0]].append(found)
    return [_product(product, known.pool_of(product), grouped[product]) for product in sorted(grouped)]


def by_pool(sums: Iterable[Sum], known: Pools) -> list[PoolTotals]:
    """One line per pool with use, in order of name."""
    grouped: dict[str, list[Sum]] = defaultdict(list)
    for found in sums:
        grouped[known.pool_of(found.by[0])].append(found)
    return [_pool(pool, known, grouped[pool]) for pool in sorted(grouped)]


def _product(product: str, pool: str, sums: Sequence[Sum]) -> ProductTotals:
    added = total(sums)
    return ProductTotals(product, pool, added.bytes_up, added.bytes_down, added.bytes, added.requests)


def _pool(pool: str, known: Pools, sums: Sequence[Sum]) -> PoolTotals:
    added, charge = total(sums), known.charges[pool]
    used = {"bytes": added.bytes, "requests": added.requests, "nothing": 0}[charge]
    return PoolTotals(pool, charge, used, added.bytes, added.requests)


def _pending(
    usage: PeriodUsage, account: str, closed: Sequence[ClosedSpan], known: Pools, timezone: str, until: int
) -> list[PeriodAdjustment]:
    """What came into each of these periods after the last of their closings, those where nothing did left out.

    Every closing takes in what is pending for all periods closed before it, so all of them share one block."""
    since = closed[-1].block if closed else until
    if since >= until:
        return []
    edges = sorted({edge for one in closed for edge in (one.starts_at, one.ends_at)})
    sums = usage.sums(edges, Where(account=account, after_block=since, until_block=until), ("product",))
    inside: dict[int, list[Sum]] = defaultdict(list)
    for found in sums:
        inside[edges[found.span]].append(found)  # closed periods are disjoint: a span begins where its period does
    zone = load_zone(timezone)
    return [
        PeriodAdjustment(
            period=one.id,
            start=format_instant(one.starts_at, zone),
            end=format_instant(one.ends_at, zone),
            products=by_product(inside[one.starts_at], known),
            total=total(inside[one.starts_at]),
        )
        for one in closed
        if one.starts_at in inside
    ]


def _changes(
    usage: PeriodUsage, period: Period, since: Where, walk: Walk, cursor: str | None, limit: int
) -> PeriodChanges:
    """In order of block and day: what is new comes at the end, so pages neither repeat nor skip."""
    zone = load_zone(period.timezone)
    edges = calendar_edges("day", period.starts_at, period.ends_at, zone)
    after = None if cursor is None else _read_cursor(walk, cursor, len(edges) - 1)
    found = usage.block_sums(edges, since, after=after, limit=limit + 1)
    more = found[limit - 1] if len(found) > limit else None
    times = [format_instant(edge, zone) for edge in edges]
    following = None if more is None else walk.cursor((more.block, more.span))
    return PeriodChanges([_change(one, times) for one in found[:limit]], following)


def _read_cursor(walk: Walk, cursor: str, spans: int) -> tuple[int, int]:
    block, span = walk.place(cursor, tuple[int, int])
    if not (0 <= block <= MAX_BLOCK and 0 <= span < spans):
        raise BadRequest(f"cursor {cursor[:80]!r} was not made here", parameter="cursor")
    return block, span


def _change(found: BlockSum, times: Sequence[str]) -> PeriodChange:
    return PeriodChange(
        block=found.block,
        received_at=format_instant(found.received_at),
        start=times[found.span],
        end=times[found.span + 1],
        rows=found.rows,
        bytes_up=found.bytes_up,
        bytes_down=found.bytes_down,
        bytes=found.bytes_up + found.bytes_down,
        requests=found.requests,
    )
