"""Which events are already counted: keys, source marks and the committer's place, in a database of their own.

SQLite beside the data. Claiming must never delay the ledger, hence not the ledger's database. The journal is the log
and this database follows it, record by record: a block's commit here may be lost in a power cut. What no record has
(who was given a source, what was erased or tagged of held events, a skipped number) is synced, and all before it too.

One process owns it (`WriterBusy` otherwise); only the committer's thread writes. Reads may come from any thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from flowtally.core.errors import KeysBroken, KeysTooNew, Unavailable
from flowtally.core.sqlite_faults import WAIT_S, sqlite_meaning
from flowtally.core.words import SourceKind
from flowtally.host.lease import Lease, of_keys
from flowtally.keys import counter_states, held_events, key_index
from flowtally.keys.carrying import LogCarrier
from flowtally.keys.claims import Packed
from flowtally.keys.key_index import KeyIndex
from flowtally.keys.values import (
    Claim,
    Committed,
    CounterGroup,
    Held,
    HeldGroup,
    HeldWhere,
    Known,
    KnownCounter,
    Moved,
    Number,
    Refused,
    Source,
)

KEYS: Final = "the database of event keys"
SCHEMA_VERSION: Final = 5
CACHE_KIB: Final = 32_768  # pages that are used again and again; more took memory and saved no time
READER_CACHE_KIB: Final = 8_192
LOG_MAX_PAGES: Final = 65_536  # of the write-ahead log (256 MB), at which a commit carries it over: nobody else did


_SCHEMA: Final = f"""
CREATE TABLE committer (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL,          -- counts the starts
    holder TEXT NOT NULL,            -- who holds the lease, for people
    block INTEGER NOT NULL,          -- the last committed block
    burnt INTEGER NOT NULL,          -- the highest block number that must never be used again
    received_at INTEGER NOT NULL,    -- of the last committed block, ms
    rows_total INTEGER NOT NULL,     -- rows acknowledged, ever
    clean_block INTEGER NOT NULL,    -- up to here the roll-ups are known to be on the disk
    clean INTEGER NOT NULL           -- 1 after a clean stop
);
INSERT INTO committer VALUES (1, 0, '', 0, 0, 0, 0, 0, 1);
CREATE TABLE sources (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('named', 'numbered')),
    owner TEXT NOT NULL,             -- the sender that first wrote it, or was given it; '' where only rows tell of it
    mark INTEGER NOT NULL DEFAULT 0,
    position TEXT                    -- what the event numbered `mark` carried
);
{key_index.SCHEMA}
CREATE TABLE refused (
    source INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    id TEXT NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (source, sequence)
) WITHOUT ROWID;
"""
# What each later version adds to the one before; a new file is made as version 1 and brought up the same way.
_STEPS: Final = {
    2: """
ALTER TABLE committer ADD COLUMN installation TEXT NOT NULL DEFAULT '';   -- whose keys these are; '' until bound
ALTER TABLE committer ADD COLUMN generation TEXT NOT NULL DEFAULT '';
ALTER TABLE committer ADD COLUMN promise INTEGER NOT NULL DEFAULT 0;      -- the ledger's highest when it last moved
""",
    3: f"""
ALTER TABLE sources ADD COLUMN announced INTEGER NOT NULL DEFAULT 0;      -- as `held.announced`
CREATE INDEX sources_announced ON sources (announced) WHERE announced != 0;
{held_events.SCHEMA}
""",
    # The same table of sources, with one kind more: what a column may hold cannot be changed otherwise.
    4: f"""
CREATE TABLE sources_4 (
    no INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('named', 'numbered', 'counters')),
    owner TEXT NOT NULL,
    mark INTEGER NOT NULL DEFAULT 0,
    position TEXT,
    announced INTEGER NOT NULL DEFAULT 0
);
INSERT INTO sources_4 SELECT no, name, kind, owner, mark, position, announced FROM sources;
DROP TABLE sources;
ALTER TABLE sources_4 RENAME TO sources;
CREATE INDEX sources_announced ON sources (announced) WHERE announced != 0;
{counter_states.SCHEMA}
""",
    # What `announced` was for, the journal's record has now: it is 0 but in a file that version 4 left uncleanly.
    5: """
