"""The keys database as it was at one moment, read beside the running writer.

Owns a connection of its own that cannot write. Keys are never changed or removed, so those up to a block are the same
however late they are read; what does change (the committer's place, sources, which numbers are held) is copied at the
beginning. Reads are cut into short transactions: a long one would keep the write-ahead log from being checkpointed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from flowtally.core.errors import KeysBroken
from flowtally.core.sqlite_faults import WAIT_S
from flowtally.keys import counter_states, key_index
from flowtally.keys.store import committed_of
from flowtally.keys.values import Committed, KnownCounter, Source

CHUNK: Final = 50_000

_COMMITTED: Final = "SELECT epoch, block, burnt, received_at, rows_total, clean_block, clean FROM committer"

_NONE_HELD: Final = "CREATE TEMP TABLE then_held (source INTEGER, sequence INTEGER)"


class KeyRows(msgspec.Struct, frozen=True):
    """Keys of one source, as columns; `source` None: of a source that is not registered."""

    no: int
    source: Source | None
    keys: list[bytes]
    digests: list[int]
    blocks: list[int]


class KeysCheck:
    """Made in the moment that counts (between two blocks); used by one thread, then closed."""

    def __init__(self, path: Path) -> None:
        """KeysBroken where what is copied at the beginning cannot be read."""
        self._db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=WAIT_S
        )
        try:
            self.committed = self._copy()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise KeysBroken(f"The keys database {path} cannot be read: {error}") from error

    def _copy(self) -> Committed:
        self._db.execute("PRAGMA temp_store = FILE")  # there may be millions of sources
        self._db.execute("PRAGMA cache_size = -16384")
        self._db.execute("BEGIN")
        self._db.execute("CREATE TEMP TABLE then_sources AS SELECT no, name, kind, owner, mark, position FROM sources")
        held = "SELECT source, sequence FROM held WHERE announced = 0"
        self._db.execute(f"CREATE TEMP TABLE then_held AS {held}" if self._has("held") else _NONE_HELD)
        row = self._db.execute(_COMMITTED).fetchone()
        self._db.execute("COMMIT")
        self._db.execute("CREATE UNIQUE INDEX temp.then_no ON then_sources (no)")
        self._db.execute("CREATE UNIQUE INDEX temp.then_name ON then_sources (name)")
        self._db.execute("CREATE UNIQUE INDEX temp.then_held_at ON then_held (source, sequence)")
        return _place(row)

    def _has(self, table: str) -> bool:
        """A file that was not opened since an earlier version lacks some."""
        return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None

    def complaints(self) -> list[str]:
        """What SQLite says of its own file; empty when it is whole."""
        found = [str(row[0]) for row in self._db.execute("PRAGMA quick_check(20)")]
        return [] if found == ["ok"] else found

    def sources(self) -> Iterator[Source]:
        """All, in order of number."""
        last = 0
        while rows := self._db.execute(
            "SELECT no, name, kind, owner, mark, position FROM then_sources WHERE no > ? ORDER BY no LIMIT 1000",
            (last,),
        ).fetchall():
            yield from (Source(*row) for row in rows)
            last = rows[-1][0]

    def count_sources(self) -> int:
        [(count,)] = self._db.execute("SELECT count(*) FROM then_sources")
        return int(count)

    def source(self, name: str) -> Source | None:
        query = "SELECT no, name, kind, owner, mark, position FROM then_sources WHERE name = ?"
        row = self._db.execute(query, (name,)).fetchone()
        return Source(*row) if row else None

    def all_keys(self) -> Iterator[KeyRows]:
        """All keys of blocks up to the committed one, in order, some thousands at a time.

        Keys come into logs and drain into the tree (`key_index`). The logs are copied first: whatever drained before is
        in the tree from then on, and what drains meanwhile is the same entry twice, which the UNION makes one again."""
        self._copy_logs()
        last: tuple[int, bytes, int, int] = (-(2**63), b"", -(2**63), 0)
        portion = (
            "SELECT source, key, digest, block FROM {table} WHERE (source, key, digest, block) > (?, ?, ?, ?)"
            " ORDER BY source, key, digest, block LIMIT ?"
        )
        both = " UNION ".join(f"SELECT * FROM ({portion.format(table=one)})" for one in ("keys", "then_logs"))
        query = f"{both} ORDER BY source, key, digest, block LIMIT ?"
        while rows := self._db.execute(query, (*last, CHUNK, *last, CHUNK, CHUNK)).fetchall():
            start = 0
            while start < len(rows):  # keys of one source are together
                no = rows[start][0]
                end = next((at for at in range(start, len(rows)) if rows[at][0] != no), len(rows))
                mine = [row for row in rows[start:end] if row[3] <= self.committed.block]
                yield KeyRows(no, self._source(no), *([row[at] for row in mine] for at in (1, 2, 3)))
                start = end
            last = rows[-1]

    def _copy_logs(self) -> None:
        self._db.execute("DROP TABLE IF EXISTS temp.then_logs")
        columns = "source, key, digest, block, PRIMARY KEY (source, key, digest, block)"
        self._db.execute(f"CREATE TEMP TABLE then_logs ({columns}) WITHOUT ROWID")
        logs = "SELECT * FROM log0 UNION ALL SELECT * FROM log1"
        self._db.execute(f"INSERT OR IGNORE INTO then_logs SELECT * FROM ({logs})")

    def _source(self, no: int) -> Source | None:
        query = "SELECT no, name, kind, owner, mark, position FROM then_sources WHERE no = ?"
        row = self._db.execute(query, (no,)).fetchone()
        return Source(*row) if row else None

    def refused(self, no: int, first: int, last: int) -> list[int]:
        """Refused numbers of a source in this range (both included), ascending, without those that were held then."""
        query = (
            "SELECT sequence FROM refused AS r WHERE source = ? AND sequence BETWEEN ? AND ? AND NOT EXISTS"
            " (SELECT 1 FROM then_held AS h WHERE h.source = r.source AND h.sequence = r.sequence) ORDER BY sequence"
        )
        return [row[0] for row in self._db.execute(query, (no, first, last))]

    def held(self, no: int, first: int, last: int) -> list[int]:
        """Numbers that were held."""
        query = "SELECT sequence FROM then_held WHERE source = ? AND sequence BETWEEN ? AND ? ORDER BY sequence"
        return [row[0] for row in self._db.execute(query, (no, first, last))]

    def count_held(self) -> int:
        [(count,)] = self._db.execute("SELECT count(*) FROM then_held")
        return int(count)

    def source_of(self, no: int) -> Source | None:
        return self._source(no)

    def counters(self, limit: int) -> Iterator[list[KnownCounter]]:
        """All that are known, some at a time. Unlike keys they move: each is as it is when it is read."""
        last = (0, "")
        while self._has("counters") and (some := counter_states.all_of(self._db, last, limit)):
            yield some
            last = (some[-1].source, some[-1].counter)

    def count_counters(self) -> int:
        if not self._has("counters"):
            return 0
        [(count,)] = self._db.execute("SELECT count(*) FROM counters")
        return int(count)

    def knows(self, source: int, key: bytes) -> bool:
        """Whether this key was claimed, in a block up to the committed one."""
        found = key_index.known(self._db, source, [key])
        return any(block <= self.committed.block for _, block in found.values())

    def close(self) -> None:
        self._db.close()


def read_place(path: Path) -> Committed:
    """Where the committer of this file stands; KeysBroken where it cannot be read."""
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            [version] = db.execute("PRAGMA user_version").fetchone()
            return committed_of(db, version)
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        raise KeysBroken(f"The keys database {path} cannot be read: {error}") from error


def _place(row: tuple[int, ...]) -> Committed:
    epoch, block, skipped, received_at, rows_total, clean_block, clean = row
    return Committed(epoch, block, skipped, received_at, rows_total, clean_block, bool(clean))
