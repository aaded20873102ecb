"""Closed periods: spans of an account with the statements that were frozen when they were closed. Append only.

Owns that no span is closed twice and that the periods of an account are numbered in the order they were closed, each
aware of the one before: what changed in closed spans since the last closing belongs to the next one, once. What a
statement says is `periods`' business above; here it is a text.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, func, insert, select

from flowtally.core.edges import format_instant
from flowtally.core.errors import Conflict, NotFound, PeriodOverlap, Unprocessable
from flowtally.core.texts import may_be_known
from flowtally.core.times import DAY_MS
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.known import Known, is_known
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.people.forgotten import without_texts
from flowtally.ledger.tables import periods
from flowtally.ledger.texts import check_instant


class Period(msgspec.Struct, frozen=True):
    """Use dated in [starts_at, ends_at) of blocks up to `block`, as `statement` says (JSON). `number` counts the
    account's closings from 1."""

    id: str
    account: str
    number: int
    starts_at: int
    ends_at: int
    timezone: str
    block: int
    closed_at: int
    statement: str
    known_promise: int = 0  # what it knows of the ledger; 0: closed before promises were counted


class ClosedSpan(msgspec.Struct, frozen=True):
    """A period without its statement."""

    id: str
    number: int
    starts_at: int
    ends_at: int
    block: int


def close_period(
    tx: Connection,
    account: str,
    starts_at: int,
    ends_at: int,
    *,
    now: int,
    timezone: str,
    block: int,
    statement: str,
    after: int,
    known_promise: int = 0,
) -> Period:
    """Freeze the statement of a span. `after` is the number of the last closing its adjustments reckon with,
    `known_promise` of the last promise.

    UnknownAccount, Unprocessable (empty span), PeriodOverlap, Conflict (another period was closed meanwhile).
    """
    check_instant("from", starts_at, least=-DAY_MS)
    if ends_at <= starts_at:
        told = f"it would start at {format_instant(starts_at)} and end at {format_instant(ends_at)}"
        raise Unprocessable(f"a period must end after it starts: {told}", field="to")
    if read_account(tx, account).erased_at is not None:  # maybe since the statement was made: it has texts then
        statement = msgspec.json.encode(without_texts(msgspec.json.decode(statement.encode()))).decode()
    require_free(tx, account, starts_at, ends_at)
    if last_number(tx, account) != after:
        raise Conflict(f"another period of account {account!r} was closed meanwhile; try again", account=account)
    period = Period(
        new_id("per_"), account, after + 1, starts_at, ends_at, timezone, block, now, statement, known_promise
    )
    tx.execute(insert(periods).values(msgspec.structs.asdict(period)))
    trail.note(tx, "period.close", account=account, subject=period.id, after=trail.facts(period))
    return period


def require_free(tx: Connection, account: str, starts_at: int, ends_at: int) -> None:
    """PeriodOverlap names the closed period that holds part of the span already."""
    query = select(periods.c.id).where(periods.c.account == account)
    query = query.where(periods.c.starts_at < ends_at, periods.c.ends_at > starts_at)
    taken = tx.execute(query.order_by(periods.c.starts_at).limit(1)).scalar_one_or_none()
    if taken is not None:
        raise PeriodOverlap(f"the period {taken} of account {account!r} holds part of this span already", period=taken)


def last_number(tx: Connection, account: str) -> int:
    """How many periods of the account are closed."""
    query = select(func.coalesce(func.max(periods.c.number), 0)).where(periods.c.account == account)
    return int(tx.execute(query).scalar_one())


def highest_block(tx: Connection) -> int:
    """The latest block that a statement of any account was frozen at; 0 where nothing is closed."""
    return int(tx.execute(select(func.coalesce(func.max(periods.c.block), 0))).scalar_one())


def closed_spans(tx: Connection, account: str, known: Known | None = None) -> list[ClosedSpan]:
    """All closed periods of the account without their statements, in the order they were closed. `known`: those that
    were closed then."""
    wanted = (periods.c.id, periods.c.number, periods.c.starts_at, periods.c.ends_at, periods.c.block)
    query = select(*wanted).where(periods.c.account == account, _closed(known)).order_by(periods.c.number)
    return [ClosedSpan(*row) for row in tx.execute(query)]


def read_period(tx: Connection, period_id: str, account: str, known: Known | None = None) -> Period:
    """NotFound when the account has no such period, or had none then."""
    row = None
    if may_be_known(account + period_id):
        query = _periods_of(account).where(periods.c.id == period_id, _closed(known))
        row = tx.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"account {account!r} has no period {period_id!r}", period=period_id)
    return Period(*row)


def list_periods(
    tx: Connection, account: str, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[Period]:
    """Periods of the account in order of id, which is the order they were closed in. UnknownAccount."""
    read_account(tx, account)
    query = _periods_of(account)
    return read_page(tx, "periods", query, periods.c.id, Period, (account,), after=after, limit=limit)


def _periods_of(account: str) -> Select[Any]:
    """Columns in the order of Period's fields."""
    return select(*(periods.c[name] for name in Period.__struct_fields__)).where(periods.c.account == account)


def _closed(known: Known | None) -> ColumnElement[bool]:
    return is_known(known, periods.c.promise, periods.c.closed_at)
