"""The one writer: what waits becomes a block, a block becomes durable, then everyone is answered.

    begin (keys) -> claim, move -> record of block n into the journal, synced -> take, publish -> commit -> receipts

The journal's commit is the acknowledgement: from there a block only goes forward. Where that commit failed the journal
says whether it is there; if not, its number is burnt and the callers are told to retry. Where only the keys' commit
failed the block is published and answered, and nothing else is written until the keys have followed from its record.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import structlog

from flowtally.core.clock import dating
from flowtally.core.errors import (
    FlowtallyError,
    FlushBehind,
    SequenceGap,
    Settling,
    StorageFull,
    TooManyNew,
    Unavailable,
)
from flowtally.core.events import NOBODY
from flowtally.core.words import SourceKind
from flowtally.ingest import admission, correction_plan, recovery, rows
from flowtally.ingest.admission import NO_SUCH_USER
from flowtally.ingest.block import Gathered, Sorted, Sorter, first_number, gather, source_kinds
from flowtally.ingest.correction_facts import CorrectionFacts, RowsChanged
from flowtally.ingest.counter_limits import CounterLimits
from flowtally.ingest.counter_writer import CounterWriter
from flowtally.ingest.differencing import Differencer
from flowtally.ingest.event_rows import coded
from flowtally.ingest.holding import recall
from flowtally.ingest.holds import HoldLimits, Holds
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.newcomers import Newcomers, crowding, overflowing
from flowtally.ingest.prepare import Key
from flowtally.ingest.queue import Answer, WaitingQueue
from flowtally.ingest.recent_corrections import RecentCorrections
from flowtally.ingest.records import mentioned, moves_anything, record_of
from flowtally.ingest.releasing import release, sort_released
from flowtally.ingest.report_plan import ReportAnswer
from flowtally.ingest.report_writer import ReportWriter
from flowtally.ingest.sources import Sources
from flowtally.ingest.standing import WriterState
from flowtally.ingest.submission import (
    NAMES,
    Again,
    Correcting,
    Outcome,
    ReadingsSubmission,
    Reporting,
    Submission,
    Sweeping,
    Swept,
    Waiting,
)
from flowtally.ingest.sweeps import BEGINNING, PAGE, Sweeps
from flowtally.ingest.write_lock import WriteLock
from flowtally.keys.store import Keys
from flowtally.keys.values import Held, HeldWhere, Moved, Number, Refused
from flowtally.ledger.people.names import Name
from flowtally.protocol import CorrectionsAnswer
from flowtally.usage.journal import Journal
from flowtally.usage.records import Record
from flowtally.usage.values import Block, Commit
from flowtally.usage.verbs import Blocks, Entries

log = structlog.get_logger(__name__)

T = TypeVar("T")
Answers = list[tuple[Submission, Outcome | FlowtallyError]]
Written = tuple[Sorted, Any]  # a sorted block and its rows, where it has any

SETTLE_AGAIN_S: Final = (0.05, 0.2, 1.0)  # while callers wait; then again with every turn
BLOCK_BYTES: Final = 64 * 1024 * 1024
BETWEEN_WAIT_S: Final = 60
# Without the name: reasons of refused numbered events are kept for ever, where no erasure would find it.
ERASED: Final = admission.Reason("erased", "it was held, and its user was erased")
ACCOUNT_ERASED: Final = admission.Reason("erased", "it was held, and its account was erased")


class Committer:
    """Owns the thread that writes. `stop` ends it after what waits is written."""

    def __init__(
        self,
        *,
        usage: Blocks,
        rows_of: Entries,
        keys: Keys,
        journal: Journal,
        resolver: NameResolver,
        queue: WaitingQueue,
        clock: Callable[[], int],
        max_future_ms: int,
        create_users: bool,
        block_rows: int,
        hold_limits: HoldLimits,
        counter_limits: CounterLimits,
        newcomers: Newcomers,
        has_room: Callable[[], bool] = lambda: True,
        why_full: Callable[[], str | None] = lambda: None,
        to_flush: Callable[[], None] = lambda: None,
    ) -> None:
        """`why_full`: why nothing more may be taken until some of it stands in the table. `to_flush` is called when
        there is something."""
        self._usage = usage
        self._keys = keys
        self._journal = journal
        self._resolver = resolver
        self._queue = queue
        self._clock = clock
        self._date = dating(clock)
        self._max_future_ms = max_future_ms
        self._create_users = create_users
        self._block_rows = block_rows
        self._has_room = has_room
        self._why_full = why_full
        self._to_flush = to_flush
        self._corrected = RecentCorrections(keys.committed().block)
        # `rows_of` is for the threads of requests: this one asks the usage store nothing.
        self.facts = CorrectionFacts(rows_of, keys, resolver, clock, max_future_ms, create_users, self._corrected)
        self.sources = Sources(keys, newcomers)
        differencer = Differencer(keys, resolver, newcomers, clock, max_future_ms, create_users, counter_limits)
        self._reports = ReportWriter(keys, self.sources, resolver, self._carry_out)
        self._counters = CounterWriter(keys, self.sources, resolver, differencer, self._carry_out, clock)
        self._newcomers = newcomers
        self._taken: list[Waiting] = []  # for the block that is being written
        self._late: list[
            Submission | ReadingsSubmission
        ] = []  # of those the ones that wait for the next, and what follows in their turns
        self.holds = Holds(keys, hold_limits)
        self.sweeps = Sweeps()
        self._place = keys.committed()
        self._next = max(self._place.block, self._place.skipped, journal.burnt()) + 1
        self._write_lock = WriteLock()
        self._stopping = threading.Event()
        self.doubt: Doubt | None = None  # while there is one nothing else is written
        self.standing = WriterState()
        self.counts: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Write what waits, then end; when it returns nothing is being written."""
        self._queue.close()
        self._stopping.set()
        self._thread.join()

    def between_blocks(self, work: Callable[[], T]) -> T:
        """Do this while no block is being written: rows and keys agree. The writer waits meanwhile, so be quick."""
        with self._write_lock.between(BETWEEN_WAIT_S):
            if self.doubt is not None:
                raise Settling("A write is in doubt and is being settled", retry_after_s=5)
            if not self.alive():
                raise Unavailable("The server is stopping", retry_after_s=5)
            return work()

    def _run(self) -> None:
        while True:
            submissions = self._queue.take(self._block_rows, BLOCK_BYTES)
            if submissions is None:
                return
            with self._write_lock.block():
                self._cycle(submissions)

    def _cycle(self, submissions: list[Waiting]) -> None:
        if submissions:
            self.commit(submissions)
        if self.standing.should_try():
            self._try_writing()
        if self.holds.events:
            self._sweep()
        elif self.sweeps.told:
            self.sweeps.forget()
        if self._counters.is_time() and self.doubt is None:
            self._look_for_silence()

    def _try_writing(self) -> None:
        """Whether a block could be written, without one: settles what is in doubt, and writes a little everywhere."""
        try:
            self._check_door()
            self._keys.try_writing()
            self._journal.try_writing()
            self._resolver.try_writing()
        except Exception as error:
            self.standing.saw(error)
            self.standing.fails(error)
        else:
            self.standing.heals()
            log.info("writing_works_again")

    def commit(self, submissions: list[Waiting]) -> None:
        """Answer every one of these, once, or put it back for the next block. Whatever happens inside, nobody is left
        waiting."""
        answers: Sequence[tuple[Waiting, Answer]]
        self.standing.begins()
        self._taken = submissions
        self._newcomers.begin_block()
        try:
            self._check_door()
            answers = self._answer_all(submissions)
        except FlowtallyError as error:
            answers = [(one, error) for one in submissions]
        except Exception as error:
            self.standing.saw(error)
            self.sources.forget()
            log.exception("commit_failed", block=self._next, submissions=len(submissions))
            answers = [(one, Unavailable("The events could not be stored; try again")) for one in submissions]
        self.sources.forget_fresh()
        refusals = [answer for _, answer in answers if isinstance(answer, FlowtallyError)]
        self.standing.ends(refusals, in_doubt=self.doubt is not None)
        for _, answer in answers:
            if isinstance(answer, Outcome):
                self.counts.update(dict(zip(NAMES, answer.counts(), strict=True)))
        if self._late:  # before anybody is told: what is sent upon the answer comes after them
            answered = {id(one) for one, _ in answers}
            self._queue.put_back([one for one in submissions if id(one) not in answered])
        self._taken, self._late = [], []
        self._queue.answer(answers)

    def _answer_all(self, submissions: list[Waiting]) -> Sequence[tuple[Waiting, Answer]]:
        """The queue puts nothing together that is not of one kind."""
        events = [one for one in submissions if isinstance(one, Submission)]
        readings = [one for one in submissions if isinstance(one, ReadingsSubmission)]
        alone = [one for one in submissions if isinstance(one, Correcting | Sweeping | Reporting)]
        assert sum(map(bool, (events, readings, alone))) <= 1, "whatever is no event is a block of its own"
        if events:
            return self._answers(events)
        return self._take_readings(readings) if readings else [(one, self._alone(one)) for one in alone]

    def _check_door(self) -> None:
        """Nothing is written while a block is in doubt, where there is no room, where another server may write, or at
        an instant nobody can believe."""
        self._resolver.check_lease()
        self._date()
        self._check_settled()
        if not self._has_room():
            raise StorageFull("There is no room left to store usage; reading goes on", retry_after_s=10)
        if why := self._why_full():
            raise FlushBehind(f"{why}; reading goes on", retry_after_s=5)

    def _check_settled(self) -> None:
        if self.doubt is not None:
            self._settle()

    def _alone(self, asked: Correcting | Sweeping | Reporting) -> CorrectionsAnswer | ReportAnswer | Swept | Again:
        self._resolver.look()
        if isinstance(asked, Correcting):
            return self._correct(asked)
        if isinstance(asked, Reporting):
            return self._report(asked)
        if asked.drop is not None:
            return self._drop(asked.where, asked.after, asked.drop)
        return self._look_again(asked.where, asked.after, PAGE)

    # Held events

    def _sweep(self) -> None:
        """Look at some of what is held, if it is time: between two blocks, and nobody asked. Whatever happens inside,
        the one thread that writes goes on."""
        page = self.sweeps.next(self._latest_at(), self.holds.next_time)
        if page is None or self.doubt is not None:
            return
        first: Number | None = None
        try:
            self._check_door()
            for one in self._keys.held_page(page.where, page.after, 1):
                first = (one.source, one.sequence)
            swept = self._look_again(page.where, page.after, page.limit)
        except Exception as error:
            self.sweeps.failed(first)
            self.sources.forget()
            if self.doubt is not None:
                self.standing.fails(error)
            log.warning("held_events_failed", block=self._next, error=str(error)[:500])
        else:
            if self.sweeps.went(swept.next):
                self._queue.nudge()

    def _look_again(self, where: HeldWhere, after: Number, limit: int) -> Swept:
        """Store those of the next held events that the world allows now; those that never can be are refused."""
        held = self._keys.held_page(where, after, limit)
        if not held:
            return Swept()
        self.sources.forget_fresh()
        block = release(held)
        if not self._create_users:
            names = list(zip(block.rows.columns.account, block.rows.columns.user, strict=True))
            block.user_ids = self._resolver.known_ids(names, block.rows.times)
        sources = self.sources.load_numbers({one.source for one in held})
        sorted_, recoded = sort_released(held, block, self._world(block), sources)
        try:
            if sorted_.ended:
                self._carry_out(
                    lambda number: (sorted_, self._batch(block, sorted_) if sorted_.stored else None), sorted_
                )
        except _BlockSkipped as skipped:
            raise _told(skipped) from skipped
        if recoded:
            with self._keys.begin(durable=True):
                self._keys.recode(recoded)
            self.holds.changed((), ())
        self.counts["released"] += len(sorted_.stored)
        refused = len(sorted_.ended) - len(sorted_.stored)
        return Swept(len(sorted_.stored), refused, len(held) - len(sorted_.ended), _next(held, limit))

    def _drop(self, where: HeldWhere, after: Number, reason: admission.Reason) -> Swept:
        held = self._keys.held_page(where, after, PAGE)
        if not held:
            return Swept()
        refused = [Refused(one.source, one.sequence, one.id, reason.code, reason.detail) for one in held]
        sorted_ = Sorted([], [], [], [], refused, ended=held)
        self._carry_out(lambda number: (sorted_, None), sorted_)
        self.counts["dropped"] += len(held)
        return Swept(0, len(held), 0, _next(held, PAGE))

    def forget_held(self, user_ids: Sequence[str]) -> int:
        """In the moment between two blocks: refuse for good what is held of these users, and leave no byte of it."""
        return self._forget(self._keys.tagged_held(user_ids), ERASED)

    def forget_held_of(self, accounts: Sequence[str]) -> int:
        """The same for all that is held of these accounts."""
        held: list[Held] = []
        for account in accounts:
            after: Number | None = BEGINNING
            while after is not None:
                page = self._keys.held_page(HeldWhere(account=account), after, PAGE)
                held += page
                after = _next(page, PAGE)
        return self._forget(held, ACCOUNT_ERASED)

    def _forget(self, held: Sequence[Held], why: admission.Reason) -> int:
        if held:
            refused = [Refused(one.source, one.sequence, "", why.code, why.detail) for one in held]
            numbers = tuple((one.source, one.sequence) for one in held)
            with self._keys.begin(durable=True, forgets=True):
                place = self._keys.committed()
                self._keys.move(Moved(place.block, place.received_at, 0, (), tuple(refused), ended=numbers))
            self.holds.changed((), held)
        self._keys.drop_old_bytes()
        return len(held)

    def _latest_at(self) -> int:
        return self._clock() + self._max_future_ms

    def _correct(self, asked: Correcting) -> CorrectionsAnswer | Again:
        """Corrections as a block of their own: planned on what is committed, carried out like any other block."""
        self.sources.forget_fresh()
        kinds: dict[str, SourceKind] = {one.source: "named" for one in asked.corrections}
        self.sources.check_many(kinds)
        self.sources.load(kinds)
        self.sources.open(kinds, asked.writer)
        try:
            facts = self.facts.gather(asked, self.sources)
        except RowsChanged:
            return Again()
        plan = correction_plan.plan(asked.corrections, facts)
        if plan.rows:
            claims = [(self.sources[source].no, key, digest) for (source, key), digest in plan.claims.items()]
            new = self._with_users(plan)
            fresh = sorted(self.sources.fresh.intersection(row.key_source for row in new))
            sorted_ = Sorted([], list(range(len(new))), [], [], [], fresh=fresh)

            def work(number: int) -> Written:
                claimed = self._keys.claim(claims, number)
                assert claimed == len(new), "what was looked up and not found cannot be there"
                return sorted_, rows.batch_of(new)

            try:
                self._carry_out(work, sorted_)
            except _BlockSkipped as skipped:
                raise _told(skipped) from skipped
            self._corrected.add(self._next - 1, (row.refers_to for row in plan.rows if row.refers_to))
        return plan.answer

    def _with_users(self, plan: correction_plan.CorrectionPlan) -> Sequence[rows.NewRow]:
        """Names of adjustments become ids; only now, when it is sure that they will be stored."""
        self._resolver.use_products({row.product for row in plan.rows if row.kind == "adjustment"})
        if not plan.named:
            return plan.rows
        free = [plan.rows[index] for index in plan.named]
        times = np.array([row.time for row in free], dtype=np.int64)
        ids = self._resolver.user_ids([(row.account, row.user) for row in free], times)
        return correction_plan.with_users(plan.rows, dict(zip(plan.named, ids, strict=True)))

    def _report(self, asked: Reporting) -> ReportAnswer | Again:
        try:
            return self._reports.write(asked)
        except _BlockSkipped as skipped:
            raise _told(skipped) from skipped

    # Readings of counters

    def _take_readings(self, asked: list[ReadingsSubmission]) -> Sequence[tuple[Waiting, Answer]]:
        self._resolver.look()
        planned = self._counters.plan(asked)
        self._late += planned.late
        try:
            self._counters.write(planned.block)
        except _BlockSkipped as skipped:
            return planned.failed(_told(skipped))
        return planned.answers()

    def _look_for_silence(self) -> None:
        """Between two blocks, and nobody asked: whatever happens inside, the one thread that writes goes on."""
        try:
            closed, more = self._counters.look_for_silence(self._check_all)
        except Exception as error:
            self.sources.forget()
            if self.doubt is not None:
                self.standing.fails(error)
            log.warning("silent_counters_failed", block=self._next, error=str(error)[:500])
        else:
            self.counts["counters_silent"] += closed
            if more:
                self._queue.nudge()

    def _check_all(self) -> None:
        self._check_door()
        self._resolver.look()

    def _answers(self, submissions: list[Submission]) -> Answers:
        answers: Answers = []
        waiting = submissions
        while waiting:
            admitted: list[Submission] = []
            try:
                self._check_settled()
                refused, admitted, waiting = self._with_sources(waiting)
                answers += refused
                answers += self._admitted(admitted) if admitted else []
            except FlowtallyError as error:  # in doubt, or no room: nothing else is written now
                return answers + [(one, error) for one in (*admitted, *waiting)]
        return answers

    def _admitted(self, admitted: list[Submission]) -> Answers:
        try:
            return self._block(admitted)
        except _BlockSkipped as skipped:
            if len(admitted) == 1 or isinstance(skipped.__cause__, StorageFull):
                return [(one, _told(skipped)) for one in admitted]
        # The journal did not take the block: one bad request must not stand in the way of the others.
        answers: Answers = []
        for index, one in enumerate(admitted):
            try:
                self._check_settled()
                refused, mine, _ = self._with_sources([one])  # what was remembered of its sources went with the block
                answers += refused or self._block(mine)
            except _BlockSkipped as skipped:
                answers.append((one, _told(skipped)))
            except FlowtallyError as error:  # in doubt, or no room: nothing else is written now
                return answers + [(late, error) for late in admitted[index:]]
        return answers

    def _with_sources(self, submissions: list[Submission]) -> tuple[Answers, list[Submission], list[Submission]]:
        """The errors of those whose sources are not theirs, the others, and those that have to wait for the others: the
        source is not there yet, and another of them may make it."""
        self.sources.forget_fresh()
        answers: Answers = []
        admitted: list[Submission] = []
        late: list[Submission] = []
        asked: list[tuple[Submission, dict[str, SourceKind]]] = []
        many: dict[int, TooManyNew] = {}
        for submission in submissions:
            try:
                asked.append((submission, kinds := source_kinds(submission)))
                self.sources.check_many(kinds)
            except TooManyNew as error:  # unless another one makes some of them
                many[id(submission)] = error
            except FlowtallyError as error:
                answers.append((submission, error))
        self.sources.load({name for submission, kinds in asked if id(submission) not in many for name in kinds})
        for submission, kinds in asked:
            try:
                if id(submission) in many:
                    raise many[id(submission)]
                self.sources.open(kinds, submission.writer)
                admitted.append(submission)
            except FlowtallyError as error:
                if admitted and not self.sources.fresh.isdisjoint(kinds):
                    late.append(submission)
                else:
                    answers.append((submission, error))
        return answers, admitted, late

    def _block(self, submissions: list[Submission]) -> Answers:
        if self._late:
            submissions = self._in_turn(submissions)
        if not submissions:
            return []
        block = gather(submissions)
        if self.holds.events:
            self._recall(block)
        if not self._create_users:
            names = list(zip(block.rows.columns.account, block.rows.columns.user, strict=True))
            block.user_ids = self._resolver.known_ids(names, block.rows.times)
        world = self._world(block)
        sorted_ = self._sort(block, world, self._known(block, [*world, *block.rows.faults]))
        strange = self._strange(block, sorted_)
        if late := self._overflowing(block, sorted_, strange):
            self._late += late
            return self._block(submissions)
        if new := self._new_users(strange):
            sorted_ = self._sort_again(block, world)
            if over := crowding(block, sorted_.stored, new, self._newcomers):
                rest = [one for index, one in enumerate(submissions) if index not in over]
                return [(submissions[index], error) for index, error in over.items()] + self._block(rest)
        if sorted_.claims or sorted_.stored or sorted_.advances or sorted_.ended:
            sorted_ = self._write(block, world, sorted_)
        return list(zip(submissions, sorted_.answers, strict=True))

    def _in_turn(self, submissions: list[Submission]) -> list[Submission]:
        """Those before which nothing of their turn has to wait for the next block."""
        position = {id(one): number for number, one in enumerate(self._taken)}
        first: dict[str, int] = {}
        for one in self._late:
            first[one.queue_key] = min(position[id(one)], first.get(one.queue_key, position[id(one)]))
        return [one for one in submissions if position[id(one)] < first.get(one.queue_key, len(position))]

    def _strange(self, block: Gathered, sorted_: Sorted) -> set[Name]:
        """Among which are the users this block would make: by far the usual case is that there is none."""
        if not self._create_users or not sorted_.stored:
            return set()
        return self._resolver.not_remembered(block.rows.rows().groups_of(sorted_.stored))

    def _overflowing(self, block: Gathered, sorted_: Sorted, strange: set[Name]) -> list[Submission]:
        """Those whose new users are too many for this block."""
        if self._newcomers.fit(len(strange)):
            return []
        return overflowing(block, sorted_.stored, self._resolver, self._newcomers)

    def _new_users(self, strange: set[Name]) -> set[Name]:
        """The users this block would make, where these are more than may be."""
        new = self._resolver.free_names(strange) if strange else set()
        return set() if not new or self._newcomers.may_all(new) else new

    def _sort(self, block: Gathered, world: admission.Reasons, known: dict[Key, int], *, guess: bool = True) -> Sorted:
        allowance, now = (self.holds.allowance(), self._clock()) if world else (None, 0)
        fresh = self.sources.fresh
        return Sorter(block, self.sources, self._keys.refusals, world, known, fresh, allowance, now, guess=guess).sort()

    def _sort_again(self, block: Gathered, world: admission.Reasons) -> Sorted:
        """With all keys looked up: no guess any more."""
        return self._sort(block, world, self._known(block, range(len(block.rows))), guess=False)

    def _recall(self, block: Gathered) -> None:
        """What is held of the numbers this block sends again; where the content is the same, it is what is held."""
        for submission, start in zip(block.submissions, block.starts, strict=True):
            sequences = block.rows.columns.sequence[start : start + submission.count]
            rows = [start + index for index, one in enumerate(sequences) if one is not None]
            source = self.sources[block.rows.columns.source[rows[0]]] if rows else None
            if source is None or not self.holds.sources[source.no]:
                continue
            with suppress(SequenceGap):  # told when it is sorted
                first = first_number([block.rows.columns.sequence[row] for row in rows], source.name, source.mark)
                held = self._keys.held(source.no, first, first + len(rows) - 1)
                recall(block.rows, rows, first, held)
                block.held |= {(source.no, number): one for number, one in held.items()}

    def _world(self, block: Gathered) -> admission.Reasons:
        accounts, latest_at = set(block.rows.accounts()), self._latest_at()
        statuses = self._resolver.statuses(accounts)
        writers = [(one.writer, len(one.events)) for one in block.submissions]
        reasons: admission.Reasons = {}
        if not admission.all_fit(accounts, block.rows.times, writers, statuses, latest_at):
            reasons = admission.world_faults(block.rows.columns, block.rows.times, writers, statuses, latest_at)
        if block.user_ids is not None and None in block.user_ids:
            for row, user_id in enumerate(block.user_ids):
                if user_id is None:
                    reasons.setdefault(row, admission.Reason("unknown_user", NO_SUCH_USER))
        return reasons

    def _known(self, block: Gathered, rows_asked: Iterable[int]) -> dict[Key, int]:
        """The digests of those of these rows whose keys are claimed."""
        by_source: dict[str, list[bytes]] = {}
        for row in rows_asked:
            fault = block.rows.faults.get(row)
            if block.rows.keys and block.rows.columns.sequence[row] is None and (fault is None or fault.younger):
                source, key = block.rows.keys[row]
                if source in self.sources and source not in self.sources.fresh:  # of which nothing can be claimed
                    by_source.setdefault(source, []).append(key)
        return {
            (source, key): digest
            for source, keys in by_source.items()
            for key, (digest, _) in self._keys.claimed(self.sources[source].no, keys).items()
        }

    def _write(self, block: Gathered, world: admission.Reasons, sorted_: Sorted) -> Sorted:
        """Carry a sorted block out. Most ids are new, so claiming is tried first and looked up only where it fails."""

        def work(number: int) -> Written:
            claimed = self._claim(block, world, sorted_, number)
            return claimed, self._batch(block, claimed) if claimed.stored else None

        return self._carry_out(work, sorted_)

    def _carry_out(self, work: Callable[[int], Written], sorted_: Sorted) -> Sorted:
        """One block, from claims to commit. `work` claims the keys and gives what became of the block, and its rows."""
        number = self._next
        received_at = self._usage.date_block(lambda: max(self._date(), self._place.received_at))
        try:
            with self._keys.begin(forgets=bool(sorted_.ended)):
                sorted_, batch = work(number)
                moved = self._moved(number, received_at, sorted_)
                if moves_anything(moved):  # else all of it was there: nothing is to be kept
                    self._keys.move(moved)
                    record = record_of(self._place.block, moved, batch, self._names(moved))
                    self.doubt = Doubt(record)  # from here on the block only goes forward
                    self._next = number + 1
                    self._journal.commit(record)
                    self.doubt.acknowledged = True
                    # Before the keys say so: whoever finds the event's key there finds its row, too.
                    self._show(self.doubt)
            if self.doubt is None:
                self._usage.end_block()
        except Exception as error:
            self.standing.saw(error)
            self.sources.forget()
            if self.doubt is None:
                self._usage.end_block()
                raise
            log.warning("block_in_doubt", block=number, acknowledged=self.doubt.acknowledged, error=str(error)[:500])
            if not self._outcome(self.doubt):
                raise _BlockSkipped(f"block {number} was not written") from error
            return sorted_  # it is there, and the receipts are true
        self.doubt = None
        self._place = self._keys.committed()
        self.sources.made(sorted_.fresh)
        if sorted_.held or sorted_.ended:
            self.holds.changed(sorted_.held, sorted_.ended)
        self.sources.move(sorted_.advances)
        return sorted_

    def _moved(self, block: int, received_at: int, sorted_: Sorted) -> Moved:
        return Moved(
            block,
            received_at,
            len(sorted_.stored),
            tuple(sorted_.advances),
            tuple(sorted_.refused),
            held=tuple(sorted_.held),
            ended=tuple((one.source, one.sequence) for one in sorted_.ended),
            counters=sorted_.counters,
            seen=sorted_.seen,
            forgotten=sorted_.forgotten,
            due=sorted_.due,
            promise=self._resolver.promise,
            sources=tuple(self.sources[name] for name in sorted_.fresh),
        )

    def _names(self, moved: Moved) -> dict[int, str]:
        found = {no: self._keys.source_of(no) for no in sorted(mentioned(moved))}
        return {no: source.name for no, source in found.items() if source is not None}

    def _show(self, doubt: Doubt) -> None:
        """What is acknowledged is seen by readers, before anybody is told."""
        if doubt.shown:
            return
        record = doubt.record
        if record.rows is not None:
            self._usage.append(Block(record.block, record.received_at, record.rows))
            self.standing.wrote()
            self._usage.publish(Commit(record.block, record.received_at))
            self._to_flush()
        else:
            self._usage.end_block()
        doubt.shown = True

    def _claim(self, block: Gathered, world: admission.Reasons, sorted_: Sorted, number: int) -> Sorted:
        self._keys.savepoint()
        if self._claim_rows(block, sorted_, number) == len(sorted_.claims):
            return sorted_
        self._keys.unclaim()
        sorted_ = self._sort_again(block, world)
        claimed = self._claim_rows(block, sorted_, number)
        assert claimed == len(sorted_.claims), "what was looked up and not found cannot be there"
        return sorted_

    def _claim_rows(self, block: Gathered, sorted_: Sorted, number: int) -> int:
        """How many of their keys were new."""
        if not sorted_.claims:
            return 0
        packed, others = block.rows.claims(sorted_.claims, lambda source: self.sources[source].no)
        return self._keys.claim_packed(packed, number, others)

    def _outcome(self, doubt: Doubt) -> bool:
        """Whether the block is there. If so its receipts go out, whether the keys can follow now or only later."""
        try:
            return self._settle(() if doubt.acknowledged else None)
        except FlowtallyError as error:
            if not doubt.shown:
                raise
            self.standing.fails(error)
            return True

    def _settle(self, waits: Sequence[float] | None = None) -> bool:
        """Whether the block in doubt is there. Tries for a while; raises Settling where it still cannot be known or the
        keys cannot follow, and StorageFull at once where there is no room to settle in."""
        doubt = self.doubt
        assert doubt is not None
        for wait_s in (*(SETTLE_AGAIN_S if waits is None else waits), None):
            try:
                return self._try_settling(doubt)
            except StorageFull as error:
                log.warning("settling_failed", block=doubt.record.block, error=str(error)[:500])
                detail = f"{error.detail}. What was sent last is settled when there is room; send it again"
                raise StorageFull(detail, retry_after_s=10) from error
            except Exception as error:
                log.warning("settling_failed", block=doubt.record.block, error=str(error)[:500])
                if wait_s is None or self._stopping.wait(wait_s):
                    raise Settling("A write is in doubt and is being settled", retry_after_s=5) from error
        raise AssertionError("the last wait is None")

    def _try_settling(self, doubt: Doubt) -> bool:
        block = doubt.record.block
        if not doubt.acknowledged:
            doubt.acknowledged = self._journal.settle(block)
            if not doubt.acknowledged:
                self.doubt = None
                self._usage.end_block()
                self._skip(block)
                log.info("block_settled", block=block, present=False)
                return False
        self._show(doubt)
        self._corrected.forget(block)
        self._reports.forget(block)
        recovery.follow(self._keys, doubt.record)
        self.doubt = None
        self._place = self._keys.committed()
        self.holds.load()
        log.info("block_settled", block=block, present=True)
        return True

    def _skip(self, block: int) -> None:
        # The journal knows it for good; here a check finds it, and the next start writes it down if this cannot.
        with suppress(Exception):
            self._keys.skip(block)

    def _batch(self, block: Gathered, sorted_: Sorted) -> object:
        events = block.rows.rows().only(sorted_.stored)
        if block.user_ids is None:
            ids, codes = self._resolver.bearers(events.groups, events.codes, events.times)
        else:
            ids, codes = coded([block.user_ids[row] or NOBODY for row in sorted_.stored])
        self._resolver.use_products(set(events.products()))
        return events.batch(ids, codes, {advance.name: advance for advance in sorted_.advances})


class Doubt(msgspec.Struct):
    """A block whose record was sent to the journal, and how far it came: whether it is known to be `acknowledged`, that
    is in the journal, and whether it is `shown` to readers. The keys do not have it."""

    record: Record
    acknowledged: bool = False
    shown: bool = False


class _BlockSkipped(Exception):
    """The block is not there and never will be; its cause says why."""


def _next(held: Sequence[Held], limit: int) -> Number | None:
    return (held[-1].source, held[-1].sequence) if len(held) == limit else None


def _told(skipped: _BlockSkipped) -> FlowtallyError:
    cause = skipped.__cause__
    if isinstance(cause, FlowtallyError):
        return cause
    return Unavailable("The events could not be stored; nothing of this request was kept, try again")
