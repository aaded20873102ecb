"""Events that are held: numbered ones whose number is taken and which the world does not allow yet.

A table of the keys database, and the SQL over it. What is held is content that has no row: it comes with the record of
its block. A hold ends with its row, or as a refusal, in the transaction that makes either. Names of users are in it, so
what is taken out is overwritten in the file (`begin(forgets=True)`). `announced` is what version 4 needed, which wrote
it before the rows: in its files alone it may be the number of a block that is not committed.

Leaves to `ingest` what is held, how much, and when a hold ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from flowtally.keys.values import Held, HeldGroup, HeldWhere, Number

SCHEMA: Final = """
CREATE TABLE held (
    source INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    user TEXT NOT NULL,              -- the name as it was sent
    time INTEGER NOT NULL,           -- of the event, ms
    code TEXT NOT NULL,              -- why it is held
    detail TEXT NOT NULL,
    digest INTEGER NOT NULL,         -- what must be equal for the number sent again to be the same event
    held_at INTEGER NOT NULL,        -- ms
    event BLOB NOT NULL,             -- JSON
    announced INTEGER NOT NULL,      -- 0
    erased TEXT NOT NULL DEFAULT '', -- the user whose erasure takes it along
    PRIMARY KEY (source, sequence)
);
CREATE INDEX held_account ON held (account, source, sequence);
CREATE INDEX held_future ON held (time) WHERE code = 'time_in_future';
CREATE INDEX held_announced ON held (announced) WHERE announced != 0;
CREATE INDEX held_erased ON held (erased) WHERE erased != '';
"""
PAGE: Final = 10_000  # read at a time
CHUNK: Final = 400  # pairs in one statement

_COLUMNS: Final = "source, sequence, id, account, user, time, code, detail, digest, held_at, event"


def insert(db: sqlite3.Connection, held: Iterable[Held]) -> None:
    rows = [msgspec.structs.astuple(one) for one in held]
    db.executemany(f"INSERT INTO held ({_COLUMNS}, announced) VALUES ({', '.join('?' * 11)}, 0)", rows)


def recode(db: sqlite3.Connection, held: Iterable[Held]) -> None:
    """They are held for another reason now."""
    rows = [(one.code, one.detail, one.source, one.sequence) for one in held]
    db.executemany("UPDATE held SET code = ?, detail = ? WHERE source = ? AND sequence = ?", rows)


def end(db: sqlite3.Connection, numbers: Iterable[Number]) -> None:
    db.executemany("DELETE FROM held WHERE source = ? AND sequence = ?", list(numbers))


def confirm(db: sqlite3.Connection, block: int) -> None:
    """The block that announced them is committed: those its sources' marks have passed are held, others are not."""
    db.execute(
        "DELETE FROM held WHERE announced = ? AND sequence > (SELECT mark FROM sources WHERE no = held.source)",
        (block,),
    )
    db.execute("UPDATE held SET announced = 0 WHERE announced = ?", (block,))


def withdraw(db: sqlite3.Connection) -> None:
    """What was announced and not confirmed never came."""
    db.execute("DELETE FROM held WHERE announced != 0")


def among(db: sqlite3.Connection, source: int, first: int, last: int) -> dict[int, Held]:
    """Those of these numbers (both included) of a source."""
    query = f"SELECT {_COLUMNS} FROM held WHERE source = ? AND sequence BETWEEN ? AND ?"
    return {row[1]: Held(*row) for row in db.execute(query, (source, first, last))}


def those(db: sqlite3.Connection, source: int, numbers: Sequence[int]) -> dict[int, Held]:
    """Those of these numbers of a source."""
    query = f"SELECT {_COLUMNS} FROM held WHERE source = ? AND sequence IN (SELECT value FROM json_each(?))"
    return {row[1]: Held(*row) for row in db.execute(query, (source, msgspec.json.encode(numbers).decode()))}


def count(db: sqlite3.Connection, source: int, mark: int) -> int:
    """How many of a source are held; from the index alone."""
    [count] = db.execute("SELECT count(*) FROM held WHERE source = ? AND sequence <= ?", (source, mark)).fetchone()
    return int(count)


def of_id(db: sqlite3.Connection, source: int, id: str) -> Held | None:
    query = f"SELECT {_COLUMNS} FROM held WHERE source = ? AND id = ? LIMIT 1"
    row = db.execute(query, (source, id)).fetchone()
    return Held(*row) if row else None


def page(db: sqlite3.Connection, where: HeldWhere, after: Number, limit: int) -> list[Held]:
    """The next ones after this number, in order of source and number."""
    conditions, values = _conditions(where)
    text = f"SELECT {_COLUMNS} FROM held WHERE (source, sequence) > (?, ?){conditions}"
    rows = db.execute(f"{text} ORDER BY source, sequence LIMIT ?", (*after, *values, limit))
    return [Held(*row) for row in rows]


def _conditions(where: HeldWhere) -> tuple[str, tuple[Any, ...]]:
    found: list[tuple[str, Any]] = []
    for name in ("source", "sequence", "account", "code"):
        if (value := getattr(where, name)) is not None:
            found.append((f"{name} = ?", value))
    if where.until is not None:
        found.append(("time <= ?", where.until))
    if where.owner is not None:
        found.append(("source IN (SELECT no FROM sources WHERE owner = ?)", where.owner))
    return "".join(f" AND {text}" for text, _ in found), tuple(value for _, value in found)


def dated(db: sqlite3.Connection, account: str, times: Sequence[int]) -> list[Held]:
    """Those of the account that happened at one of these instants."""
    times_asked = "time IN (SELECT value FROM json_each(?))"
    query = f"SELECT {_COLUMNS} FROM held WHERE account = ? AND {times_asked}"
    return [Held(*row) for row in db.execute(query, (account, msgspec.json.encode(times).decode()))]


def groups(db: sqlite3.Connection) -> list[HeldGroup]:
    query = "SELECT source, account, count(*), sum(length(event)) FROM held GROUP BY source, account"
    return [HeldGroup(*row) for row in db.execute(query)]


def next_time(db: sqlite3.Connection) -> int | None:
    """The time of the first that is held for its time alone."""
    [(time,)] = db.execute("SELECT min(time) FROM held WHERE code = 'time_in_future'")
    return None if time is None else int(time)


def tag(db: sqlite3.Connection, account: str, users: Sequence[str], user_id: str) -> None:
    """These names are the user's, whose erasure is asked for: it will take these along."""
    for start in range(0, len(users), CHUNK):
        chunk = users[start : start + CHUNK]
        holes = ",".join("?" * len(chunk))
        text = f"UPDATE held SET erased = ? WHERE account = ? AND user IN ({holes})"
        db.execute(text, (user_id, account, *chunk))


def rewrite(db: sqlite3.Connection) -> None:
    """Write the whole table anew. Rows move within their pages when others come, and leave copies behind."""
    db.execute("CREATE TEMP TABLE moving AS SELECT * FROM held ORDER BY source, sequence")
    db.execute("DELETE FROM held")
    db.execute("INSERT INTO held SELECT * FROM moving")
    db.execute("DROP TABLE moving")


def tagged(db: sqlite3.Connection, user_ids: Sequence[str]) -> list[Held]:
    """Those that the erasure of one of these users takes along."""
    found: list[Held] = []
    text = f"SELECT {_COLUMNS} FROM held WHERE erased != '' AND erased IN ({{}})"
    for start in range(0, len(user_ids), CHUNK):
        chunk = user_ids[start : start + CHUNK]
        holes = ",".join("?" * len(chunk))
        found += [Held(*row) for row in db.execute(text.format(holes), chunk)]
    return found
