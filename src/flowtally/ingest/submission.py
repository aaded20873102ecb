"""What waits for the committer, and what it answers.

A submission is one request: it is committed in one block or not at all, and answered exactly once. `account` is whose
alone it is, `queue_key` whose turn it takes in the queue.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec

from flowtally.core.corrections import Correction
from flowtally.core.errors import HoldsFull
from flowtally.core.events import UsageEvent, number_of
from flowtally.core.readings import Reading
from flowtally.ingest.admission import Reason, Submitter, Times
from flowtally.ingest.columns import SentEvents
from flowtally.ingest.prepare import Prepared
from flowtally.ingest.reading_body import UnreadableReading
from flowtally.ingest.report_plan import ReportPlan
from flowtally.keys.values import HeldWhere, Number
from flowtally.protocol import EventsAnswer, Receipt, ReceiptStatus
from flowtally.usage.values import Entry, EventKey, StoredEvent

STORED: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
REFUSED: Final = 3
NAMES: Final[tuple[ReceiptStatus, ...]] = ("stored", "duplicate", "conflict", "refused")


class _OfWriter:
    """A request that somebody sent, for the queue."""

    __slots__ = ()
    writer: Submitter

    @property
    def account(self) -> str | None:
        return self.writer.account

    @property
    def queue_key(self) -> str:
        return self.writer.account or self.writer.sender


class Submission(_OfWriter, msgspec.Struct, gc=True, eq=False):
    """One request's events. `faults` are items that are no usage event, by index; `size` is the bytes of the body, not
    compressed; `prepared` where its own thread did that already."""

    alone: ClassVar[bool] = False  # others may be in its block
    writer: Submitter
    events: Sequence[UsageEvent]
    faults: dict[int, str]
    size: int
    atomic: bool = False
    loop: AbstractEventLoop | None = None
    answer: Future[Any] | None = None
    prepared: Prepared | None = None

    @property
    def count(self) -> int:
        return len(self.events)

    def key(self, index: int) -> tuple[str, str, int | str | None]:
        """Source, id and number of an event, as they were sent."""
        if isinstance(self.events, SentEvents):
            columns = self.events.columns
            return columns.source[index], columns.id[index], columns.sequence[index]
        event = self.events[index]
        return event.source, event.id, event.sequence


class LookedUp(msgspec.Struct, frozen=True):
    """What was read of the rows for a request of corrections, on its own thread: of the keys `asked` the events that
    are there, and what had corrected each by its `reference`. All of blocks up to `block` is in it."""

    block: int
    asked: frozenset[EventKey]
    events: dict[EventKey, StoredEvent]
    entries: dict[str, list[Entry]]


class Correcting(_OfWriter, msgspec.Struct, gc=True, eq=False):
    """One request of corrections: it is a block of its own, so that it sees everything before it. Its rows were
    `looked` up before it came here."""

    alone: ClassVar[bool] = True
    writer: Submitter
    corrections: list[Correction]
    looked: LookedUp
    size: int
    loop: AbstractEventLoop | None = None
    answer: Future[Any] | None = None

    @property
    def count(self) -> int:
        return len(self.corrections)


class Reporting(msgspec.Struct, gc=True, eq=False):
    """What a provider of an account says: a block of its own, planned on all rows of blocks up to `block`. It takes
    turns of its own, and nobody of the account waits for it."""

    alone: ClassVar[bool] = True
    account: ClassVar[str | None] = None
    source: str
    account_said: str
    plan: ReportPlan
    block: int
    size: int
    loop: AbstractEventLoop | None = None
    answer: Future[Any] | None = None

    @property
    def writer(self) -> Submitter:
        """This server, which may write these sources whoever had one of them before."""
        return Submitter(self.source, admin=True)

    @property
    def queue_key(self) -> str:
        return self.source

    @property
    def count(self) -> int:
        return len(self.plan.rows)


class ReadingsSubmission(_OfWriter, msgspec.Struct, gc=True, eq=False):
    """One request of readings, in their order, and when each was read. Others of readings may be in its block, and
    nothing else. `positions`: of rows that were asked for before (`Again`), None where there is no such row."""

    alone: ClassVar[bool] = False
    writer: Submitter
    readings: list[Reading | UnreadableReading]
    times: list[int | Reason]
    size: int
    positions: dict[EventKey, str | None] = {}
    loop: AbstractEventLoop | None = None
    answer: Future[Any] | None = None

    @property
    def count(self) -> int:
        return len(self.readings)


class Swept(msgspec.Struct, frozen=True):
    """What became of a page of held events. `next`: there are more after this number of a source."""

    stored: int = 0
    refused: int = 0
    held: int = 0
    next: Number | None = None


class Sweeping(msgspec.Struct, gc=True, eq=False):
    """A request about held events: a page of those `where` says. They are looked at again; or, with a `drop`, refused
    for good for that reason."""

    alone: ClassVar[bool] = True
    account: ClassVar[str | None] = None
    queue_key: ClassVar[str] = ""  # nobody's: no account and no sender is called so
    where: HeldWhere
    after: Number
    drop: Reason | None = None
    size: int = 0
    loop: AbstractEventLoop | None = None
    answer: Future[Any] | None = None

    @property
    def count(self) -> int:
        return 1


class Again(msgspec.Struct, frozen=True):
    """Nothing became of it: rows have to be read first, which the writer does not. `keys`: these rows; none of them:
    what was read before has changed since."""

    keys: frozenset[EventKey] = frozenset()


Waiting = Submission | Correcting | ReadingsSubmission | Sweeping | Reporting


class Outcome(msgspec.Struct, eq=False):
    """What became of a submission: a status per event (STORED ... REFUSED) and a reason where it was not stored; how
    many of the refused are held. `stopped`: why nothing became of the events after these.
    `times`: when each event happened, where they were looked at."""

    statuses: list[int]
    reasons: dict[int, Reason]
    held: int = 0
    stopped: HoldsFull | None = None
    times: Times | None = None

    def counts(self) -> tuple[int, ...]:
        """How many have each status, in the order of NAMES."""
        if (stored := self.statuses.count(STORED)) == len(self.statuses):  # by far the usual case
            return stored, 0, 0, 0
        return stored, *(self.statuses.count(status) for status in range(1, len(NAMES)))


def answer_of(submission: Submission, outcome: Outcome, *, everything: bool = False) -> EventsAnswer:
    """The receipts as the API gives them: all but the stored ones, unless `everything` is asked for."""
    stored, duplicate, conflict, refused = outcome.counts()
    receipts: list[Receipt] = []
    if everything or stored != len(outcome.statuses):
        for index, status in enumerate(outcome.statuses):
            if everything or status != STORED:
                receipts.append(_receipt(submission, outcome, index, status))
    return EventsAnswer(stored, duplicate, conflict, refused, receipts, outcome.held)


def _receipt(submission: Submission, outcome: Outcome, index: int, status: int) -> Receipt:
    source, id, sequence = submission.key(index)
    name = id or ("" if sequence is None else str(number_of(sequence) or sequence))
    reason = outcome.reasons.get(index)
    if reason is None:
        return Receipt(index, source, name, NAMES[status])
    return Receipt(
        index, source, name, NAMES[status], reason.code, reason.detail, status == REFUSED and reason.retriable
    )
