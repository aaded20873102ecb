"""Events and corrections in, what became of them out."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.corrections import EventRef, Quantities
from flowtally.core.edges import Instant
from flowtally.core.events import Name, UsageEvent
from flowtally.core.words import EntryKind, SourceKind, Unit, UnpaidSince
from flowtally.protocol.words import ReceiptStatus

MAX_OVERLAPS: Final = 100  # events in one question for them


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event of a request.

    id: The event's id, or its number where the source is numbered.
    status: What became of it. `stored` and `duplicate` need not be sent again.
    code: By which rule it was refused or in conflict; left out otherwise.
    retriable: Whether the reason for which it was refused may pass. A named event may be sent again; a numbered one is
        held and need not be.
    """

    index: int
    source: str
    id: str
    status: ReceiptStatus
    code: str = ""
    detail: str = ""
    retriable: bool = False


class NeverPaidEvents(msgspec.Struct, frozen=True, omit_defaults=True):
    """Events of this request that are stored, now or by an earlier request, and that nothing will pay, as the grants
    stand: they are dated before anything that could pay for them began.

    pool: The pool that would pay for them.
    events: How many they are.
    amount: How much they used, in `unit`.
    first: When the oldest of them happened. A grant to the account that starts by then pays for them.
    before: They happened before this instant, at which something began that can pay.
    began: What began then: the first grant of the pool (for a funded user, its first allocation), the account (its
        `carry_from`), or the funded user.
    user: The name of the funded user; empty where the account pays.
    grant: The id of the grant or of the allocation, where one began; null: none.
    """

    account: str
    pool: str
    unit: Unit
    events: int
    amount: int
    first: Instant
    before: Instant
    began: UnpaidSince
    user: str = ""
    grant: str | None = None


class EventsAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts over all events of the request, and receipts.

    receipts: What became of all but the stored events, or of all where that was asked for.
    held: How many of the refused are kept and will be stored when the reason has passed; left out where none is.
    never_paid: What nothing will pay of the events that are stored, by account, pool and funded user, those with the
        most events first. Left out where there is none. Sent again they are duplicates, and told again.
    more_never_paid: Of how many more accounts, pools and users there is such use, which is not listed.
    """

    stored: int
    duplicate: int
    conflict: int
    refused: int
    receipts: list[Receipt]
    held: int = 0
    never_paid: list[NeverPaidEvents] = []
    more_never_paid: int = 0


class SourceAnswer(msgspec.Struct, frozen=True):
    """Where to resume a numbered source.

    sequence: Its mark: every number up to it is taken. 0 before the first, null for a named source.
    position: The `position` that came with the mark.
    held: How many events up to the mark wait for a reason to pass.
    refused: How many events up to the mark are refused for good.
    more_refused: Whether `refused` is the least there are, because more may not be listed.
    """

    source: str
    sequence: int | None
    position: str | None
    held: int = 0
    refused: int = 0
    more_refused: bool = False


class SourceDetail(msgspec.Struct, frozen=True):
    """A source in a list.

    kind: `named` events have ids, `numbered` ones a running number, `counters` have readings.
    sender: The id of the sender that owns it; empty where only its rows were left to tell of it.
    sequence: The mark of a numbered source; null for others.
    position: The `position` that came with the mark.
    """

    source: str
    kind: SourceKind
    sender: str
    sequence: int | None
    position: str | None


class SourceHandOver(msgspec.Struct, forbid_unknown_fields=True):
    """A source that another sender goes on with.

    sender: The id of the sender that shall own it.
    """

    source: str
    sender: str


class OverlapsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events of a source that are about to be sent, to be looked for in all others.

    events: The events, as they would be sent.
    """

    source: Name
    events: Annotated[list[UsageEvent], Meta(max_length=MAX_OVERLAPS)]


