"""Who bore which name when: the history behind every user's name.

A bearer holds a name from where the one before ended, the first one from the beginning of time, so the history of a
name has no gaps but the one at its end, after a rename or deletion, until somebody bears it again. Hence an imported
log of last year finds the same user as today's traffic, and use dated before a rename stays with the old bearer.

The empty name is nobody in particular: it stands for the account itself, resolves to the empty id and is never a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from flowtally.ledger.tables import user_names
from flowtally.texts import may_be_known

Name = tuple[str, str]  # (account, name)

CHUNK: Final = 500  # names per query: far below what a statement may bind, and no slower than more
NOBODY: Final = ""
_STILL = user_names.c.valid_to.is_(None)


class Bearer(msgspec.Struct, frozen=True):
    """Who bore a name until `until` (excluded; None: still)."""

    user_id: str
    until: int | None


History = tuple[Bearer, ...]  # of one name, in order of time


class Borne(msgspec.Struct, frozen=True):
    """What a user was called from `start` until `end` (excluded; None: still)."""

    name: str
    start: int
    end: int | None


def bearer_at(history: Sequence[Bearer], at: int) -> str | None:
    """Who bore the name at that instant; None when it was free."""
    return next((one.user_id for one in history if one.until is None or at < one.until), None)


def histories(tx: Connection, names: Iterable[Name]) -> dict[Name, History]:
    """All bearers of each of these names; names nobody ever bore, and the empty one, are left out."""
    found: dict[Name, list[Bearer]] = {}
    asked = (name for name in set(names) if name[1] != NOBODY and may_be_known(name[0] + name[1]))
    for account, chunk in by_account(asked):
        query = select(user_names.c.name, user_names.c.user_id, user_names.c.valid_to)
        query = query.where(user_names.c.account == account, user_names.c.name.in_(chunk))
        for name, user_id, until in tx.execute(query.order_by(user_names.c.name, user_names.c.valid_from)):
            found.setdefault((account, name), []).append(Bearer(user_id, until))
    return {name: tuple(history) for name, history in found.items()}


def present_bearers(tx: Connection, names: Iterable[Name]) -> dict[Name, str]:
    """The ids of those who bear these names still; free names are left out."""
    found: dict[Name, str] = {}
    for account, chunk in by_account(name for name in names if may_be_known(name[0] + name[1])):
        query = select(user_names.c.name, user_names.c.user_id)
        query = query.where(user_names.c.account == account, user_names.c.name.in_(chunk), _STILL)
        found.update(((account, name), user_id) for name, user_id in tx.execute(query))
    return found


def names_borne(tx: Connection, user_id: str) -> list[Borne]:
    """Everything the user was ever called, the present or last name last."""
    query = select(user_names.c.name, user_names.c.valid_from, user_names.c.valid_to)
    found = [Borne(*row) for row in tx.execute(query.where(user_names.c.user_id == user_id))]
    return sorted(found, key=lambda borne: (borne.end is None, borne.end or 0))


def take(tx: Connection, bearers: Mapping[Name, str]) -> None:
    """Let these users bear these free names, from where the last bearer of each ended."""
    if not bearers:
        return
    free_from = _last_ends(tx, bearers)
    rows = [
        {"account": name[0], "name": name[1], "user_id": user_id, "valid_from": free_from.get(name, 0)}
        for name, user_id in bearers.items()
    ]
    tx.execute(insert(user_names), rows)


def give_up(tx: Connection, user_id: str, now: int) -> None:
    """End the user's present name. Each name ends later than the one before, so that their order is known even when
    two end in one millisecond or the clock is set back."""
    mine = user_names.c.user_id == user_id
    began, ended = tx.execute(
        select(func.max(user_names.c.valid_from), func.max(user_names.c.valid_to)).where(mine)
    ).one()
    tx.execute(update(user_names).where(mine, _STILL).values(valid_to=max(now, began + 1, (ended or 0) + 1)))


def forget(tx: Connection, user_id: str) -> None:
    """Take every name the user ever bore out of the history. Whoever bore the name next bears it from where the user
    did, so the history has no gap: a late event under it is the next bearer's, and makes a new user where there is
    none."""
    mine = select(user_names.c.account, user_names.c.name, user_names.c.valid_from, user_names.c.valid_to)
    borne = tx.execute(mine.where(user_names.c.user_id == user_id).order_by(user_names.c.valid_from.desc())).all()
    for account, name, start, end in borne:  # the last first: of two in a row the second may be this user's too
        its = (user_names.c.account == account) & (user_names.c.name == name)
        tx.execute(delete(user_names).where(its, user_names.c.valid_from == start))
        if end is not None:
            tx.execute(update(user_names).where(its, user_names.c.valid_from == end).values(valid_from=start))


def by_account(names: Iterable[Name]) -> Iterator[tuple[str, Sequence[str]]]:
    """One statement per account and chunk: an index search each. `(account, name) IN (...)` makes SQLite read the
    whole table, and as a join it costs seven times as much."""
    grouped: dict[str, list[str]] = {}
    for account, name in names:
        grouped.setdefault(account, []).append(name)
    for account, mine in grouped.items():
        for chunk in chunks(mine):
            yield account, chunk


def chunks(values: Iterable[Any]) -> Iterator[Sequence[Any]]:
    """Small enough for one statement each."""
    left = iter(values)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def _last_ends(tx: Connection, names: Iterable[Name]) -> dict[Name, int]:
    """When the last bearer of each name gave it up; names never borne are left out."""
    ends: dict[Name, int] = {}
    for account, chunk in by_account(names):
        query = select(user_names.c.name, func.max(user_names.c.valid_to)).group_by(user_names.c.name)
        query = query.where(user_names.c.account == account, user_names.c.name.in_(chunk))
        ends.update(((account, name), end) for name, end in tx.execute(query))
    return ends
