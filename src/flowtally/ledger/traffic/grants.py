"""Grants: amounts given to an account in a pool. Append only: a grant is never edited, a void is a row of its own.

Owns what was given and taken back. What a grant has paid for is nobody's row: `burndown` works it out from usage.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, and_, func, insert, select

from flowtally.core.edges import format_instant, second_of
from flowtally.core.errors import Conflict, NotFound, Unprocessable
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.known import Known, is_known
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_open_account
from flowtally.ledger.pools import read_pools
from flowtally.ledger.tables import grant_voids, grants
from flowtally.ledger.texts import MAX_REFERENCE_CHARS, check_id, check_instant, check_known, check_number, check_text
from flowtally.protocol.words import MAX_PRIORITY

MAX_SOURCE_CHARS: Final = 64
DEFAULT_PRIORITY: Final = 100
MAX_GRANTED: Final = 2**63 - 1  # all grants of one account in one pool: sums fit 64 bits, whoever adds them up
_GIVEN: Final = tuple(column for column in grants.c if column.name != "promise")  # in the order of Grant's fields


class Grant(msgspec.Struct, frozen=True):
    """`amount` in the pool's unit, usable from `starts_at` to `expires_at` (excluded; None: for ever).

    `source` says where it came from (`order`, `sign`, `cdk`, `manual`, any text), `reference` the giver's own number.
    """

    id: str
    account: str
    pool: str
    amount: int
    source: str
    reference: str
    priority: int
    starts_at: int
    expires_at: int | None
    created_at: int
    voided_at: int | None = None
    void_reason: str = ""


def give_grant(
    tx: Connection,
    account: str,
    amount: int,
    *,
    now: int,
    pool: str = "traffic",
    source: str = "manual",
    reference: str = "",
    priority: int = DEFAULT_PRIORITY,
    starts_at: int | None = None,
    expires_at: int | None = None,
    grant_id: str | None = None,
) -> Grant:
    """Give `amount` of the pool to the account, from the second on that it is given in unless `starts_at` says
    otherwise (who may back-date is the door's question).

    UnknownAccount, NotFound (pool), Conflict (closed account, id taken, more than MAX_GRANTED in all), Unprocessable.
    """
    grant = Grant(
        id=new_id("grn_") if grant_id is None else check_id("id", grant_id),
        account=account,
        pool=pool,
        amount=check_number("amount", amount, least=1, most=MAX_QUANTITY),
        source=check_text("source", source, least=1, most=MAX_SOURCE_CHARS),
        reference=check_text("reference", reference, most=MAX_REFERENCE_CHARS),
        priority=check_number("priority", priority, least=0, most=MAX_PRIORITY),
        starts_at=check_instant("starts_at", second_of(now) if starts_at is None else starts_at),
        expires_at=None if expires_at is None else check_instant("expires_at", expires_at),
        created_at=now,
    )
    _check_life(grant, now if starts_at is None else grant.starts_at)
    read_open_account(tx, account)
    _check_pool(tx, grant)
    _check_room(tx, grant)
    tx.execute(insert(grants).values({column.name: getattr(grant, column.name) for column in _GIVEN}))
    trail.note(tx, "grant.give", account=account, subject=grant.id, after=trail.facts(grant))
    return grant


def void_grant(tx: Connection, grant_id: str, account: str, now: int, *, reason: str = "") -> Grant:
    """Take back what the grant has not paid for, from now on. What it paid stays paid.

    A second void changes nothing and returns the grant as first voided, time and reason included: whoever retries
    after a lost answer wants to know that it is void, and it is. NotFound when the account has no such grant.
    """
    check_text("reason", reason)
    grant = read_grant(tx, grant_id, account)
    if grant.voided_at is not None:
        return grant
    tx.execute(insert(grant_voids).values(grant_id=grant_id, voided_at=now, reason=reason))
    void = msgspec.structs.replace(grant, voided_at=now, void_reason=reason)
    trail.change(tx, "grant.void", grant, void, account=account, subject=grant_id)
    return void


def read_grant(tx: Connection, grant_id: str, account: str) -> Grant:
    """The grant of that account; NotFound when there is none."""
    row = None
    if may_be_known(grant_id + account):
        row = tx.execute(_grants_of(account).where(grants.c.id == grant_id)).one_or_none()
    if row is None:
        raise NotFound(f"account {account!r} has no grant {grant_id!r}", grant=grant_id)
    return Grant(*row)


def list_grants(
    tx: Connection,
    account: str,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    pool: str | None = None,
    source: str | None = None,
    reference: str | None = None,
) -> ListPage[Grant]:
    """Grants of the account in order of id (made ids: the order they were given in), of one pool, source or reference
    if asked. UnknownAccount."""
    read_account(tx, account)
    query = _grants_of(account)
    if pool is not None:
        query = query.where(grants.c.pool == check_known("pool", pool))
    if source is not None:
        query = query.where(grants.c.source == check_known("source", source))
    if reference is not None:
        query = query.where(grants.c.reference == check_known("reference", reference))
    filters = (pool, source, reference)
    asked = (account,) if filters == (None, None, None) else (account, *filters)  # as before there were filters
    return read_page(tx, "grants", query, grants.c.id, Grant, asked, after=after, limit=limit)


def grants_of(tx: Connection, account: str, known: Known | None = None) -> list[Grant]:
    """All grants the account ever got, in order of id: what the balance is computed from. `known`: those given by then,
    without the voids of later."""
    query = _grants_of(account, known).where(is_known(known, grants.c.promise, grants.c.created_at))
    return [Grant(*row) for row in tx.execute(query.order_by(grants.c.id))]


def _grants_of(account: str, known: Known | None = None) -> Select[Any]:
    """Columns in the order of Grant's fields."""
    reason = func.coalesce(grant_voids.c.reason, "")
    query = select(*_GIVEN, grant_voids.c.voided_at, reason).outerjoin(
        grant_voids,
        and_(grant_voids.c.grant_id == grants.c.id, is_known(known, grant_voids.c.promise, grant_voids.c.voided_at)),
    )
    return query.where(grants.c.account == account)


def _check_life(grant: Grant, begins: int) -> None:
    if grant.expires_at is not None and grant.expires_at <= begins:
        told = f"it would start at {format_instant(begins)} and expire at {format_instant(grant.expires_at)}"
        raise Unprocessable(f"a grant must expire after it starts: {told}", field="expires_at")


def _check_pool(tx: Connection, grant: Grant) -> None:
    """NotFound without such a pool; nothing could ever be paid from a grant in a pool that charges nothing."""
    if read_pools(tx).charge(grant.pool) == "nothing":
        raise Unprocessable(f"pool {grant.pool!r} charges nothing: there is nothing to grant", field="pool")


def _check_room(tx: Connection, grant: Grant) -> None:
    if tx.execute(select(grants.c.id).where(grants.c.id == grant.id)).one_or_none() is not None:
        raise Conflict(f"grant {grant.id!r} exists already", grant=grant.id)
    given = select(func.coalesce(func.sum(grants.c.amount), 0))
    total = int(tx.execute(given.where(grants.c.account == grant.account, grants.c.pool == grant.pool)).scalar_one())
    if total + grant.amount > MAX_GRANTED:
        given_already, more, most = read_pools(tx).words(grant.pool, total, grant.amount, MAX_GRANTED)
        raise Conflict(
            f"account {grant.account!r} was given {given_already} in pool {grant.pool!r}; "
            f"{more} more would pass the {most} that can be kept",
            account=grant.account,
        )
