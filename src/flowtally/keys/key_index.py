"""The index of event keys: is this key there, and put it there. Fast also for random ids, which touch a page each.

One big B-tree is right for keys that come in order (UUIDv7, ULID, counters): a block touches few pages. Random keys
would rewrite a page of it per key. So they are kept in a log (file, in order of arrival: few pages) together with an
index in memory; when a million have come, another log begins and the full one drains into the big B-tree in key order,
a part with every block, so that many keys share a page and nobody waits. A start fills the memory from the logs.

Everything is in the caller's one transaction: logs, big B-tree and, attached, the memory roll back together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from flowtally.keys.values import Claim, Known

FRESH: Final = 1_000_000  # keys in memory before they drain; about 60 bytes each, twice
DRAIN: Final = 2  # keys moved for each key that comes, so that one log is empty long before the other is full
PREFIX: Final = 5  # bytes of a key that keys which came together share: of a UUIDv7 these are 65 seconds
CHUNK: Final = 900  # bound values in one statement; SQLite's old limit was 999

_COLUMNS: Final = "source INTEGER NOT NULL, key BLOB NOT NULL, digest INTEGER NOT NULL, block INTEGER NOT NULL"
SCHEMA: Final = f"""
CREATE TABLE keys ({_COLUMNS}, PRIMARY KEY (source, key)) WITHOUT ROWID;
CREATE TABLE log0 ({_COLUMNS});
CREATE TABLE log1 ({_COLUMNS});
CREATE TABLE tiers (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    active INTEGER NOT NULL,         -- the log that is written; the other is empty or drains
    fresh INTEGER NOT NULL           -- keys in it
);
INSERT INTO tiers VALUES (1, 0, 0);
"""


class KeyIndex:
    """Belongs to the connection that writes; inside its transaction, one thread."""

    def __init__(self, db: sqlite3.Connection, fresh: int = FRESH) -> None:
        self._db = db
        self._limit = fresh
        db.execute("ATTACH ':memory:' AS mem")
        db.execute("CREATE TABLE mem.incoming (source INTEGER, key BLOB, digest INTEGER, block INTEGER)")
        for log in (0, 1):
            db.execute(f"CREATE TABLE mem.fresh{log} ({_COLUMNS}, PRIMARY KEY (source, key)) WITHOUT ROWID")
            db.execute(f"INSERT OR IGNORE INTO mem.fresh{log} SELECT * FROM log{log} ORDER BY source, key")

    def claim(self, claims: Sequence[Claim], block: int) -> int:
        """Put those there that are not yet; how many were new."""
        if not claims:
            return 0
        active, fresh = self._db.execute("SELECT active, fresh FROM tiers").fetchone()
        draining = self._db.execute(f"SELECT 1 FROM mem.fresh{1 - active} LIMIT 1").fetchone() is not None
        if not fresh and not draining and _come_together(claims):
            return self._claim_in_order(claims, block)
        self._db.executemany(f"INSERT INTO mem.incoming VALUES (?, ?, ?, {block:d})", claims)
        new = self._claim_incoming(active, len(claims), in_order=_come_together(claims))
        self._db.execute("DELETE FROM mem.incoming")
        if draining:
            self._drain(1 - active, max(DRAIN * len(claims), 1000))
        elif fresh >= self._limit:
            self._db.execute("UPDATE tiers SET active = 1 - active, fresh = 0")
        return new

    def _claim_in_order(self, claims: Sequence[Claim], block: int) -> int:
        before = self._db.total_changes
        self._db.executemany(f"INSERT OR IGNORE INTO keys VALUES (?, ?, ?, {block:d})", claims)
        return self._db.total_changes - before

    def _claim_incoming(self, active: int, count: int, *, in_order: bool) -> int:
        into = "keys" if in_order else f"mem.fresh{active}"
        others = {"keys", "mem.fresh0", "mem.fresh1"} - {into}
        absent = " AND ".join(
            f"NOT EXISTS (SELECT 1 FROM {other} AS o WHERE o.source = i.source AND o.key = i.key)"
            for other in sorted(others)
        )
        select = f"SELECT i.* FROM mem.incoming AS i WHERE {absent} ORDER BY i.source, i.key"
        new = self._db.execute(f"INSERT OR IGNORE INTO {into} {select}").rowcount
        if not in_order:
            # Only what was new belongs in the log; nearly always that is all of it.
            made = "SELECT * FROM mem.incoming" if new == count else self._made(active)
            self._db.execute(f"INSERT INTO log{active} {made}")
            self._db.execute("UPDATE tiers SET fresh = fresh + ?", (new,))
        return new

    def _made(self, active: int) -> str:
        same = "f.source = i.source AND f.key = i.key AND f.digest = i.digest AND f.block = i.block"
        return f"SELECT DISTINCT f.* FROM mem.incoming AS i JOIN mem.fresh{active} AS f ON {same}"

    def _drain(self, log: int, count: int) -> None:
        """Move the first keys of a full log, in key order, to the big B-tree; the log is emptied when none is left."""
        at = f"SELECT source, key FROM mem.fresh{log} ORDER BY source, key LIMIT 1 OFFSET ?"
        end = self._db.execute(at, (count,)).fetchone()
        before, upto = (" WHERE (source, key) < (?, ?)", end) if end else ("", ())
        moved = f"SELECT * FROM mem.fresh{log}{before} ORDER BY source, key"
        self._db.execute(f"INSERT OR IGNORE INTO keys {moved}", upto)
        self._db.execute(f"DELETE FROM mem.fresh{log}{before}", upto)
        if end is None:
            self._db.execute(f"DELETE FROM log{log}")

    def known(self, source: int, keys: Sequence[bytes]) -> Known:
        """Of these keys those that are there, seen from inside the transaction."""
        return _look_up(self._db, ("keys", "mem.fresh0", "mem.fresh1"), source, keys)


def known(reader: sqlite3.Connection, source: int, keys: Sequence[bytes]) -> Known:
    """The same from any other connection: the memory is not its to see, it reads through the logs. For a few keys."""
    # Keys only ever move from a log to the tree, so the tree is read last: what drains between two of these statements
    # is then found there.
    return _look_up(reader, ("log0", "log1", "keys"), source, keys)


def _look_up(db: sqlite3.Connection, tables: Sequence[str], source: int, keys: Sequence[bytes]) -> Known:
    found: Known = {}
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        holes = ",".join("?" * len(chunk))
        for table in tables:
            query = f"SELECT key, digest, block FROM {table} WHERE source = ? AND key IN ({holes})"
            found |= {key: (digest, block) for key, digest, block in db.execute(query, (source, *chunk))}
    return found


def _come_together(claims: Sequence[Claim]) -> bool:
    """Whether these keys lie close to each other, as keys do that carry their time first."""
    places = {(source, key[:PREFIX]) for source, key, _ in claims}
    return len(places) <= 1 + len(claims) // 16
