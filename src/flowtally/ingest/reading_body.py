"""A request body as readings. Pure.

As with events, one that is wrong is refused alone, with a receipt of its own: of thousands that a poller sends, one
with an impossible name must not keep the others from being counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flowtally.core.edges import parse_instant
from flowtally.core.errors import FlowtallyError, TooLarge
from flowtally.core.media import JSON, NDJSON
from flowtally.core.members import Repeated
from flowtally.core.readings import MAX_READINGS, Reading, fault_of
from flowtally.core.reasons import fault_in_words
from flowtally.core.texts import printable
from flowtally.ingest.admission import Reason
from flowtally.ingest.counting import check_counts
from flowtally.ingest.items import MAX_FAULT_CHARS, unsupported, values_of, without_mark

MEDIA_TYPES: Final = (NDJSON, JSON)
MAX_CLOSINGS: Final = 100  # items with `closes` in one request: each may be about all counters of a source
MAX_SHOWN_CHARS: Final = 256  # of a name in a receipt


class UnreadableReading(msgspec.Struct, frozen=True):
    """An item that is no reading: what could be read of its names, and why."""

    source: str
    counter: str
    fault: str


def decode_readings(body: bytes, media_type: str) -> list[Reading | UnreadableReading]:
    """The items of a decompressed body, in order. Raises MalformedBody, TooLarge, UnsupportedMedia."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in (*MEDIA_TYPES, "application/jsonl"):
        raise unsupported(kind, MEDIA_TYPES)
    body = without_mark(body)
    check_counts(body, MAX_READINGS)
    found = [_reading(*one) for one in values_of(body, MAX_READINGS, lines=kind != JSON)]
    closings = sum(isinstance(one, Reading) and one.closes is not None for one in found)
    if closings > MAX_CLOSINGS:
        raise TooLarge(f"{closings} items with `closes` in one request; at most {MAX_CLOSINGS}", limit=MAX_CLOSINGS)
    return found


def times_of(items: Sequence[Reading | UnreadableReading]) -> list[int | Reason]:
    """When each was read; or why that cannot be. What is no reading has the time 0."""
    return [_time(one) if isinstance(one, Reading) else 0 for one in items]


def _time(one: Reading) -> int | Reason:
    try:
        at = parse_instant(one.time)
    except FlowtallyError as error:
        return Reason("bad_time", error.detail)
    return at if at >= 0 else Reason("bad_time", "time is before 1970")


def _reading(value: Any, repeated: Repeated | None) -> Reading | UnreadableReading:
    try:
        one = msgspec.convert(value, Reading)
        fault = fault_of(one) if repeated is None else str(repeated)
    except (msgspec.ValidationError, RecursionError) as error:
        fault = fault_in_words(error, Reading)
    if fault is None:
        return one
    names = value if isinstance(value, dict) and repeated is None else {}
    source, counter = (printable(str(names.get(name) or ""), MAX_SHOWN_CHARS) for name in ("source", "counter"))
    return UnreadableReading(source, counter, printable(fault, MAX_FAULT_CHARS))
