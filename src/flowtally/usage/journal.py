"""The journal: the newest blocks, each as the one synced record that acknowledges it, until its rows are in the table.

SQLite beside the keys, a database of its own. A commit here is the acknowledgement, so it is synced (WAL,
`synchronous=FULL`) and waits for little else: who forgets does it from another thread, on a connection of its own, in
small steps, and carries the write-ahead log over to the file. What is read is checked: a sum over each record, and each
names the one before, so that none is changed or missing without being told.

Owns the file. Leaves to `records` what a record is, to `ingest` what it means, and to the flusher when it may go. Only
one thread commits and only one forgets; reads may come from any. The lease is that of the keys beside it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from flowtally.core.errors import JournalBroken, JournalTooNew, StoreDamaged, Unavailable
from flowtally.core.sqlite_faults import sqlite_meaning
from flowtally.usage.records import Head, Record, Torn, decode, encode, head_of, sum_of
from flowtally.usage.values import Identity

JOURNAL: Final = "the journal"
APPLICATION: Final = 0x464C4F57  # "FLOW": what `file` and we know the file by
SCHEMA_VERSION: Final = 1
LOG_MAX_PAGES: Final = 20_000  # of the write-ahead log, at which a commit carries it over itself: nobody else did
CARRIED_FROM: Final = 8 << 20  # bytes of the write-ahead log, from which on forgetting carries it over
STEP_RECORDS: Final = 200  # forgotten in one transaction, or fewer where they are large
STEP_BYTES: Final = 4 << 20
PAUSE_S: Final = 0.001  # between steps: whoever waits to commit goes first

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
PRAGMA user_version = {SCHEMA_VERSION};
"""


class Peeked(msgspec.Struct, frozen=True):
    """Whose journal it is, and the blocks of its first and its last record (0: it has none)."""

    identity: Identity
    burnt: int
    first: int
    last: int


class _State(msgspec.Struct, frozen=True):
    installation: str = ""
    generation: str = ""
    burnt: int = 0
    forgotten: int = 0


