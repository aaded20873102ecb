"""A SQLite file (the ledger's, the keys') as it was at one moment, copied while others go on writing."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

COPY_PAGES: Final = 2_000
NO_ROOM: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)


class Snapshot:
    """A copy of a SQLite database as it was when this was made, written later, while others go on writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=30, check_same_thread=False
        )
        # A read transaction that is held keeps its moment, and SQLite's backup copies what the connection sees.
        self._db.execute("BEGIN")
        self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()

    def copy_to(self, target: Path) -> None:
        """Write the copy, as one file of its own, synced. OSError where there is no room."""
        target.touch(mode=0o600)  # backups are carried elsewhere, out of the directory that kept others away
        copy = sqlite3.connect(target, isolation_level=None)
        try:
            self._db.backup(copy, pages=COPY_PAGES, sleep=0)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, not three
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in NO_ROOM:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error
            raise
        finally:
            copy.close()
        with target.open("rb") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        self._db.close()


def sqlite_facts() -> dict[str, str]:
    """Version and the compile options that decide about durability and threads."""
    with_db = sqlite3.connect(":memory:")
    try:
        options = [str(row[0]) for row in with_db.execute("PRAGMA compile_options")]
    finally:
        with_db.close()
    told = [one for one in options if one.startswith(("THREADSAFE", "DEFAULT_SYNCHRONOUS", "DEFAULT_WAL"))]
    unsafe = [one for one in options if one in ("NO_SYNC", "OMIT_WAL", "DISABLE_DIRSYNC")]
    return {"version": sqlite3.sqlite_version, "options": " ".join(told), "unsafe": " ".join(unsafe)}
