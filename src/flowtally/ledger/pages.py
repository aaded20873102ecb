"""Pages of a list: ordered by one unique text, continued by an opaque cursor.

The place in a cursor is the last key shown, so a page is one index range however deep it lies, and rows made or revoked
meanwhile neither repeat nor skip the others. What else it holds is in `cursors`: only `next` may be sent back, to the
list it came from, with the same parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Select, delete, select

from flowtally.core.cursors import Walk
from flowtally.core.errors import BadRequest
from flowtally.core.texts import may_be_known
from flowtally.ledger.installation import read_installation

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100
LOOKED_AT: Final = 10_000  # rows of a page that is chosen by something else than the ledger

T = TypeVar("T")


class ListPage(msgspec.Struct, Generic[T], frozen=True):
    """`next` continues the list; None on the last page."""

    items: list[T]
    next: str | None


def read_page(
    tx: Connection,
    kind: str,
    query: Select[Any],
    order: ColumnElement[str],
    make: Callable[..., T],
    asked: tuple[str | bool | None, ...] = (),
    *,
    after: str | None,
    limit: int,
) -> ListPage[T]:
    """One page of `query`, ordered by the unique column `order`; `make` takes a row's columns in order.

    `asked` is all that the conditions of `query` came from: in a list that was asked otherwise a cursor would skip.
    `after` is the cursor of the page before. One row more than asked for is read, to know whether there is a next page.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise BadRequest(f"limit is {limit}; 1 to {MAX_LIMIT} are allowed")
    walk = None
    if after is not None:
        walk = walk_of(tx, kind, asked)
        query = query.where(order > _key(walk, after))
    rows = tx.execute(query.add_columns(order.label("page_key")).order_by(order).limit(limit + 1)).all()
    found = [make(*row[:-1]) for row in rows[:limit]]
    if len(rows) <= limit:
        return ListPage(found, None)
    return ListPage(found, (walk or walk_of(tx, kind, asked)).cursor(rows[limit - 1].page_key))


def read_chosen(
    tx: Connection,
    kind: str,
    query: Select[Any],
    order: ColumnElement[str],
    make: Callable[..., T],
    choose: Callable[[list[T]], list[bool]],
    asked: tuple[str | bool | None, ...] = (),
    *,
    after: str | None,
    limit: int,
) -> ListPage[T]:
    """The same of those rows that `choose` takes, by what the ledger does not know. It is asked once, about at most
    LOOKED_AT rows: a page may be short, or empty, and still have a `next`."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadRequest(f"limit is {limit}; 1 to {MAX_LIMIT} are allowed")
    walk = walk_of(tx, kind, asked)
    if after is not None:
        query = query.where(order > _key(walk, after))
    rows = tx.execute(query.add_columns(order.label("page_key")).order_by(order).limit(LOOKED_AT + 1)).all()
    found = [make(*row[:-1]) for row in rows[:LOOKED_AT]]
    taken = [index for index, chosen in enumerate(choose(found)) if chosen]
    last = taken[limit - 1] if len(taken) > limit else LOOKED_AT - 1 if len(rows) > LOOKED_AT else None
    items = [found[index] for index in taken[:limit]]
    return ListPage(items, None if last is None else walk.cursor(rows[last].page_key))


def keep_newest(tx: Connection, key: Column[str], mine: ColumnElement[bool], most: int) -> None:
    """Delete all but the last `most` rows of these, in the order of their unique key."""
    last = tx.execute(select(key).where(mine).order_by(key.desc()).offset(most).limit(1)).scalar_one_or_none()
    if last is not None:
        tx.execute(delete(key.table).where(mine, key <= last))


def walk_of(tx: Connection, kind: str, asked: tuple[str | bool | None, ...]) -> Walk:
    """A list of this ledger's present generation."""
    return Walk(kind, read_installation(tx).generation, asked)


def _key(walk: Walk, cursor: str) -> str:
    key = walk.place(cursor, str)
    if not may_be_known(key):
        raise BadRequest(f"cursor {cursor[:80]!r} was not made here", parameter="cursor")
    return key
