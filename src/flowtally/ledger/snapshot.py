"""A SQLite file (the ledger's, the keys') or a ledger in PostgreSQL as it was at one moment, copied while others go on
writing."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import Connection, select

from flowtally.core.sqlite_faults import NO_ROOM, WAIT_S
from flowtally.ledger import portable
from flowtally.ledger.database import Ledger
from flowtally.ledger.portable import Say

COMPLAINTS: Final = 5
COPY_PAGES: Final = 2_000


class Snapshot:
    """A copy of a SQLite database as it was when this was made, written later, while others go on writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=WAIT_S,
            check_same_thread=False,
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


class LedgerSnapshot(Protocol):
    """A ledger as it is when `take` is called, which is quick; written later."""

    kind: str

    def take(self) -> None: ...

    def write(self, place: Path, say: Say) -> str:
        """Into this directory; returns the version of the schema."""


@contextmanager
def snapshot_of(ledger: Ledger) -> Iterator[LedgerSnapshot]:
    """Connected, so that taking it costs next to nothing."""
    if ledger.file is None:
        with ledger.read() as tx:
            yield _Tables(tx)
        return
    taken = _File(ledger.file)
    try:
        yield taken
    finally:
        taken.close()


class _File:
    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._snapshot: Snapshot | None = None

    def take(self) -> None:
        self._snapshot = Snapshot(self._path)

    def write(self, place: Path, say: Say) -> str:
        assert self._snapshot is not None, "taken before it is written"
        self._snapshot.copy_to(place / "ledger.db")
        return ""  # the file says it itself

    def close(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()


class _Tables:
    kind = "postgresql"

    def __init__(self, tx: Connection) -> None:
        self._tx = tx

    def take(self) -> None:
        """REPEATABLE READ sees what is there at its first question."""
        self._tx.execute(select(1))

    def write(self, place: Path, say: Say) -> str:
        return portable.write(self._tx, place / "ledger", say)


def complaints(path: Path, *, quick: bool = False) -> list[str]:
    """What SQLite says of a file; empty where it is whole. `quick`: not every index against its table. Whoever writes
    it meanwhile is waited for."""
    check = "quick_check" if quick else "integrity_check"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=WAIT_S)) as db:
            return [str(said) for (said,) in db.execute(f"PRAGMA {check}({COMPLAINTS})") if said != "ok"]
    except sqlite3.DatabaseError as error:
        return [str(error)]


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
