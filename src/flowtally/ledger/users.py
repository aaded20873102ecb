"""Users: who inside an account used something, and what they were called when.

A user is an immutable id; names are a history (`valid_from`, `valid_to`), so that a rename keeps the past and a name
can be used again by someone else. The first holder of a name holds it from the beginning of time, the next from where
the one before ended: an imported log of last year finds the same user as today's traffic.

The empty name is nobody in particular: it stands for the account itself, resolves to the empty id and is never a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, insert, or_, select

from flowtally.errors import NotFound, UnknownAccount
from flowtally.ledger.accounts import read_account
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, Page, read_page
from flowtally.ledger.tables import accounts, user_names, users
from flowtally.ledger.texts import check_text, is_text

Name = tuple[str, str]  # (account, name)

CHUNK: Final = 500  # names per query: far below what a statement may bind, and no slower than more
NOBODY: Final = ""


class User(msgspec.Struct, frozen=True):
    """`name` is what the user is called now."""

    id: str
    account: str
    name: str
    created_at: int


def resolve_users(tx: Connection, names: Iterable[Name], at: int) -> dict[Name, str]:
    """The ids of those who bore these names at that instant; names nobody bore are left out."""
    wanted = set(names)
    found = {name: NOBODY for name in wanted if name[1] == NOBODY}
    asked = (name for name in wanted if name[1] != NOBODY and is_text(name[0] + name[1]))
    then = (user_names.c.valid_from <= at) & or_(user_names.c.valid_to.is_(None), user_names.c.valid_to > at)
    for account, chunk in _by_account(asked):
        query = select(user_names.c.name, user_names.c.user_id)
        query = query.where(user_names.c.account == account, user_names.c.name.in_(chunk), then)
        found.update(((account, name), user_id) for name, user_id in tx.execute(query))
    return found


def ensure_users(tx: Connection, names: Iterable[Name], now: int) -> dict[Name, str]:
    """The ids of all these names at `now`, making users for names nobody bears.

    UnknownAccount when one of the accounts does not exist, Unprocessable for a name that cannot be: none is made then.
    """
    wanted = sorted(set(names))
    found = resolve_users(tx, wanted, now)
    missing = [name for name in wanted if name not in found]
    _require_accounts(tx, {account for account, _ in wanted})
    for _, name in missing:
        check_text("user", name, least=1)
    made = {name: new_id("usr_") for name in missing}
    _insert_users(tx, made, now)
    return found | made


def read_user(tx: Connection, account: str, user_id: str) -> User:
    """The user of that account; NotFound when there is none."""
    row = None
    if is_text(account + user_id):
        row = tx.execute(_users_of(account).where(users.c.id == user_id)).one_or_none()
    if row is None:
        raise NotFound(f"account {account!r} has no user {user_id!r}")
    return User(*row)


def list_users(tx: Connection, account: str, after: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[User]:
    """Users of the account in order of id, which is the order they were made in. UnknownAccount."""
    read_account(tx, account)
    return read_page(tx, "users", _users_of(account), users.c.id, User, after=after, limit=limit)


def names_of(tx: Connection, user_ids: Iterable[str]) -> dict[str, str]:
    """What these users are called now, or were called last; ids of nobody are left out."""
    wanted = set(user_ids)
    found = {NOBODY: NOBODY} if NOBODY in wanted else {}
    for chunk in _chunks(user_id for user_id in wanted if user_id != NOBODY and is_text(user_id)):
        query = select(user_names.c.user_id, user_names.c.name).where(user_names.c.user_id.in_(chunk))
        found.update((user_id, name) for user_id, name in tx.execute(query.order_by(user_names.c.valid_from)))
    return found


def _users_of(account: str) -> Select[Any]:
    """Every user has one name without an end."""
    still = (user_names.c.user_id == users.c.id) & user_names.c.valid_to.is_(None)
    query = select(users.c.id, users.c.account, user_names.c.name, users.c.created_at).join(user_names, still)
    return query.where(users.c.account == account)


def _require_accounts(tx: Connection, wanted: set[str]) -> None:
    known: set[str] = set()
    for chunk in _chunks(account for account in wanted if is_text(account)):
        known.update(tx.execute(select(accounts.c.id).where(accounts.c.id.in_(chunk))).scalars())
    for account in sorted(wanted - known):
        raise UnknownAccount(f"there is no account {account!r}", account=account)


def _insert_users(tx: Connection, made: dict[Name, str], now: int) -> None:
    if not made:
        return
    free_from = _last_ends(tx, made)
    tx.execute(insert(users), [{"id": made[name], "account": name[0], "created_at": now} for name in made])
    rows = [
        {"account": name[0], "name": name[1], "user_id": made[name], "valid_from": free_from.get(name, 0)}
        for name in made
    ]
    tx.execute(insert(user_names), rows)


def _last_ends(tx: Connection, names: Iterable[Name]) -> dict[Name, int]:
    """When the last holder of each name gave it up; names never held are left out."""
    ends: dict[Name, int] = {}
    for account, chunk in _by_account(names):
        query = select(user_names.c.name, func.max(user_names.c.valid_to)).group_by(user_names.c.name)
        query = query.where(user_names.c.account == account, user_names.c.name.in_(chunk))
        ends.update(((account, name), end) for name, end in tx.execute(query))
    return ends


def _by_account(names: Iterable[Name]) -> Iterator[tuple[str, Sequence[str]]]:
    """One statement per account and chunk: an index search each. `(account, name) IN (...)` makes SQLite read the
    whole table, and as a join it costs seven times as much."""
    grouped: dict[str, list[str]] = {}
    for account, name in names:
        grouped.setdefault(account, []).append(name)
    for account, mine in grouped.items():
        for chunk in _chunks(mine):
            yield account, chunk


def _chunks(values: Iterable[Any]) -> Iterator[Sequence[Any]]:
    """Small enough for one statement each."""
    left = iter(values)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
