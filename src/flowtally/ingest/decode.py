"""A request body as events: content types and limits. Pure. How it is unpacked is in `decompress`.

What a body holds is bounded before objects are made of it (`counting`): one of 64 MiB may be of 20 million empty
arrays. Where the quick decoder does not take it, its items are decoded one at a time, and so they are where it cannot
be proved that every member is there once (`once`): an object with two of a name is no usage event.

A body that is no JSON is refused as a whole, with the position; a well-formed item that is no usage event is kept in
its place with the reason, so that it gets its own receipt beside the stored ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, Final

import msgspec
import numpy as np

from flowtally.core.errors import MalformedBody, TooLarge, Unprocessable
from flowtally.core.events import MAX_POSITION_CHARS, CloudEvent, UsageEvent, number_of
from flowtally.core.logins import name_in
from flowtally.core.media import JSON, NDJSON
from flowtally.core.members import Repeated, count_members, find_repeated, find_repeated_in
from flowtally.core.reasons import fault_in_words
from flowtally.core.texts import is_text, printable, text_fault
from flowtally.core.words import Logins
from flowtally.ingest import once
from flowtally.ingest.cloud_headers import Headers, attributes_of, is_binary
from flowtally.ingest.columns import Columns
from flowtally.ingest.counting import check_counts, check_labels, count_names, is_array
from flowtally.ingest.items import (
    MAX_FAULT_CHARS,
    NO_JSON,
    Item,
    Items,
    elements_of,
    is_lines,
    lines_of,
    unsupported,
    whole,
    without_mark,
)
from flowtally.protocol import MAX_EVENTS

CLOUDEVENT: Final = "application/cloudevents+json"
CLOUDEVENTS: Final = "application/cloudevents-batch+json"
MEDIA_TYPES: Final = (CLOUDEVENT, CLOUDEVENTS, NDJSON, JSON)
SHORTEST: Final = 2  # bytes of an object
FEW_BYTES: Final = 4096  # of one event, which is looked at as it is

MANY_COLONS: Final = 250_000  # of some 20,000 events; bodies of more are decoded one after the other
# Decoding is one thread's work at a time, whatever locks there are: so this costs nothing, and of bodies full of labels
# that will be refused one is in memory.
_one_at_a_time: Final = threading.Lock()
_plain = msgspec.json.Decoder()
_lines = msgspec.json.Decoder(UsageEvent)
_array = msgspec.json.Decoder(list[UsageEvent])
_cloud_array = msgspec.json.Decoder(list[CloudEvent])


class Decoded(msgspec.Struct, gc=False, eq=False):
    """Events in the order of the request; where `faults` names an index, the event there is only a placeholder that
    carries what could be read of source, id and sequence. `columns`, where they were needed, are the events'. `alone`:
    the body was one event, not a list that has one."""

    events: list[UsageEvent]
    faults: dict[int, str]
    columns: Columns | None = None
    alone: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Decoded) and (self.events, self.faults) == (other.events, other.faults)

    __hash__ = None  # type: ignore[assignment]


def decode(body: bytes, media_type: str) -> Decoded:
    """The events of an unpacked body. Raises MalformedBody, TooLarge, UnsupportedMedia."""
    kind = media_type.partition(";")[0].strip().lower()
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise unsupported(kind, MEDIA_TYPES)
    body = without_mark(body)
    colons = check_counts(body, MAX_EVENTS)
    with _one_at_a_time if colons > MANY_COLONS else nullcontext():
        decoded = decoder(body)
        check_labels(decoded.events, colons)
    if len(decoded.events) > MAX_EVENTS:
        raise TooLarge(f"{len(decoded.events)} events in one request; at most {MAX_EVENTS}", limit=MAX_EVENTS)
    return decoded


def decode_request(body: bytes, media_type: str, headers: Headers = (), logins: Logins | None = None) -> Decoded:
    """The same of a whole request, whose headers may be a CloudEvent's attributes. Their names are in small letters.
    `logins`: what the events call users are such ones."""
    decoded = _decode_request(body, media_type, headers)
    return decoded if logins is None else _without_logins(decoded, logins)


def _without_logins(decoded: Decoded, logins: Logins) -> Decoded:
    """The same with the names that are in the logins. From here on nothing knows of a login: two of one user, as of two
    sessions, are no different content."""
    names = {login: name_in(login, logins) for login in {event.user for event in decoded.events}}
    for event in decoded.events:
        event.user = names[event.user]
    if decoded.columns is not None:
        decoded.columns = decoded.columns.with_users([event.user for event in decoded.events])
    return decoded


def _decode_request(body: bytes, media_type: str, headers: Headers) -> Decoded:
    if not is_binary(headers, media_type):
        return decode(body, media_type)
    said: dict[str, Any] = dict(attributes_of(headers, media_type))
    body = without_mark(body)
    if body.strip():
        said["data"] = Item(body, "the body").value()
    decoded = Decoded([], {}, alone=True)
    _add(decoded, said, find_repeated(body) if "data" in said else None, cloud=True)
    return decoded


def check_positions(decoded: Decoded) -> None:
    """Unprocessable where a position cannot be kept. The request is refused, not the event: the number of a refused one
    is gone for good, and it is the sender's place that is wrong here, not what was used."""
    columns = decoded.columns
    given = {event.position for event in decoded.events} if columns is None else set(columns.position)
    for position in given:
        if position and (fault := text_fault(position)):
            raise Unprocessable(f"position '{printable(position, 80)}' {fault}", field="position")


