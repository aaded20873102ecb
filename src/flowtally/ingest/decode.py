"""A request body as events: content types and limits. Pure. How it is unpacked is in `decompress`.

What a body holds is bounded before objects are made of it (`counting`): one of 64 MiB may be of 20 million empty
arrays. Where the quick decoder does not take it, its items are decoded one at a time.

A body that is no JSON is refused as a whole, with the position; a well-formed item that is no usage event is kept in
its place with the reason, so that it gets its own receipt beside the stored ones.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Final

import msgspec

from flowtally.errors import MalformedBody, TooLarge, Unprocessable, UnsupportedMedia
from flowtally.events import MAX_POSITION_CHARS, MAX_SEQUENCE, CloudEvent, UsageEvent
from flowtally.ingest.counting import check_counts, check_labels, check_parts, is_array, items_of, may_be_long
from flowtally.protocol import MAX_EVENTS
from flowtally.texts import is_text, printable, text_fault

PLAIN: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CLOUDEVENT: Final = "application/cloudevents+json"
CLOUDEVENTS: Final = "application/cloudevents-batch+json"
MEDIA_TYPES: Final = (CLOUDEVENT, CLOUDEVENTS, NDJSON, PLAIN)
EXCERPT: Final = 200
MAX_FAULT_CHARS: Final = 500  # of the reason: it names fields as they were sent, and is kept

MANY_COLONS: Final = 250_000  # of some 20,000 events; bodies of more are decoded one after the other
# Decoding is one thread's work at a time, whatever locks there are: so this costs nothing, and of bodies full of labels
# that will be refused one is in memory.
_one_at_a_time: Final = threading.Lock()
_lines = msgspec.json.Decoder(UsageEvent)
_array = msgspec.json.Decoder(list[UsageEvent])
_cloud_array = msgspec.json.Decoder(list[CloudEvent])
_any = msgspec.json.Decoder()
_unmade = msgspec.json.Decoder(msgspec.Raw)
_LINE: Final = re.compile(rb"\S[^\n]*")  # but for space before it, of which there may be any amount


class Decoded(msgspec.Struct, gc=False):
    """Events in the order of the request; where `faults` names an index, the event there is only a placeholder that
    carries what could be read of source, id and sequence."""

    events: list[UsageEvent]
    faults: dict[int, str]


def decode(body: bytes, media_type: str) -> Decoded:
    """The events of an unpacked body. Raises MalformedBody, TooLarge, UnsupportedMedia."""
    kind = media_type.partition(";")[0].strip().lower()
    decoder = _DECODERS.get(kind)
    if decoder is None:
        known = ", ".join(MEDIA_TYPES)
        raise UnsupportedMedia(f"Content-Type {kind or 'missing'} is not one of {known}", accepted=list(MEDIA_TYPES))
    colons = check_counts(body, MAX_EVENTS)
    with _one_at_a_time if colons > MANY_COLONS else nullcontext():
        decoded = decoder(body)
        check_labels(decoded.events, colons)
    if len(decoded.events) > MAX_EVENTS:
        raise TooLarge(f"{len(decoded.events)} events in one request; at most {MAX_EVENTS}", limit=MAX_EVENTS)
    return decoded


def check_positions(events: list[UsageEvent]) -> None:
    """Unprocessable where a position cannot be kept. The request is refused, not the event: the number of a refused one
    is gone for good, and it is the sender's place that is wrong here, not what was used."""
    for position in {event.position for event in events}:
        if position and (fault := text_fault(position)):
            raise Unprocessable(f"position '{printable(position, 80)}' {fault}", field="position")


