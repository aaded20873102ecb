"""What a provider says is left, which grants and sub-users it lists: as it said it last.

Owns the lists and what became of what is listed no more. A balance has a row each time that it is another one. Nothing
of this is counted: usage is in its series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Select, Table, delete, func, insert, select, update

from flowtally.core.errors import TooLarge
from flowtally.core.reported import BalanceSaid, GrantSaid, SubUserSaid
from flowtally.core.times import DAY_MS
from flowtally.ledger import trail
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.names import chunks
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.tables import provider_balances, provider_grants, provider_sub_users

MOST: Final = 100_000  # grants or sub-users of one provider
KEPT_DAYS: Final = 800  # of balances that were another one


class BalanceSeen(msgspec.Struct, frozen=True):
    """A balance, and since when it was said so."""

    balance: BalanceSaid
    seen_at: int


class GrantSeen(msgspec.Struct, frozen=True):
    """A grant as it was said last. baseline: What had been used of it when it was first seen as one of long before.
    gone_at: Since when it is not listed."""

    grant: GrantSaid
    baseline: int
    first_at: int
    gone_at: int | None


class SubUserSeen(msgspec.Struct, frozen=True):
    """A sub-user as it was said last. gone_at: Since when it is not listed."""

    sub_user: SubUserSaid
    first_at: int
    gone_at: int | None


def put_balances(tx: Connection, provider: Provider, said: Sequence[BalanceSaid], *, now: int) -> int:
    """All balances as they are now; how many are not as they were said before."""
    b = provider_balances.c
    before = {one.balance.label: one.balance for one in read_balances(tx, provider.id)}
    gone = [
        msgspec.structs.replace(one, left=None, used=None, total=None, expires_at=None)
        for label, one in before.items()
        if label not in {each.label for each in said}
    ]
    changed = [one for one in [*said, *gone] if before.get(one.label) != one]
    for one in changed:
        mine = (b.provider == provider.id, b.label == one.label)
        tx.execute(delete(provider_balances).where(*mine, b.seen_at == now))
        row = msgspec.structs.asdict(one) | {"provider": provider.id, "seen_at": now}
        tx.execute(insert(provider_balances).values(row))
        # The newest of those that are old enough stays: it is what was said until the next one came.
        newest_old = select(func.max(b.seen_at)).where(*mine, b.seen_at < now - KEPT_DAYS * DAY_MS).scalar_subquery()
        tx.execute(delete(provider_balances).where(*mine, b.seen_at < newest_old))
    _note(tx, provider, "balances", len(changed))
    return len(changed)


def read_balances(tx: Connection, provider_id: str) -> list[BalanceSeen]:
    """Each as it was said last, in order of label; those that are told no more have no figure."""
    b = provider_balances.c
    last = select(b.label, func.max(b.seen_at).label("at")).where(b.provider == provider_id).group_by(b.label)
    newest = last.subquery()
    query = select(*(b[name] for name in BalanceSaid.__struct_fields__), b.seen_at)
    query = query.join(newest, (newest.c.label == b.label) & (newest.c.at == b.seen_at))
    rows = tx.execute(query.where(b.provider == provider_id).order_by(b.label))
    return [BalanceSeen(BalanceSaid(*row[:-1]), row[-1]) for row in rows]


def put_grants(
    tx: Connection, provider: Provider, said: Sequence[GrantSaid], baseline: Mapping[str, int], *, now: int
) -> int:
    """All grants it lists; how many are not as they were said before. `baseline`: what had been used of those that are
    new here and were there long before. TooLarge."""
    rows = {one.id: _grant_row(one) for one in said}
    first = {key: {"baseline": baseline.get(key, 0)} for key in rows}
    return _put(tx, provider, provider_grants, provider_grants.c.id, "grants", rows, now, first)


def _grant_row(one: GrantSaid) -> dict[str, Any]:
    values = msgspec.structs.asdict(one)
    del values["id"]
    return {"said_order": values.pop("order"), **values}


def list_grants(
    tx: Connection, provider: Provider, after: str | None = None, limit: int = DEFAULT_LIMIT, *, gone: bool = False
) -> ListPage[GrantSeen]:
    """A page of those it lists, in order of id; `gone`: also those it lists no more."""
    g = provider_grants.c
    query = _grants(provider.id, gone=gone)
    return read_page(tx, "provider_grants", query, g.id, _grant_of, (provider.id, gone), after=after, limit=limit)


def read_grants(tx: Connection, provider_id: str, *, gone: bool = False) -> list[GrantSeen]:
    """All it lists, in order of id; `gone`: also those it lists no more."""
    rows = tx.execute(_grants(provider_id, gone=gone).order_by(provider_grants.c.id))
    return [_grant_of(*row) for row in rows]


def _grants(provider_id: str, *, gone: bool) -> Select[Any]:
    g = provider_grants.c
    columns = (g.id, g.said_order, g.kind, g.quantity, g.amount, g.used, g.created_at, g.expires_at, g.standing)
    query = select(*columns, g.raw_created, g.raw_expires, g.baseline, g.first_at, g.gone_at)
    return query.where(g.provider == provider_id, *([] if gone else [g.gone_at.is_(None)]))


def _grant_of(*row: Any) -> GrantSeen:
    return GrantSeen(GrantSaid(*row[:-3]), *row[-3:])


def put_sub_users(tx: Connection, provider: Provider, said: Sequence[SubUserSaid], *, now: int) -> int:
    """All sub-users it lists; how many are not as they were said before. TooLarge."""
    rows = {one.name: {"enabled": int(one.enabled), "limit_bytes": one.limit, "used": one.used} for one in said}
    return _put(tx, provider, provider_sub_users, provider_sub_users.c.name, "sub-users", rows, now)


def list_sub_users(
    tx: Connection, provider: Provider, after: str | None = None, limit: int = DEFAULT_LIMIT, *, gone: bool = False
) -> ListPage[SubUserSeen]:
    """A page of those it lists, in order of name; `gone`: also those it lists no more."""
    u = provider_sub_users.c
    query = _sub_users(provider.id, gone=gone)
    return read_page(tx, "provider_sub_users", query, u.name, _user_of, (provider.id, gone), after=after, limit=limit)


def read_sub_users(tx: Connection, provider_id: str, *, gone: bool = False) -> list[SubUserSeen]:
    """All it lists, in order of name; `gone`: also those it lists no more."""
    rows = tx.execute(_sub_users(provider_id, gone=gone).order_by(provider_sub_users.c.name))
    return [_user_of(*row) for row in rows]


def _sub_users(provider_id: str, *, gone: bool) -> Select[Any]:
    u = provider_sub_users.c
    query = select(u.name, u.enabled, u.limit_bytes, u.used, u.first_at, u.gone_at)
    return query.where(u.provider == provider_id, *([] if gone else [u.gone_at.is_(None)]))


def _user_of(*row: Any) -> SubUserSeen:
    return SubUserSeen(SubUserSaid(row[0], bool(row[1]), row[2], row[3]), *row[4:])


def _put(
    tx: Connection,
    provider: Provider,
    table: Table,
    key: Column[str],
    of: str,
    rows: Mapping[str, dict[str, Any]],
    now: int,
    first: Mapping[str, dict[str, Any]] = {},
) -> int:
    """Let these be what is listed, others be gone since now; how many rows were not so. `first`: what a row has from
    when it came. TooLarge."""
    mine = table.c.provider == provider.id
    there = {row[key.name]: row for row in tx.execute(select(*table.c).where(mine)).mappings()}
    fresh = [one for one in rows if one not in there]
    if (count := len(there) + len(fresh)) > MOST:
        raise TooLarge(f"this provider has listed {count} {of}; {MOST} are kept")
    if fresh:
        made = {"provider": provider.id, "first_at": now}
        tx.execute(insert(table), [made | {key.name: one} | rows[one] | first.get(one, {}) for one in fresh])
    listed = {one: values | {"gone_at": None} for one, values in rows.items() if one in there}
    changed = [one for one, values in listed.items() if any(there[one][name] != values[name] for name in values)]
    for one in changed:
        tx.execute(update(table).where(mine, key == one).values(listed[one]))
    gone = [one for one, row in there.items() if one not in rows and row["gone_at"] is None]
    for some in chunks(gone):
        tx.execute(update(table).where(mine, key.in_(some)).values(gone_at=now))
    _note(tx, provider, of, total := len(fresh) + len(changed) + len(gone))
    return total


def _note(tx: Connection, provider: Provider, of: str, count: int) -> None:
    if count:
        trail.note(tx, "provider.list", account=provider.account, subject=provider.id, after={"of": of, "count": count})
