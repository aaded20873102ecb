"""The door for usage: a request in, receipts out; and where a source stands.

Owns the order of things: decode, wait for the committer, answer. Built once per process by the server, closed last.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, TypeVar

import msgspec
import structlog

from flowtally.core.clock import SteadyClock, now_ms
from flowtally.core.corrections import Correction
from flowtally.core.errors import EventConflict, EventRefused, Unavailable
from flowtally.core.events import UsageEvent
from flowtally.core.readings import Reading
from flowtally.core.refusal import refusing
from flowtally.core.reported import UseSaid, check_said, is_series
from flowtally.core.words import Logins
from flowtally.host.lease import Lease, me, of_keys
from flowtally.ingest import identity, recovery
from flowtally.ingest.admission import Reason, Submitter
from flowtally.ingest.block import is_never_stored, refuse
from flowtally.ingest.cloud_headers import Headers
from flowtally.ingest.committer import Committer
from flowtally.ingest.correction_body import decode_corrections
from flowtally.ingest.decode import Decoded, check_positions, decode_request
from flowtally.ingest.decompress import Made, decompress, nobody
from flowtally.ingest.early import Early
from flowtally.ingest.lookup import Lookup, detail_of
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.newcomers import Newcomers
from flowtally.ingest.overlaps import Overlaps
from flowtally.ingest.prepare import Prepared, prepare_rows, slim
from flowtally.ingest.queue import WaitingQueue
from flowtally.ingest.reading_body import UnreadableReading, decode_readings, times_of
from flowtally.ingest.report_plan import ReportAnswer, plan, source_of, stretch_of
from flowtally.ingest.settings import IngestSettings, journal_path
from flowtally.ingest.submission import (
    NAMES,
    Again,
    Correcting,
    LookedUp,
    Outcome,
    ReadingsSubmission,
    Reporting,
    Submission,
    Sweeping,
    Swept,
    answer_of,
)
from flowtally.ingest.sweeps import BEGINNING
from flowtally.keys.store import Keys, peek
from flowtally.keys.values import Committed
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.trail import server
from flowtally.protocol import (
    CorrectionsAnswer,
    CounterAnswer,
    EventAnswer,
    EventsAnswer,
    HeldAnswer,
    HeldEvent,
    HeldFilter,
    OverlapsAnswer,
    OverlapsRequest,
    ReadingsAnswer,
    SourceAnswer,
    SourceDetail,
)
from flowtally.usage.flusher import Flusher
from flowtally.usage.journal import Journal
from flowtally.usage.journal import peek as peek_journal
from flowtally.usage.store import UsageStore
from flowtally.usage.values import EventKey, Identity

log = structlog.get_logger(__name__)

T = TypeVar("T")
InThread: TypeAlias = Callable[
    [Callable[[], Any]], Awaitable[Any]
]  # does work in a thread, when it is the caller's turn

OWN_EVENT_BYTES: Final = 256  # what an event that came in no body counts as, where what waits is bounded in bytes
LOOKS: Final = 50  # at rows that may have changed until the writer sees what was read
# Reading is one thread's work at a time, whatever locks there are. Of bodies of more bytes than these one is as events,
# lists and columns at once; the others are bytes before, and columns after.
VERY_LARGE: Final = 4 * 1024 * 1024
SMALL: Final = 16_384  # a body up to here is decoded at once; a larger one on a thread, so that others are not kept


class _Read(msgspec.Struct, eq=False):
    """A body as events. `size`: the bytes it was before compression; what waits is bounded by what it holds."""

    events: Sequence[UsageEvent]
    faults: dict[int, str]
    alone: bool
    size: int
    prepared: Prepared | None = None


class Ingest:
    """Everything that writes usage. `Ingest.open` recovers first and may raise errors.Damage."""

    def __init__(
        self,
        settings: IngestSettings,
        usage: UsageStore,
        ledger: Ledger,
        keys: Keys,
        journal: Journal,
        clock: Callable[[], int],
    ) -> None:
        self.started_clean = True  # whether the process before this one had ended as it should
        self._max_body_bytes = settings.max_body_bytes
        self._one_at_a_time = threading.Lock()
        self._usage = usage
        self._keys = keys
        self._journal = journal
        self._flusher = Flusher(usage, journal, lambda: keys.committed().block, settings.flush, _sync)
        self._lookup = Lookup(usage, keys, ledger)
        self._overlaps = Overlaps(usage, keys, ledger)
        self._queue = WaitingQueue(settings.max_waiting_events, settings.max_waiting_bytes)
        self._refused = 0  # events that went into no block; told by the event loop alone
        self._has_room = _room_check(settings.places, settings.min_free_bytes)
        newcomers = Newcomers(settings.new_limits, clock)
        self._early = Early(ledger, clock)
        self._resolver = NameResolver(ledger, clock, newcomers.users_made)
        self._committer = Committer(
            usage=usage,
            rows_of=usage,
            keys=keys,
            journal=journal,
            resolver=self._resolver,
            queue=self._queue,
            clock=clock,
            max_future_ms=settings.max_future_ms,
            create_users=settings.create_users,
            block_rows=settings.block_rows,
            hold_limits=settings.hold_limits,
            counter_limits=settings.counter_limits,
            newcomers=newcomers,
            has_room=self._has_room,
            why_full=self._flusher.why_full,
            to_flush=self._flusher.nudge,
        )

    @classmethod
    def open(
        cls,
        settings: IngestSettings,
        usage: UsageStore,
        ledger: Ledger,
        *,
        clock: Callable[[], int] = now_ms,
        lease: Lease | None = None,
        begin: Callable[[], AbstractContextManager[Tx]] | None = None,
    ) -> Self:
        """Look whether it may open, changing nothing; then bring journal, keys and rows together and start the writer.
        `lease`: of the keys, where the caller has it; `begin`: the transaction the caller's start writes with."""
        path = settings.keys
        lease = lease or Lease(of_keys(path), "keys_url")
        with ExitStack() as undo, refusing():
            undo.callback(lease.release)
            rebuild, place = settings.rebuild_keys, peek(path)
            journal_at = journal_path(path)
            found = peek_journal(journal_at)
            whose = identity.check(usage, ledger, place, None if found is None else found.identity, rebuild=rebuild)
            usage.take_over(_token(whose, place))
            journal = Journal(journal_at) if found is not None else None
            if journal is not None:
                undo.callback(journal.close)
            spoilt = recovery.check(usage, place, path, journal, rebuild=rebuild)
            keys = Keys(path, lease)
            undo.callback(keys.close)
            if journal is None:
                journal = Journal(journal_at)
                undo.callback(journal.close)
            identity.bind_first(whose, keys, usage, journal)
            if rebuild and (place is None or not place.epoch):
                recovery.give_up_earlier_blocks(keys, clock())
            with begin() if begin is not None else ledger.begin_start(server("start")) as tx:
                identity.bind_ledger(tx, whose)
            identity.bind_last(whose, keys)
            last = recovery.recover(
                usage, keys, journal, holder=me(), rebuild=rebuild, promise=ledger.promises(), spoilt=spoilt, say=_say
            )
            recovery.give_up_stated_blocks(keys, ledger)
            if isinstance(clock, SteadyClock):
                clock.not_before(keys.committed().received_at)
            usage.publish(last)
            ingest = cls(settings, usage, ledger, keys, journal, clock)
            ingest.started_clean = place is None or place.clean
            undo.pop_all()
        ingest._flusher.start()
        ingest._committer.start()
        return ingest

    def close(self) -> None:
        """Write what waits, then stop. What stands in the table by then needs no journal any more."""
        self._committer.stop()
        self._flusher.stop()
        if self._committer.doubt is None:
            try:
                self._finish()
            except Exception as error:  # it only saves work at the next start
                log.warning("stop_unfinished", error=str(error)[:500])
        self._journal.close()
        self._keys.close()

    def _finish(self) -> None:
        block = self._keys.committed().block
        self._usage.settle()
        _sync()
        self._journal.forget(block)
        self._keys.mark_clean(block, stopped=True, promise=self._resolver.last_promise())

    @property
    def flusher(self) -> Flusher:
        """What becomes of the blocks after they are acknowledged."""
        return self._flusher

    async def take(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        *,
        atomic: bool = False,
        receipts_all: bool = False,
        made: Made = nobody,
        in_thread: InThread = asyncio.to_thread,
        headers: Headers = (),
        logins: Logins | None = None,
    ) -> EventsAnswer:
        """Decode, store durably, answer. Raises MalformedBody, UnsupportedMedia, Unprocessable, SequenceGap…; HoldsFull
        carries what became of the events before, EventRefused and EventConflict of the one. `made` hears from any
        thread how much a packed body becomes; what it raises ends the request. `in_thread`: where a large body is read.
        `headers`: of the request, their names in small letters; a CloudEvent's attributes may be there. `logins`: users
        are called by such ones."""
        read = partial(decode_request, media_type=content_type, headers=headers, logins=logins)
        reading = self._read(body, content_encoding, read, made, in_thread)
        del body  # it is gone when it was read: what waits is columns
        found = await reading
        if not found.events:
            return EventsAnswer(0, 0, 0, 0, [])
        submission = Submission(
            _writer(credential), found.events, found.faults, found.size, atomic, prepared=found.prepared
        )
        if is_never_stored(submission) and self.ready()[0]:
            return _told(await self._refuse(submission, receipts_all, in_thread), alone=found.alone)
        return _told(await self._stored(submission, receipts_all), alone=found.alone)

    async def record(self, sender: str, events: Sequence[UsageEvent]) -> EventsAnswer:
        """Store what this process observed itself, as `sender`, which owns the sources it begins. Raises as `take`."""
        submission = Submission(Submitter(sender, admin=True), list(events), {}, len(events) * OWN_EVENT_BYTES)
        return await self._stored(submission)

    async def _stored(self, submission: Submission, receipts_all: bool = False) -> EventsAnswer:
        """Wait for the committer. HoldsFull as in `take`."""
        submission.loop = asyncio.get_running_loop()
        submission.answer = submission.loop.create_future()
        self._queue.put(submission)
        outcome: Outcome = await submission.answer
        found = answer_of(submission, outcome, everything=receipts_all)
        if outcome.stopped is not None:
            outcome.stopped.extra = {**outcome.stopped.extra, **_counts(found)}
            raise outcome.stopped
        if (found.stored or found.duplicate) and self._early.may_have(submission, outcome):
            found = await asyncio.to_thread(self._early.tell, submission, outcome, found)
        return found

    async def _refuse(self, submission: Submission, receipts_all: bool, in_thread: InThread) -> EventsAnswer:
        """The same answer as in a block, but nobody's events wait behind what is none: some hundred bytes, packed, may
        be 100,000 of these."""
        found: EventsAnswer = await in_thread(
            lambda: answer_of(submission, refuse(submission), everything=receipts_all)
        )
        self._refused += found.refused
        return found

    async def correct(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        record: Callable[[Sequence[Correction]], None] = lambda asked: None,
        made: Made = nobody,
        in_thread: InThread = asyncio.to_thread,
    ) -> CorrectionsAnswer:
        """Corrections, stored durably. `record` is called with them, in a thread, before any is stored; what it raises
        ends the request. `made` and `in_thread` as in `take`. Raises Unprocessable, NotAsExpected, SourceNotYours,
        QueueFull…"""
        read = partial(self._read_corrections, body, content_type, content_encoding, made)
        corrections, looked, size = await in_thread(read)
        if not corrections:
            return CorrectionsAnswer(0, 0, 0, 0, [])
        await asyncio.to_thread(record, corrections)
        writer = _writer(credential)
        for _ in range(LOOKS):
            done = await self._answered(Correcting(writer, corrections, looked, size))
            if not isinstance(done, Again):
                corrected: CorrectionsAnswer = done
                return corrected
            looked = await in_thread(partial(self._committer.facts.find, corrections))
        raise Unavailable(
            "Others correct these events all the time, and nothing of this was stored; try again", retry_after_s=1
        )

    async def report(self, account: str, series: str, said: UseSaid) -> ReportAnswer:
        """Make what stands in a provider's series what it says now; stored durably. The series belongs to the account.
        Raises Unsayable, UnknownAccount, Conflict (of a closed one), SourceKindMismatch, QueueFull…"""
        assert is_series(series), series
        check_said(said)
        for _ in range(LOOKS):
            asked = await asyncio.to_thread(self._plan_report, account, series, said)
            if not asked.plan.rows:
                return asked.plan.answer
            done = await self._answered(asked)
            if not isinstance(done, Again):
                reported: ReportAnswer = done
                return reported
        raise Unavailable("This series is written all the time, and nothing of this was stored", retry_after_s=1)

    def _plan_report(self, account: str, series: str, said: UseSaid) -> Reporting:
        block = self._keys.committed().block  # what the keys have committed readers see already
        stretch = stretch_of(account, series, said)
        if stretch is None:
            stood = self._usage.said_under(series, account, [one.key for one in said.figures])
        else:
            stood = self._usage.said_in(stretch)
        planned = plan(account, series, said, stood)
        return Reporting(source_of(series), account, planned, block, len(planned.rows) * OWN_EVENT_BYTES)

    async def _answered(self, waiting: Correcting | ReadingsSubmission | Reporting) -> Any:
        waiting.loop = asyncio.get_running_loop()
        waiting.answer = waiting.loop.create_future()
        self._queue.put(waiting)
        return await waiting.answer

    async def meter(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        made: Made = nobody,
        in_thread: InThread = asyncio.to_thread,
    ) -> ReadingsAnswer:
        """Readings of counters: what they add is stored durably. `made` and `in_thread` as in `take`. Raises
        MalformedBody, SourceNotYours, SourceKindMismatch, TooLarge, TooManyNew, QueueFull…"""

        def read() -> tuple[list[Reading | UnreadableReading], list[int | Reason], int]:
            plain = decompress(body, content_encoding, self._max_body_bytes, made)
            readings = decode_readings(plain, content_type)
            return readings, times_of(readings), len(plain)

        small = len(body) <= SMALL and content_encoding in (None, "", "identity")
        readings, times, size = read() if small else await in_thread(read)
        if not readings:
            return ReadingsAnswer(0, 0, 0, [])
        positions: dict[EventKey, str | None] = {}
        for _ in range(LOOKS):
            done = await self._answered(ReadingsSubmission(_writer(credential), readings, times, size, positions))
            if not isinstance(done, Again):
                metered: ReadingsAnswer = done
                return metered
            positions = positions | await in_thread(partial(self._positions, done.keys))
        raise Unavailable("These counters are forgotten all the time; try again", retry_after_s=1)

    def _positions(self, keys: Collection[EventKey]) -> dict[EventKey, str | None]:
        found = self._usage.positions(list(keys))
        return {key: found.get(key) for key in keys}

    def _read_corrections(
        self, body: bytes, kind: str, encoding: str | None, made: Made
    ) -> tuple[list[Correction], LookedUp, int]:
        plain = decompress(body, encoding, self._max_body_bytes, made)
        corrections = decode_corrections(plain, kind)
        return corrections, self._committer.facts.find(corrections), len(plain)

    async def _read(
        self, body: bytes, encoding: str | None, read: Callable[[bytes], Decoded], made: Made, in_thread: InThread
    ) -> _Read:
        if len(body) <= SMALL and (not encoding or encoding == "identity"):
            decoded = read(body)
            check_positions(decoded)
            return _Read(decoded.events, decoded.faults, decoded.alone, len(body))
        reading = partial(self._read_large, body, encoding, read, made)
        del body
        found: _Read = await in_thread(reading)
        return found

    def _read_large(self, body: bytes, encoding: str | None, read: Callable[[bytes], Decoded], made: Made) -> _Read:
        plain = decompress(body, encoding, self._max_body_bytes, made)
        with self._one_at_a_time if len(plain) > VERY_LARGE else nullcontext():
            decoded = read(plain)
            check_positions(decoded)
            found = _Read(decoded.events, decoded.faults, decoded.alone, len(plain))
            if decoded.events:
                found.prepared = prepare_rows(decoded.events, decoded.faults, decoded.columns)
                found.events = slim(found.prepared) or decoded.events
            return found

    def source(self, name: str, credential: Credential) -> SourceAnswer:
        """Where a source stands. A source of another sender is as unknown as one that does not exist."""
        return self._lookup.source(name, credential)

    def sources(
        self, credential: Credential, sender: str | None, cursor: str | None, limit: int
    ) -> ListPage[SourceDetail]:
        """A page of sources, of those the credential may know."""
        return self._lookup.sources(credential, sender, cursor, limit)

    def overlaps(self, asked: OverlapsRequest, credential: Credential) -> OverlapsAnswer:
        """Which of these events are there already under another source, as far as the credential may know."""
        return self._overlaps.find(asked, credential)

    def counters(
        self, source: str, prefix: str, credential: Credential, cursor: str | None, limit: int
    ) -> ListPage[CounterAnswer]:
        """A page of the counters of a source whose names begin so, of those the credential may know. NotFound."""
        return self._lookup.counters(source, prefix, credential, cursor, limit)

    def hand_over(self, source: str, sender: str) -> SourceDetail:
        """The source is that sender's from the next block on, whoever owned it. NotFound. The caller has seen that
        there is such a sender."""
        return detail_of(self._committer.between_blocks(lambda: self._committer.sources.hand_over(source, sender)))

    def event(self, source: str, id: str, credential: Credential) -> EventAnswer:
        """An event and what happened to it, or a correction by its own key. For a numbered source `id` is the number,
        or the id it kept."""
        return self._lookup.event(source, id, credential)

    def forget_names(self, account: str) -> None:
        """Call after a commit that gave the name of a user of this account to somebody else, or to nobody."""
        self._resolver.forget(account)
        self.look_again(account)

    def gave(self, account: str) -> None:
        """Call after a commit that may have given this account something, or made a user of it."""
        self._early.forget(account)

    def look_again(self, account: str) -> None:
        """Call after a commit that made or changed this account or its users: what is held of it may count now."""
        self._committer.sweeps.look_again(account)
        if self._committer.holds.events:
            self._queue.nudge()

    def held(self, asked: HeldFilter, credential: Credential, cursor: str | None, limit: int) -> ListPage[HeldEvent]:
        """A page of held events, of those the credential may know."""
        return self._lookup.held(asked, credential, cursor, limit)

    async def retry_held(self, asked: HeldFilter) -> HeldAnswer:
        """Look at these again now: those that may be stored are."""
        return await self._sweep_all(asked, None)

    async def drop_held(self, asked: HeldFilter, reason: str, credential: Credential) -> HeldAnswer:
        """Refuse these for good, for this reason."""
        answer = await self._sweep_all(asked, Reason("dropped", reason))
        log.info("held_dropped", credential=credential.id, events=answer.refused, reason=reason, where=repr(asked))
        return answer

    async def _sweep_all(self, asked: HeldFilter, drop: Reason | None) -> HeldAnswer:
        """Page by page, so that others are written in between."""
        where = await asyncio.to_thread(self._lookup.held_where, asked)
        done, after = HeldAnswer(0, 0, 0), BEGINNING
        loop = asyncio.get_running_loop()
        while where is not None:
            answer = loop.create_future()
            self._queue.put(Sweeping(where, after, drop, loop=loop, answer=answer))
            swept: Swept = await answer
            done = HeldAnswer(done.stored + swept.stored, done.refused + swept.refused, done.held + swept.held)
            if swept.next is None:
                break
            after = swept.next
        return done

    def tag_held(self, account: str, names: Sequence[str], user_id: str) -> None:
        """Call before a commit that makes these names unknowable: what is held of them will be found by the user's id
        (`forget_held`)."""
        if self._committer.holds.events and names:
            self.between_blocks(lambda keys: keys.tag_held(account, names, user_id))

    def forget_held(self, user_ids: Sequence[str]) -> int:
        """Refuse for good what is held of these users, whose erasure was asked for, and leave no byte of it."""
        return self._committer.between_blocks(lambda: self._committer.forget_held(user_ids))

    def forget_held_of(self, accounts: Sequence[str]) -> int:
        """The same of these accounts."""
        return self._committer.between_blocks(lambda: self._committer.forget_held_of(accounts))

    def forget_all(self) -> None:
        """Call when another process may have written the ledger: nothing that is remembered of it is trusted."""
        self._resolver.forget_all()
        self._early.forget()

    def place(self) -> Committed:
        """Where the committer stands."""
        return self._keys.committed()

    def between_blocks(self, work: Callable[[Keys], T]) -> T:
        """Do this in a moment in which nothing is written: keys and rows agree. Writers wait for it, so be quick.
        Settling where a write is in doubt."""
        return self._committer.between_blocks(lambda: work(self._keys))

    def ready(self) -> tuple[bool, str]:
        """Whether events can be stored now, and why not."""
        if not self._committer.alive():
            return False, "the committer has stopped"
        if lost := self._resolver.lost:
            return False, f"the lease on the ledger is lost: {lost}"
        if why := self._committer.standing.why_not():
            return False, why
        if not self._has_room():
            return False, "there is no room left to store usage"
        if why := self._flusher.why_full() or self._flusher.why_not():
            return False, why
        return True, "ready"

    def metrics(self) -> dict[str, float]:
        """Gauges and counters, by name."""
        counts = {f"events_{name}": float(self._committer.counts[name]) for name in NAMES}
        counts["events_refused"] += self._refused
        place = self._keys.committed()
        return {
            "waiting_events": float(self._queue.events),
            "waiting_bytes": float(self._queue.bytes),
            "last_block": float(place.block),
            "rows_acknowledged": float(place.rows_total),
            "starts": float(place.epoch),
            "started_clean": float(self.started_clean),
            "writing": float(self._committer.alive() and self._committer.standing.why_not() is None),
            "held_events": float(self._committer.holds.events),
            "held_bytes": float(self._committer.holds.bytes),
            "held_events_released": float(self._committer.counts["released"]),
            "held_events_dropped": float(self._committer.counts["dropped"]),
            **counts,
            **self._keys.measures(),
            **self._flusher.measures(),
            **self._measures(),
        }

    def _measures(self) -> dict[str, float]:
        try:
            return {"usage_up": 1.0, **self._usage.measures()}
        except Unavailable:
            return {"usage_up": 0.0}


