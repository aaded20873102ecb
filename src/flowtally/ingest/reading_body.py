"""A request body as readings. Pure.

As with events, one that is wrong is refused alone, with a receipt of its own: of thousands that a poller sends, one
with an impossible name must not keep the others from being counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from flowtally.errors import TooLarge, UnsupportedMedia
from flowtally.ingest.counting import check_counts
from flowtally.ingest.decode import MAX_FAULT_CHARS, NDJSON, PLAIN, values_of_array, values_of_lines
from flowtally.readings import MAX_READINGS, Reading, fault_of
from flowtally.texts import printable

MEDIA_TYPES: Final = (NDJSON, PLAIN)
MAX_CLOSINGS: Final = 100  # items with `closes` in one request: each may be about all counters of a source
MAX_SHOWN_CHARS: Final = 256  # of a name in a receipt


class Unreadable(msgspec.Struct, frozen=True):
    """An item that is no reading: what could be read of its names, and why."""

    source: str
    counter: str
    fault: str


def decode_readings(body: bytes, media_type: str) -> list[Reading | Unreadable]:
    """The items of a decompressed body, in order. Raises MalformedBody, TooLarge, UnsupportedMedia."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in (*MEDIA_TYPES, "application/jsonl"):
        known = ", ".join(MEDIA_TYPES)
        raise UnsupportedMedia(f"Content-Type {kind or 'missing'} is not one of {known}", accepted=list(MEDIA_TYPES))
    check_counts(body, MAX_READINGS)
    values = values_of_array(body, must_be_array=False) if kind == PLAIN else values_of_lines(body)
    found = list(_bounded(values))
    closings = sum(isinstance(one, Reading) and one.closes is not None for one in found)
    if closings > MAX_CLOSINGS:
        raise TooLarge(f"{closings} items with `closes` in one request; at most {MAX_CLOSINGS}", limit=MAX_CLOSINGS)
    return found


def _bounded(values: Iterator[Any]) -> Iterator[Reading | Unreadable]:
    for index, value in enumerate(values):
        if index >= MAX_READINGS:
            raise TooLarge(f"More than {MAX_READINGS} readings in one request", limit=MAX_READINGS)
        yield _reading(value)


def _reading(value: Any) -> Reading | Unreadable:
    try:
        one = msgspec.convert(value, Reading)
        fault = fault_of(one)
    except (msgspec.ValidationError, RecursionError) as error:
        fault = str(error)
    if fault is None:
        return one
    names = value if isinstance(value, dict) else {}
    source, counter = (printable(str(names.get(name) or ""), MAX_SHOWN_CHARS) for name in ("source", "counter"))
    return Unreadable(source, counter, printable(fault, MAX_FAULT_CHARS))