ALTER TABLE committer ADD COLUMN journaled INTEGER NOT NULL DEFAULT 0;    -- 1: every block since is in the journal
""",
}


LOST_REASON: Final = "reason_lost"  # a number without a row of which nothing else is known
# What is said first stays, but for what said nothing.
_REFUSE: Final = (
    "INSERT INTO refused VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, sequence) DO UPDATE SET"
    f" id = excluded.id, code = excluded.code, detail = excluded.detail WHERE refused.code = '{LOST_REASON}'"
)


class _Reader(sqlite3.Connection):
    """A connection whose errors say what they mean: who asks is a caller's thread, outside any `begin`."""

    def execute(self, *asked: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*asked)
        except sqlite3.Error as error:
            known = sqlite_meaning(error, KEYS, writes=False)
            if known is None:
                raise
            raise known from error


class Keys:
    """The keys database. `begin()` opens the one write transaction; everything that writes happens inside it."""

    def __init__(self, path: Path, lease: Lease | None = None) -> None:
        """`lease`: of these keys, where it was taken before; given back by `close` in any case."""
        self.path = path
        self._lease = lease or Lease(of_keys(path), "keys_url")
        self._local = threading.local()
        self._forgets = False
        self._writing = threading.Lock()
        self._carrier = LogCarrier(lambda: self._connect(READER_CACHE_KIB), self._writing)
        self._readers: list[sqlite3.Connection] = []
        try:
            self._db = self._connect()
            self._migrate()
            self._index = KeyIndex(self._db)
            self._lease.keep()
        except BaseException as error:
            self._lease.release()
            if isinstance(error, sqlite3.DatabaseError):
                raise KeysBroken(f"The keys database {path} cannot be read: {error}") from error
            raise

    def _connect(
        self, cache_kib: int = CACHE_KIB, kind: type[sqlite3.Connection] = sqlite3.Connection
    ) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, isolation_level=None, timeout=WAIT_S, check_same_thread=False, factory=kind)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = -{cache_kib}")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute(f"PRAGMA wal_autocheckpoint = {LOG_MAX_PAGES}")
        db.execute("PRAGMA secure_delete = OFF")
        return db

    def _migrate(self) -> None:
        [version] = self._db.execute("PRAGMA user_version").fetchone()
        _refuse_newer(self.path, version)
        if version == 0:
            self._db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = 1;COMMIT;")
        for step in range(max(version, 1) + 1, SCHEMA_VERSION + 1):
            self._db.executescript(f"BEGIN;{_STEPS[step]}PRAGMA user_version = {step};COMMIT;")

    # Writing: the committer's thread only

    @contextmanager
    def begin(self, *, durable: bool = False, forgets: bool = False) -> Iterator[None]:
        """One transaction; synced before it returns where `durable`. `forgets`: what it takes out is overwritten."""
        with self._writing:
            with self._transaction(durable=durable, forgets=forgets):
                yield
            self._carrier.committed(self._db.total_changes)

    @contextmanager
    def _transaction(self, *, durable: bool, forgets: bool) -> Iterator[None]:
        try:
            self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            if forgets is not self._forgets:
                self._db.execute(f"PRAGMA secure_delete = {'ON' if forgets else 'OFF'}").fetchall()
                self._forgets = forgets
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and (known := sqlite_meaning(error, KEYS, writes=True)):
                raise known from error
            raise

    def bind(self, installation: str, generation: str) -> None:
        """From now on these are the keys of that installation, in that generation."""
        with self.begin(durable=True):
            self._db.execute("UPDATE committer SET installation = ?, generation = ?", (installation, generation))

    def start(self, holder: str, promise: int = 0) -> Committed:
        """Count this start; from here on the stop is unclean until `mark_clean`. Answers how the last one ended."""
        before = self.committed()
        with self.begin(durable=True):
            changes = "epoch = epoch + 1, holder = ?, clean = 0, promise = max(promise, ?)"
            self._db.execute(f"UPDATE committer SET {changes}", (holder, promise))
        return before

    def try_writing(self) -> None:
        """Write something, synced, that changes nothing: raises what a commit would."""
        with self.begin(durable=True):
            self._db.execute("UPDATE committer SET holder = holder")

    def mark_clean(self, block: int, *, stopped: bool = False, promise: int = 0) -> None:
        """Everything up to `block` is on the disk, projections too. `promise`: the ledger's highest number by then."""
        with self.begin(durable=True):
            changes = "clean_block = max(clean_block, ?), clean = ?, promise = max(promise, ?)"
            self._db.execute(f"UPDATE committer SET {changes}", (block, stopped, promise))

    def skip(self, block: int) -> None:
        """The block is not there and never will be."""
        with self.begin(durable=True):
            self._db.execute("UPDATE committer SET burnt = max(burnt, ?)", (block,))

    def register(self, name: str, kind: SourceKind, owner: str) -> Source:
        """Fix a source's kind and owner, at its first use; synced, for the owner lives only here."""
        with self.begin(durable=True):
            insert = "INSERT INTO sources (name, kind, owner) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING"
            self._db.execute(insert, (name, kind, owner))
        found = _one_source(self._db, name)
        assert found is not None
        return found

    def hand_over(self, name: str, owner: str) -> Source | None:
        """The source is this owner's from now on; None where there is none. Synced, for the owner lives only here."""
        with self.begin(durable=True):
            self._db.execute("UPDATE sources SET owner = ? WHERE name = ?", (owner, name))
        return self.source(name)

    def confirm(self, block: int) -> None:
        """What version 4 announced with this block counts: its rows are there. Inside `begin`."""
        held_events.confirm(self._db, block)
        self._db.execute("UPDATE sources SET announced = 0 WHERE announced = ?", (block,))

    def begin_journal(self) -> None:
        """From now on every block is in the journal: what version 4 announced and is not confirmed never came."""
        with self.begin(durable=True, forgets=True):
            held_events.withdraw(self._db)
            self._db.execute("DELETE FROM sources WHERE announced != 0")
            self._db.execute("UPDATE committer SET journaled = 1")

    def recode(self, events: Iterable[Held]) -> None:
        """They are held for another reason than before. Inside `begin`."""
        held_events.recode(self._db, events)

    def tag_held(self, account: str, users: Sequence[str], user_id: str) -> None:
        """These are this user's names: `tagged_held` will find what is held of them, when nothing else knows them."""
        with self.begin(durable=True):
            held_events.tag(self._db, account, users, user_id)

    def drop_old_bytes(self) -> None:
        """Make what was held and is no more disappear from the file, and from the write-ahead log. Unavailable while
        somebody reads it."""
        with self.begin(durable=True, forgets=True):
            held_events.rewrite(self._db)
        [busy, *_] = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Unavailable("somebody reads the event keys as they were; their old pages cannot be dropped yet")

    def claim(self, claims: Sequence[Claim], block: int) -> int:
        """Put those keys there that are not yet; how many were new. Inside `begin`; if fewer than asked, `unclaim`."""
        return self._index.claim(claims, block)

    def claim_packed(self, packed: Sequence[Packed], block: int, others: Sequence[Claim] = ()) -> int:
        """The same, for keys that lie together, and `others`."""
        return self._index.claim_packed(packed, block, others)

    def claimed(self, source: int, keys: Sequence[bytes]) -> Known:
        """`known`, for the committer's thread: quick for many keys."""
        return self._index.known(source, keys)

    def unclaim(self) -> None:
        """Go back to the savepoint."""
        self._db.execute("ROLLBACK TO claims")

    def savepoint(self) -> None:
        self._db.execute("SAVEPOINT claims")

    def move(self, moved: Moved) -> None:
        """The committer and its sources move on. Inside `begin`."""
        if moved.sources:
            new = [(one.no, one.name, one.kind, one.owner) for one in moved.sources]
            self._db.executemany("INSERT INTO sources (no, name, kind, owner) VALUES (?, ?, ?, ?)", new)
        refused = [msgspec.structs.astuple(one) for one in moved.refused]
        self._db.executemany(_REFUSE, refused)
        if moved.filled:
            self._db.executemany("DELETE FROM refused WHERE source = ? AND sequence = ?", moved.filled)
        if moved.held:
            held_events.insert(self._db, moved.held)
        if moved.ended:
            held_events.end(self._db, moved.ended)
        if moved.counters:
            counter_states.put(self._db, moved.counters, moved.received_at)
        if moved.seen:
            counter_states.seen(self._db, moved.seen, moved.received_at)
        if moved.forgotten:
            counter_states.forget(self._db, moved.forgotten)
        if moved.due:
            counter_states.put_off(self._db, moved.due)
        self._db.executemany(
            "UPDATE sources SET mark = ?, position = ? WHERE no = ? AND mark < ?",
            [(advance.mark, advance.position, advance.source, advance.mark) for advance in moved.advances],
        )
        self._db.execute(
            "UPDATE committer SET block = ?, received_at = max(received_at, ?), rows_total = rows_total + ?,"
            " promise = max(promise, ?)",
            (moved.block, moved.received_at, moved.rows, moved.promise),
        )

    # Reading: any thread

    def committed(self) -> Committed:
        return committed_of(self._reader())

    def source(self, name: str) -> Source | None:
        return _one_source(self._reader(), name)

    def source_of(self, no: int) -> Source | None:
        row = self._reader().execute(f"{_SOURCE} WHERE no = ?", (no,)).fetchone()
        return Source(*row) if row else None

    def last_source(self) -> int:
        """The highest number a source has."""
        [(last,)] = self._reader().execute("SELECT coalesce(max(no), 0) FROM sources")
        return int(last)

    def named_sources(self, names: Iterable[str]) -> dict[str, Source]:
        """Those of these that are there, by name: one question for all, which may be many."""
        query = f"{_SOURCE} WHERE name IN (SELECT value FROM json_each(?))"
        rows = self._reader().execute(query, (msgspec.json.encode(list(names)).decode(),))
        return {row[1]: Source(*row) for row in rows}

    def source_page(self, owner: str | None, after: int, limit: int) -> list[Source]:
        """Sources in the order they were first written, those after this number; only of this owner if given."""
        of_owner = "" if owner is None else " AND owner = ?"
        query = f"{_SOURCE} WHERE no > ?{of_owner} ORDER BY no LIMIT ?"
        asked = (after, limit) if owner is None else (after, owner, limit)
        return [Source(*row) for row in self._reader().execute(query, asked)]

    def known(self, source: int, keys: Sequence[bytes]) -> Known:
        """Of these keys those that are claimed: (digest, block) each."""
        return key_index.known(self._reader(), source, keys)

    def refusals(self, source: int, first: int, last: int) -> dict[int, Refused]:
        """The refused events of a numbered source, of these numbers (both included)."""
        query = "SELECT source, sequence, id, code, detail FROM refused WHERE source = ? AND sequence BETWEEN ? AND ?"
        rows = self._reader().execute(query, (source, first, last))
        return {row[1]: Refused(*row) for row in rows}

    def refused_among(self, source: int, numbers: Sequence[int]) -> dict[int, Refused]:
        """Those of these numbers that are refused: one question for all, which may be many."""
        query = (
            "SELECT source, sequence, id, code, detail FROM refused"
            " WHERE source = ? AND sequence IN (SELECT value FROM json_each(?))"
        )
        rows = self._reader().execute(query, (source, msgspec.json.encode(numbers).decode()))
        return {row[1]: Refused(*row) for row in rows}

    def unstored(self, source: int, mark: int, most: int) -> tuple[int, int]:
        """How many events of a numbered source up to its mark are held, and how many are refused, `most` at most."""
        held = held_events.count(self._reader(), source, mark)
        query = "SELECT count(*) FROM (SELECT 1 FROM refused WHERE source = ? AND sequence <= ? LIMIT ?)"
        [refused] = self._reader().execute(query, (source, mark, most)).fetchone()
        return held, int(refused)

    def refusal_of(self, source: int, id: str) -> Refused | None:
        query = "SELECT source, sequence, id, code, detail FROM refused WHERE source = ? AND id = ? LIMIT 1"
        row = self._reader().execute(query, (source, id)).fetchone()
        return Refused(*row) if row else None

    def held(self, source: int, first: int, last: int) -> dict[int, Held]:
        """The held events of a numbered source, of these numbers (both included)."""
        return held_events.among(self._reader(), source, first, last)

    def held_among(self, source: int, numbers: Sequence[int]) -> dict[int, Held]:
        """Those of these numbers that are held: one question for all, which may be many."""
        return held_events.those(self._reader(), source, numbers)

    def held_of_id(self, source: int, id: str) -> Held | None:
        return held_events.of_id(self._reader(), source, id)

    def held_page(self, where: HeldWhere, after: Number = (0, 0), limit: int = held_events.PAGE) -> list[Held]:
        """Held events in order of source and number, those after this number of a source."""
        return held_events.page(self._reader(), where, after, limit)

    def held_at(self, account: str, times: Sequence[int]) -> list[Held]:
        """What is held of the account that happened at one of these instants."""
        return held_events.dated(self._reader(), account, times)

    def held_groups(self) -> list[HeldGroup]:
        return held_events.groups(self._reader())

    def next_held_time(self) -> int | None:
        """The time of the first that is held for its time alone."""
        return held_events.next_time(self._reader())

    def tagged_held(self, user_ids: Sequence[str]) -> list[Held]:
        """What is held of these users, as `tag_held` told."""
        return held_events.tagged(self._reader(), user_ids)

    def counters(self, source: int, names: Iterable[str]) -> dict[str, KnownCounter]:
        """Those of these counters of a source that are known, by name."""
        return {one.counter: one for one in counter_states.named(self._reader(), source, names)}

    def open_counters(self, source: int, prefix: str) -> list[KnownCounter]:
        """The open counters of a source whose names begin so."""
        return counter_states.open_ones(self._reader(), source, prefix)

    def counter_page(
        self, source: int, prefix: str, after: str, limit: int, *, account: str | None = None
    ) -> list[KnownCounter]:
        """Counters of a source whose names begin so, in order, those after this one; only of this account if given."""
        return counter_states.page(self._reader(), source, prefix, after, limit, account)

    def due_counters(self, now: int, limit: int) -> list[KnownCounter]:
        """Counters that may be silent too long by now."""
        return counter_states.due(self._reader(), now, limit)

    def counter_groups(self) -> list[CounterGroup]:
        return counter_states.groups(self._reader())

    def measures(self) -> dict[str, float]:
        return {"keys_bytes_on_disk": float(self.path.stat().st_size)}

    def _reader(self) -> sqlite3.Connection:
        reader: sqlite3.Connection | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._connect(READER_CACHE_KIB, _Reader)
            reader.execute("PRAGMA query_only = ON")
            self._local.reader = reader
            self._readers.append(reader)
        return reader

    def close(self) -> None:
        """Close everything and give the lease back."""
        self._carrier.stop()
        for reader in self._readers:
            reader.close()
        self._db.close()
        self._lease.release()


