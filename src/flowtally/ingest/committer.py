"""The one writer: what waits becomes a block, a block becomes durable, then everyone is answered.

    begin (keys) -> claim -> insert the rows as block n -> committer.block = n -> commit -> receipts

Once the insert was sent, a block only goes forward. On any doubt the committer settles (`recovery`), door closed: its
rows are there: claim and commit from them; they are not: its number is burnt and the callers are told to retry.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
import structlog

from flowtally.errors import FlowtallyError, Settling, StorageFull, Unavailable
from flowtally.ingest import admission, correcting, recovery, rows
from flowtally.ingest.admission import Writer
from flowtally.ingest.block import Gathered, Sorted, Sorter, check_source, gather, source_kinds
from flowtally.ingest.correcting import Corrector
from flowtally.ingest.directory import Directory
from flowtally.ingest.prepare import Key
from flowtally.ingest.queue import WaitingQueue
from flowtally.ingest.standing import Standing
from flowtally.ingest.submission import NAMES, Correcting, Outcome, Submission, Waiting
from flowtally.ingest.sync import BackgroundSync
from flowtally.ingest.turns import Turns
from flowtally.ledger.names import NOBODY
from flowtally.protocol import CorrectionsAnswer
from flowtally.usage.key_index import Claim
from flowtally.usage.keys import Keys, Moved, Source, SourceKind
from flowtally.usage.store import Block, Commit, UsageStore

log = structlog.get_logger(__name__)

T = TypeVar("T")
Answer = Outcome | CorrectionsAnswer | FlowtallyError
Answers = list[tuple[Submission, Outcome | FlowtallyError]]
Written = tuple[Sorted, object | None]  # a sorted block and its rows, where it has any

SETTLE_AGAIN_S: Final = (0.05, 0.2, 1.0)  # while callers wait; then again with every turn
CLEAN_EVERY_S: Final = 300
REMEMBERED_SOURCES: Final = 50_000
BLOCK_BYTES: Final = 64 * 1024 * 1024
BETWEEN_WAIT_S: Final = 60
# Without the name: reasons of refused numbered events are kept for ever, where no erasure would find it.
NO_SUCH_USER: Final = "the account has no user of this name"


class Committer:
    """Owns the thread that writes. `stop` ends it after what waits is written."""

    def __init__(
        self,
        *,
        usage: UsageStore,
        keys: Keys,
        directory: Directory,
        queue: WaitingQueue,
        clock: Callable[[], int],
        max_future_ms: int,
        create_users: bool,
        block_rows: int,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._usage = usage
        self._keys = keys
        self._directory = directory
        self._queue = queue
        self._clock = clock
        self._max_future_ms = max_future_ms
        self._create_users = create_users
        self._block_rows = block_rows
        self._has_room = has_room
        self.corrector = Corrector(usage, keys, directory, clock, max_future_ms, create_users)
        self._sources: dict[str, Source] = {}
        self._place = keys.committed()
        self._next = max(self._place.block, self._place.burnt) + 1
        usage.publish(recovery.last_commit(usage, self._place))
        self._turns = Turns()
        self._stopping = threading.Event()
        self._sync = BackgroundSync(CLEAN_EVERY_S)
        self.doubt: Doubt | None = None  # while there is one nothing else is written
        self.standing = Standing()
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
        self._sync.finish()
        if self.doubt is None:
            os.sync()
            self._mark_clean(self._place.block, stopped=True)

    def between_blocks(self, work: Callable[[], T]) -> T:
        """Do this while no block is being written: rows and keys agree. The writer waits meanwhile, so be quick."""
        with self._turns.between(BETWEEN_WAIT_S):
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
            with self._turns.block():
                self._turn(submissions)

    def _turn(self, submissions: list[Waiting]) -> None:
        if submissions:
            self.commit(submissions)
        if self.standing.should_try():
            self._try_writing()
        if synced := self._sync.synced(self._place.block):
            self._mark_clean(synced)

    def _try_writing(self) -> None:
        """Whether a block could be written, without one: settles what is in doubt, and writes a little everywhere."""
        try:
            self._check_door()
            self._keys.try_writing()
            self._usage.try_writing()
            self._directory.try_writing()
        except Exception as error:
            self.standing.saw(error)
            self.standing.fails(error)
        else:
            self.standing.heals()
            log.info("writing_works_again")

    def _mark_clean(self, block: int, *, stopped: bool = False) -> None:
        # It only saves work at the next start: a full disk here must not end the one thread that writes.
        try:
            self._keys.mark_clean(block, stopped=stopped)
        except Exception as error:
            log.warning("clean_mark_failed", block=block, error=str(error)[:500])

    def commit(self, submissions: list[Waiting]) -> None:
        """Answer every one of these, once. Whatever happens inside, nobody is left waiting."""
        answers: Sequence[tuple[Waiting, Answer]]
        self.standing.begins()
        try:
            self._check_door()
            events = [one for one in submissions if isinstance(one, Submission)]
            corrections = [one for one in submissions if isinstance(one, Correcting)]
            assert not (events and corrections), "corrections are a block of their own"
            answers = self._answers(events) if events else [(one, self._correct(one)) for one in corrections]
        except FlowtallyError as error:
            answers = [(one, error) for one in submissions]
        except Exception as error:
            self.standing.saw(error)
            self._sources.clear()  # whatever happened, marks are read anew
            log.exception("commit_failed", block=self._next, submissions=len(submissions))
            answers = [(one, Unavailable("The events could not be stored; try again")) for one in submissions]
        refusals = [answer for _, answer in answers if isinstance(answer, FlowtallyError)]
        self.standing.ends(refusals, in_doubt=self.doubt is not None)
        for _, answer in answers:
            if isinstance(answer, Outcome):
                self.counts.update(NAMES[status] for status in answer.statuses)
        self._queue.answer(answers)

    def _check_door(self) -> None:
        """Nothing is written while a block is in doubt, or where there is no room."""
        if self.doubt is not None:
            self._settle()
        if not self._has_room():
            raise StorageFull("There is no room left to store usage; reading goes on", retry_after_s=10)

    def _correct(self, asked: Correcting) -> CorrectionsAnswer:
        """Corrections as a block of their own: planned on what is committed, carried out like any other block."""
        self._open_sources(dict.fromkeys((one.source for one in asked.corrections), "named"), asked.writer)
        plan = self.corrector.plan(asked, self._sources)
        if plan.rows:
            sorted_ = Sorted([], list(range(len(plan.rows))), {}, [], [])

            def work(number: int) -> Written:
                claimed = self._keys.claim(plan.claims, number)
                assert claimed == len(plan.rows), "what was looked up and not found cannot be there"
                return sorted_, correcting.batch(plan.rows)

            try:
                self._carry_out(work, sorted_)
            except _Burnt as burnt:
                raise _told(burnt) from burnt
        return plan.answer

    def _answers(self, submissions: list[Submission]) -> Answers:
        answers, admitted = self._with_sources(submissions)
        if not admitted:
            return answers
        try:
            return [*answers, *self._block(admitted)]
        except _Burnt as burnt:
            if len(admitted) == 1 or isinstance(burnt.__cause__, StorageFull):
                raise _told(burnt) from burnt
        # The engine refused the block: one bad request must not stand in the way of the others.
        for index, one in enumerate(admitted):
            try:
                refused, mine = self._with_sources([one])  # what was remembered of its sources went with the block
                answers += refused or self._block(mine)
            except _Burnt as burnt:
                answers.append((one, _told(burnt)))
            except FlowtallyError as error:  # in doubt, or no room: nothing else is written now
                return answers + [(late, error) for late in admitted[index:]]
        return answers

    def _with_sources(self, submissions: list[Submission]) -> tuple[Answers, list[Submission]]:
        """Those whose sources are theirs, and the errors of the others."""
        if len(self._sources) > REMEMBERED_SOURCES:
            self._sources.clear()
        answers: Answers = []
        admitted: list[Submission] = []
        for submission in submissions:
            try:
                self._check_sources(submission)
                admitted.append(submission)
            except FlowtallyError as error:
                answers.append((submission, error))
        return answers, admitted

    def _check_sources(self, submission: Submission) -> None:
        self._open_sources(source_kinds(submission), submission.writer)

    def _open_sources(self, kinds: Mapping[str, SourceKind], writer: Writer) -> None:
        for name, kind in kinds.items():
            source = self._sources.get(name) or self._keys.source(name)
            if source is not None:
                check_source(writer, source, kind)
                self._sources[name] = source
        for name, kind in kinds.items():
            if name not in self._sources:
                self._sources[name] = self._keys.register(name, kind, writer.credential)

    def _block(self, submissions: list[Submission]) -> Answers:
        block = gather(submissions)
        if not self._create_users:
            names = list(zip(block.rows.columns.account, block.rows.columns.user, strict=True))
            block.user_ids = self._directory.known_ids(names, block.rows.times)
        world = self._world(block)
        known = self._known(block, [*world, *block.rows.faults])
        sorted_ = self._sort(block, world, known)
        if sorted_.claims or sorted_.stored or sorted_.advances:
            sorted_ = self._write(block, world, sorted_)
        return list(zip(submissions, sorted_.answers, strict=True))

    def _sort(self, block: Gathered, world: admission.Reasons, known: dict[Key, int]) -> Sorted:
        return Sorter(block, self._sources, self._keys.refusals, world, known).sort()

    def _world(self, block: Gathered) -> admission.Reasons:
        statuses = self._directory.statuses(set(block.rows.columns.account))
        writers = [(one.writer, len(one.events)) for one in block.submissions]
        latest_at = self._clock() + self._max_future_ms
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
                if source in self._sources:
                    by_source.setdefault(source, []).append(key)
        return {
            (source, key): digest
            for source, keys in by_source.items()
            for key, (digest, _) in self._keys.claimed(self._sources[source].no, keys).items()
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
        received_at = max(self._clock(), self._place.received_at)
        try:
            with self._keys.begin(durable=bool(sorted_.refused)):
                sorted_, batch = work(number)
                if batch is not None:
                    moved = _moved(number, received_at, sorted_)
                    self.doubt = Doubt(number, moved)  # from here on the block only goes forward
                    self._next = number + 1
                    self._usage.append(Block(number, received_at, batch))
                else:
                    moved = _moved(self._place.block, received_at, sorted_)
                self._keys.move(moved)
        except Exception as error:
            self.standing.saw(error)
            self._sources.clear()
            if self.doubt is None:
                raise
            log.warning("block_in_doubt", block=number, error=str(error)[:500])
            if not self._settle():
                raise _Burnt(f"block {number} was not written") from error
            return sorted_  # the rows are there: it went forward, and the receipts are true
        self.doubt = None
        self._place = self._keys.committed()
        if batch is not None:
            self.standing.wrote()
            self._usage.publish(Commit(number, received_at))
        for one in sorted_.advances:
            before = self._sources[one.name]
            self._sources[one.name] = Source(before.no, one.name, before.kind, before.owner, one.mark, one.position)
        return sorted_

    def _claim(self, block: Gathered, world: admission.Reasons, sorted_: Sorted, number: int) -> Sorted:
        self._keys.savepoint()
        if self._keys.claim(self._claims(block, sorted_), number) == len(sorted_.claims):
            return sorted_
        self._keys.unclaim()
        sorted_ = self._sort(block, world, self._known(block, range(len(block.rows.keys))))
        claimed = self._keys.claim(self._claims(block, sorted_), number)
        assert claimed == len(sorted_.claims), "what was looked up and not found cannot be there"
        return sorted_

    def _claims(self, block: Gathered, sorted_: Sorted) -> list[Claim]:
        numbers = {name: source.no for name, source in self._sources.items()}
        return [(numbers[source], key, block.rows.digests[row]) for (source, key), row in sorted_.claims.items()]

    def _settle(self) -> bool:
        """Whether the block in doubt is there. Tries for a while; raises Settling where it still cannot be known, and
        StorageFull at once where there is no room to settle in."""
        doubt = self.doubt
        assert doubt is not None
        for wait_s in (*SETTLE_AGAIN_S, None):
            try:
                present = recovery.settle_block(self._usage, self._keys, doubt.block, doubt.moved)
            except StorageFull as error:
                log.warning("settling_failed", block=doubt.block, error=str(error)[:500])
                detail = f"{error.detail}. What was sent last is settled when there is room; send it again"
                raise StorageFull(detail, retry_after_s=10) from error
            except Exception as error:
                log.warning("settling_failed", block=doubt.block, error=str(error)[:500])
                if wait_s is None or self._stopping.wait(wait_s):
                    raise Settling("A write is in doubt and is being settled", retry_after_s=5) from error
            else:
                self.doubt = None
                self._place = self._keys.committed()
                if present:
                    self.standing.wrote()
                    self._usage.publish(Commit(doubt.block, doubt.moved.received_at))
                log.info("block_settled", block=doubt.block, present=present)
                return present
        raise AssertionError("the last wait is None")

    def _batch(self, block: Gathered, sorted_: Sorted) -> object:
        columns = block.rows.columns.only(sorted_.stored)
        times = block.rows.times[sorted_.stored]
        if block.user_ids is None:
            user_ids = self._directory.user_ids(list(zip(columns.account, columns.user, strict=True)), times)
        else:
            user_ids = [block.user_ids[row] or NOBODY for row in sorted_.stored]
        self._directory.use_products(set(columns.product))
        return rows.batch(
            columns,
            times,
            user_ids,
            [block.rows.digests[row] for row in sorted_.stored] if block.rows.digests else [],
            {advance.name: advance for advance in sorted_.advances},
        )


class Doubt(msgspec.Struct, frozen=True):
    """A block whose insert was sent and whose commit is not known, with all that it moves: of sources that have no row
    in it, marks and refusals are only in memory."""

    block: int
    moved: Moved


class _Burnt(Exception):
    """The block is not there and never will be; its cause says why."""


def _told(burnt: _Burnt) -> FlowtallyError:
    cause = burnt.__cause__
    if isinstance(cause, FlowtallyError):
        return cause
    return Unavailable("The events could not be stored; nothing of this request was kept, try again")


def _moved(block: int, received_at: int, sorted_: Sorted) -> Moved:
    return Moved(block, received_at, len(sorted_.stored), tuple(sorted_.advances), tuple(sorted_.refused))
