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
from typing import Any, Final

import msgspec

from flowtally.keys.claims import PREFIX, Packed, is_close, pack
from flowtally.keys.values import Claim, Known

FRESH: Final = 1_000_000  # keys in memory before they drain; about 60 bytes each, twice
DRAIN: Final = 2  # keys moved for each key that comes, so that one log is empty long before the other is full
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

_Incoming = tuple[str, tuple[Any, ...]]  # claims as a question of the four columns, and its values
_OTHERS: Final = "SELECT source, key, digest, ?1 AS block FROM mem.incoming ORDER BY source, key"


class _Tiers(msgspec.Struct):
    """The log that is written, how many keys it has, and whether the other one drains."""

    active: int
    fresh: int
    draining: bool

    def is_empty(self) -> bool:
        return not self.fresh and not self.draining


class KeyIndex:
    """Belongs to the connection that writes; inside its transaction, one thread."""

    def __init__(self, db: sqlite3.Connection, fresh: int = FRESH) -> None:
        self._db = db
        self._limit = fresh
        db.execute("ATTACH ':memory:' AS mem")
        db.execute("CREATE TABLE mem.incoming (source INTEGER, key BLOB, digest INTEGER)")
        for log in (0, 1):
            db.execute(f"CREATE TABLE mem.fresh{log} ({_COLUMNS}, PRIMARY KEY (source, key)) WITHOUT ROWID")
            db.execute(f"INSERT OR IGNORE INTO mem.fresh{log} SELECT * FROM log{log} ORDER BY source, key")

    def claim(self, claims: Sequence[Claim], block: int) -> int:
        """Put those there that are not yet; how many were new."""
        packed, others = pack(claims)
        return self.claim_packed(packed, block, others)

    def claim_packed(self, packed: Sequence[Packed], block: int, others: Sequence[Claim] = ()) -> int:
        """The same, where they lie together already; `others` that do not."""
        count = len(others) + sum(map(len, packed))
        if not count:
            return 0
        tiers = self._tiers()
        new = sum(self._claim(tiers, _of_packed(one, block), len(one), one.come_together()) for one in packed)
        if others:
            new += self._claim_others(tiers, others, block)
        if tiers.draining:
            self._drain(1 - tiers.active, max(DRAIN * count, 1000))
        elif tiers.fresh >= self._limit:
            self._db.execute("UPDATE tiers SET active = 1 - active, fresh = 0")
        return new

    def _tiers(self) -> _Tiers:
        active, fresh = self._db.execute("SELECT active, fresh FROM tiers").fetchone()
        draining = self._db.execute(f"SELECT 1 FROM mem.fresh{1 - active} LIMIT 1").fetchone() is not None
        return _Tiers(active, fresh, draining)

    def _claim_others(self, tiers: _Tiers, claims: Sequence[Claim], block: int) -> int:
        in_order = _come_together(claims)
        if in_order and tiers.is_empty():
            before = self._db.total_changes
            self._db.executemany(f"INSERT OR IGNORE INTO keys VALUES (?, ?, ?, {block:d})", claims)
            return self._db.total_changes - before
        self._db.executemany("INSERT INTO mem.incoming VALUES (?, ?, ?)", claims)
        new = self._claim(tiers, (_OTHERS, (block,)), len(claims), in_order)
        self._db.execute("DELETE FROM mem.incoming")
        return new

    def _claim(self, tiers: _Tiers, incoming: _Incoming, count: int, in_order: bool) -> int:
        select, values = incoming
        into = "keys" if in_order else f"mem.fresh{tiers.active}"
        others = [] if in_order and tiers.is_empty() else sorted({"keys", "mem.fresh0", "mem.fresh1"} - {into})
        absent = "".join(
            f" AND NOT EXISTS (SELECT 1 FROM {other} AS o WHERE o.source = i.source AND o.key = i.key)"
            for other in others
        )
        new = self._db.execute(f"INSERT OR IGNORE INTO {into} SELECT * FROM ({select}) AS i WHERE 1{absent}", values)
        if not in_order:
            # Only what was new belongs in the log; nearly always that is all of it.
            made = select if new.rowcount == count else self._made(tiers.active, select)
            self._db.execute(f"INSERT INTO log{tiers.active} {made}", values)
            self._db.execute("UPDATE tiers SET fresh = fresh + ?", (new.rowcount,))
            tiers.fresh += new.rowcount
        return new.rowcount

    def _made(self, active: int, select: str) -> str:
        same = "f.source = i.source AND f.key = i.key AND f.digest = i.digest AND f.block = i.block"
        return f"SELECT DISTINCT f.* FROM ({select}) AS i JOIN mem.fresh{active} AS f ON {same}"

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


def _of_packed(packed: Packed, block: int) -> _Incoming:
    """One statement for all of them: a statement each takes several times as long. In the order of the tree."""
    one = packed.ordered()
    key = f"substr(?2, key * {one.width:d} + 1, {one.width:d})"
    question = f"SELECT ?1 AS source, {key} AS key, value AS digest, ?4 AS block FROM json_each(?3)"
    return question, (one.source, one.keys, one.digests_json(), block)


def _come_together(claims: Sequence[Claim]) -> bool:
    return is_close(len({(source, key[:PREFIX]) for source, key, _ in claims}), len(claims))
