"""After any doubt: the rows are the log, the keys follow. The same procedure at start and while running.

A block whose insert was sent is either there (then its claims are derived from its rows and committed) or it is not
(then its number is burnt). The start refuses, and says why, when rows are missing that were acknowledged (law 9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import structlog

from flowtally.errors import DetachedParts, KeysBroken, MissingRows
from flowtally.usage.keys import Advance, Keys, Moved, Refused, Source, key_of
from flowtally.usage.store import ClaimedRow, UsageStore

log = structlog.get_logger(__name__)

LOST_REASON: Final = "reason_lost"


def settle_block(usage: UsageStore, keys: Keys, block: int, refused: Iterable[Refused] = ()) -> bool:
    """Make the keys say what the rows say of this block; whether it is there. `refused` is what memory still knows."""
    usage.end_append(block)
    if keys.committed().block >= block:
        return True  # the commit had happened; only its answer was lost
    rows = usage.claims(block)
    if not rows:
        keys.burn(block)
        return False
    _commit_from_rows(keys, block, rows, tuple(refused))
    return True


def recover(usage: UsageStore, keys: Keys, *, holder: str, rebuild: bool = False, say: Callable[[str], None]) -> None:
    """Bring keys and rows together before the door opens. Raises errors.Damage, naming what is missing."""
    damage = usage.damage()
    if damage:
        raise DetachedParts(f"Usage rows are put aside and would not be counted: {'; '.join(damage)}")
    before = keys.committed()
    totals = usage.totals()
    if totals.last_block < before.block:
        raise MissingRows(
            f"Block {before.block} was acknowledged, the rows end at block {totals.last_block}: usage rows are missing"
        )
    if before.epoch == 0 and totals.rows and not rebuild:
        raise KeysBroken(
            f"The keys database {keys.path} is new but there are {totals.rows} usage rows. Restore it, or start once"
            " with --rebuild-keys (what only it held is lost: owners of sources, reasons of refused numbered events)"
        )
    keys.start(holder)
    usage.end_append(before.block + 1)
    for block in usage.blocks_after(before.block):
        settle_block(usage, keys, block)
        say(f"settled block {block} from its rows")
    now = keys.committed()
    if totals.rows != now.rows_total:
        raise MissingRows(f"{now.rows_total} usage rows were acknowledged, {totals.rows} are there")
    if not before.clean:
        for line in usage.repair_rollups(before.clean_block):
            say(line)


def _commit_from_rows(keys: Keys, block: int, rows: Sequence[ClaimedRow], refused: tuple[Refused, ...]) -> None:
    sources = {row.source: _source(keys, row) for row in rows}
    claims = [(sources[row.source].no, key_of(row.id), row.digest) for row in rows if not row.sequence]
    advances, holes = _advances(sources, rows)
    with keys.begin(durable=True):
        keys.claim(claims, block)
        keys.move(Moved(block, max(row.received_at for row in rows), len(rows), tuple(advances), (*refused, *holes)))


def _source(keys: Keys, row: ClaimedRow) -> Source:
    # A source is registered, synced, before its first row; only rebuilt keys have none. Its owner is then unknown,
    # and only an admin credential may write it until it is handed over.
    return keys.source(row.source) or keys.register(row.source, "numbered" if row.sequence else "named", "")


def _advances(sources: dict[str, Source], rows: Sequence[ClaimedRow]) -> tuple[list[Advance], list[Refused]]:
    """Where numbered sources stand after these rows. A number that has no row was refused; why is not in the rows."""
    advances: list[Advance] = []
    holes: list[Refused] = []
    for source in sources.values():
        numbered = [row for row in rows if row.source == source.name and row.sequence]
        if not numbered:
            continue
        mark = max(row.mark for row in numbered)
        position = next((row.position for row in numbered if row.position), None)
        advances.append(Advance(source.no, source.name, mark, position))
        stored = {row.sequence for row in numbered}
        lost = (number for number in range(source.mark + 1, mark + 1) if number not in stored)
        detail = "refused before a crash; the reason was not kept"
        holes += [Refused(source.no, number, "", LOST_REASON, detail) for number in lost]
    return advances, holes
