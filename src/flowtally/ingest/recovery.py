"""The journal is the log, the keys follow: record by record, at a start and after a commit of the keys that failed.

What no journal has (an earlier version wrote it) follows from its rows. Rows that only the journal has are taken by the
usage store again. The start refuses, and says why, when rows are missing that were acknowledged (law 9).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import structlog
from msgspec.structs import replace

from flowtally.core.errors import BrokenParts, DetachedParts, DoubleCounted, KeysBroken, MissingRows
from flowtally.core.refusal import refusing
from flowtally.core.words import SourceKind
from flowtally.ingest.records import Decided, claims_of, decided_of, named_rows, names_of, renumbered
from flowtally.keys import counter_states
from flowtally.keys.key_bytes import key_of
from flowtally.keys.store import LOST_REASON, Keys
from flowtally.keys.values import Advance, Claim, Committed, KnownCounter, Moved, Number, Refused, Source
from flowtally.ledger.database import Ledger
from flowtally.ledger.traffic import periods
from flowtally.usage.journal import Journal
from flowtally.usage.records import Record
from flowtally.usage.values import MAX_BLOCK, Block, ClaimedRow, Commit
from flowtally.usage.verbs import Blocks, Claims, Wholeness

log = structlog.get_logger(__name__)

COUNTED: Final = 1_000  # blocks the keys do not know yet, whose rows are counted before anything is written


class RecoveryUsage(Blocks, Claims, Wholeness, Protocol):
    """What a start asks: what is there, what it claims, whether all is whole."""


def follow(keys: Keys, record: Record, *, chained: bool = True) -> None:
    """Make the keys say what a record of the journal says. `chained`: KeysBroken where it does not come right after
    what they say already; keys that are made anew from what is left do not have every block."""
    place = keys.committed()
    if place.block >= record.block:
        return  # the commit had happened; only its answer was lost
    decided = decided_of(record)
    if chained and decided.after != place.block:
        raise KeysBroken(
            f"The keys database {keys.path} ends at block {place.block}, and in the journal block {record.block} comes"
            f" after block {decided.after}: the keys are an older copy, and the journal does not reach back to it. Put"
            " the keys back that belong to it, or make them anew with `flowtally rebuild-keys`"
        )
    moved = _as_numbered(keys, decided)
    if not chained:  # of a number that was held in a block which is only told by its rows, a rebuild knew nothing
        refused = {(one.source, one.sequence) for one in moved.refused}
        moved = replace(moved, filled=(*moved.filled, *(one for one in moved.ended if one not in refused)))
    with keys.begin(forgets=bool(moved.ended)):
        keys.move(moved)
        if record.rows is not None:
            _claim(keys, record.block, claims_of(record.rows, _numbers(keys, moved, record.rows)))


def _as_numbered(keys: Keys, decided: Decided) -> Moved:
    """With the numbers that the sources have in these keys: another one only where they were made anew."""
    numbers: dict[int, int] = {}
    for no, name in names_of(decided).items():
        source = keys.source(name) or keys.register(name, _kind_of(decided.moved, no), "")
        numbers[no] = source.no
    fresh = []
    free = max(keys.last_source(), *(one.no for one in decided.moved.sources), 0)
    for one in decided.moved.sources:
        found = keys.source(one.name)
        if found is None:
            fresh.append(one)
            taken = keys.source_of(one.no) is not None
            free += taken
            numbers[one.no] = free if taken else one.no
        else:
            numbers[one.no] = found.no
    moved = decided.moved if len(fresh) == len(decided.moved.sources) else replace(decided.moved, sources=tuple(fresh))
    return renumbered(moved, numbers)


def _kind_of(moved: Moved, no: int) -> SourceKind:
    known = {one.source for one in (*moved.counters, *moved.seen, *moved.forgotten)}
    return "counters" if no in known | {one.source for one in moved.due} else "numbered"


def _numbers(keys: Keys, moved: Moved, rows: Any) -> dict[str, int]:
    """Of the sources whose keys these rows claim, by name."""
    numbers = {one.name: one.no for one in moved.sources}
    for name in {source for source, _, _ in named_rows(rows)} - numbers.keys():
        numbers[name] = (keys.source(name) or keys.register(name, "named", "")).no
    return numbers


def _claim(keys: Keys, block: int, claims: Sequence[Claim]) -> None:
    new = keys.claim(claims, block)
    if new != len(claims):
        raise DoubleCounted(f"{len(claims) - new} of {len(claims)} events of block {block} were counted before it")


def check(
    usage: RecoveryUsage,
    place: Committed | None,
    path: Path,
    journal: Journal | None,
    *,
    rebuild: bool = False,
    look: bool = True,
) -> list[str]:
    """Whether rows, journal and keys (`place`: theirs, at `path`) can be brought together. Changes nothing. Raises
    errors.Damage, naming what is missing or broken. Answers the parts of which only a projection is broken, where it
    was to `look` at what is written in files."""
    with refusing():
        records = dict(journal.blocks()) if journal is not None else {}
        spoilt = _refuse_damage(usage, place, records) if look else []
        flushed = usage.flushed([block for block, rows in records.items() if rows])
        waiting = {block: rows for block, rows in records.items() if rows and block not in flushed}
        totals = usage.totals()
        there = totals.rows + sum(waiting.values())
        if place is None or place.epoch == 0:
            if there and not rebuild:
                raise KeysBroken(
                    f"The keys database {path} is new but there are {there} usage rows. Restore it, or start once"
                    " with --rebuild-keys (what only it had is lost: owners of sources, reasons of refused numbered"
                    " events, and all events that were held)"
                )
            return spoilt
        ahead = sum(rows for block, rows in records.items() if block > place.block)
        strange = [block for block in usage.blocks_after(place.block) if block not in records]
        if len(strange) <= COUNTED:
            there -= ahead + sum(len(usage.claims(block)) for block in strange)
            last = max(totals.last_block, *waiting, 0)
            _check_rows(usage, place, there, last, "" if journal is not None or not place.journaled else _NO_JOURNAL)
        return spoilt


_NO_JOURNAL: Final = "; the journal is not there, which had what came last"


def _refuse_damage(usage: RecoveryUsage, place: Committed | None, records: Collection[int]) -> list[str]:
    """Read is what an unclean stop may have left half written: what came after all that is known to be on the disk."""
    if damage := usage.damage():
        raise DetachedParts(f"Usage rows are put aside and would not be counted: {'; '.join(damage)}")
    broken = usage.broken(0 if place is None else _on_disk(place, records))
    if rows := [str(one) for one in broken if not one.in_projection]:
        raise BrokenParts(f"Usage rows are not what was written: {'; '.join(rows)}")
    return sorted({one.part for one in broken})


def _on_disk(place: Committed, records: Collection[int]) -> int:
    """The block up to which everything is, projections too: a record goes only after a sync."""
    if place.clean:
        return place.block
    return min(records, default=place.clean_block + 1) - 1


def recover(
    usage: RecoveryUsage,
    keys: Keys,
    journal: Journal,
    *,
    holder: str,
    rebuild: bool = False,
    promise: int = 0,
    spoilt: list[str] | None = None,
    say: Callable[[str], None],
) -> Commit:
    """Bring keys, journal and rows together before the door opens; the last block with rows, which is to be published.
    `promise`: the ledger's highest number; `spoilt`: what `check` said, where it was asked just before. Raises
    errors.Damage, naming what is missing."""
    before = keys.committed()
    looked = check(usage, before, keys.path, journal, rebuild=rebuild, look=spoilt is None)
    spoilt = looked if spoilt is None else spoilt
    with refusing():
        keys.start(holder, promise)
        records = journal.blocks()
        _follow_all(usage, keys, journal, dict(records), chained=not rebuild and before.epoch > 0, say=say)
        if not before.journaled:
            if not before.clean:
                _settle_from_rows(usage, keys, max(before.block, before.skipped) + 1)  # absent: its number is skipped
            keys.begin_journal()
        if journal.burnt() > keys.committed().skipped:
            keys.skip(journal.burnt())
        now = keys.committed()
        totals = usage.totals()
        _check_rows(usage, now, totals.rows, totals.last_block)
        if spoilt or not before.clean:
            since = now.block if before.clean else _on_disk(before, dict(records))
            for line in usage.repair_projections(since, spoilt):
                say(line)
        return Commit(totals.last_block, totals.last_received_at)


def _follow_all(
    usage: RecoveryUsage,
    keys: Keys,
    journal: Journal,
    records: Mapping[int, int],
    *,
    chained: bool,
    say: Callable[[str], None],
) -> None:
    """All that the keys do not have yet, in order, out of the journal, or out of the rows of what it does not have; and
    the rows that only the journal has are taken."""
    last = keys.committed().block
    strange = deque(block for block in usage.blocks_after(last) if block not in records)
    flushed = usage.flushed([block for block, rows in records.items() if rows])
    followed = 0

    def settle_before(number: int) -> None:
        while strange and strange[0] < number:
            _settle_from_rows(usage, keys, block := strange.popleft())
            say(f"settled block {block} from its rows")

    for record in journal.after(0):
        settle_before(record.block)
        if record.block > last:
            follow(keys, record, chained=chained)
            followed += 1
        if record.rows is not None and record.block not in flushed:
            usage.append(Block(record.block, record.received_at, record.rows))
    settle_before(MAX_BLOCK)
    if followed:
        say(f"the keys followed the journal: {followed} blocks, up to block {max(records)}")


def _settle_from_rows(usage: RecoveryUsage, keys: Keys, block: int) -> None:
    """Make the keys say what the rows say of a block that no journal has, for version 4 wrote it. An insert that may
    have been under way is there or not by now: then its number is skipped."""
    if keys.committed().block >= block:
        return
    if rows := usage.claims(block):
        _commit_from_rows(keys, block, rows)
    else:
        keys.skip(block)


def _check_rows(usage: RecoveryUsage, place: Committed, there: int, last: int, why: str = "") -> None:
    """`there`: rows of the blocks that the keys have, the last of all being of block `last`."""
    acknowledged = place.rows_total
    if there > acknowledged and (twice := usage.twice()):
        raise DoubleCounted(f"{acknowledged} usage rows were acknowledged, {there} are there: {twice}")
    if there != acknowledged:
        ends = f"Block {place.block} was acknowledged, the rows end at block {last}: " if last < place.block else ""
        raise MissingRows(f"{ends}{acknowledged} usage rows were acknowledged, {there} are there{why}")


def give_up_stated_blocks(keys: Keys, ledger: Ledger) -> None:
    """A statement may be frozen at a block that keys and rows do not have: the ledger of a backup is a moment later
    than its usage, and keys that were rebuilt no longer know which numbers were given up. That number must not be used
    again, or what comes next would seem to be inside the frozen statement."""
    with ledger.read() as tx:
        stated = periods.highest_block(tx)
    if stated > keys.committed().block:
        keys.skip(stated)


def give_up_earlier_blocks(keys: Keys, now: int) -> None:
    """After a restore, or where the old keys are gone: which numbers were given is not known, and none may be given
    twice. The next one is above all that can have been, for there is less than a block a millisecond."""
    keys.skip(max(now, keys.committed().block))


def commit_from_rows(keys: Keys, block: int, rows: Sequence[ClaimedRow]) -> None:
    """One block of a rebuild, in order: what is lost in a power cut is simply derived again, so nothing is synced."""
    _commit_from_rows(keys, block, rows, durable=False)


def _commit_from_rows(keys: Keys, block: int, rows: Sequence[ClaimedRow], *, durable: bool = True) -> None:
    sources = {row.source: _source(keys, row) for row in {row.source: row for row in rows}.values()}
    claims = [(sources[row.source].no, key_of(row.id), row.digest) for row in rows if not row.sequence]
    moved = _moved(keys, block, sources, rows)
    with keys.begin(durable=durable, forgets=bool(moved.ended)):
        _claim(keys, block, claims)
        keys.move(moved)
        keys.confirm(block)


def _source(keys: Keys, row: ClaimedRow) -> Source:
    # Version 4 wrote down a source before its first row; only rebuilt keys and older ones have none. Its owner is then
    # unknown, and only an admin credential may write it until it is handed over.
    return keys.source(row.source) or keys.register(row.source, _kind(row), "")


def _kind(row: ClaimedRow) -> SourceKind:
    """Of the rows without a number only those of counters have a position."""
    return "numbered" if row.sequence else "counters" if row.position else "named"


def _moved(keys: Keys, block: int, sources: dict[str, Source], rows: Sequence[ClaimedRow]) -> Moved:
    """What the block moves, from its rows alone: where its numbered sources stand, which numbers have no row, and which
    have one now that had none."""
    numbered: dict[str, list[ClaimedRow]] = {}
    for row in rows:
        if row.sequence:
            numbered.setdefault(row.source, []).append(row)
    advances: list[Advance] = []
    refused: list[Refused] = []
    ended: list[Number] = []
    filled: list[Number] = []
    for name, mine in numbered.items():
        source = sources[name]
        again = {row.sequence for row in mine if row.sequence <= source.mark}
        held, holes = _holes(keys, source, again, block)
        ended += held
        filled += holes
        advances.append(_advance(source, mine))
        refused += _refused(keys, source, mine)
    return Moved(
        block,
        max(row.received_at for row in rows),
        len(rows),
        tuple(advances),
        tuple(refused),
        ended=tuple(ended),
        filled=tuple(filled),
        counters=tuple(_counters(block, sources, rows)),
    )


def _counters(block: int, sources: dict[str, Source], rows: Sequence[ClaimedRow]) -> Iterator[KnownCounter]:
    """Where the counters stand that have rows: as the last one of each says."""
    last: dict[tuple[int, str], KnownCounter] = {}
    for row in rows:
        if row.sequence or not row.position:
            continue
        one = counter_states.of_row(sources[row.source].no, row.id, row.position, block)
        before = last.get((one.source, one.counter))
        if before is None or before.standing.number < one.standing.number:
            last[one.source, one.counter] = one
    yield from last.values()


def _holes(keys: Keys, source: Source, again: set[int], block: int) -> tuple[list[Number], list[Number]]:
    """Numbers up to the mark that have a row only now: those that were held, and those of which nothing was known but
    that they had none. Any other has a row already."""
    if not again:
        return [], []
    first, last = min(again), max(again)
    held = again & keys.held(source.no, first, last).keys()
    lost = {number for number, one in keys.refusals(source.no, first, last).items() if one.code == LOST_REASON}
    if twice := again - held - lost:
        raise DoubleCounted(
            f"{len(twice)} of {len(again)} events of block {block} were counted before it: source {source.name!r},"
            f" number {min(twice)}"
        )
    return [(source.no, number) for number in sorted(held)], [(source.no, number) for number in sorted(again - held)]


def _advance(source: Source, rows: Sequence[ClaimedRow]) -> Advance:
    position = next((row.position for row in rows if row.position), None)
    return Advance(source.no, source.name, max(row.mark for row in rows), position)


def _refused(keys: Keys, source: Source, rows: Sequence[ClaimedRow]) -> Iterator[Refused]:
    """A number that has no row and is not held was refused; why is not in the rows."""
    mark = max(row.mark for row in rows)
    known = {row.sequence for row in rows} | keys.held(source.no, source.mark + 1, mark).keys()
    for number in range(source.mark + 1, mark + 1):
        if number not in known:
            yield Refused(source.no, number, "", LOST_REASON, "refused before a crash; the reason was not kept")
