"""What is said of a correction: why it is refused, what is remarked, its receipt. Pure.

Owns the words and their codes, which are stable. Leaves to `correction_plan` what is true.
"""

from __future__ import annotations

from typing import Final

from flowtally.core.corrections import NOTHING, Correction, EventRef, Quantities
from flowtally.core.units import counted
from flowtally.ingest.admission import Reason
from flowtally.protocol import CorrectionReceipt, ReceiptStatus

OTHER_CONTENT: Final = Reason("other_content", "this id was stored with another content")
NEEDS_ADMIN: Final = Reason("adjustment_needs_admin", "free adjustments need the right sources:write")
REFUSED: Final = "refused_event"


def unknown(event: EventRef) -> Reason:
    return Reason("unknown_event", f"there is no event {event.id!r} of source {event.source!r}")


def not_a_number(event: EventRef) -> Reason:
    told = f"source {event.source!r} is numbered: name its events by their numbers"
    return Reason("unknown_event", told)


def was_refused(event: EventRef, code: str) -> Reason:
    return Reason(REFUSED, f"event {event.id} was refused ({code}) and counts for nothing")


def is_held(event: EventRef, code: str) -> Reason:
    return Reason(REFUSED, f"event {event.id} is held ({code}) and counts for nothing yet")


def compacted(event: EventRef) -> Reason:
    told = f"event {event.id!r} of source {event.source!r} is compacted with others; a free adjustment can be made"
    return Reason("rolled_up", told)


def of_a_provider(event: EventRef) -> Reason:
    told = f"{event.id!r} of source {event.source!r} is what a provider said, and stands until it says otherwise"
    return Reason("of_a_provider", told)


def remark(one: Correction, before: Quantities, after: Quantities) -> Reason | None:
    if one.void and before == NOTHING:
        return Reason("already_void", "the event counted for nothing already; an entry of zero was stored")
    if before == after:
        return Reason("no_change", "the event stood so already; an entry of zero was stored")
    return None


def told(sum: Quantities) -> str:
    up, down = counted(sum.bytes_up, "byte"), counted(sum.bytes_down, "byte")
    return f"{up} up, {down} down, {counted(sum.requests, 'request')}"


def receipt(
    index: int,
    one: Correction,
    status: ReceiptStatus,
    reason: Reason | None = None,
    added: Quantities | None = None,
    before: Quantities | None = None,
    after: Quantities | None = None,
) -> CorrectionReceipt:
    code, detail = ("", "") if reason is None else (reason.code, reason.detail)
    return CorrectionReceipt(index, one.source, one.id, status, code, detail, added, before, after)
