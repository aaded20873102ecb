"""Events and corrections in, what became of them out."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.corrections import EventRef, Quantities
from flowtally.events import Name, UsageEvent
from flowtally.protocol.words import ReceiptStatus

MAX_OVERLAPS: Final = 100  # events in one question for them


class Receipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one event of a request; `index` counts from 0 within the request. `retriable`: it was refused for
    a reason that may pass. A named event may be sent again; a numbered one is held and need not be."""

    index: int
    source: str
    id: str
    status: ReceiptStatus
    code: str = ""
    detail: str = ""
    retriable: bool = False


class EventsAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Counts over all events of the request; `receipts` lists all but the stored ones unless asked for. `held`: how
    many of the refused are kept and will be stored when the reason has passed; left out where none is."""

    stored: int
    duplicate: int
    conflict: int
    refused: int
    receipts: list[Receipt]
    held: int = 0


class SourceAnswer(msgspec.Struct, frozen=True):
    """Where to resume a numbered source: `sequence` is its mark (0 before the first), None for a named source. Of the
    events up to it `held` wait for a reason to pass and `refused` are refused for good; where `more_refused`, at least
    so many. The others are stored."""

    source: str
    sequence: int | None
    position: str | None
    held: int = 0
    refused: int = 0
    more_refused: bool = False


class SourceDetail(msgspec.Struct, frozen=True):
    """A source in a list. `sender` owns it; empty where only its rows were left to tell of it."""

    source: str
    kind: Literal["named", "numbered", "counters"]
    sender: str
    sequence: int | None
    position: str | None


class SourceHandOver(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    sender: str


class OverlapsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events of a source that are about to be sent, to be looked for in all others."""

    source: Name
    events: Annotated[list[UsageEvent], Meta(max_length=MAX_OVERLAPS)]


class Overlap(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event of the request (`index`, from 0) that stands in other sources already: in these `sources`, and in so
    many of `other_senders`, which have no name here."""

    index: int
    sources: list[str]
    other_senders: int = 0


class OverlapsAnswer(msgspec.Struct, frozen=True):
    """Those that were found. Of usage before `unknown_before` some is rolled up: an event of that time that was not
    found may be stored all the same."""

    overlaps: list[Overlap]
    unknown_before: str | None


class CorrectionReceipt(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one correction of a request. `added` is what it adds to the event (negative: takes away), `before`
    and `after` what the event stood at; a duplicate tells what it did the first time. An adjustment only adds."""

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
    """Counts over all corrections of the request, and a receipt for each."""

    stored: int
    duplicate: int
    conflict: int
    refused: int
    receipts: list[CorrectionReceipt]


class EventCorrection(msgspec.Struct, frozen=True):
    """One correction of an event, as stored: its own key, what it added, what the event stood at from then on."""

    source: str
    id: str
    received_at: str
    reason: str
    block: int
    added: Quantities
    after: Quantities


class EventAnswer(msgspec.Struct, frozen=True):
    """An event and what happened to it. `sequence` is None for a named source; `user_id` never changes. `bytes_up`,
    `bytes_down` and `requests` are as received; `sum` is what it stands at with its `corrections`, in their order.
    `retriable`, where it is given: refused and held, it counts when the reason has passed.

    Or, by its own key, a correction of the event it `corrects`, dated and grouped like it, or a free adjustment: the
    quantities are what it added (negative: took away), with its `reason`; it has no `sum`."""

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
    time: str | None
    received_at: str | None
    bytes_up: int
    bytes_down: int
    requests: int
    http_status: int
    labels: dict[str, str]
    block: int | None
    corrections: list[EventCorrection] = []
    sum: Quantities | None = None
    kind: Literal["use", "correction", "adjustment"] = "use"
    corrects: EventRef | None = None
    reason: str = ""
    retriable: bool | msgspec.UnsetType = msgspec.UNSET
