"""When what pays began: accounts, their first grants, funded users and their first allocations. What ingest asks for to
tell of events that came before all of it; no balance is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec
from sqlalchemy import ColumnElement, Connection, exists, func, select

from flowtally.core.words import Overage
from flowtally.ledger.tables import accounts, allocations, grant_voids, grants, managed_users, users

CHUNK = 500

First = tuple[int, str]  # when the first grant of a pool begins, and its id


class OfAccount(msgspec.Struct, frozen=True):
    """`firsts`: by pool, of grants that ever begin. `funds`: it has funded users, deleted ones included."""

    carry_from: int
    overage: Overage
    firsts: dict[str, First]
    funds: bool


class OfUser(msgspec.Struct, frozen=True):
    """A funded user's purse; `firsts` are allocations."""

    created_at: int
    firsts: dict[str, First]


def of_accounts(tx: Connection, ids: Iterable[str]) -> dict[str, OfAccount]:
    """Of each of these accounts that exists."""
    found: dict[str, OfAccount] = {}
    for chunk in _chunks(ids):
        firsts = _first_grants(tx, chunk)
        funded = exists().where(managed_users.c.account == accounts.c.id, managed_users.c.funded == 1)
        query = select(accounts.c.id, accounts.c.carry_from, accounts.c.overage, funded)
        for id, carry_from, overage, funds in tx.execute(query.where(accounts.c.id.in_(chunk))):
            found[id] = OfAccount(carry_from, overage, firsts.get(id, {}), bool(funds))
    return found


def of_users(tx: Connection, ids: Iterable[str]) -> dict[str, OfUser]:
    """Of those of these users that are funded."""
    found: dict[str, OfUser] = {}
    for chunk in _chunks(ids):
        starts = func.coalesce(allocations.c.starts_at, allocations.c.created_at)
        mine = allocations.c.user_id.in_(chunk)
        firsts = _firsts(tx, allocations.c.user_id, allocations.c.pool, starts, allocations.c.id, mine)
        query = select(users.c.id, users.c.created_at).join(managed_users, managed_users.c.user_id == users.c.id)
        query = query.where(users.c.id.in_(chunk), managed_users.c.funded == 1)
        found |= {id: OfUser(created_at, firsts.get(id, {})) for id, created_at in tx.execute(query)}
    return found


def _first_grants(tx: Connection, chunk: Collection[str]) -> dict[str, dict[str, First]]:
    voided = select(grant_voids.c.grant_id).where(
        grant_voids.c.grant_id == grants.c.id, grant_voids.c.voided_at <= grants.c.starts_at
    )
    mine = grants.c.account.in_(chunk) & ~voided.exists()
    return _firsts(tx, grants.c.account, grants.c.pool, grants.c.starts_at, grants.c.id, mine)


def _firsts(
    tx: Connection,
    whose: ColumnElement[str],
    pool: ColumnElement[str],
    starts: ColumnElement[int],
    id: ColumnElement[str],
    mine: ColumnElement[bool],
) -> dict[str, dict[str, First]]:
    """The earliest by owner and pool; of those that begin together the first by id."""
    least = select(whose.label("whose"), pool.label("pool"), func.min(starts).label("starts")).where(mine)
    early = least.group_by(whose, pool).subquery()
    same = (early.c.whose == whose) & (early.c.pool == pool) & (early.c.starts == starts)
    query = select(whose, pool, early.c.starts, func.min(id)).join(early, same).where(mine)
    found: dict[str, dict[str, First]] = {}
    for one, name, begins, first in tx.execute(query.group_by(whose, pool, early.c.starts)):
        found.setdefault(one, {})[name] = (begins, first)
    return found


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    wanted = list(ids)
    return (wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK))
