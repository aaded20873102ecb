"""What gauges of servers stood at, in a SQLite file of its own beside the data: samples in, samples out; append only.

Not in the ledger, whose writes are each recorded and numbered and which a backup reads whole; not in the engine of
usage, where an insert costs the same however little it brings, and a look for what was there before it another:
`docs/inventory/servers.md` has the figures. One row is a chunk, a series for six hours (`chunks`). A request is one
synced commit. The file is made with the first sample.

One process owns the data directory; writes take turns here, reads come from any thread.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from flowtally.core.errors import ConfigError, FlowtallyError
from flowtally.core.samples import MAX_SERIES
from flowtally.core.sqlite_faults import WAIT_S, sqlite_meaning
from flowtally.core.times import DAY_S
from flowtally.samples.chunks import MAX_IN_CHUNK, Numbers, pack, span_of, unpack
from flowtally.samples.values import Measured, SampleOutcome

FILE: Final = "samples.db"
SAMPLES: Final = "the database of samples"
SCHEMA_VERSION: Final = 1
NONE: Final = np.zeros(0, dtype=np.int64)

_SCHEMA: Final = """
CREATE TABLE series (
    no INTEGER PRIMARY KEY,
    server TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (server, name)
);
CREATE TABLE chunks (
    series INTEGER NOT NULL REFERENCES series (no),
    span INTEGER NOT NULL,           -- which six hours since 1970 UTC
    samples INTEGER NOT NULL,
    packed BLOB NOT NULL,
    UNIQUE (series, span)
);
"""


class Samples:
    """Of one installation. Times are whole seconds, values whole thousandths."""

    def __init__(self, path: Path, *, keep_days: int, max_future_s: int) -> None:
        self.path = path
        self._keep_days = keep_days
        self._max_future_s = max_future_s
        self._writing = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._pruned_day = 0

    def check(self) -> None:
        """ConfigError where the file cannot be read or a later flowtally made it: for a start, before it changes
        anything."""
        try:
            with self._reading() as db:
                if db is not None:
                    _checked_version(self.path, db)
        except FlowtallyError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.detail}") from error

    def add(self, given: Sequence[Measured], now_s: int) -> list[SampleOutcome]:
        """What became of each, in order; all that is stored is on the disk. Unavailable, StorageFull."""
        if not given:
            return []
        with self._transaction() as db:
            self._prune(db, now_s)
            return _Adding(db, self._oldest(now_s), now_s + self._max_future_s).add(given)

    def names(self, server: str) -> list[str]:
        """Of the gauges that the server has samples of, in order."""
        with self._reading() as db:
            if db is None:
                return []
            found = db.execute("SELECT name FROM series WHERE server = ? ORDER BY name", (server,))
            return [name for (name,) in found]

    def read(self, server: str, name: str, start: int, end: int) -> tuple[Numbers, Numbers]:
        """Times and values of one series, from `start` up to `end`, which is excluded."""
        times, values = [NONE], [NONE]
        with self._reading() as db:
            for span, count, packed in (
                ()
                if db is None
                else db.execute(
                    "SELECT c.span, c.samples, c.packed FROM chunks c JOIN series s ON s.no = c.series"
                    " WHERE s.server = ? AND s.name = ? AND c.span BETWEEN ? AND ? ORDER BY c.span",
                    (server, name, span_of(start), span_of(end - 1)),
                )
            ):
                some, stood = unpack(span, count, packed)
                times.append(some)
                values.append(stood)
        all_times, all_values = np.concatenate(times), np.concatenate(values)
        first, last = np.searchsorted(all_times, (start, end))
        return all_times[first:last], all_values[first:last]

    def forget(self, server: str, start: int, end: int) -> int:
        """Take out what was measured from `start` up to `end`, and overwrite it; how many samples that were."""
        if not self.path.exists():
            return 0
        gone = 0
        with self._transaction(forgets=True) as db:
            found = db.execute(
                "SELECT c.series, c.span, c.samples, c.packed FROM chunks c JOIN series s ON s.no = c.series"
                " WHERE s.server = ? AND c.span BETWEEN ? AND ?",
                (server, span_of(start), span_of(end - 1)),
            ).fetchall()
            for series, span, count, packed in found:
                kept = {at: value for at, value in _pairs(span, count, packed) if not start <= at < end}
                gone += count - len(kept)
                _put(db, series, span, kept)
        return gone

    def measures(self) -> dict[str, float]:
        """For /metrics: how large the file is."""
        return {"bytes_on_disk": float(self.path.stat().st_size if self.path.exists() else 0)}

    def close(self) -> None:
        with self._writing:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _oldest(self, now_s: int) -> int:
        """The first second of the days that are kept."""
        return (now_s // DAY_S - self._keep_days) * DAY_S

    def _prune(self, db: sqlite3.Connection, now_s: int) -> None:
        """What is too old goes with the first samples of a day."""
        today = now_s // DAY_S
        if today == self._pruned_day:
            return
        before = span_of(self._oldest(now_s))
        db.execute("DELETE FROM chunks WHERE series IN (SELECT no FROM series) AND span < ?", (before,))
        db.execute("DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.series = series.no)")
        self._pruned_day = today

    @contextmanager
    def _transaction(self, *, forgets: bool = False) -> Iterator[sqlite3.Connection]:
        with self._writing:
            try:
                db = self._opened()
                db.execute(f"PRAGMA secure_delete = {'ON' if forgets else 'OFF'}").fetchall()
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    self._pruned_day = 0
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
                if forgets:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                if (known := sqlite_meaning(error, SAMPLES, writes=True)) is not None:
                    raise known from error
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.touch(mode=0o600)
            db = sqlite3.connect(self.path, isolation_level=None, timeout=WAIT_S, check_same_thread=False)
            try:
                db.execute("PRAGMA journal_mode = WAL").fetchall()
                db.execute("PRAGMA synchronous = FULL")
                self._migrate(db)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _migrate(self, db: sqlite3.Connection) -> None:
        if _checked_version(self.path, db) == 0:
            db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that sees one moment; None where there was never a sample."""
        if not self.path.exists() or not self.path.stat().st_size:
            yield None
            return
        try:
            with closing(connect_to_read(self.path)) as db:
                db.execute("BEGIN")
                yield db
        except sqlite3.Error as error:
            if (known := sqlite_meaning(error, SAMPLES, writes=False)) is not None:
                raise known from error
            raise


