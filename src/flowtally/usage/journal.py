"""The journal: the newest blocks, each as the one synced record that acknowledges it, until its rows are in the table.

SQLite beside the keys, a database of its own. A commit here is the acknowledgement, so it is synced (WAL,
`synchronous=FULL`) and waits for little else: who forgets does it from another thread, on a connection of its own, in
small steps, and carries the write-ahead log over to the file. What is read is checked: a sum over each record, and each
names the one before, so that none is changed or missing without being told.

Owns the records in the file. Leaves to `records` what one is, to `journal_file` the file, to the writer what it means,
and to the flusher when it may go. One thread commits and one forgets; reads may come from any. The lease is that of the
keys beside it.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from flowtally.core.errors import JournalBroken, Unavailable
from flowtally.usage.journal_file import (
    WAIT_S,
    connect,
    log_of,
    meant,
    named,
    prepare,
    put_state,
    refuse_others,
    state_of,
    transaction,
)
from flowtally.usage.records import Head, Record, Torn, decode, encode, head_of
from flowtally.usage.values import Identity

CARRIED_FROM: Final = 16 << 20  # bytes written to the log, from which on forgetting carries it over to the file
PAGES_OF_A_COMMIT: Final = 8_192  # bytes of pages that a commit writes besides its record, about
STEP_RECORDS: Final = 200  # forgotten in one transaction, or fewer where they are large
STEP_BYTES: Final = 4 << 20
PAUSE_S: Final = 0.001  # between steps: whoever waits to commit goes first
SIDE_WAIT_MS: Final = 100  # for a reader outside this process, where a commit waits for us


class Peeked(msgspec.Struct, frozen=True):
    """Whose journal it is, and the blocks of its first and its last record (0: it has none)."""

    identity: Identity
    burnt: int
    first: int
    last: int
    records: int = 0


class Journal:
    """The journal at this path, made where it is not. `JournalBroken` or `JournalTooNew` name file and reason."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # One at a time: cheaper and fairer than SQLite's own waiting. Who takes both takes `_beside` first.
        self._writing = threading.Lock()  # for whoever writes: a commit, a step of forgetting
        self._beside = threading.Lock()  # for whoever uses the other two connections while commits go on
        self._connections: list[sqlite3.Connection] = []
        self._doubtful = False
        with named(path, opening=True):
            self._open()

    # Opening

    def _open(self) -> None:
        prepare(self.path)
        try:
            self._db, self._reader, self._cleaner = (self._connect() for _ in range(3))
            self._reader.execute("PRAGMA query_only = ON")
            self._cleaner.execute("PRAGMA wal_autocheckpoint = 0")
            self._cleaner.execute(f"PRAGMA busy_timeout = {SIDE_WAIT_MS}").fetchall()
            for (said,) in self._db.execute("PRAGMA quick_check"):
                if said != "ok":
                    raise Torn(said)
            self._state = state_of(self._db)
            heads = self._heads(self._db)
            self._records = len(heads)
            self._record_bytes = sum(head.decided_bytes + head.rows_bytes for head in heads)
            self._last = heads[-1].block if heads else self._state.forgotten
            self._log_bytes = _size(log_of(self.path))
        except BaseException:
            self._close()
            raise

    def _connect(self) -> sqlite3.Connection:
        self._connections.append(connect(self.path))
        return self._connections[-1]

    def _close(self) -> None:
        while self._connections:
            with suppress(sqlite3.Error):
                self._connections.pop().close()

    def close(self) -> None:
        with self._beside, self._writing:
            self._close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes, and nothing may be written of which is unknown what came before it."""
        with self._writing:
            if not self._connections or self._doubtful:
                raise Unavailable("The journal is not written before it is known whether the last block is in it")
            with meant():
                yield

    # Writing

    def identity(self) -> Identity:
        return Identity(self._state.installation, self._state.generation)

    def burnt(self) -> int:
        """The highest number of a block that is not there and must never be used."""
        return self._state.burnt

    def bind(self, identity: Identity) -> None:
        """From now on this is the journal of that installation, in that generation."""
        with self._alone():
            self._change(self._db, installation=identity.installation, generation=identity.generation)

    def try_writing(self) -> None:
        """Write something, synced, that changes nothing: raises what a commit would."""
        self.bind(self.identity())

    def commit(self, record: Record) -> None:
        """The record is on the disk when this returns. After any error `settle` tells whether it is."""
        head, body = encode(record, self._last)
        with self._alone():
            assert record.block > max(self._last, self._state.burnt), (record.block, self._last, self._state.burnt)
            self._doubtful = True
            self._db.execute("INSERT INTO records VALUES (?, ?, ?)", (record.block, head, body))
            self._last, self._doubtful = record.block, False
            self._records += 1
            self._record_bytes += len(body)
            self._log_bytes += len(head) + len(body) + PAGES_OF_A_COMMIT

    def settle(self, block: int) -> bool:
        """Is the record of this block there? Where it is not, its number is burnt, synced. After an error of `commit`,
        whatever it was. Raises where it cannot be known; it can be asked again then.

        After a log could not be synced this process may see less of it than the disk has (and than the next process
        will): so everything is closed, and what can be read again is carried over to the file before it is believed.
        """
        with self._beside, self._writing:
            self._doubtful = True
            self._close()
            with named(self.path):
                self._open()
            with meant():
                _carry_over(self._db, "say whether a block is there")
                there = self._db.execute("SELECT 1 FROM records WHERE block = ?", (block,)).fetchone() is not None
                if not there:
                    self._change(self._db, burnt=max(self._state.burnt, block))
            self._doubtful = False
            return there

    def forget(self, until: int, *, erase: bool = False) -> None:
        """The records up to this block go. From the flusher's thread; commits go on meanwhile. `erase`: no byte of any
        record that was ever forgotten stays in the files; Unavailable while somebody reads them as they were."""
        while self._forget_some(until):
            time.sleep(PAUSE_S)
        if erase:
            with self._beside, self._alone():
                self._rewrite()
        else:
            self.carry_over()

    def carry_over(self) -> None:
        """What is in the write-ahead log comes into the file, where it is much: else a commit does it, which waits for
        it. From the flusher's thread; commits go on meanwhile."""
        if self._log_bytes < CARRIED_FROM:
            return
        with self._beside:
            self._usable()
            with meant():
                self._cleaner.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()  # most of it, beside commits
            with self._alone():  # and the rest, so that the log begins again
                [(busy, *_)] = self._cleaner.execute("PRAGMA wal_checkpoint(RESTART)")
                self._log_bytes = self._log_bytes if busy else 0

    def _forget_some(self, until: int) -> bool:
        """One step; whether there may be more."""
        with self._alone():
            query = "SELECT block, length(body) FROM records WHERE block <= ? ORDER BY block LIMIT ?"
            found = self._cleaner.execute(query, (until, STEP_RECORDS)).fetchall()
            if not found:
                return False
            count = size = 0
            while count < len(found) and (count == 0 or size + found[count][1] <= STEP_BYTES):
                size += found[count][1]
                count += 1
            last = found[count - 1][0]
            self._change(self._cleaner, "DELETE FROM records WHERE block <= ?", last, forgotten=last)
            self._records -= count
            self._record_bytes -= size
            self._log_bytes += count * PAGES_OF_A_COMMIT
            return bool(last < until)

    def _rewrite(self) -> None:
        self._cleaner.execute("PRAGMA secure_delete = ON").fetchall()
        try:
            self._cleaner.execute("VACUUM")  # pages that earlier steps left free are not overwritten otherwise
        finally:
            self._cleaner.execute("PRAGMA secure_delete = OFF").fetchall()
        _carry_over(self._cleaner, "drop its old pages")
        self._log_bytes = 0

    def _change(self, db: sqlite3.Connection, also: str = "", *asked: int, **changes: str | int) -> None:
        """The state, and what goes `also`, in one transaction."""
        with transaction(db):
            if also:
                db.execute(also, asked)
            changed = msgspec.structs.replace(state_of(db), **changes)  # what is there may be newer than what we know
            put_state(db, changed)
        self._state = changed

    # Reading

    def after(self, block: int) -> Iterator[Record]:
        """The records of later blocks, in order. Each is read when it is asked for, so that none keeps the log from
        being carried over; what is forgotten meanwhile is left out."""
        before, last = block, self._last
        while found := self._next(before):
            block, head, body = found
            try:
                known = head_of(block, head)
                record = decode(known, body)
            except Torn as torn:
                self._broken(block, torn)
            if known.before > max(before, self._state.forgotten):
                self._missing(known.before)
            before = block
            yield record
        if last > max(before, self._state.forgotten):
            self._missing(last)

    def blocks(self) -> list[tuple[int, int]]:
        """Block and number of rows of every record, ascending."""
        with self._reading(), transaction(self._reader, "DEFERRED"):
            return [(head.block, head.rows) for head in self._heads(self._reader)]

    def first_received_at(self) -> int | None:
        """When the earliest block was received that has a record; later ones were not before."""
        with self._reading():
            found = self._reader.execute("SELECT block, head FROM records ORDER BY block LIMIT 1").fetchone()
        if found is None:
            return None
        try:
            return head_of(*found).received_at
        except Torn as torn:
            self._broken(found[0], torn)

    def measures(self) -> dict[str, float]:
        """`journal_bytes` is what the files take, which does not get less; `journal_record_bytes` what is in them."""
        size = _size(self.path) + _size(log_of(self.path))
        return {
            "journal_bytes": float(size),
            "journal_records": float(self._records),
            "journal_record_bytes": float(self._record_bytes),
        }

    def _heads(self, db: sqlite3.Connection) -> list[Head]:
        """Of all records; each follows the one before, the first what was forgotten."""
        heads: list[Head] = []
        before = state_of(db).forgotten
        for block, head in db.execute("SELECT block, head FROM records ORDER BY block"):
            try:
                heads.append(head_of(block, head))
            except Torn as torn:
                self._broken(block, torn)
            if heads[-1].before != before:
                self._missing(heads[-1].before)
            before = block
        return heads

    def _next(self, block: int) -> Any:
        with self._reading():
            query = "SELECT block, head, body FROM records WHERE block > ? ORDER BY block LIMIT 1"
            return self._reader.execute(query, (block,)).fetchone()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._beside:
            self._usable()
            with named(self.path):
                yield

    def _usable(self) -> None:
        if not self._connections:
            raise Unavailable("The journal is closed")

    def _broken(self, block: int, torn: Torn) -> NoReturn:
        raise JournalBroken(f"The record of block {block} in the journal {self.path} is damaged: {torn}") from torn

    def _missing(self, block: int) -> NoReturn:
        raise JournalBroken(f"The journal {self.path} lacks the record of block {block}, though it was committed")


def peek(path: Path) -> Peeked | None:
    """Whose journal it is and how far it reaches; None where there is none yet. Changes nothing: for a start that may
    be refused, under the lease."""
    with named(path, opening=True):
        refuse_others(path)
        if not path.exists() or not path.stat().st_size:
            return None
        db = sqlite3.connect(path, isolation_level=None, timeout=WAIT_S)
        try:
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                return None
            state = state_of(db)
            text = "SELECT coalesce(min(block), 0), coalesce(max(block), 0), count(*) FROM records"
            [(first, last, records)] = db.execute(text)
            return Peeked(Identity(state.installation, state.generation), state.burnt, first, last, records)
        finally:
            db.close()


def _carry_over(db: sqlite3.Connection, why: str) -> None:
    """Everything stands in the file itself, and the write-ahead log is empty."""
    [(busy, *_)] = db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if busy:
        raise Unavailable(f"Somebody reads the journal as it was: it is too early to {why}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