class Overlap(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event of the request that stands in other sources already.

    sources: The names of these sources.
    other_senders: How many other senders' sources have it, which have no name here.
    """

    index: int
    sources: list[str]
    other_senders: int = 0


class OverlapsAnswer(msgspec.Struct, frozen=True):
    """Those events that were found in other sources.

    overlaps: The events that were found.
    unknown_before: Of usage before this instant some is compacted: an event of that time that was not found may be
        stored all the same. Null: nothing is.
    """

    overlaps: list[Overlap]
    unknown_before: Instant | None


class TakenAccount(msgspec.Struct, frozen=True):
    """Whether events of an account would be stored now.

    takes: Whether they would.
    code: Why they would not, as a receipt says it; empty where they would.
    detail: The same for people.
    """

    account: str
    takes: bool
    code: str = ""
    detail: str = ""


class TakenAccountsAnswer(msgspec.Struct, frozen=True):
    """Whether events of these accounts would be stored now.

    accounts: Each account that was asked about, once, in the order of the request.
    """

    accounts: list[TakenAccount]


class CorrectionReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one correction of a request; a duplicate tells what it did the first time. An adjustment only
    adds.

    id: The correction's id.
    status: What became of it. `stored` and `duplicate` need not be sent again.
    code: By which rule it was refused or in conflict; left out otherwise.
    added: What it adds to the event; below zero: takes away.
    before: What the event counted before.
    after: What the event counts from then on.
    """

    index: int
    source: str
    id: str
    status: ReceiptStatus
    code: str = ""
    detail: str = ""
    added: Quantities | None = None
    before: Quantities | None = None
    after: Quantities | None = None


class CorrectionsAnswer(msgspec.Struct, frozen=True):
    """Counts over all corrections of the request, and a receipt for each.

    receipts: What became of each correction.
    """

    stored: int
    duplicate: int
    conflict: int
    refused: int
    receipts: list[CorrectionReceipt]


class EventCorrection(msgspec.Struct, frozen=True):
    """One correction of an event, as stored.

    source: The source of the correction.
    id: The id of the correction.
    added: What it added; below zero: took away.
    after: What the event stood at from then on.
    """

    source: str
    id: str
    received_at: Instant
    reason: str
    block: int
    added: Quantities
    after: Quantities


class EventAnswer(msgspec.Struct, frozen=True):
    """An event and what happened to it: `bytes_up`, `bytes_down` and `requests` are as received.

    Or, by its own key, a correction of the event it `corrects`, dated and grouped like it, or a free adjustment: the
    quantities are what it added (negative: took away), with its `reason`; it has no `sum`. Or a row of what a provider
    reported (`series`): it has no `sum` either, `user` is the vendor's own name and `user_id` is empty.

    id: The event's id.
    sequence: The event's number in its source; null for a named source.
    status: What became of it.
    code: By which rule it was refused; empty where it was not.
    series: Whose figures it is among: `metered` are our own.
    time: When it happened; null where it was refused without one.
    received_at: When the server received it; null where that is not known.
    http_status: The HTTP status of the proxied request; 0: not known.
    block: The block it was stored in; null: it was not.
    corrections: Its corrections, in their order.
    sum: What it stands at with its corrections; null for what is no event.
    kind: Whether it is use, a correction or a free adjustment.
    corrects: The event that it corrects; null where it is no correction.
    retriable: True where it is refused and held: it counts when the reason has passed.
    """

    source: str
    id: str
    sequence: int | None
    status: ReceiptStatus
    code: str
    detail: str
    series: str
    account: str
    user: str
    user_id: str
    product: str
    time: Instant | None
    received_at: Instant | None
    bytes_up: int
    bytes_down: int
    requests: int
    http_status: int
    labels: dict[str, str]
    block: int | None
    corrections: list[EventCorrection] = []
    sum: Quantities | None = None
    kind: EntryKind = "use"
    corrects: EventRef | None = None
    reason: str = ""
    retriable: bool | msgspec.UnsetType = msgspec.UNSET
