"""The file of the journal: what is in it, whether it is one of ours, and what keeps it from being read.

Owns its schema, its connections and its one row of state. Nothing is written before the file is known to be a journal
that this flowtally knows. Leaves the records and when they come and go to `journal`.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from flowtally.core.errors import JournalBroken, JournalTooNew, StoreDamaged
from flowtally.core.sqlite_faults import sqlite_meaning
from flowtally.usage.records import Torn, sum_of
from flowtally.usage.write_ahead import damage

JOURNAL: Final = "the journal"
APPLICATION: Final = 0x666C6F77  # "flow", in the header of the file: it is no other database
JOURNAL_SCHEMA: Final = 1
WAIT_S: Final = 10.0  # for another process that has the file for a moment: nobody else writes it
LOG_MAX_PAGES: Final = 20_000  # of the write-ahead log (80 MB), at which a commit carries it over: nobody else did
_TEXT: Final = b"SQLite format 3\0"
_HEADER: Final = struct.Struct(">60xI4xI28x")  # of the file: user_version and application_id
_SCHEMA: Final = f"""
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    installation TEXT NOT NULL,      -- whose journal this is; '' until bound
    generation TEXT NOT NULL,
    burnt INTEGER NOT NULL,          -- the highest block number that must never be used again
    forgotten INTEGER NOT NULL,      -- the last block whose record was here and is no more
    sum INTEGER NOT NULL             -- over the columns before
);
CREATE TABLE records (
    block INTEGER PRIMARY KEY,
    head BLOB NOT NULL,              -- `records.Head`: read without the body
    body BLOB NOT NULL
);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {JOURNAL_SCHEMA};
"""
_CHANGE: Final = (
    "INSERT INTO state VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET installation = excluded.installation,"
    " generation = excluded.generation, burnt = excluded.burnt, forgotten = excluded.forgotten, sum = excluded.sum"
)


class JournalState(msgspec.Struct, frozen=True):
    installation: str = ""
    generation: str = ""
    burnt: int = 0
    forgotten: int = 0


def prepare(path: Path) -> None:
    """The file is there, for its owner alone, and a journal of this version. Torn or JournalTooNew where it is not."""
    refuse_others(path)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite gives its other files this mode
    with closing(connect(path)) as db:
        [(version,)] = db.execute("PRAGMA user_version")
        _refuse_newer(path, version)
        if version == 0:
            with transaction(db):
                for statement in _SCHEMA.split(";\n"):
                    db.execute(statement)
                put_state(db, JournalState())


def connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=WAIT_S, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA cell_size_check = ON")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_MAX_PAGES}")
    except BaseException:
        db.close()
        raise
    return db


def log_of(path: Path) -> Path:
    """Its write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def refuse_others(path: Path) -> None:
    """Torn for what is no journal or is damaged, JournalTooNew for one of a later flowtally. Changes nothing. Where
    closing a log would lose what shows its damage, it is not even opened."""
    if not path.exists():
        return
    if path.is_dir():
        raise Torn("it is a directory")
    with path.open("rb") as file:
        header = file.read(_HEADER.size)
    if not header:
        return
    if len(header) < _HEADER.size or not header.startswith(_TEXT):
        raise Torn("it is no database of SQLite")
    version, application = _HEADER.unpack(header)
    if application == 0 and version == 0 and (at := damage(log_of(path))) is None:
        version, application = _asked(path)  # it may be new, and all of it in the log
    elif application == APPLICATION:
        at = damage(log_of(path))
    if application not in (0, APPLICATION) or (application == 0 and version):
        raise Torn("it is the database of something else")
    if at is not None:
        raise Torn(f"byte {at} of its log {log_of(path).name} is damaged, and commits that came later are lost with it")
    _refuse_newer(path, version)


def _asked(path: Path) -> tuple[int, int]:
    """Version and application as SQLite has them; a version where there are tables that are not ours."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=WAIT_S)) as db:
        [(version,)] = db.execute("PRAGMA user_version")
        [(application,)] = db.execute("PRAGMA application_id")
        [(tables,)] = db.execute("SELECT count(*) FROM sqlite_schema")
    return version or (tables if application == 0 else 0), application


def _refuse_newer(path: Path, version: int) -> None:
    if version > JOURNAL_SCHEMA:
        raise JournalTooNew(
            f"The journal {path} has schema {version}, which this flowtally does not know: it knows up to schema "
            f"{JOURNAL_SCHEMA}. Start the version that wrote it, or a later one"
        )


def state_of(db: sqlite3.Connection) -> JournalState:
    found = db.execute("SELECT installation, generation, burnt, forgotten, sum FROM state").fetchall()
    if len(found) != 1 or _columns(state := JournalState(*found[0][:-1])) != found[0]:
        raise Torn("its row of state is not what was written")
    return state


def put_state(db: sqlite3.Connection, state: JournalState) -> None:
    db.execute(_CHANGE, _columns(state))


def _columns(state: JournalState) -> tuple[str | int, ...]:
    told = msgspec.structs.astuple(state)
    return (*told, sum_of(msgspec.msgpack.encode(told)) >> 1)  # SQLite has 63 bits and a sign


@contextmanager
def transaction(db: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def meant() -> Iterator[None]:
    """What SQLite says of a write, as what it means."""
    try:
        yield
    except sqlite3.Error as error:
        if known := sqlite_meaning(error, JOURNAL, writes=True):
            raise known from error
        raise


@contextmanager
def named(path: Path, *, opening: bool = False) -> Iterator[None]:
    """What keeps the journal from being read, with its file. `opening`: whatever it is; else what passes is told as it
    is meant."""
    try:
        yield
    except (sqlite3.Error, OSError, Torn) as error:
        known = sqlite_meaning(error, JOURNAL, writes=False) if isinstance(error, sqlite3.Error) else None
        if known is not None and not isinstance(known, StoreDamaged) and not opening:
            raise known from error
        raise JournalBroken(f"The journal {path} cannot be read: {error}") from error
