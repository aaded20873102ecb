"""A request body as samples of servers' gauges. Pure.

As with readings, one that is wrong is refused alone, with a receipt of its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flowtally.core.edges import parse_instant
from flowtally.core.errors import FlowtallyError
from flowtally.core.media import JSON
from flowtally.core.members import Repeated
from flowtally.core.reasons import fault_in_words
from flowtally.core.samples import MAX_SAMPLES, ServerSample, fault_of
from flowtally.core.texts import printable
from flowtally.ingest.admission import Reason
from flowtally.ingest.counting import check_counts
from flowtally.ingest.items import MAX_FAULT_CHARS, unsupported, values_of, without_mark
from flowtally.ingest.reading_body import MEDIA_TYPES


def decode_samples(body: bytes, media_type: str) -> list[tuple[ServerSample, int] | Reason]:
    """The items of a decompressed body, in order, each with its instant in milliseconds; or why it can be none. Raises
    MalformedBody, TooLarge, UnsupportedMedia."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in (*MEDIA_TYPES, "application/jsonl"):
        raise unsupported(kind, MEDIA_TYPES)
    body = without_mark(body)
    check_counts(body, MAX_SAMPLES)
    return [_sample(*one) for one in values_of(body, MAX_SAMPLES, lines=kind != JSON)]


def _sample(value: Any, repeated: Repeated | None) -> tuple[ServerSample, int] | Reason:
    try:
        one = msgspec.convert(value, ServerSample)
        fault = fault_of(one) if repeated is None else str(repeated)
    except (msgspec.ValidationError, RecursionError) as error:
        fault = fault_in_words(error, ServerSample)
    if fault is not None:
        return Reason("invalid_sample", printable(fault, MAX_FAULT_CHARS))
    try:
        at = parse_instant(one.time)
    except FlowtallyError as error:
        return Reason("bad_time", error.detail)
    return (one, at) if at >= 0 else Reason("bad_time", "time is before 1970")
