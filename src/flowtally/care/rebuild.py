"""New keys and new projections from the rows: for when they are lost or wrong, with no server running.

Owns the order. The new keys are made beside the old ones and take their place when they are complete and the row counts
agree, so a rebuild that is stopped has changed nothing. Of the newest blocks they follow the journal, which has rows
that are not in the table yet, and all that is not in rows: refused and held events, owners of sources. They are of a
new generation, which the next start gives to ledger, usage and journal too. Memory is bounded by `ROWS`, whatever there
is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from flowtally.care.job import Progress
from flowtally.care.manifest import sync_directory
from flowtally.care.offline import journal_beside, refuse_lacking, rows_waiting
from flowtally.core.errors import BrokenParts, BrokenRollup, Conflict, DetachedParts, MissingRows
from flowtally.core.refusal import refusing
from flowtally.host.lease import Lease, me, of_keys
from flowtally.ingest import recovery
from flowtally.keys.checks import KeysCheck
from flowtally.keys.salvage import salvage
from flowtally.keys.store import Keys, refuse_newer
from flowtally.usage.journal import Journal
from flowtally.usage.records import Record
from flowtally.usage.store import UsageStore
from flowtally.usage.values import ClaimedRow

if TYPE_CHECKING:
    from flowtally.usage.checks.rows import RowsCheck

ROWS: Final = 300_000  # held at a time; a block has at most 200,000
_SIDES: Final = ("", "-wal", "-shm")


class Rebuilt(msgspec.Struct, frozen=True):
    """`owners`, `reasons` and `held` events: kept from the old keys, None where there were none to read. `kept_old`:
    where they are now. `records`: of the blocks, those that the journal told of."""

    blocks: int
    rows: int
    sources: int
    owners: int | None
    reasons: int | None
    held: int | None
    kept_old: str | None
    records: int = 0


def rebuild_keys(usage: UsageStore, path: Path, now: int, say: Progress) -> Rebuilt:
    """Conflict for a store that is not the engine's, WriterBusy while a server runs, KeysTooNew where there is nothing
    to rebuild, DetachedParts, BrokenParts and MissingRows where the rows themselves are not whole, JournalBroken where
    the journal beside the keys is not, or is not there although rows lack that it had, StoresDiffer where it is another
    installation's."""
    rows = usage.rows_check
    if rows is None:
        raise Conflict("This usage store keeps no rows to rebuild keys from")
    with Lease(of_keys(path), "keys_url") as lease, refusing(), journal_beside(usage, path) as journal:
        refuse_newer(path)
        _refuse_damage(rows, say)
        new = path.with_name(f"{path.name}.rebuilding")
        _remove(new)
        total = usage.totals().rows + (rows_waiting(usage, journal) if journal is not None else 0)
        refuse_lacking(path, total, journal)
        lease.keep()
        keys = Keys(new)
        try:
            keys.bind(usage.identity().installation, "")  # the next start makes a new generation for all stores
            keys.start(f"rebuilt by {me()}")
            blocks = done = records = 0
            for block, mine in _blocks(rows, journal):
                if isinstance(mine, Record):
                    recovery.follow(keys, mine, chained=False)
                    done += 0 if mine.rows is None else mine.rows.num_rows
                    records += 1
                else:
                    recovery.commit_from_rows(keys, block, mine)
                    done += len(mine)
                blocks += 1
                say("rebuild", done, total)
            if journal is not None:
                keys.skip(journal.burnt())
                keys.begin_journal()
            place = keys.committed()
        finally:
            keys.close()
            of_keys(new).unlink(missing_ok=True)
        if done != total or place.rows_total != total:
            raise MissingRows(f"{total} usage rows are there, {done} were read: nothing was changed, try again")
        kept = salvage(new, path) if path.exists() else None
        if kept is None:
            _give_up_earlier_blocks(new, now)
        sources = _count_sources(new)
        old = _put_in_place(new, path, now)
        return Rebuilt(
            blocks, total, sources, kept.owners if kept else None, kept.reasons if kept else None,
            kept.held if kept else None, str(old) if old else None, records,
        )  # fmt: skip


