"""The roster: an account's managed users as whoever manages them needs them, in one question.

Owns counting, filtering by pool and pages by number, which vendors' wires have (our own pages are by cursor, `users`).
A user belongs to the pool of its product; one without a product to the default pool. Passwords come as they are kept:
whoever holds the vault opens them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, select

from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.people.users import User, as_user, in_pool, query_users
from flowtally.ledger.pools import read_pools
from flowtally.ledger.tables import managed_users, users


class Managed(msgspec.Struct, frozen=True):
    """A user and its encrypted password (None: it has none)."""

    user: User
    sealed: str | None


def list_managed(
    tx: Connection,
    account: str,
    *,
    name: str | None = None,
    pool: str | None = None,
    funded: bool | None = None,
    offset: int = 0,
    limit: int | None = None,
) -> list[Managed]:
    """Managed users that are not deleted, in the order they were made; from the one at `offset` on at most `limit`.
    UnknownAccount, NotFound (pool)."""
    read_account(tx, account)
    query = _managed(tx, query_users(account).add_columns(managed_users.c.password), account, name, pool, funded)
    rows = tx.execute(query.order_by(users.c.id).offset(offset).limit(limit))
    return [Managed(as_user(*row[:-1]), row[-1]) for row in rows]


def count_managed(
    tx: Connection, account: str, *, name: str | None = None, pool: str | None = None, funded: bool | None = None
) -> int:
    """How many `list_managed` has without pages; without filters this is what `max_users` bounds."""
    query = select(func.count()).select_from(managed_users)
    return int(tx.execute(_managed(tx, query, account, name, pool, funded)).scalar_one())


def _managed(
    tx: Connection, query: Select[Any], account: str, name: str | None, pool: str | None, funded: bool | None
) -> Select[Any]:
    query = query.where(managed_users.c.account == account, managed_users.c.status != "deleted")
    if name is not None:
        query = query.where(managed_users.c.name == name)
    if pool is not None:
        query = query.where(in_pool(read_pools(tx), pool))
    if funded is not None:
        query = query.where(managed_users.c.funded == int(funded))
    return query