def _decode_lines(body: bytes) -> Decoded:
    try:
        events = _lines.decode_lines(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _one_by_one(values_of_lines(body))
    if _one_per_line(body, len(events)):
        return Decoded(events, {})
    return _one_by_one(values_of_lines(body))


def _one_per_line(body: bytes, count: int) -> bool:
    # The fast decoder takes any run of objects. Between two objects and nowhere else can `}`, newline, `{` stand, so
    # as many of them as newlines means exactly one object on each line.
    newlines = body.count(b"\n") - body.endswith(b"\n")
    return newlines == count - 1 and body.count(b"}\n{") + body.count(b"}\r\n{") == newlines


def _decode_plain(body: bytes) -> Decoded:
    try:
        if is_array(body):
            return Decoded(_array.decode(body), {})
        return Decoded([_lines.decode(body)], {})
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _one_by_one(values_of_array(body, must_be_array=False))


def _decode_cloudevents(body: bytes) -> Decoded:
    try:
        return Decoded([event.plain() for event in _cloud_array.decode(body)], {})
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _one_by_one(values_of_array(body, must_be_array=True), cloud=True)


def _decode_cloudevent(body: bytes) -> Decoded:
    return _one_by_one(iter([_json(body, "the body")]), cloud=True)


def values_of_lines(body: bytes) -> Iterator[Any]:
    """What each line is, made when it is asked for. MalformedBody."""
    number, counted = 1, 0
    for found in _LINE.finditer(body):
        number += body.count(b"\n", counted, found.start())
        counted = found.start()
        yield _json(found.group(), f"line {number}", line=number)


def values_of_array(body: bytes, *, must_be_array: bool) -> Iterator[Any]:
    """The items, each made when it is asked for. MalformedBody, TooLarge."""
    if is_array(body):
        _decoded(_unmade, body, "the body")  # whether it is JSON at all
        for start, end in items_of(body, MAX_EVENTS):
            yield _json(body[start:end], f"the item from byte {start} on")
    elif must_be_array:
        raise MalformedBody("A batch of CloudEvents is a JSON array")
    else:
        yield _json(body, "the body")


def _json(text: bytes, where: str, **extra: object) -> Any:
    if may_be_long(text):
        _decoded(_unmade, text, where, **extra)
        check_parts(text)
    return _decoded(_any, text, where, **extra)


def _decoded(decoder: msgspec.json.Decoder[Any], text: bytes, where: str, **extra: object) -> Any:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        excerpt = text[:EXCERPT].decode("utf-8", "replace")
        raise MalformedBody(f"{where} is not JSON: {error}", excerpt=excerpt, **extra) from None


def _one_by_one(values: Iterator[Any], *, cloud: bool = False) -> Decoded:
    decoded = Decoded([], {})
    for index, value in enumerate(values):
        if index >= MAX_EVENTS:
            raise TooLarge(f"More than {MAX_EVENTS} events in one request", limit=MAX_EVENTS)
        try:
            decoded.events.append(_event(value, cloud or (isinstance(value, dict) and "specversion" in value)))
        except (msgspec.ValidationError, ValueError) as error:
            decoded.events.append(_placeholder(value))
            decoded.faults[index] = printable(str(error), MAX_FAULT_CHARS)
    return decoded


def _event(value: Any, cloud: bool) -> UsageEvent:
    return msgspec.convert(value, CloudEvent).plain() if cloud else msgspec.convert(value, UsageEvent)


def _placeholder(value: Any) -> UsageEvent:
    fields = value if isinstance(value, dict) else {}
    text = {name: str(fields.get(name) or "")[:256] for name in ("source", "id")}
    sequence = fields.get("sequence")
    if isinstance(sequence, str) and not (sequence.isascii() and sequence.isdigit() and len(sequence) <= 19):
        sequence = None
    if not isinstance(sequence, str | int) or isinstance(sequence, bool) or not 0 < int(sequence) <= MAX_SEQUENCE:
        sequence = None
    if not text["source"] or text["source"] != fields["source"]:
        sequence = None  # a number of nobody, or of a source whose name was cut
    if sequence is not None and not is_text(text["id"]):
        text["id"] = ""  # it would be kept with the number
    position = fields.get("position")
    if not isinstance(position, str) or len(position) > MAX_POSITION_CHARS:
        position = None
    return UsageEvent(text["source"], "", text["id"], sequence, position)


_DECODERS: Final[dict[str, Callable[[bytes], Decoded]]] = {
    PLAIN: _decode_plain,
    NDJSON: _decode_lines,
    "application/jsonl": _decode_lines,
    CLOUDEVENT: _decode_cloudevent,
    CLOUDEVENTS: _decode_cloudevents,
}
