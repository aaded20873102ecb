"""What a database error means to whoever asked: try again (503), damage, or a fault of ours (500, left as it is)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from flowtally.core.errors import FlowtallyError, StorageFull, StoreDamaged, Unavailable
from flowtally.core.sqlite_faults import sqlite_meaning

LEDGER: Final = "the ledger"
LOST: Final = "The ledger cannot be reached"
# PostgreSQL's SQLSTATE, or how it begins (https://www.postgresql.org/docs/current/errcodes-appendix.html)
AGAIN: Final[Mapping[str, tuple[str, int]]] = {
    "08": (LOST, 2),  # the connection was lost, or could not be made
    "57P": (LOST, 2),  # it is starting or stopping, or an operator ended the session
    "53300": ("The ledger has too many connections", 2),
    "53400": ("The ledger has reached a limit that is set for it", 10),
    "53": ("The ledger is short of memory", 5),
    "40": ("The ledger had to give up this transaction", 1),  # serialisation, deadlock
    "55P03": ("The ledger is locked by somebody else", 1),
    "57014": ("The ledger was told to end this question", 1),
    "28": ("The ledger does not let this server in: its user or password was changed", 10),
    "3D": ("The ledger's database is not there", 10),
    "42501": ("The ledger does not let this server do that: its rights were changed", 10),
    "58030": ("The ledger's disk fails to read or write", 10),
    "25006": ("The ledger is read-only for now: a standby?", 10),
}
NO_ROOM: Final = "53100"
READ_ONLY: Final = "25006"
DAMAGED: Final = ("XX001", "XX002", "58P01")  # data or index corrupted, a file of it is gone


@contextmanager
def named(*, writes: bool = True) -> Iterator[None]:
    """Turn passing troubles of the database into Unavailable. The transaction is rolled back either way.

    A connection lost during the commit leaves it in doubt; the caller's retry with the same Idempotency-Key settles it.
    """
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("All connections to the ledger are busy") from error
    except DBAPIError as error:
        known = meaning(error, writes=writes)
        if known is None:
            raise
        raise known from error


def meaning(error: DBAPIError, *, writes: bool) -> FlowtallyError | None:
    """What it means where it means something to a caller. `writes`: a read that is told it may not write is our own
    mistake."""
    if isinstance(error.orig, sqlite3.Error):
        return sqlite_meaning(error.orig, LEDGER, writes=writes)
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        # What the driver says by itself: no connection can be made, or the one there was broke.
        lost = error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError)
        return Unavailable(LOST, retry_after_s=2) if lost else None
    return _postgres_meaning(sqlstate, writes=writes) or (
        Unavailable(LOST, retry_after_s=2) if error.connection_invalidated else None
    )


def _postgres_meaning(sqlstate: str, *, writes: bool) -> FlowtallyError | None:
    if sqlstate == NO_ROOM:
        return StorageFull("There is no room left to write the ledger; reading goes on", retry_after_s=10)
    if sqlstate in DAMAGED:
        return StoreDamaged("The ledger's database is damaged; its own log says where")
    if sqlstate == READ_ONLY and not writes:
        return None
    for length in (5, 3, 2):  # the most exact first
        if known := AGAIN.get(sqlstate[:length]):
            return Unavailable(known[0], retry_after_s=known[1])
    return None