def peek(path: Path) -> Committed | None:
    """Where the committer of this file stands; None where there is none yet. Changes nothing: for a start that may be
    refused, under the lease. KeysBroken where it cannot be read, or is of a later flowtally."""
    if not path.exists():
        return None
    try:
        # Read-only it would leave files of its own behind.
        db = sqlite3.connect(path, isolation_level=None, timeout=WAIT_S)
        try:
            [version] = db.execute("PRAGMA user_version").fetchone()
            _refuse_newer(path, version)
            return committed_of(db, version) if version else None
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        raise KeysBroken(f"The keys database {path} cannot be read: {error}") from error


def committed_of(db: sqlite3.Connection, version: int = SCHEMA_VERSION) -> Committed:
    """The one row of this open database, which has that schema."""
    whose = "installation, generation, promise" if version >= 2 else "'', '', 0"
    journaled = "journaled" if version >= 5 else "0"
    query = f"SELECT epoch, block, burnt, received_at, rows_total, clean_block, clean, {whose}, {journaled}"
    epoch, block, skipped, received_at, rows, clean_block, clean, *bound, since = db.execute(
        f"{query} FROM committer"
    ).fetchone()
    id, generation, promise = bound
    return Committed(
        epoch, block, skipped, received_at, rows, clean_block, bool(clean), id, generation, promise, bool(since)
    )


_SOURCE: Final = "SELECT no, name, kind, owner, mark, position FROM sources"


def _one_source(db: sqlite3.Connection, name: str) -> Source | None:
    row = db.execute(f"{_SOURCE} WHERE name = ?", (name,)).fetchone()
    return Source(*row) if row else None


def refuse_newer(path: Path) -> None:
    """KeysTooNew for a file of a later flowtally, which holds more than the rows tell; not for an unreadable one."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        _refuse_newer(path, *db.execute("PRAGMA user_version").fetchone())


def _refuse_newer(path: Path, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise KeysTooNew(
            f"The keys database {path} has schema {version}, which this flowtally does not know: it knows up to schema "
            f"{SCHEMA_VERSION}. Start the version that wrote it, or a later one"
        )
