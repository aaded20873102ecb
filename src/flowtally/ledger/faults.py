"""What a database error means to whoever asked: try again (503), or a fault of ours (500, left as it is)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from flowtally.errors import StorageFull, Unavailable

_SQLITE_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
# PostgreSQL's SQLSTATE: connection lost (08), refused for its number (53300), shutting down (57P), serialisation (40)
_POSTGRES_AGAIN = ("08", "53300", "57P", "40")


@contextmanager
def named() -> Iterator[None]:
    """Turn passing troubles of the database into Unavailable. The transaction is rolled back either way.

    A connection lost during the commit leaves it in doubt; the caller's retry with the same Idempotency-Key settles it.
    """
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("the ledger has no connection free") from error
    except DBAPIError as error:
        meaning = _meaning(error)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(error: DBAPIError) -> Unavailable | None:
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_meaning(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
    return _postgres_meaning(getattr(error.orig, "sqlstate", None), lost=error.connection_invalidated)


def _sqlite_meaning(code: int) -> Unavailable | None:
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("no room to write the ledger")
    if code in _SQLITE_BUSY:
        return Unavailable("the ledger is locked by another process")
    return None


def _postgres_meaning(sqlstate: str | None, *, lost: bool) -> Unavailable | None:
    if sqlstate == "53100":
        return StorageFull("no room to write the ledger")
    if lost or (sqlstate is not None and sqlstate.startswith(_POSTGRES_AGAIN)):
        return Unavailable("the ledger cannot be reached")
    return None
