"""What only an old keys database knows, carried into one rebuilt from rows and journal.

Rows tell keys, marks and positions, and of the newest blocks the journal tells all that they decided. Owners of
sources, why numbers were refused, what is held, numbers without a row after the last one and skipped block numbers of
the blocks before are only in the old file; and of all blocks who a source was given to, and what was erased of held
events. Where it can still be read, a rebuild need not forget them.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import msgspec

_OWNERS = """
UPDATE main.sources SET owner = (SELECT owner FROM old.sources o WHERE o.name = main.sources.name)
WHERE EXISTS (SELECT 1 FROM old.sources o WHERE o.name = main.sources.name AND o.kind = main.sources.kind)
"""
_SOURCES = """
INSERT INTO main.sources (name, kind, owner)
SELECT name, kind, owner FROM old.sources o WHERE NOT EXISTS (SELECT 1 FROM main.sources n WHERE n.name = o.name)
"""
_REASONS = """
UPDATE main.refused SET (id, code, detail) = (
    SELECT r.id, r.code, r.detail FROM old.refused r JOIN old.sources o ON o.no = r.source
    JOIN main.sources n ON n.name = o.name WHERE n.no = main.refused.source AND r.sequence = main.refused.sequence
)
WHERE EXISTS (
    SELECT 1 FROM old.refused r JOIN old.sources o ON o.no = r.source
    JOIN main.sources n ON n.name = o.name WHERE n.no = main.refused.source AND r.sequence = main.refused.sequence
)
"""
# A number without a row that the old file holds is held on, and as the old file says; what it refused since, is not.
_COLUMNS: Final = (
    "h.sequence, h.id, h.account, h.user, h.time, h.code, h.detail, h.digest, h.held_at, h.event, h.announced, h.erased"
)
_HELD: Final = f"""
CREATE TEMP TABLE kept AS SELECT n.no AS source, {_COLUMNS} FROM old.held h JOIN old.sources o ON o.no = h.source
JOIN main.sources n ON n.name = o.name AND n.kind = 'numbered' WHERE h.announced = 0 AND (h.sequence > n.mark OR EXISTS
    (SELECT 1 FROM main.refused r WHERE r.source = n.no AND r.sequence = h.sequence AND r.code = 'reason_lost')
OR EXISTS
    (SELECT 1 FROM main.held m WHERE m.source = n.no AND m.sequence = h.sequence))
"""
_REFUSED_SINCE: Final = """
INSERT OR IGNORE INTO main.refused SELECT n.no, r.sequence, r.id, r.code, r.detail
FROM old.refused r JOIN old.sources o ON o.no = r.source JOIN main.sources n ON n.name = o.name
JOIN main.held m ON m.source = n.no AND m.sequence = r.sequence
"""
_NOT_HELD: Final = """
DELETE FROM main.held WHERE EXISTS
    (SELECT 1 FROM main.refused r WHERE r.source = main.held.source AND r.sequence = main.held.sequence)
OR EXISTS (SELECT 1 FROM kept k WHERE k.source = main.held.source AND k.sequence = main.held.sequence)
"""
_NONE_HELD: Final = "CREATE TEMP TABLE kept AS SELECT * FROM main.held WHERE 0"
_NOT_REFUSED: Final = """
DELETE FROM main.refused WHERE EXISTS
    (SELECT 1 FROM kept k WHERE k.source = main.refused.source AND k.sequence = main.refused.sequence)
"""
_HELD_ON: Final = """
INSERT INTO main.held SELECT * FROM kept k WHERE k.sequence <= (SELECT mark FROM main.sources s WHERE s.no = k.source)
"""
# Numbers after the last row: all of them must have been refused or held, or the old mark says more than it can show.
_TRAILING = """
CREATE TEMP TABLE trailing AS
SELECT n.no AS no, o.no AS old_no, n.mark AS low, o.mark AS high, o.position AS position
FROM main.sources n JOIN old.sources o ON o.name = n.name AND o.kind = 'numbered' AND n.kind = 'numbered'
WHERE o.mark > n.mark AND o.mark - n.mark =
    (SELECT count(*) FROM old.refused r WHERE r.source = o.no AND r.sequence > n.mark AND r.sequence <= o.mark)
    + (SELECT count(*) FROM kept k WHERE k.source = n.no AND k.sequence > n.mark AND k.sequence <= o.mark)