def _blocks(rows: RowsCheck, journal: Journal | None) -> Iterator[tuple[int, Record | list[ClaimedRow]]]:
    """All blocks in order: as the journal has them, or as their rows say."""
    records = iter(()) if journal is None else journal.after(0)
    record = next(records, None)
    for block, mine in _blocks_of_table(rows):
        while record is not None and record.block < block:
            yield record.block, record
            record = next(records, None)
        if record is None or record.block > block:
            yield block, mine
    while record is not None:
        yield record.block, record
        record = next(records, None)


def _blocks_of_table(rows: RowsCheck) -> Iterator[tuple[int, list[ClaimedRow]]]:
    last = 0
    while portion := rows.next_blocks(last, ROWS):
        yield from rows.claims(portion[0][0], portion[-1][0])
        last = portion[-1][0]


class RebuiltProjections(msgspec.Struct, frozen=True):
    """How many parts were compared, and which months (YYYYMM) were rebuilt."""

    parts: int
    rebuilt: list[str]


def rebuild_projections(usage: UsageStore, path: Path, say: Progress) -> RebuiltProjections:
    """Compare the projection of every part with its rows and rebuild the months in which one differs. BrokenRollup
    where that did not help; else as `rebuild_keys`."""
    rows = usage.rows_check
    if rows is None:
        raise Conflict("This usage store keeps no projections")
    with Lease(of_keys(path), "keys_url"), refusing():
        spoilt = _refuse_damage(rows, say)
        parts, broken = _compare(rows, say)
        broken = sorted({*broken, *spoilt})
        for number, month in enumerate(months := sorted({part.partition("_")[0] for part in broken})):
            say("rebuild", number, len(months))
            rows.rebuild(month)
        os.sync()
        if months and (still := sorted({*_compare(rows, say)[1], *_refuse_damage(rows, say)})):
            raise BrokenRollup(f"The projection of part {', '.join(still)} differs from its rows and cannot be rebuilt")
        return RebuiltProjections(parts, months)


def _refuse_damage(rows: RowsCheck, say: Progress) -> list[str]:
    """DetachedParts and BrokenParts where rows are not there or not what was written; the parts of which only a
    projection is."""
    if damage := rows.damage():
        raise DetachedParts(f"Usage rows are put aside and would not be counted: {'; '.join(damage)}")
    broken = rows.broken(say)[1]
    if unreadable := [str(one) for one in broken if not one.in_projection]:
        raise BrokenParts(f"Usage rows are not what was written: {'; '.join(unreadable)}")
    return [one.part for one in broken]


def _compare(rows: RowsCheck, say: Progress) -> tuple[int, list[str]]:
    parts = rows.parts(2**63)
    broken = []
    for number, part in enumerate(parts):
        say("compare", number, len(parts))
        if not all(rows.agrees(part, portion) for portion in range(rows.slices(part))):
            broken.append(part.name)
    return len(parts), broken


def _give_up_earlier_blocks(path: Path, now: int) -> None:
    keys = Keys(path)
    try:
        recovery.give_up_earlier_blocks(keys, now)
    finally:
        keys.close()
        of_keys(path).unlink(missing_ok=True)


def _count_sources(path: Path) -> int:
    check = KeysCheck(path)
    try:
        return check.count_sources()
    finally:
        check.close()


def _put_in_place(new: Path, path: Path, now: int) -> Path | None:
    os.sync()
    old = None
    if path.exists():
        old = path.with_name(f"{path.name}.old-{now}")
        for side in _SIDES:
            if Path(f"{path}{side}").exists():
                os.rename(f"{path}{side}", f"{old}{side}")
    for side in _SIDES[1:]:
        Path(f"{new}{side}").unlink(missing_ok=True)  # checkpointed when it was closed
    os.rename(new, path)
    sync_directory(path.parent)
    return old


def _remove(path: Path) -> None:
    for side in _SIDES:
        Path(f"{path}{side}").unlink(missing_ok=True)
