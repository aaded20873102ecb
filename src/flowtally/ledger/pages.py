"""Pages of a list: ordered by one unique text, continued by an opaque cursor.

A cursor holds what it lists and the last key shown, so a page is one index range however deep it lies, and rows made
or revoked meanwhile neither repeat nor skip the others. It is no secret and no promise: only `next` may be sent back.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Select

from flowtally.errors import BadRequest
from flowtally.ledger.texts import is_text

MAX_LIMIT: Final = 1000
DEFAULT_LIMIT: Final = 100

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`next` continues the list; None on the last page."""

    items: list[T]
    next: str | None


def encode_cursor(kind: str, key: str) -> str:
    """The cursor after `key` in the list of `kind` ("accounts", "grants", ...)."""
    return urlsafe_b64encode(msgspec.json.encode((kind, key))).rstrip(b"=").decode()


def decode_cursor(kind: str, cursor: str) -> str:
    """The key a cursor of this list holds; BadRequest for anything else."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        made_for, key = msgspec.json.decode(raw, type=tuple[str, str])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise BadRequest(f"cursor {cursor[:80]!r} was not made here") from None
    if made_for != kind or not is_text(key):
        raise BadRequest(f"cursor {cursor[:80]!r} does not belong to the list of {kind}")
    return key


def read_page(
    tx: Connection,
    kind: str,
    query: Select[Any],
    order: ColumnElement[str],
    make: Callable[..., T],
    *,
    after: str | None,
    limit: int,
) -> Page[T]:
    """One page of `query`, ordered by the unique column `order`; `make` takes a row's columns in order.

    `after` is the cursor of the page before. One row more than asked for is read, to know whether there is a next page.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise BadRequest(f"limit is {limit}; 1 to {MAX_LIMIT} are allowed")
    if after is not None:
        query = query.where(order > decode_cursor(kind, after))
    rows = tx.execute(query.add_columns(order.label("page_key")).order_by(order).limit(limit + 1)).all()
    more = encode_cursor(kind, rows[limit - 1].page_key) if len(rows) > limit else None
    return Page([make(*row[:-1]) for row in rows[:limit]], more)