class Journal:
    """The journal at this path, made where it is not. `JournalBroken` or `JournalTooNew` name file and reason."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()  # one writes or opens at a time: cheaper and fairer than SQLite's own waiting
        self._connections: list[sqlite3.Connection] = []
        self._doubtful = False
        with self._lock:
            self._open()

    # Opening

    def _open(self) -> None:
        with _named(self.path):
            _refuse_others(self.path)
            os.close(
                os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            )  # SQLite gives its other files this mode
            try:
                self._db = self._connect()
                self._make()
                self._reader, self._cleaner = self._connect(), self._connect()
                self._cleaner.execute("PRAGMA wal_autocheckpoint = 0")
                self._reader.execute("PRAGMA query_only = ON")
                self._state = _state_of(self._db)
                self._last = self._check()
            except BaseException:
                self._close()
                raise

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, timeout=30, check_same_thread=False)
        self._connections.append(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA cell_size_check = ON")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_MAX_PAGES}")
        return db

    def _make(self) -> None:
        [(version,)] = self._db.execute("PRAGMA user_version")
        if version == 0:
            self._db.executescript(f"BEGIN;{_SCHEMA}")
            self._db.execute("INSERT INTO state VALUES (1, ?, ?, ?, ?, ?)", _columns(_State()))
            self._db.execute("COMMIT")

    def _check(self) -> int:
        """Nothing that SQLite or a sum can see is wrong; the block of the last record there ever was."""
        for (said,) in self._db.execute("PRAGMA quick_check"):
            if said != "ok":
                raise JournalBroken(f"The journal {self.path} is damaged: {said}")
        last = self._state.forgotten
        for head in self._heads():
            last = head.block
        return last

    def _close(self) -> None:
        for connection in self._connections:
            with suppress(sqlite3.Error):
                connection.close()
        self._connections.clear()

    def close(self) -> None:
        with self._lock:
            self._close()

    # Writing

    def identity(self) -> Identity:
        return Identity(self._state.installation, self._state.generation)

    def bind(self, identity: Identity) -> None:
        """From now on this is the journal of that installation, in that generation."""
        with self._lock:
            changed = msgspec.structs.replace(
                self._state, installation=identity.installation, generation=identity.generation
            )
            with _meant():
                self._write(self._db, changed)

    def commit(self, record: Record) -> None:
        """The record is on the disk when this returns. After any error `settle` tells whether it is."""
        head, body = encode(record, self._last)
        with self._lock:
            assert not self._doubtful, "the commit before is still in doubt"
            assert record.block > max(self._last, self._state.burnt), (record.block, self._last, self._state.burnt)
            self._doubtful = True
            with _meant():
                self._db.execute("INSERT INTO records VALUES (?, ?, ?)", (record.block, head, body))
            self._last, self._doubtful = record.block, False

    def settle(self, block: int) -> bool:
        """Is the record of this block there? Where it is not, its number is burnt, synced. After an error of `commit`,
        whatever it was. Raises where it cannot be known; it can be asked again then."""
        with self._lock:
            self._close()
            self._open()
            with _meant():
                self._carry_over("settle whether a block is there")
                there = self._db.execute("SELECT 1 FROM records WHERE block = ?", (block,)).fetchone() is not None
                if not there:
                    self._write(self._db, msgspec.structs.replace(self._state, burnt=max(self._state.burnt, block)))
            self._doubtful = False
            return there

    def burnt(self) -> int:
        """The highest number of a block that is not there and must never be used."""
        return self._state.burnt

    def forget(self, until: int, *, erase: bool = False) -> None:
        """The records up to this block go. From the flusher's thread; commits go on meanwhile. `erase`: no byte of any
        record that was ever forgotten stays in the files; Unavailable while somebody reads them as they were."""
        with _meant():
            while self._forget_some(until):
                time.sleep(PAUSE_S)
            if erase:
                self._rewrite()
            elif self._log_bytes() >= CARRIED_FROM:
                self._cleaner.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # most of it, while commits go on
                with self._lock:
                    self._cleaner.execute(
                        "PRAGMA wal_checkpoint(RESTART)"
                    ).fetchall()  # the rest, so that it begins anew

    def _forget_some(self, until: int) -> bool:
        """One step; whether there may be more."""
        with self._lock:
            sizes = self._cleaner.execute(
                "SELECT block, length(body) FROM records WHERE block <= ? ORDER BY block LIMIT ?", (until, STEP_RECORDS)
            ).fetchall()
            if not sizes:
                return False
            size, upto = 0, sizes[0][0]
            for block, length in sizes:
                size += length
                if size > STEP_BYTES and block != sizes[0][0]:
                    break
                upto = block
            with _transaction(self._cleaner):
                self._cleaner.execute("DELETE FROM records WHERE block <= ?", (upto,))
                changed = msgspec.structs.replace(self._state, forgotten=upto)
                self._cleaner.execute(_CHANGE, _columns(changed))
            self._state = changed
            return bool(upto < until)

    def _rewrite(self) -> None:
        with self._lock:
            self._cleaner.execute("PRAGMA secure_delete = ON").fetchall()
            try:
                self._cleaner.execute("VACUUM")
            finally:
                self._cleaner.execute("PRAGMA secure_delete = OFF").fetchall()
            self._carry_over("drop the old pages of the journal")

    def _carry_over(self, why: str) -> None:
        """Everything stands in the file itself, and the write-ahead log is empty."""
        [(busy, *_)] = self._cleaner.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise Unavailable(f"somebody reads the journal as it was; it is too early to {why}")

    def _write(self, db: sqlite3.Connection, changed: _State) -> None:
        db.execute(_CHANGE, _columns(changed))
        self._state = changed

    # Reading

    def after(self, block: int) -> Iterator[Record]:
        """The records of later blocks, in order. Each is read when it is asked for: none keeps the log from ending."""
        query = "SELECT block, head, body FROM records WHERE block > ? ORDER BY block LIMIT 1"
        before: int | None = None
        while found := self._read(query, block):
            [(block, head, body)] = found
            try:
                known = head_of(block, head)
                record = decode(known, body)
            except Torn as torn:
                self._broken(block, torn)
            if before is not None and known.before != before:
                self._missing(before, known)
            before = block
            yield record

    def blocks(self) -> list[tuple[int, int]]:
        """Block and number of rows of every record, ascending."""
        with self._lock, _named(self.path):
            return [(head.block, head.rows) for head in self._heads()]

    def measures(self) -> dict[str, float]:
        [(records,)] = self._read("SELECT count(*) FROM records")
        return {"journal_bytes": float(self.path.stat().st_size + self._log_bytes()), "journal_records": float(records)}

    def _heads(self) -> Iterator[Head]:
        before = self._state.forgotten
        for block, head in self._db.execute("SELECT block, head FROM records ORDER BY block"):
            try:
                known = head_of(block, head)
            except Torn as torn:
                self._broken(block, torn)
            if known.before != before:
                self._missing(before, known)
            before = block
            yield known

    def _read(self, query: str, *asked: int) -> list[Any]:
        with _named(self.path), self._lock:
            return self._reader.execute(query, asked).fetchall()

    def _log_bytes(self) -> int:
        log = self.path.with_name(f"{self.path.name}-wal")
        return log.stat().st_size if log.exists() else 0

    def _broken(self, block: int, torn: Torn) -> NoReturn:
        raise JournalBroken(f"The record of block {block} in the journal {self.path} is damaged: {torn}") from torn

    def _missing(self, before: int, head: Head) -> NoReturn:
        raise JournalBroken(
            f"The journal {self.path} lacks a record: block {head.block} was committed after block {head.before}, and"
            f" the record before it is of block {before}"
        )


def peek(path: Path) -> Peeked | None:
    """Whose journal it is and how far it reaches; None where there is none yet. Changes nothing: for a start that may
    be refused, under the lease."""
    if not path.exists():
        return None
    with _named(path):
        _refuse_others(path)
        db = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            [(version,)] = db.execute("PRAGMA user_version")
            if not version:
                return None
            state = _state_of(db)
            [(first, last)] = db.execute("SELECT coalesce(min(block), 0), coalesce(max(block), 0) FROM records")
            return Peeked(Identity(state.installation, state.generation), state.burnt, first, last)
        finally:
            db.close()


_CHANGE: Final = (
    "INSERT INTO state VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT (one) DO UPDATE SET installation = excluded.installation,"
    " generation = excluded.generation, burnt = excluded.burnt, forgotten = excluded.forgotten, sum = excluded.sum"
)


def _columns(state: _State) -> tuple[str, str, int, int, int]:
    told = msgspec.structs.astuple(state)
    return (*told, sum_of(msgspec.msgpack.encode(told)) >> 1)


def _state_of(db: sqlite3.Connection) -> _State:
    found = db.execute("SELECT installation, generation, burnt, forgotten, sum FROM state").fetchall()
    if len(found) != 1 or _columns(state := _State(*found[0][:-1])) != found[0]:
        raise Torn("its row of state is not what was written")
    return state


def _refuse_others(path: Path) -> None:
    """Before anything is written: JournalBroken for a file that is no journal, JournalTooNew for a later one."""
    if path.is_dir():
        raise Torn("it is a directory")
    if not path.exists():
        return
    db = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        [(application,)] = db.execute("PRAGMA application_id")
        [(version,)] = db.execute("PRAGMA user_version")
        [(tables,)] = db.execute("SELECT count(*) FROM sqlite_schema")
    finally:
        db.close()
    if application != APPLICATION and (application or version or tables):
        raise Torn("it is the database of something else")
    if version > SCHEMA_VERSION:
        raise JournalTooNew(
            f"The journal {path} has schema {version}, which this flowtally does not know: it knows up to schema "
            f"{SCHEMA_VERSION}. Start the version that wrote it, or a later one"
        )


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def _meant() -> Iterator[None]:
    """What SQLite says of a write, as what it means."""
    try:
        yield
    except sqlite3.Error as error:
        if known := sqlite_meaning(error, JOURNAL, writes=True):
            raise known from error
        raise


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """What keeps the journal from being read, with its file."""
    try:
        yield
    except (sqlite3.Error, Torn) as error:
        known = None if isinstance(error, Torn) else sqlite_meaning(error, JOURNAL, writes=False)
        if known is not None and not isinstance(known, StoreDamaged):
            raise known from error
        raise JournalBroken(f"The journal {path} cannot be read: {error}") from error