def connect_to_read(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_S, check_same_thread=False)


def _checked_version(path: Path, db: sqlite3.Connection) -> int:
    """The version of the file, 0 of one that is new; ConfigError where a later flowtally made it."""
    [version] = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise ConfigError(f"{path} has samples of version {version}, and this flowtally knows up to {SCHEMA_VERSION}")
    return int(version)


def _pairs(span: int, count: int, packed: bytes) -> Iterator[tuple[int, int]]:
    times, values = unpack(span, count, packed)
    return zip(times.tolist(), values.tolist(), strict=True)


def _put(db: sqlite3.Connection, series: int, span: int, kept: dict[int, int]) -> None:
    if not kept:
        db.execute("DELETE FROM chunks WHERE series = ? AND span = ?", (series, span))
        return
    times = sorted(kept)
    db.execute(
        "INSERT INTO chunks VALUES (?, ?, ?, ?) ON CONFLICT (series, span) DO UPDATE SET"
        " samples = excluded.samples, packed = excluded.packed",
        (series, span, len(times), pack(span, times, [kept[at] for at in times])),
    )


class _Adding:
    """One request's way into the chunks, inside its transaction."""

    def __init__(self, db: sqlite3.Connection, oldest: int, latest: int) -> None:
        self._db = db
        self._oldest = oldest
        self._latest = latest

    def add(self, given: Sequence[Measured]) -> list[SampleOutcome]:
        outcomes: list[SampleOutcome] = [SampleOutcome("stored")] * len(given)
        of_series: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, one in enumerate(given):
            of_series[one.server, one.name].append(index)
        for (server, name), indexes in of_series.items():
            in_time = [index for index in indexes if not self._refused(index, given[index].at, outcomes)]
            if not in_time:
                continue
            no = self._number(server, name)
            if no is None:
                for index in in_time:
                    outcomes[index] = SampleOutcome("refused", "too_many_series")
                continue
            self._add_to_series(no, in_time, given, outcomes)
        return outcomes

    def _refused(self, index: int, at: int, outcomes: list[SampleOutcome]) -> bool:
        code = "time_in_future" if at > self._latest else "too_old" if at < self._oldest else ""
        if code:
            outcomes[index] = SampleOutcome("refused", code)
        return code != ""

    def _number(self, server: str, name: str) -> int | None:
        """Of the series, which is begun where it is new; None where the server has as many as it may."""
        known = self._db.execute("SELECT no FROM series WHERE server = ? AND name = ?", (server, name)).fetchone()
        if known is not None:
            return int(known[0])
        [count] = self._db.execute("SELECT count(*) FROM series WHERE server = ?", (server,)).fetchone()
        if count >= MAX_SERIES:
            return None
        made = self._db.execute("INSERT INTO series (server, name) VALUES (?, ?) RETURNING no", (server, name))
        return int(made.fetchone()[0])

    def _add_to_series(
        self, no: int, indexes: Sequence[int], given: Sequence[Measured], outcomes: list[SampleOutcome]
    ) -> None:
        of_span: dict[int, list[int]] = defaultdict(list)
        for index in indexes:
            of_span[span_of(given[index].at)].append(index)
        for span, some in of_span.items():
            kept = self._kept(no, span)
            before = len(kept)
            for index in some:
                outcomes[index] = _take(kept, given[index])
            if len(kept) > before:
                _put(self._db, no, span, kept)

    def _kept(self, no: int, span: int) -> dict[int, int]:
        found = self._db.execute(
            "SELECT samples, packed FROM chunks WHERE series = ? AND span = ?", (no, span)
        ).fetchone()
        return {} if found is None else dict(_pairs(span, *found))


def _take(kept: dict[int, int], one: Measured) -> SampleOutcome:
    """The first value of an instant stays: another one is named, and changes nothing."""
    before = kept.get(one.at)
    if before is not None:
        return SampleOutcome("duplicate") if before == one.value else SampleOutcome("conflict", "another_value", before)
    if len(kept) >= MAX_IN_CHUNK:
        return SampleOutcome("refused", "too_many_samples")
    kept[one.at] = one.value
    return SampleOutcome("stored")
