"""After any doubt: the rows are the log, the keys follow. The same procedure at start and while running.

A block whose insert was sent is either there (then its claims are derived from its rows and committed) or it is not
(then its number is burnt). The start refuses, and says why, when rows are missing that were acknowledged (law 9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog

from flowtally.errors import DetachedParts, DoubleCounted, KeysBroken, MissingRows
from flowtally.ledger import periods
from flowtally.ledger.database import Ledger
from flowtally.usage.key_bytes import key_of
from flowtally.usage.keys import Advance, Committed, Keys, Moved, Refused, Source
from flowtally.usage.store import ClaimedRow, Commit, UsageStore

log = structlog.get_logger(__name__)

LOST_REASON: Final = "reason_lost"
COUNTED: Final = 1_000  # blocks the keys do not know yet, whose rows are counted before anything is written


def settle_block(usage: UsageStore, keys: Keys, block: int, moved: Moved | None = None) -> bool:
    """Make the keys say what the rows say of this block; whether it is there. `moved` is what memory still knows."""
    usage.end_append(block)
    if keys.committed().block >= block:
        return True  # the commit had happened; only its answer was lost
    rows = usage.claims(block)
    if not rows:
        keys.burn(block)
        return False
    _commit_from_rows(keys, block, rows, moved)
    return True


def check(usage: UsageStore, place: Committed | None, path: Path, *, rebuild: bool = False) -> None:
    """Whether rows and keys (`place`: theirs, at `path`) can be brought together. Changes nothing. Raises
    errors.Damage, naming what is missing."""
    damage = usage.damage()
    if damage:
        raise DetachedParts(f"Usage rows are put aside and would not be counted: {'; '.join(damage)}")
    if place is not None:
        usage.end_append(_unsure(place))
    totals = usage.totals()
    if place is None or place.epoch == 0:
        if totals.rows and not rebuild:
            raise KeysBroken(
                f"The keys database {path} is new but there are {totals.rows} usage rows. Restore it, or start once"
                " with --rebuild-keys (what only it held is lost: owners of sources, reasons of refused numbered"
                " events)"
            )
        return
    if totals.last_block < place.block:
        raise MissingRows(
            f"Block {place.block} was acknowledged, the rows end at block {totals.last_block}: usage rows are missing"
        )
    later = usage.blocks_after(place.block)
    if len(later) <= COUNTED:
        _check_rows(place.rows_total, totals.rows - sum(len(usage.claims(block)) for block in later))


def recover(usage: UsageStore, keys: Keys, *, holder: str, rebuild: bool = False, say: Callable[[str], None]) -> None:
    """Bring keys and rows together before the door opens. Raises errors.Damage, naming what is missing."""
    before = keys.committed()
    check(usage, before, keys.path, rebuild=rebuild)
    keys.start(holder)
    for block in usage.blocks_after(before.block):
        settle_block(usage, keys, block)
        say(f"settled block {block} from its rows")
    if not before.clean:
        settle_block(usage, keys, _unsure(before))  # absent: its number is burnt
    _check_rows(keys.committed().rows_total, usage.totals().rows)
    if not before.clean:
        for line in usage.repair_rollups(before.clean_block):
            say(line)


def last_commit(usage: UsageStore, place: Committed) -> Commit:
    """The last block with rows, when the keys stand at this place; its instant of receipt is in its rows, for the keys'
    own moves on with what was refused since."""
    found = usage.last_commit(block=place.block)
    return found if found.block == place.block else Commit(place.block, place.received_at)


def _unsure(place: Committed) -> int:
    """The number of the insert that may outlive the process that sent it."""
    return max(place.block, place.burnt) + 1


def _check_rows(acknowledged: int, there: int) -> None:
    if there != acknowledged:
        raise MissingRows(f"{acknowledged} usage rows were acknowledged, {there} are there")


def give_up_stated_blocks(keys: Keys, ledger: Ledger) -> None:
    """A statement may be frozen at a block that keys and rows do not have: the ledger of a backup is a moment later
    than its usage, and keys that were rebuilt no longer know which numbers were given up. That number must not be used
    again, or what comes next would seem to be inside the frozen statement."""
    with ledger.read() as tx:
        stated = periods.highest_block(tx)
    if stated > keys.committed().block:
        keys.burn(stated)


def commit_from_rows(keys: Keys, block: int, rows: Sequence[ClaimedRow]) -> None:
    """One block of a rebuild, in order: what is lost in a power cut is simply derived again, so nothing is synced."""
    _commit_from_rows(keys, block, rows, None, durable=False)


def _commit_from_rows(
    keys: Keys, block: int, rows: Sequence[ClaimedRow], moved: Moved | None, *, durable: bool = True
) -> None:
    sources = {row.source: _source(keys, row) for row in {row.source: row for row in rows}.values()}
    claims = [(sources[row.source].no, key_of(row.id), row.digest) for row in rows if not row.sequence]
    with keys.begin(durable=durable):
        new = keys.claim(claims, block)
        if new != len(claims):
            raise DoubleCounted(f"{len(claims) - new} of {len(claims)} events of block {block} were counted before it")
        keys.move(moved or _moved(block, sources, rows))


def _source(keys: Keys, row: ClaimedRow) -> Source:
    # A source is registered, synced, before its first row; only rebuilt keys have none. Its owner is then unknown,
    # and only an admin credential may write it until it is handed over.
    return keys.source(row.source) or keys.register(row.source, "numbered" if row.sequence else "named", "")


def _moved(block: int, sources: dict[str, Source], rows: Sequence[ClaimedRow]) -> Moved:
    """What the block moves, from its rows alone: where its numbered sources stand, and which numbers have no row."""
    numbered: dict[str, list[ClaimedRow]] = {}
    for row in rows:
        if row.sequence:
            numbered.setdefault(row.source, []).append(row)
    advances = tuple(_advance(sources[name], mine) for name, mine in numbered.items())
    holes = tuple(hole for name, mine in numbered.items() for hole in _holes(sources[name], mine))
    return Moved(block, max(row.received_at for row in rows), len(rows), advances, holes)


def _advance(source: Source, rows: Sequence[ClaimedRow]) -> Advance:
    position = next((row.position for row in rows if row.position), None)
    return Advance(source.no, source.name, max(row.mark for row in rows), position)


def _holes(source: Source, rows: Sequence[ClaimedRow]) -> Iterator[Refused]:
    """A number that has no row was refused; why is not in the rows."""
    stored = {row.sequence for row in rows}
    for number in range(source.mark + 1, max(row.mark for row in rows) + 1):
        if number not in stored:
            yield Refused(source.no, number, "", LOST_REASON, "refused before a crash; the reason was not kept")
