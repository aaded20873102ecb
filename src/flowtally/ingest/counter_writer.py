"""Blocks of readings, on the committer's thread: planned, written, answered; and counters that fell silent.

Owns the order of things for readings; the block itself is carried out by the committer, as any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from flowtally.core.errors import FlowtallyError, SourceKindMismatch, SourceNotYours
from flowtally.core.readings import Reading
from flowtally.core.words import SourceKind
from flowtally.ingest import rows, silence
from flowtally.ingest.block import Sorted
from flowtally.ingest.counter_rows import ReadingsPlan, finish
from flowtally.ingest.differencing import Differencer, Later
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.revival import RowsWanted
from flowtally.ingest.sources import Sources
from flowtally.ingest.submission import Again, ReadingsSubmission
from flowtally.keys.store import Keys
from flowtally.keys.values import KnownCounter
from flowtally.protocol import ReadingsAnswer

log = structlog.get_logger(__name__)

OUTCOMES: Final = ("stored", "duplicate", "refused")  # what becomes of a reading

Work = Callable[[int], tuple[Sorted, object | None]]  # as the committer's `_carry_out` takes it


class Planned:
    """What becomes of requests that came together: one block, or none where they told nothing. `late` wait for the
    next one."""

    def __init__(self) -> None:
        self.block = ReadingsPlan()
        self.parts: list[tuple[ReadingsSubmission, ReadingsPlan]] = []
        self.refused: list[tuple[ReadingsSubmission, FlowtallyError | Again]] = []
        self.late: list[ReadingsSubmission] = []

    def answers(self) -> list[tuple[ReadingsSubmission, ReadingsAnswer | FlowtallyError | Again]]:
        """Once the block is written."""
        return [*self.refused, *((one, _answer(plan)) for one, plan in self.parts)]

    def failed(self, error: FlowtallyError) -> list[tuple[ReadingsSubmission, ReadingsAnswer | FlowtallyError | Again]]:
        return [*self.refused, *((one, error) for one, _ in self.parts)]


class CounterWriter:
    """Built once, by the committer. `carry_out` writes a block."""

    def __init__(
        self,
        keys: Keys,
        sources: Sources,
        resolver: NameResolver,
        differencer: Differencer,
        carry_out: Callable[[Work, Sorted], Sorted],
        clock: Callable[[], int],
    ) -> None:
        self._keys = keys
        self._sources = sources
        self._resolver = resolver
        self._differencer = differencer
        self._carry_out = carry_out
        self._clock = clock
        self._started_at = clock()
        self._look_at = time.monotonic()  # for silent counters, again

    def plan(self, asked: Sequence[ReadingsSubmission]) -> Planned:
        """One request after the other, on what is committed."""
        self._sources.forget_fresh()
        planned = Planned()
        for one in asked:
            try:
                plan = self._plan(one, planned.block)
            except Later:
                planned.late.append(one)
            except RowsWanted as wanted:
                planned.refused.append((one, Again(wanted.keys)))
            except FlowtallyError as error:
                if planned.parts and isinstance(error, SourceNotYours | SourceKindMismatch):
                    planned.late.append(one)  # of a source that another of them may make, or not, after all
                else:
                    planned.refused.append((one, error))
            else:
                planned.block.add(plan)
                planned.parts.append((one, plan))
        return planned

    def _plan(self, asked: ReadingsSubmission, before: ReadingsPlan) -> ReadingsPlan:
        kinds: dict[str, SourceKind] = {one.source: "counters" for one in asked.readings if isinstance(one, Reading)}
        self._sources.check_many(kinds)
        self._sources.load(kinds)
        self._sources.open(kinds, asked.writer)
        return self._differencer.plan(asked, self._sources, before)

    def write(self, plan: ReadingsPlan) -> None:
        """Carry a plan out, if there is anything in it."""
        if not plan:
            return
        sorted_ = self._sorted(plan)
        revived = sorted_.counters

        def work(number: int) -> tuple[Sorted, object | None]:
            if not plan.rows:
                return sorted_, None
            done = finish(plan, number, self._sources, self._resolver)
            claimed = self._keys.claim(done.claims, number)
            assert claimed == len(done.rows), "each row of a counter has a number of its own"
            sorted_.counters = (*revived, *done.counters)
            return sorted_, rows.batch_of(done.rows)

        try:
            self._carry_out(work, sorted_)
        except BaseException:
            self._differencer.counts.forget()
            raise
        self._differencer.counts.add(plan.new)

    def _sorted(self, plan: ReadingsPlan) -> Sorted:
        fresh = sorted(self._sources.fresh.intersection(row.source for row in plan.rows))
        return Sorted(
            [],
            list(range(len(plan.rows))),
            [],
            [],
            [],
            fresh=fresh,
            counters=tuple(one for place, one in plan.revived.items() if place not in plan.latest),
            seen=tuple(KnownCounter(*place, standing, 0) for place, standing in plan.seen.items()),
            forgotten=tuple(plan.forgotten),
            due=tuple(plan.due),
        )

    def is_time(self) -> bool:
        """Whether to look for silent counters now."""
        return time.monotonic() >= self._look_at

    def look_for_silence(self, check: Callable[[], None]) -> tuple[int, bool]:
        """Close and forget counters that nobody reads any more: how many were closed, and whether there may be more.
        `check` raises where nothing may be written; asked where there is something to write."""
        self._look_at = time.monotonic() + silence.AFTER_FAILURE_S
        now = self._clock()
        due = self._keys.due_counters(now, silence.PAGE)
        plan = ReadingsPlan()
        if due:
            check()
            self._sources.forget_fresh()
            sources = self._sources.load_numbers({one.source for one in due})
            plan = silence.plan_silence(due, now, self._started_at, sources)
            self._differencer.counts.load()
            self.write(plan)
        more = len(due) == silence.PAGE
        self._look_at = time.monotonic() + (0 if more else silence.LOOK_EVERY_S)
        return len(plan.rows), more


def _answer(plan: ReadingsPlan) -> ReadingsAnswer:
    stored, duplicate, refused = (sum(one.status == name for one in plan.receipts) for name in OUTCOMES)
    return ReadingsAnswer(stored, duplicate, refused, plan.receipts)
