"""What counters stand at: a table of the keys database, and the SQL over it.

It follows the rows: every row of a reading carries where its counter stands since (`position`), so all of this can be
derived from them. Only when a counter was last seen, where that told nothing new, lives here alone, and may be lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from flowtally.counters import Standing

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
    PRIMARY KEY (source, counter)
) WITHOUT ROWID;
"""
LAST: Final = "\U0010ffff"  # after every text that begins alike

_standing: Final = msgspec.json.Decoder(Standing)
_COLUMNS: Final = "source, counter, account, standing, open, block, time, seen_at"


class KnownCounter(msgspec.Struct, frozen=True):
    """A counter and what is known of it; `standing.time` is of the latest reading."""

    source: int
    counter: str
    standing: Standing
    block: int
    seen_at: int = 0


class CounterGroup(msgspec.Struct, frozen=True):
    """How many counters of a source and an account are known."""

    source: int
    account: str
    counters: int


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


def put(db: sqlite3.Connection, counters: Iterable[KnownCounter], seen_at: int) -> None:
    """They stand so now, with a row."""
    rows = [
        (one.source, one.counter, one.standing.account, encode(one.standing), not one.standing.end, one.block,
         one.standing.time, seen_at)
        for one in counters
    ]  # fmt: skip
    db.executemany(f"INSERT OR REPLACE INTO counters ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def seen(db: sqlite3.Connection, counters: Iterable[KnownCounter], seen_at: int) -> None:
    """They were read again, which told nothing new."""
    rows = [(one.standing.time, seen_at, one.source, one.counter) for one in counters]
    db.executemany("UPDATE counters SET time = ?, seen_at = ? WHERE source = ? AND counter = ?", rows)


def named(db: sqlite3.Connection, source: int, counters: Iterable[str]) -> list[KnownCounter]:
    """Those of these that are known."""
    query = f"SELECT {_COLUMNS} FROM json_each(?) AS n CROSS JOIN counters AS c ON c.source = ? AND c.counter = n.value"
    return _read(db, query, (msgspec.json.encode(list(counters)).decode(), source))


def open_ones(db: sqlite3.Connection, source: int, prefix: str) -> list[KnownCounter]:
    """The open ones of a source whose names begin so."""
    query = (
        f"SELECT {_COLUMNS} FROM counters WHERE source = ? AND counter >= ? AND counter <= ? AND open ORDER BY counter"
    )
    found = _read(db, query, (source, prefix, prefix + LAST * 2))
    return [one for one in found if one.counter.startswith(prefix)]


def page(db: sqlite3.Connection, source: int, after: str, limit: int) -> list[KnownCounter]:
    """Counters of a source in order of their names, those after this one."""
    query = f"SELECT {_COLUMNS} FROM counters WHERE source = ? AND counter > ? ORDER BY counter LIMIT ?"
    return _read(db, query, (source, after, limit))


def groups(db: sqlite3.Connection) -> list[CounterGroup]:
    query = "SELECT source, account, count(*) FROM counters GROUP BY source, account"
    return [CounterGroup(*row) for row in db.execute(query)]


def _read(db: sqlite3.Connection, query: str, values: Sequence[object]) -> list[KnownCounter]:
    return [
        KnownCounter(source, counter, msgspec.structs.replace(decode(standing), time=time), block, seen_at)
        for source, counter, _, standing, _, block, time, seen_at in db.execute(query, values)
    ]