def _say(line: str) -> None:
    log.warning("recovery", did=line)


def _room_check(places: Sequence[Path], least: int) -> Callable[[], bool]:
    def has_room() -> bool:
        return all(not place.exists() or shutil.disk_usage(place).free >= least for place in places)

    return has_room


def _token(whose: Identity, place: Committed | None) -> str:
    """The name of this start, small letters and digits, that no other has: keys that were put back count their starts
    again."""
    generation = whose.generation.replace("_", "")
    return f"{generation}e{(place.epoch if place is not None else 0) + 1}x{secrets.token_hex(4)}"


def _sync() -> None:
    """All that was written is on the disk: rows, keys, whatever another program writes meanwhile."""
    os.sync()


def _told(found: EventsAnswer, *, alone: bool) -> EventsAnswer:
    """EventRefused or EventConflict where a body that is one event did not get into the store, and is not held either:
    who sends one at a time may look at nothing but the status."""
    if not alone or found.held or not (found.refused or found.conflict):
        return found
    [receipt] = found.receipts
    kind = EventConflict if found.conflict else EventRefused
    raise kind(f"{receipt.code}: {receipt.detail}", **_counts(found))


def _counts(found: EventsAnswer) -> dict[str, Any]:
    """For a problem document: counts and receipts."""
    told = ("stored", "duplicate", "conflict", "refused", "receipts", "held")
    return {name: getattr(found, name) for name in told}


def _writer(credential: Credential) -> Submitter:
    assert credential.sender is not None, "what may write events has a sender"
    return Submitter(credential.sender, credential.account, credential.may("sources:write"))
