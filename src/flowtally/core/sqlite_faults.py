"""What an error of SQLite means to whoever asked, and how long it waits: alike for all that keep files of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from flowtally.core.errors import FlowtallyError, StorageFull, StoreDamaged, Unavailable

WAIT_S: Final = 30  # for another process that has the file: the database's own wait
# What SQLite says of a full disk; an I/O error is one too where the disk is full while the log is written.
NO_ROOM: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
PASSING: Final[Mapping[int, tuple[str, int]]] = {  # primary code -> why, and when it is worth another try
    sqlite3.SQLITE_BUSY: ("locked by another process", 1),
    sqlite3.SQLITE_LOCKED: ("locked by another process", 1),
    sqlite3.SQLITE_PROTOCOL: ("locked by another process", 1),
    sqlite3.SQLITE_INTERRUPT: ("asked for too much at once", 1),
    sqlite3.SQLITE_NOMEM: ("out of memory", 5),
    sqlite3.SQLITE_IOERR: ("on a disk that fails to read or write", 10),
    sqlite3.SQLITE_CANTOPEN: ("a file that cannot be opened now", 10),
    sqlite3.SQLITE_PERM: ("a file that may not be opened", 10),
    sqlite3.SQLITE_READONLY: ("read-only for now", 10),
}
DatabaseError: Final = sqlite3.DatabaseError  # for who meets one raw and only tells that there was one
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def sqlite_meaning(error: sqlite3.Error, store: str, *, writes: bool) -> FlowtallyError | None:
    """`store` with its article: "the ledger". Who only reads and is told that it may not write is our own mistake."""
    extended = getattr(error, "sqlite_errorcode", None) or 0
    code = extended & 0xFF
    if extended in NO_ROOM:
        return StorageFull(f"There is no room left to write {store}; reading goes on", retry_after_s=10)
    if code in DAMAGED:
        return StoreDamaged(f"{store.capitalize()} cannot be read: {error}. Stop the server and look at its file.")
    if code not in PASSING or (extended == sqlite3.SQLITE_READONLY and not writes):
        return None
    why, retry_after_s = PASSING[code]
    return Unavailable(f"{store.capitalize()} is {why}", retry_after_s=retry_after_s)
