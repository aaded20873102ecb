"""What counters stand at: a table of the keys database, and the SQL over it.

It follows the rows: every row of a reading carries where its counter stands since (`position`), so all of this can be
derived from them. Only when a counter was last seen, where that told nothing new, lives here alone, and may be lost.
A counter that nobody reads any more may be taken out: its rows still know it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from flowtally.core.counters import Standing
from flowtally.core.times import DAY_MS
from flowtally.keys.values import CounterGroup, Due, KnownCounter, Place

SCHEMA: Final = """
CREATE TABLE counters (
    source INTEGER NOT NULL,
    counter TEXT NOT NULL,
    account TEXT NOT NULL,
    standing TEXT NOT NULL,          -- as its last row has it
    open INTEGER NOT NULL,           -- 0: it was closed
    block INTEGER NOT NULL,          -- of its last row
    time INTEGER NOT NULL,           -- of the latest reading, ms; it may have told nothing new
    seen_at INTEGER NOT NULL,        -- when that came, ms
    due_at INTEGER NOT NULL,         -- when to look whether it is silent too long, or before that, ms
    PRIMARY KEY (source, counter)
) WITHOUT ROWID;
CREATE INDEX counters_due ON counters (due_at);
"""
LAST: Final = "\U0010ffff"  # after every text that begins alike
INTERVALS: Final = 3  # of silence after which a counter is closed
CLOSED_KEPT_MS: Final = DAY_MS  # that long closed ones are known
OPEN_KEPT_MS: Final = 30 * 86_400_000  # and those of which nobody said how often they are read


_standing: Final = msgspec.json.Decoder(Standing)
_COLUMNS: Final = "source, counter, account, standing, open, block, time, seen_at"


def encode(standing: Standing) -> str:
    """What a row carries, and the table has."""
    return msgspec.json.encode(standing).decode()


def decode(text: str) -> Standing:
    return _standing.decode(text)


def of_row(source: int, id: str, position: str, block: int) -> KnownCounter:
    """What the row of a reading says of its counter."""
    return KnownCounter(source, counter_of(id), decode(position), block)


def row_id(counter: str, number: int) -> str:
    """The id of a counter's row: each has a key of its own, so two can never be made of one standing."""
    return f"{counter}/{number}"


def counter_of(id: str) -> str:
    return id.rpartition("/")[0]


def due_at(standing: Standing, seen_at: int) -> int:
    """When a counter that was seen then was silent too long."""
    if standing.end:
        return seen_at + CLOSED_KEPT_MS
    return seen_at + (OPEN_KEPT_MS if standing.interval_s is None else INTERVALS * standing.interval_s * 1000)


def put(db: sqlite3.Connection, counters: Iterable[KnownCounter], seen_at: int) -> None:
    """They stand so now, with a row."""
    rows = [
        (one.source, one.counter, one.standing.account, encode(one.standing), not one.standing.end, one.block,
         one.standing.time, seen_at, due_at(one.standing, seen_at))
        for one in counters
    ]  # fmt: skip
    db.executemany(f"INSERT OR REPLACE INTO counters ({_COLUMNS}, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def seen(db: sqlite3.Connection, counters: Iterable[KnownCounter], seen_at: int) -> None:
    """They were read again, which told nothing new. When they are due stays: it is looked at again by then."""
    rows = [(one.standing.time, seen_at, one.source, one.counter) for one in counters]
    db.executemany("UPDATE counters SET time = ?, seen_at = ? WHERE source = ? AND counter = ?", rows)


def put_off(db: sqlite3.Connection, due: Iterable[Due]) -> None:
    rows = [(one.at, one.source, one.counter) for one in due]
    db.executemany("UPDATE counters SET due_at = ? WHERE source = ? AND counter = ?", rows)


def forget(db: sqlite3.Connection, counters: Iterable[KnownCounter]) -> None:
    db.executemany(
        "DELETE FROM counters WHERE source = ? AND counter = ?", [(one.source, one.counter) for one in counters]
    )


def named(db: sqlite3.Connection, source: int, counters: Iterable[str]) -> list[KnownCounter]:
    """Those of these that are known."""
    query = f"SELECT {_COLUMNS} FROM json_each(?) AS n CROSS JOIN counters AS c ON c.source = ? AND c.counter = n.value"
    return _read(db, query, (msgspec.json.encode(list(counters)).decode(), source))


def due(db: sqlite3.Connection, now: int, limit: int) -> list[KnownCounter]:
    """Those to be looked at by now, the longest overdue first."""
    return _read(db, f"SELECT {_COLUMNS} FROM counters WHERE due_at <= ? ORDER BY due_at LIMIT ?", (now, limit))


def open_ones(db: sqlite3.Connection, source: int, prefix: str) -> list[KnownCounter]:
    """The open ones of a source whose names begin so."""
    query = f"SELECT {_COLUMNS} FROM counters WHERE source = ? AND counter >= ? AND counter <= ? AND open"
    return _read(db, f"{query} ORDER BY counter", (source, prefix, prefix + LAST * 2))


def page(
    db: sqlite3.Connection, source: int, prefix: str, after: str, limit: int, account: str | None
) -> list[KnownCounter]:
    """Counters of a source whose names begin so, in order, those after this one; only of this account if given."""
    query = f"SELECT {_COLUMNS} FROM counters WHERE source = ? AND counter >= ? AND counter <= ? AND counter > ?"
    of_account, values = ("", ()) if account is None else (" AND account = ?", (account,))
    asked = (source, prefix, prefix + LAST * 2, after, *values, limit)
    return _read(db, f"{query}{of_account} ORDER BY counter LIMIT ?", asked)


def all_of(db: sqlite3.Connection, after: Place, limit: int) -> list[KnownCounter]:
    """Those after this one, in order of source and name."""
    query = f"SELECT {_COLUMNS} FROM counters WHERE (source, counter) > (?, ?) ORDER BY source, counter LIMIT ?"
    return _read(db, query, (*after, limit))


def groups(db: sqlite3.Connection) -> list[CounterGroup]:
    query = "SELECT source, account, count(*) FROM counters GROUP BY source, account"
    return [CounterGroup(*row) for row in db.execute(query)]


def _read(db: sqlite3.Connection, query: str, values: Sequence[object]) -> list[KnownCounter]:
    return [
        KnownCounter(source, counter, msgspec.structs.replace(decode(standing), time=time), block, seen_at)
        for source, counter, _, standing, _, block, time, seen_at in db.execute(query, values)
    ]
