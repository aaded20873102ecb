"""Correction: what is right of an event, or a free adjustment, as the door takes it; and the names events go by.

Owns the shape, what may stand together, and `refers_to`, the text by which a correction's row names its event. Leaves
to `ingest` what it becomes: the difference to what the event stands at, which only the one writer can know.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant, parse_instant
from flowtally.core.errors import FlowtallyError
from flowtally.core.events import MAX_QUANTITY, MaybeName, Name, Quantity
from flowtally.core.texts import text_fault

MAX_CORRECTIONS: Final = 1_000  # in one request
MAX_REASON_CHARS: Final = 500
DEFAULT_SOURCE: Final = "corrections"
QUANTITIES: Final = ("bytes_up", "bytes_down", "requests")

EntryKind = Literal["correction", "adjustment"]
Signed = Annotated[int, Meta(ge=-MAX_QUANTITY, le=MAX_QUANTITY)]
Reason = Annotated[str, Meta(max_length=MAX_REASON_CHARS)]


class EventRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event by its key.

    source: The source of the event.
    id: Its id, or its number in decimal where the source is numbered.
    """

    source: Name
    id: Name


class Quantities(msgspec.Struct, frozen=True):
    """What an event or an entry counts for; of an entry, what it adds (negative: takes away)."""

    bytes_up: int
    bytes_down: int
    requests: int

    def plus(self, other: Quantities) -> Quantities:
        up, down = self.bytes_up + other.bytes_up, self.bytes_down + other.bytes_down
        return Quantities(up, down, self.requests + other.requests)

    def minus(self, other: Quantities) -> Quantities:
        up, down = self.bytes_up - other.bytes_up, self.bytes_down - other.bytes_down
        return Quantities(up, down, self.requests - other.requests)


NOTHING: Final = Quantities(0, 0, 0)


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the event should stand at before the correction; what is left out is not looked at."""

    bytes_up: Quantity | None = None
    bytes_down: Quantity | None = None
    requests: Quantity | None = None

    def met_by(self, present: Quantities) -> bool:
        asked = ((getattr(self, name), getattr(present, name)) for name in QUANTITIES)
        return all(wanted is None or wanted == found for wanted, found in asked)


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """With `corrects`: the event's right quantities (what is left out stays as it stands), or `void`. Without it: a
    free adjustment that states account, time, signed quantities and a reason. `(source, id)` counts once, for ever.

    id: The id of the correction in its source.
    source: Who corrects.
    corrects: The event to correct; null: it is a free adjustment.
    bytes_up: The right bytes sent by the user; of an adjustment, what it adds.
    bytes_down: The right bytes sent to the user; of an adjustment, what it adds.
    requests: The right number of requests; of an adjustment, what it adds.
    void: Whether the event shall count for nothing.
    expects: What the event must stand at, or the correction is refused.
    account: The account of an adjustment.
    user: The name of the user of an adjustment.
    product: The product of an adjustment.
    time: The instant of an adjustment.
    """

    id: Name
    source: Name = DEFAULT_SOURCE
    corrects: EventRef | None = None
    bytes_up: Signed | None = None
    bytes_down: Signed | None = None
    requests: Signed | None = None
    void: bool = False
    expects: Expected | None = None
    reason: Reason = ""
    account: MaybeName = ""
    user: MaybeName = ""
    product: MaybeName = ""
    time: Instant | None = None

    @property
    def stated(self) -> tuple[int | None, int | None, int | None]:
        return self.bytes_up, self.bytes_down, self.requests

    def right(self, present: Quantities) -> Quantities:
        """What the event is to stand at."""
        if self.void:
            return NOTHING
        stands = (present.bytes_up, present.bytes_down, present.requests)
        return Quantities(*(now if said is None else said for said, now in zip(self.stated, stands, strict=True)))

    def adds(self) -> Quantities:
        """What a free adjustment adds."""
        return Quantities(*(said or 0 for said in self.stated))


def fault_of(one: Correction) -> tuple[str, str] | None:
    """The field that is wrong and why, or None. The event's key may be any text: it names what is there, and earlier
    versions took ids that none may have now (decision 0057)."""
    for field in ("source", "id", "account", "user", "product", "reason"):
        if fault := text_fault(getattr(one, field)):
            return field, fault
    return _adjustment_fault(one) if one.corrects is None else _correction_fault(one)


def _correction_fault(one: Correction) -> tuple[str, str] | None:
    for field in ("account", "user", "product", "time"):
        if getattr(one, field):
            return field, "cannot be corrected: void the event and send it again"
    stated = [said for said in one.stated if said is not None]
    if one.void and stated:
        return "void", "an event is void or has right quantities, not both"
    if not one.void and not stated:
        return "corrects", "say its right bytes_up, bytes_down or requests, or void"
    for field, said in zip(QUANTITIES, one.stated, strict=True):
        if said is not None and said < 0:
            return field, "the right quantity of an event is 0 or more"
    return None


def _adjustment_fault(one: Correction) -> tuple[str, str] | None:
    for field, missing in (("account", not one.account), ("reason", not one.reason.strip()), ("time", not one.time)):
        if missing:
            return field, "a free adjustment needs it; a correction names its event in `corrects`"
    if one.void or one.expects is not None:
        return "void" if one.void else "expects", "goes with `corrects` only"
    if not any(one.stated):
        return "bytes_up", "an adjustment adds or takes something"
    try:
        at = parse_instant(one.time or "")
    except FlowtallyError as error:
        return "time", error.detail
    return ("time", "is before 1970") if at < 0 else None


def reference(source: str, *, id: str, sequence: int) -> str:
    """How a correction's row names its event: the key as JSON, a number where the source is numbered."""
    return msgspec.json.encode([source, sequence or id]).decode()


def referred(refers_to: str) -> EventRef:
    """The event a row names."""
    source, key = msgspec.json.decode(refers_to, type=tuple[str, int | str])
    return EventRef(source, str(key))
