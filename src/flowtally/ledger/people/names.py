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
from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, delete, func, insert, select, update

from flowtally.core.events import NOBODY
from flowtally.core.texts import may_be_known
from flowtally.core.times import LAST_INSTANT
from flowtally.ledger.installation import this_promise
from flowtally.ledger.known import Known, is_known
from flowtally.ledger.tables import user_names

Name = tuple[str, str]  # (account, name)

CHUNK: Final = 500  # names per query: far below what a statement may bind, and no slower than more
_STILL = user_names.c.valid_to.is_(None)
_NAMED = and_(user_names.c.account == bindparam("asked"), user_names.c.name.in_(bindparam("names", expanding=True)))
_HISTORIES = (
    select(user_names.c.name, user_names.c.user_id, user_names.c.valid_to)
    .where(_NAMED)
    .order_by(user_names.c.name, user_names.c.valid_from)
)
_BEARERS = select(user_names.c.name, user_names.c.user_id).where(_NAMED, _STILL)


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
        for name, user_id, until in tx.execute(_HISTORIES, {"asked": account, "names": chunk}):
            found.setdefault((account, name), []).append(Bearer(user_id, until))
    return {name: tuple(history) for name, history in found.items()}


def present_bearers(tx: Connection, names: Iterable[Name]) -> dict[Name, str]:
    """The ids of those who bear these names still; free names are left out."""
    found: dict[Name, str] = {}
    for account, chunk in by_account(name for name in names if may_be_known(name[0] + name[1])):
        bearing = tx.execute(_BEARERS, {"asked": account, "names": chunk})
        found.update(((account, name), user_id) for name, user_id in bearing)
    return found


def names_borne(tx: Connection, user_id: str) -> list[Borne]:
    """Everything the user was ever called, the present or last name last."""
    query = select(user_names.c.name, user_names.c.valid_from, user_names.c.valid_to)
    found = [Borne(*row) for row in tx.execute(query.where(user_names.c.user_id == user_id))]
    return sorted(found, key=lambda borne: (borne.end is None, borne.end or 0))


def bearers_then(tx: Connection, names: Iterable[Name], known: Known) -> dict[Name, str]:
    """The ids of those who bore these names at that moment, so far as was known then; names that were free are left
    out."""
    found: dict[Name, str] = {}
    for account, chunk in by_account(name for name in names if may_be_known(name[0] + name[1])):
        mine = user_names.c
        query = select(mine.name, mine.user_id).where(mine.account == account, mine.name.in_(chunk))
        query = query.where(is_known(known, mine.promise, mine.taken_at), ~_ended(known)).order_by(mine.valid_from)
        found.update(((account, name), user_id) for name, user_id in tx.execute(query))
    return found


def next_bearer(tx: Connection, name: Name, known: Known) -> str | None:
    """Who was the first to bear a name that was free at that moment; None where nobody has yet."""
    mine = user_names.c
    query = select(mine.user_id).where(mine.account == name[0], mine.name == name[1])
    query = query.where(~is_known(known, mine.promise, mine.taken_at)).order_by(mine.valid_from).limit(1)
    return tx.execute(query).scalar_one_or_none()


def names_then(tx: Connection, user_ids: Iterable[str], known: Known) -> dict[str, str]:
    """What these users were called at that moment, or had been called last; those of no name then are left out."""
    found: dict[str, str] = {}
    mine = user_names.c
    end = case((_ended(known), mine.valid_to), else_=LAST_INSTANT + 1)
    for chunk in chunks(user_ids):
        query = select(mine.user_id, mine.name).where(mine.user_id.in_(chunk))
        query = query.where(is_known(known, mine.promise, mine.taken_at)).order_by(end, mine.valid_from)
        found.update((user_id, name) for user_id, name in tx.execute(query))
    return found


def first_name(tx: Connection, user_id: str) -> str | None:
    """What the user was called first of all; None where no name of it is kept."""
    mine = user_names.c
    query = select(mine.name).where(mine.user_id == user_id).order_by(mine.promise, mine.taken_at, mine.valid_from)
    return tx.execute(query.limit(1)).scalar_one_or_none()


def _ended(known: Known) -> ColumnElement[bool]:
    mine = user_names.c
    ended_at = case((mine.ended_promise > 0, mine.ended_at), else_=mine.valid_to)
    return and_(mine.valid_to.is_not(None), is_known(known, mine.ended_promise, ended_at))


def take(
    tx: Connection, bearers: Mapping[Name, str], now: int, before: Mapping[Name, History] | None = None
) -> dict[Name, History]:
    """Let these users bear these free names, from where the last bearer of each ended; all who bore them, then.
    `before`: those who bore them before, where that was looked up in this transaction."""
    if not bearers:
        return {}
    before = histories(tx, bearers) if before is None else before
    free_from = {name: before[name][-1].until or 0 for name in bearers if name in before}
    rows = [
        {"account": name[0], "name": name[1], "user_id": user_id, "valid_from": free_from.get(name, 0), "taken_at": now}
        for name, user_id in bearers.items()
    ]
    tx.execute(insert(user_names), rows)
    return {name: (*before.get(name, ()), Bearer(user_id, None)) for name, user_id in bearers.items()}


def give_up(tx: Connection, user_id: str, now: int) -> None:
    """End the user's present name. Each name ends later than the one before, so that their order is known even when
    two end in one millisecond or the clock is set back."""
    mine = user_names.c.user_id == user_id
    began, ended = tx.execute(
        select(func.max(user_names.c.valid_from), func.max(user_names.c.valid_to)).where(mine)
    ).one()
    end = {"valid_to": max(now, began + 1, (ended or 0) + 1), "ended_promise": this_promise(tx), "ended_at": now}
    tx.execute(update(user_names).where(mine, _STILL).values(end))


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