def _decode_lines(body: bytes) -> Decoded:
    try:
        events = _lines.decode_lines(body)
    except NO_JSON:
        return _one_by_one(body, lines_of)
    if not _one_per_line(body, len(events)):
        return _one_by_one(body, lines_of)
    columns = Columns.of(events)
    return Decoded(events, {}, columns) if once.all_once(body, columns, lines=True) else _one_by_one(body, lines_of)


def _one_per_line(body: bytes, count: int) -> bool:
    # The fast decoder takes any run of objects. Between two objects and nowhere else can `}`, newline, `{` stand, so
    # as many of them as newlines means exactly one object on each line.
    chars = np.frombuffer(body, dtype=np.uint8)
    ends = np.flatnonzero(chars == ord("\n"))
    if body.endswith(b"\n"):
        ends = ends[:-1]
    if len(ends) != count - 1 or (len(ends) and ends[0] < SHORTEST):
        return False
    before = chars[ends - 1]
    returns = before == ord("\r")
    before[returns] = chars[ends[returns] - 2]
    return bool(((before == ord("}")) & (chars[ends + 1] == ord("{"))).all())


def _decode_plain(body: bytes) -> Decoded:
    if not is_array(body):
        return _decode_object(body)
    try:
        events = _array.decode(body)
    except NO_JSON:
        return _one_by_one(body, elements_of)
    columns = Columns.of(events)
    return Decoded(events, {}, columns) if once.all_once(body, columns, lines=False) else _one_by_one(body, elements_of)


def _decode_object(body: bytes) -> Decoded:
    try:
        event = _lines.decode(body)
    except NO_JSON:
        return _decode_lines(body) if is_lines(body) else _one_by_one(body, whole, alone=True)
    if len(body) <= FEW_BYTES and find_repeated_in(body, _plain.decode(body)) is None:
        return Decoded([event], {}, alone=True)
    return _one_by_one(body, whole, alone=True)


def _decode_cloudevents(body: bytes) -> Decoded:
    if not is_array(body):
        next(whole(body)).value()
        raise MalformedBody("A batch of CloudEvents is a JSON array")
    try:
        clouds = _cloud_array.decode(body)
        events = [event.plain() for event in clouds]
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _one_by_one(body, elements_of, cloud=True)
    columns = Columns.of(events)
    if once.clouds_all_once(body, clouds, columns):
        return Decoded(events, {}, columns)
    return _one_by_one(body, elements_of, cloud=True)


def _decode_cloudevent(body: bytes) -> Decoded:
    return _one_by_one(body, whole, cloud=True, alone=True)


def _one_by_one(body: bytes, items: Items, *, cloud: bool = False, alone: bool = False) -> Decoded:
    decoded = Decoded([], {}, alone=alone)
    if _read(decoded, items(body), cloud, lambda text: None) != count_names(body):
        decoded = Decoded([], {}, alone=alone)
        _read(decoded, items(body), cloud, find_repeated)
    return decoded


def _read(decoded: Decoded, items: Iterator[Item], cloud: bool, find: Callable[[bytes], Repeated | None]) -> int:
    """Add all of these; how many members they had, as they were decoded."""
    members = 0
    for index, item in enumerate(items):
        if index >= MAX_EVENTS:
            raise TooLarge(f"More than {MAX_EVENTS} events in one request", limit=MAX_EVENTS)
        value = item.value()
        members += count_members(value)
        _add(decoded, value, find(item.text), cloud=cloud or (isinstance(value, dict) and "specversion" in value))
    return members


def _add(decoded: Decoded, value: Any, repeated: Repeated | None, *, cloud: bool) -> None:
    """An event, or what can be told of one that is none."""
    try:
        if repeated is not None:
            raise ValueError(str(repeated))
        decoded.events.append(_event(value, cloud))
    except ValueError as error:  # so are a ValidationError and a DecodeError
        fault = fault_in_words(error, CloudEvent if cloud else UsageEvent)
        decoded.faults[len(decoded.events)] = printable(fault, MAX_FAULT_CHARS)
        if repeated is not None and isinstance(value, dict):  # nobody knows what these say
            value = {name: one for name, one in value.items() if name not in repeated.outermost}
        decoded.events.append(_placeholder(value))


def _event(value: Any, cloud: bool) -> UsageEvent:
    if isinstance(value, dict) and isinstance(value.get("sequence"), str) and (number := number_of(value["sequence"])):
        value = value | {"sequence": str(number)}  # more zeros before it than an event of ours would have
    return msgspec.convert(value, CloudEvent).plain() if cloud else msgspec.convert(value, UsageEvent)


def _placeholder(value: Any) -> UsageEvent:
    fields = value if isinstance(value, dict) else {}
    text = {name: str(fields.get(name) or "")[:256] for name in ("source", "id")}
    sequence = fields.get("sequence")
    if number_of(sequence) is None:
        sequence = None
    if not text["source"] or text["source"] != fields.get("source"):
        sequence = None  # a number of nobody, or of a source whose name was cut
    if sequence is not None and not is_text(text["id"]):
        text["id"] = ""  # it would be kept with the number
    position = fields.get("position")
    if not isinstance(position, str) or len(position) > MAX_POSITION_CHARS:
        position = None
    return UsageEvent(text["source"], "", text["id"], sequence, position)


_DECODERS: Final[dict[str, Callable[[bytes], Decoded]]] = {
    JSON: _decode_plain,
    NDJSON: _decode_lines,
    "application/jsonl": _decode_lines,
    CLOUDEVENT: _decode_cloudevent,
    CLOUDEVENTS: _decode_cloudevents,
}