"""
_TRAILING_REFUSED = """
INSERT OR IGNORE INTO main.refused SELECT t.no, r.sequence, r.id, r.code, r.detail
FROM trailing t JOIN old.refused r ON r.source = t.old_no AND r.sequence > t.low AND r.sequence <= t.high
"""
_TRAILING_MARKS = """
UPDATE main.sources SET (mark, position) = (SELECT high, t.position FROM trailing t WHERE t.no = main.sources.no)
WHERE no IN (SELECT no FROM trailing)
"""
# When counters were last read is in no row where that told nothing new.
_COUNTERS_SEEN: Final = """
UPDATE main.counters SET (time, seen_at) = (
    SELECT c.time, c.seen_at FROM old.counters c JOIN old.sources o ON o.no = c.source
    JOIN main.sources n ON n.name = o.name WHERE n.no = main.counters.source AND c.counter = main.counters.counter
)
WHERE EXISTS (
    SELECT 1 FROM old.counters c JOIN old.sources o ON o.no = c.source JOIN main.sources n ON n.name = o.name
    WHERE n.no = main.counters.source AND c.counter = main.counters.counter AND c.standing = main.counters.standing
)
"""
_PLACE = """
UPDATE main.committer SET
    burnt = max(burnt, (SELECT CASE WHEN o.block > main.committer.block THEN max(o.burnt, o.block) ELSE o.burnt END
        FROM old.committer o)),
    received_at = max(received_at, (SELECT received_at FROM old.committer))
"""
# Since version 2. What the ledger held is still known; the generation is not carried over: a new one is to be made.
_WHOSE = """
UPDATE main.committer SET promise = (SELECT promise FROM old.committer),
    installation = coalesce(nullif(installation, ''), (SELECT installation FROM old.committer))
"""


class Salvaged(msgspec.Struct, frozen=True):
    """`owners` of sources and `reasons` of refused numbers that are known again, and events that are `held` on."""

    owners: int
    reasons: int
    held: int


def salvage(new: Path, old: Path) -> Salvaged | None:
    """Fill in what the rows could not tell; None where the old file cannot be read. All of it or nothing."""
    db = sqlite3.connect(new, isolation_level=None)
    try:
        db.execute("PRAGMA main.secure_delete = ON").fetchall()  # what was erased since is not to stay in free pages
        db.execute("ATTACH ? AS old", (str(old),))
        db.execute("BEGIN IMMEDIATE")
        tables = {name for (name,) in db.execute("SELECT name FROM old.sqlite_master")}  # an old version's lacks some
        db.execute(_HELD if "held" in tables else _NONE_HELD)
        for statement in (_SOURCES, _OWNERS, _TRAILING, _REASONS, _TRAILING_REFUSED, _TRAILING_MARKS):
            db.execute(statement)
        for statement in (_NOT_REFUSED, _REFUSED_SINCE, _NOT_HELD):
            db.execute(statement)
        for statement in (_HELD_ON, _PLACE, *([_COUNTERS_SEEN] if "counters" in tables else [])):
            db.execute(statement)
        if any(row[1] == "promise" for row in db.execute("PRAGMA old.table_info(committer)")):
            db.execute(_WHOSE)
        [(owners,)] = db.execute("SELECT count(*) FROM sources WHERE owner != ''")
        [(reasons,)] = db.execute("SELECT count(*) FROM refused WHERE code != 'reason_lost'")
        [(held,)] = db.execute("SELECT count(*) FROM held")
        db.execute("COMMIT")
        return Salvaged(owners, reasons, held)
    except sqlite3.DatabaseError:
        return None  # an open transaction ends with the connection
    finally:
        db.close()
