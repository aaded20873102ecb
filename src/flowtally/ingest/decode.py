"""A request body as events: content types, compression, limits. Pure.

A body that is no JSON is refused as a whole, with the position; a well-formed item that is no usage event is kept in
its place with the reason, so that it gets its own receipt beside the stored ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import zstandard

from flowtally.errors import MalformedBody, TooLarge, Unprocessable, UnsupportedMedia
from flowtally.events import MAX_POSITION_CHARS, MAX_SEQUENCE, CloudEvent, UsageEvent
from flowtally.protocol import MAX_BODY_BYTES, MAX_EVENTS
from flowtally.texts import is_text, printable, text_fault

PLAIN: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CLOUDEVENT: Final = "application/cloudevents+json"
CLOUDEVENTS: Final = "application/cloudevents-batch+json"
MEDIA_TYPES: Final = (CLOUDEVENT, CLOUDEVENTS, NDJSON, PLAIN)
EXCERPT: Final = 200
MAX_FAULT_CHARS: Final = 500  # of the reason: it names fields as they were sent, and is kept
MAX_MEMBERS: Final = 10_000  # of one compressed body: each takes time of its own, however little is in it
WINDOW: Final = 1 << 16  # compressed bytes taken at a time

_lines = msgspec.json.Decoder(UsageEvent)
_array = msgspec.json.Decoder(list[UsageEvent])
_cloud_array = msgspec.json.Decoder(list[CloudEvent])
_any = msgspec.json.Decoder()


class Decoded(msgspec.Struct, gc=False):
    """Events in the order of the request; where `faults` names an index, the event there is only a placeholder that
    carries what could be read of source, id and sequence."""

    events: list[UsageEvent]
    faults: dict[int, str]


def decode(body: bytes, media_type: str) -> Decoded:
    """The events of a decompressed body. Raises MalformedBody, TooLarge, UnsupportedMedia."""
    kind = media_type.partition(";")[0].strip().lower()
    decoder = _DECODERS.get(kind)
    if decoder is None:
        known = ", ".join(MEDIA_TYPES)
        raise UnsupportedMedia(f"Content-Type {kind or 'missing'} is not one of {known}", accepted=list(MEDIA_TYPES))
    decoded = decoder(body)
    if len(decoded.events) > MAX_EVENTS:
        raise TooLarge(f"{len(decoded.events)} events in one request; at most {MAX_EVENTS}", limit=MAX_EVENTS)
    return decoded


def check_positions(events: list[UsageEvent]) -> None:
    """Unprocessable where a position cannot be kept. The request is refused, not the event: the number of a refused one
    is gone for good, and it is the sender's place that is wrong here, not what was used."""
    for position in {event.position for event in events}:
        if position and (fault := text_fault(position)):
            raise Unprocessable(f"position '{printable(position, 80)}' {fault}", field="position")


def decompress(body: bytes, encoding: str | None, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body without its Content-Encoding; never more than `limit` bytes are made."""
    kind = (encoding or "identity").strip().lower()
    if kind == "identity":
        return _within(body, limit)
    try:
        if kind in ("gzip", "x-gzip"):
            return _gunzip(body, limit)
        if kind == "zstd":
            return _unzstd(body, limit)
    except (zlib.error, zstandard.ZstdError) as error:
        raise MalformedBody(f"The body is not valid {kind}: {error}") from None
    raise UnsupportedMedia(f"Content-Encoding {kind!r} is not one of gzip, zstd, identity", accepted=["gzip", "zstd"])


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes", limit=limit)


def _gunzip(body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = at = 0
    for _ in range(MAX_MEMBERS):  # a gzip file may have several members
        if at == len(body):
            return b"".join(parts)
        inflater = zlib.decompressobj(wbits=31)
        while not inflater.eof:
            window = body[at : at + WINDOW]
            if not window:
                raise MalformedBody("The gzip body ends too early")
            parts.append(inflater.decompress(window, limit + 1 - size))
            at += len(window) - len(inflater.unused_data)
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
    raise MalformedBody(f"The gzip body has more than {MAX_MEMBERS} members")


def _unzstd(body: bytes, limit: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body, read_across_frames=True)
    plain = reader.read(limit + 1)
    if len(plain) > limit:
        raise _too_large(limit)
    _check_frames(body)
    return plain


def _check_frames(body: bytes) -> None:
    """The reader takes the end of the bytes for the end of the body; it must be the end of a frame."""
    at = 0
    unpacker = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    for _ in range(MAX_MEMBERS):
        if at == len(body):
            return
        frame = unpacker.decompressobj()
        while not frame.eof:
            window = body[at : at + WINDOW]
            if not window:
                raise MalformedBody("The zstd body ends too early")
            frame.decompress(window)
            at += len(window) - len(frame.unused_data)
    raise MalformedBody(f"The zstd body has more than {MAX_MEMBERS} frames")


def _decode_lines(body: bytes) -> Decoded:
    try:
        events = _lines.decode_lines(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _one_by_one(_values_of_lines(body))
    if _one_per_line(body, len(events)):
        return Decoded(events, {})
    return _one_by_one(_values_of_lines(body))


def _one_per_line(body: bytes, count: int) -> bool:
    # The fast decoder takes any run of objects. Between two objects and nowhere else can `}`, newline, `{` stand, so
    # as many of them as newlines means exactly one object on each line.
    newlines = body.count(b"\n") - body.endswith(b"\n")
    return newlines == count - 1 and body.count(b"}\n{") + body.count(b"}\r\n{") == newlines


def _decode_plain(body: bytes) -> Decoded:
    try:
        if body.lstrip()[:1] == b"[":
            return Decoded(_array.decode(body), {})
        return Decoded([_lines.decode(body)], {})
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _one_by_one(_values_of_array(body, must_be_array=False))


def _decode_cloudevents(body: bytes) -> Decoded:
    try:
        return Decoded([event.plain() for event in _cloud_array.decode(body)], {})
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _one_by_one(_values_of_array(body, must_be_array=True), cloud=True)


def _decode_cloudevent(body: bytes) -> Decoded:
    return _one_by_one(iter([_json(body, "the body")]), cloud=True)


def _values_of_lines(body: bytes) -> Iterator[Any]:
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield _json(line, f"line {number}", line=number)


def _values_of_array(body: bytes, *, must_be_array: bool) -> Iterator[Any]:
    value = _json(body, "the body")
    if isinstance(value, list):
        yield from value
    elif must_be_array:
        raise MalformedBody("A batch of CloudEvents is a JSON array")
    else:
        yield value


def _json(text: bytes, where: str, **extra: object) -> Any:
    try:
        return _any.decode(text)
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
