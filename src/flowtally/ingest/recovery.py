"""After any doubt: the rows are the log, the keys follow. The same procedure at start and while running.

A block whose insert was sent is either there (then its claims are derived from its rows and committed) or it is not
(then its number is skipped). The start refuses, and says why, when rows are missing that were acknowledged (law 9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

import structlog

from flowtally.core.errors import BrokenParts, DetachedParts, DoubleCounted, KeysBroken, MissingRows
from flowtally.core.refusal import refusing
from flowtally.core.words import SourceKind
from flowtally.keys import counter_states
from flowtally.keys.key_bytes import key_of
from flowtally.keys.store import Keys
from flowtally.keys.values import Advance, Committed, KnownCounter, Moved, Number, Refused, Source
from flowtally.ledger.database import Ledger
from flowtally.ledger.traffic import periods
from flowtally.usage.values import ClaimedRow, Commit
from flowtally.usage.verbs import Blocks, Claims, Commits, Wholeness

log = structlog.get_logger(__name__)

LOST_REASON: Final = "reason_lost"
COUNTED: Final = 1_000  # blocks the keys do not know yet, whose rows are counted before anything is written


class SettlingUsage(Blocks, Claims, Protocol):
    """What settling a block asks: whether it is there, and what it claims."""


class RecoveryUsage(SettlingUsage, Wholeness, Protocol):
    """What a start asks besides: whether all is whole."""


def settle_block(usage: SettlingUsage, keys: Keys, block: int, moved: Moved | None = None) -> bool:
    """Make the keys say what the rows say of this block; whether it is there. `moved` is what memory still knows."""
    if keys.committed().block >= block:
        return True  # the commit had happened; only its answer was lost
    rows = usage.claims(block)
    if not rows:
        keys.skip(block)
        return False
    _commit_from_rows(keys, block, rows, moved)
    return True


def check(
    usage: RecoveryUsage, place: Committed | None, path: Path, *, rebuild: bool = False, look: bool = True
) -> list[str]:
    """Whether rows and keys (`place`: theirs, at `path`) can be brought together. Changes nothing. Raises
    errors.Damage, naming what is missing or broken. Answers the parts of which only a projection is broken, where it
    was to `look` at what is written in files."""
    with refusing():
        spoilt = _refuse_damage(usage, place) if look else []
        totals = usage.totals()
        if place is None or place.epoch == 0:
            if totals.rows and not rebuild:
                raise KeysBroken(
                    f"The keys database {path} is new but there are {totals.rows} usage rows. Restore it, or start once"
                    " with --rebuild-keys (what only it had is lost: owners of sources, reasons of refused numbered"
                    " events, and all events that were held)"
                )
            return spoilt
        if totals.last_block < place.block:
            raise MissingRows(
                f"Block {place.block} was acknowledged, the rows end at block {totals.last_block}: usage rows are"
                " missing"
            )
        later = usage.blocks_after(place.block)
        if len(later) <= COUNTED:
            _check_rows(usage, place.rows_total, totals.rows - sum(len(usage.claims(block)) for block in later))
        return spoilt


def _refuse_damage(usage: RecoveryUsage, place: Committed | None) -> list[str]:
    """Read is what an unclean stop may have left half written: what came after the last mark in the keys."""
    if damage := usage.damage():
        raise DetachedParts(f"Usage rows are put aside and would not be counted: {'; '.join(damage)}")
    broken = usage.broken(0 if place is None else place.block if place.clean else place.clean_block)
    if rows := [str(one) for one in broken if not one.in_projection]:
        raise BrokenParts(f"Usage rows are not what was written: {'; '.join(rows)}")
    return sorted({one.part for one in broken})


def recover(
    usage: RecoveryUsage,
    keys: Keys,
    *,
    holder: str,
    rebuild: bool = False,
    promise: int = 0,
    spoilt: list[str] | None = None,
    say: Callable[[str], None],
) -> None:
    """Bring keys and rows together before the door opens. `promise`: the ledger's highest number; `spoilt`: what
    `check` said, where it was asked just before. Raises errors.Damage, naming what is missing."""
    before = keys.committed()
    looked = check(usage, before, keys.path, rebuild=rebuild, look=spoilt is None)
    spoilt = looked if spoilt is None else spoilt
    with refusing():
        keys.start(holder, promise)
        for block in usage.blocks_after(before.block):
            settle_block(usage, keys, block)
            say(f"settled block {block} from its rows")
        if not before.clean:
            settle_block(usage, keys, _unsure(before))  # absent: its number is skipped
        keys.withdraw()
        now = keys.committed()
        _check_rows(usage, now.rows_total, usage.totals().rows)
        if spoilt or not before.clean:
            for line in usage.repair_projections(now.block if before.clean else before.clean_block, spoilt):
                say(line)


def last_commit(usage: Commits, place: Committed) -> Commit:
    """The last block with rows, when the keys stand at this place; its instant of receipt is in its rows, for the keys'
    own moves on with what was refused since."""
    found = usage.last_commit(block=place.block)
    return found if found.block == place.block else Commit(place.block, place.received_at)


def _unsure(place: Committed) -> int:
    """The number of the insert that may outlive the process that sent it."""
    return max(place.block, place.skipped) + 1


def _check_rows(usage: RecoveryUsage, acknowledged: int, there: int) -> None:
    if there > acknowledged and (twice := usage.twice()):
        raise DoubleCounted(f"{acknowledged} usage rows were acknowledged, {there} are there: {twice}")
    if there != acknowledged:
        raise MissingRows(f"{acknowledged} usage rows were acknowledged, {there} are there")


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
    _commit_from_rows(keys, block, rows, None, durable=False)


def _commit_from_rows(
    keys: Keys, block: int, rows: Sequence[ClaimedRow], moved: Moved | None, *, durable: bool = True
) -> None:
    sources = {row.source: _source(keys, row) for row in {row.source: row for row in rows}.values()}
    claims = [(sources[row.source].no, key_of(row.id), row.digest) for row in rows if not row.sequence]
    moved = moved or _moved(keys, block, sources, rows)
    with keys.begin(durable=durable, forgets=bool(moved.ended)):
        new = keys.claim(claims, block)
        if new != len(claims):
            raise DoubleCounted(f"{len(claims) - new} of {len(claims)} events of block {block} were counted before it")
        keys.move(moved)


def _source(keys: Keys, row: ClaimedRow) -> Source:
    # A source is announced, synced, before its first row; only rebuilt keys have none. Its owner is then unknown,
    # and only an admin credential may write it until it is handed over.
    found = keys.source(row.source, announced=True)
    return found or keys.register(row.source, _kind(row), "")


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
        announced=True,
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
