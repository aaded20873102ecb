"""How long rows stay as they came in: old months are compacted by quarter hours, with usage kept.

Owns which months are due and the order of a run; `usage.compaction` has what a month becomes, the ledger what it must
be cut by. A month is due when all of it was received more than `retain_rows_days` ago, a later one has rows and those
before it are compacted: so nothing is ever written into it again. And when none of it is dated after now: promises of
the time to come, at whatever instant, are still to be made. Nor while the journal has a record of it: what a start
finds there it looks for in the rows, by block.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from flowtally.care.backup import BetweenBlocks
from flowtally.care.flushed import Flushed
from flowtally.care.job import Progress
from flowtally.core.errors import Conflict, StorageFull, Unavailable
from flowtally.core.times import DAY_MS
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.traffic.cuts import closings, count_cuts, cut_instants
from flowtally.ledger.trail import note, server
from flowtally.usage.values import BUCKET_MS, Closed, Cuts, Month, month_end, month_of
from flowtally.usage.verbs import Commits

if TYPE_CHECKING:
    from flowtally.usage.compaction import Compaction

TRIES: Final = 3  # to find the ledger's promises about a month as they were when it was begun

log = structlog.get_logger(__name__)


class CompactedMonth(msgspec.Struct, frozen=True):
    """A month of receipt (YYYYMM): entries with rows of their own, bytes on the disk before and (once done) after."""

    month: int
    entries: int
    bytes: int
    bytes_after: int | None = None


class CompactionRun(msgspec.Struct, frozen=True):
    """What was compacted; or, `dry`, what would be."""

    dry: bool
    months: list[CompactedMonth]


class Retention:
    """Of one installation, by one thread at a time."""

    def __init__(
        self,
        days: int,
        compaction: Compaction,
        commits: Commits,
        ledger: Ledger,
        between_blocks: BetweenBlocks,
        clock: Callable[[], int],
        flushed: Flushed | None = None,
    ) -> None:
        self._days = days
        self._flushed = flushed
        self._compaction = compaction
        self._commits = commits
        self._ledger = ledger
        self._between_blocks = between_blocks
        self._clock = clock

    def run(self, say: Progress, *, dry: bool = False) -> CompactionRun:
        """Compact what is due, the oldest month first. FoldBroken, StorageFull: that month is as it was."""
        if self._flushed is not None:
            with suppress(Unavailable):  # no room, or a block that the table does not take: older months may be due
                self._flushed.settle()
        if not dry:  # a run that failed may have left a month decided on
            self._between_blocks(lambda keys: self._compaction.go_on())
            self._compaction.refresh()
        due = self.due()
        if dry:
            return CompactionRun(True, [CompactedMonth(one.month, one.rows, one.bytes) for one in due])
        try:
            return CompactionRun(False, [self._compact(one, say) for one in due])
        finally:
            with suppress(StorageFull):  # the next run begins with it
                self._compaction.abandon()

    def due(self) -> list[Month]:
        now = self._clock()
        before = now - self._days * DAY_MS
        newest = month_of(self._commits.last_commit().received_at)
        if self._flushed is not None and (first := self._flushed.first_received_at()) is not None:
            newest = min(newest, month_of(first))
        found = self._compaction.months()
        over = takewhile(lambda one: month_end(one.month) <= before and one.month < newest, found)
        return list(takewhile(lambda one: one.until <= now, over))

    def _compact(self, month: Month, say: Progress) -> CompactedMonth:

        for _ in range(TRIES):
            with self._ledger.read() as tx:
                cuts, count = read_cuts(tx, month.until), count_cuts(tx, month.until)
            self._compaction.stage(month, cuts, say)
            say("put in place")
            if self._between_blocks(lambda keys: self._put_in_place(month, count)):  # noqa: B023 - called at once
                after = self._compaction.clear(month)
                log.info("month_compacted", month=month.month, entries=month.rows, bytes=month.bytes, bytes_after=after)
                return CompactedMonth(month.month, month.rows, month.bytes, after)
        raise Conflict(f"Promises about {month.month} kept changing while it was compacted; nothing was changed")

    def _put_in_place(self, month: Month, count: int) -> bool:
        """Whether the month was cut by all there is to cut it by. The ledger's one writer waits meanwhile: whoever
        promises something about the past looks at usage in the same transaction."""

        with self._ledger.begin(server("retention")) as tx:
            if count_cuts(tx, month.until) != count:
                return False
            self._compaction.put_in_place(month)
            note(tx, "retention.roll_up", subject=str(month.month), after={"entries": month.rows, "bytes": month.bytes})
            return True


def read_cuts(tx: Tx, before: int) -> Cuts:
    """What rows dated before an instant must be cut by."""
    instants = cut_instants(tx, before, BUCKET_MS)
    return Cuts(tuple(sorted(instants)), tuple(Closed(*one) for one in closings(tx)))
