"""Bodies to events: every content type, compression and limit, and what is wrong is named."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any, Final

import msgspec
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from flowtally.core.errors import FlowtallyError, MalformedBody, TooLarge, UnsupportedMedia
from flowtally.core.events import MAX_QUANTITY, UsageEvent
from flowtally.core.media import JSON, NDJSON
from flowtally.ingest import decode as module
from flowtally.ingest.decode import CLOUDEVENT, CLOUDEVENTS, Decoded, decode, decode_request
from flowtally.ingest.decompress import decompress
from flowtally.ingest.items import EXCERPT, lines_of
from flowtally.protocol import MAX_EVENTS

EVENT: Final = {"source": "gw", "id": "1", "account": "acme", "time": "2026-01-01T00:00:00Z", "bytes_up": 5}
CLOUD: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "1",
    "source": "gw",
    "type": "traffic",
    "subject": "acme",
    "time": "2026-01-01T00:00:00Z",
    "data": {"bytes_up": 5},
}
WANTED: Final = UsageEvent("gw", "acme", "1", None, None, "2026-01-01T00:00:00Z", bytes_up=5)


def lines(*values: Any, end: str = "\n") -> bytes:
    return "".join(json.dumps(value) + end for value in values).encode()


def same(one: Decoded, other: Decoded) -> bool:
    return one.events == other.events and one.faults.keys() == other.faults.keys()


# -- content types ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "value"),
    [(JSON, EVENT), (JSON, [EVENT]), (JSON, CLOUD), (JSON, [CLOUD]), (CLOUDEVENT, CLOUD), (CLOUDEVENTS, [CLOUD])],
)
def test_one_event_reads_alike_in_every_form(kind: str, value: Any) -> None:
    assert decode(json.dumps(value).encode(), kind) == Decoded([WANTED], {})
    assert decode(json.dumps(value, indent=2).encode(), f" {kind.upper()} ; charset=utf-8") == Decoded([WANTED], {})


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("kind", "value", "join"),
    [
        (JSON, EVENT | {"user": "td-customer-ann-country-us"}, b",".join),
        (NDJSON, EVENT | {"user": "td-customer-ann-country-us"}, b"\n".join),
        (CLOUDEVENTS, CLOUD | {"data": {"user": "td-customer-ann-country-us", "bytes_up": 5}}, b",".join),
    ],
)
def test_of_logins_the_names_are_kept_in_every_form(kind: str, value: dict[str, Any], join: Any, count: int) -> None:
    """Also where the events are columns already."""
    body = join([json.dumps(value | {"id": str(number)}).encode() for number in range(count)])
    body = body if kind == NDJSON else b"[" + body + b"]"
    decoded = decode_request(body, kind, logins="thordata")
    assert ([event.user for event in decoded.events], decoded.faults) == (["ann"] * count, {})
    assert decoded.columns is None or decoded.columns.user == ["ann"] * count
    assert [event.user for event in decode_request(body, kind).events] == [
        "td-customer-ann-country-us" for _ in range(count)
    ]


def test_of_logins_what_is_no_event_keeps_its_place() -> None:
    body = json.dumps([EVENT | {"user": "customer-ann-cc-US"}, {"source": "gw", "id": "2", "bytes_up": -1}, EVENT])
    decoded = decode_request(body.encode(), JSON, logins="ipfoxy")
    assert ([event.user for event in decoded.events], list(decoded.faults)) == (["ann", "", ""], [1])


def test_lines_may_be_plain_events_and_cloud_events_in_turn() -> None:
    assert decode(lines(EVENT, CLOUD, EVENT), NDJSON) == Decoded([WANTED] * 3, {})


@pytest.mark.parametrize(
    "body",
    [
        lines(EVENT, EVENT, end="\r\n"),
        lines(EVENT, EVENT).strip(),
        b"\n\n" + lines(EVENT) + b"  \r\n\t\n" + lines(EVENT) + b"\n \n",
        b"  " + lines(EVENT) + b" " + lines(EVENT).replace(b"\n", b"   \n"),
    ],
)
def test_blank_lines_carriage_returns_and_a_missing_last_newline_do_not_matter(body: bytes) -> None:
    assert decode(body, NDJSON) == Decoded([WANTED] * 2, {})


@pytest.mark.parametrize(("kind", "body"), [(NDJSON, b""), (NDJSON, b"\n \r\n"), (JSON, b"[]"), (CLOUDEVENTS, b"[ ]")])
def test_nothing_is_no_events(kind: str, body: bytes) -> None:
    assert decode(body, kind) == Decoded([], {})


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"])
def test_another_content_type_is_refused_and_the_known_ones_are_told(kind: str) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        decode(b"[]", kind)
    assert JSON in str(caught.value)


def test_a_cloud_event_gives_all_its_fields() -> None:
    data = {"user": "u", "product": "p", "bytes_up": 1, "bytes_down": 2, "requests": 3, "status": 4}
    more = {"sequence": "7", "position": "p7", "traceparent": "x", "data": data | {"labels": {"k": "v"}}}
    wanted = UsageEvent("gw", "acme", "1", "7", "p7", CLOUD["time"], "u", "p", 1, 2, 3, 4, {"k": "v"})
    assert decode(json.dumps(CLOUD | more).encode(), CLOUDEVENT) == Decoded([wanted], {})


@pytest.mark.parametrize(
    "change",
    [
        {"specversion": "0.3"},
        {"subject": None},
        {"data": {"bytes_up": -1}},
        {"data": {"bytes": 1}},
        {"data_base64": "aGk="},
        {"datacontenttype": "text/xml"},
        {"id": ""},
        {"sequence": 1.5},
    ],
)
def test_a_cloud_event_that_is_none_of_ours_is_at_fault_and_the_others_are_not(change: dict[str, Any]) -> None:
    body = json.dumps([CLOUD, CLOUD | change, CLOUD]).encode()
    decoded = decode(body, CLOUDEVENTS)
    assert list(decoded.faults) == [1]
    assert [decoded.events[0], decoded.events[2]] == [WANTED, WANTED]


# -- items at fault ---------------------------------------------------------------------------------------------------

BAD: Final[list[Any]] = [
    None,
    5,
    "text",
    [],
    {},
    EVENT | {"bytes_up": -1},
    EVENT | {"bytes_up": 1.0},
    EVENT | {"bytes_up": "5"},
    EVENT | {"bytes_up": MAX_QUANTITY + 1},
    EVENT | {"bytes_up": 2**64},
    EVENT | {"bytes_up": True},
    EVENT | {"bytes_up": None},
    EVENT | {"byte_up": 1},
    EVENT | {"status": 65_536},
    EVENT | {"account": ""},
    EVENT | {"account": None},
    EVENT | {"source": "s" * 257},
    EVENT | {"id": "i" * 257},
    EVENT | {"sequence": 0},
    EVENT | {"sequence": 2**63},
    EVENT | {"sequence": "1" * 33},
    EVENT | {"position": "p" * 4097},
    EVENT | {"labels": {"a": 1}},
    EVENT | {"time": 5},
]


@pytest.mark.parametrize("value", BAD, ids=lambda value: json.dumps(value)[:60])
def test_an_item_at_fault_keeps_its_place_beside_the_good_ones(value: Any) -> None:
    decoded = decode(lines(EVENT, value, EVENT), NDJSON)
    assert list(decoded.faults) == [1]
    assert [decoded.events[0], decoded.events[2]] == [WANTED, WANTED]
    assert same(decode(json.dumps([EVENT, value, EVENT]).encode(), JSON), decoded)


def test_a_fault_is_told_in_words() -> None:
    wrong = [{"source": "g", "id": 2}, {"source": "g", "id": "b", "account": "acme", "bytes": 5}, {"source": "g"}]
    assert list(decode(json.dumps(wrong).encode(), JSON).faults.values()) == [
        "id: text is expected, not a whole number",
        "unknown field `bytes`",
        "`account` is missing",
    ]


def test_an_item_at_fault_still_says_which_one_it_is() -> None:
    bad = {"source": "log", "id": "x", "sequence": "12", "position": "p12", "bytes_up": -1}
    [event] = decode(lines(bad), NDJSON).events
    assert (event.source, event.id, event.sequence, event.position) == ("log", "x", "12", "p12")


@pytest.mark.parametrize("sequence", ["x", "", "1.5", "-1", -1, 0, True, [], 2**63, "9" * 30, "١"])
def test_a_number_that_is_none_is_not_taken_for_one(sequence: Any) -> None:
    [event] = decode(lines({"source": "log", "sequence": sequence, "bytes_up": -1}), NDJSON).events
    assert event.sequence is None


def test_a_fault_carries_no_more_than_an_event_may() -> None:
    """Where a numbered source stands is remembered from the last event, whether it was at fault or not."""
    bad = {"source": "s" * 999, "id": "i" * 999, "sequence": 1, "position": "p" * 10_000, "account": "acme"}
    [event] = decode(lines(bad), NDJSON).events
    assert len(event.source) <= 256
    assert len(event.id) <= 256
    assert event.position is None


@pytest.mark.parametrize("source", ["s" * 257, 5, [], {"a": 1}, None, ""])
def test_a_number_at_fault_is_not_put_down_to_another_source(source: Any) -> None:
    [event] = decode(lines(EVENT | {"source": source, "sequence": 1}), NDJSON).events
    assert event.sequence is None


# -- bodies that are no JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"nonsense",
        json.dumps(EVENT).encode() * 2,
        json.dumps(EVENT).encode() + b" " + json.dumps(EVENT).encode(),
        json.dumps(EVENT).encode() + b",",
        b'{"source":"gw","id":"\xff","account":"acme"}',
        b'{"source":"gw","id":"\\ud800","account":"acme"}',
        b"NaN",
        b"\xef\xbb\xbf" + json.dumps(EVENT).encode(),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"source":"gw",\r"id":"1" "account":"acme"}',
    ],
)
def test_a_line_that_is_no_json_refuses_the_whole_body_and_is_named(line: bytes) -> None:
    with pytest.raises(MalformedBody, match="line 3") as caught:
        decode(lines(EVENT) + b"\n" + line + b"\n" + lines(EVENT), NDJSON)
    assert caught.value.extra["line"] == 3
    assert len(str(caught.value.extra["excerpt"])) <= EXCERPT


def test_an_event_over_several_lines_is_no_line() -> None:
    with pytest.raises(MalformedBody, match="line 1"):
        decode(json.dumps(EVENT, indent=1).encode(), NDJSON)


def test_concatenated_objects_do_not_pass_because_other_lines_are_blank() -> None:
    one = json.dumps(EVENT).encode()
    for body in (one + one + b"\n", one + one + b"\n\n", b"\n" + one + one, one + one + b"\n" + one + b"\n\n"):
        with pytest.raises(MalformedBody, match=r"line [12]"):
            decode(body, NDJSON)


@pytest.mark.parametrize("kind", [JSON, CLOUDEVENT, CLOUDEVENTS])
@pytest.mark.parametrize("body", [b"", b"{", b"[1,]", b"[" * 100_000, b'["\xff"]', b"[] []"])
def test_a_document_that_is_no_json_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(body, kind)


def test_a_batch_that_is_no_array_is_refused() -> None:
    with pytest.raises(MalformedBody, match="array"):
        decode(json.dumps(CLOUD).encode(), CLOUDEVENTS)


# -- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "most"), [(EVENT, MAX_EVENTS), (EVENT, 1000), (CLOUD, 1000), (5, 1000)])
def test_more_events_than_a_request_may_carry_are_refused(
    value: Any, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is decoded one by one takes a second where it is as many as there may be."""
    monkeypatch.setattr("flowtally.ingest.decode.MAX_EVENTS", most)
    one = json.dumps(value).encode()
    many = b"\n".join([one] * (most + 1))
    assert len(decode(many[len(one) + 1 :], NDJSON).events) == most
    with pytest.raises(TooLarge):
        decode(many, NDJSON)
    with pytest.raises(TooLarge):
        decode(b"[" + many.replace(b"\n", b",") + b"]", JSON)


# -- compression ------------------------------------------------------------------------------------------------------

BODY: Final = lines(*[EVENT | {"id": str(index)} for index in range(500)])


def zstd(body: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(body)


def zstd_unsized(body: bytes) -> bytes:
    out = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(out, closefd=False) as writer:
        writer.write(body)
    return out.getvalue()


PACKERS: Final[list[tuple[str, Any]]] = [("gzip", gzip.compress), ("zstd", zstd), ("zstd", zstd_unsized)]


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_a_compressed_body_is_the_same_body(encoding: str, pack: Any) -> None:
    assert decompress(pack(BODY), encoding) == BODY
    assert decompress(pack(BODY), f" {encoding.upper()} ") == BODY
    assert decompress(pack(b""), encoding) == b""


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity"])
def test_a_body_without_encoding_is_left_alone(encoding: str | None) -> None:
    assert decompress(BODY, encoding) == BODY


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_several_members_are_one_body(encoding: str, pack: Any) -> None:
    half = len(BODY) // 2
    assert decompress(pack(BODY[:half]) + pack(b"") + pack(BODY[half:]), encoding) == BODY


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_a_truncated_body_is_refused_wherever_it_ends(encoding: str, pack: Any) -> None:
    packed = pack(BODY)
    for size in (1, 5, 10, len(packed) // 2, len(packed) - 9, len(packed) - 4, len(packed) - 1):
        for before in (b"", packed):
            with pytest.raises(MalformedBody):
                decompress(before + packed[:size], encoding)


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_rubbish_after_the_end_is_refused(encoding: str, pack: Any) -> None:
    with pytest.raises(MalformedBody):
        decompress(pack(BODY) + b"rubbish that is long enough to be looked at", encoding)


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_a_bomb_is_refused_before_it_goes_off(encoding: str, pack: Any) -> None:
    bomb = pack(bytes(50_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(TooLarge):
        decompress(bomb, encoding, 1_000_000)
    with pytest.raises(TooLarge):
        decompress(pack(bytes(600_000)) * 2, encoding, 1_000_000)
    assert len(decompress(pack(bytes(1_000_000)), encoding, 1_000_000)) == 1_000_000


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
def test_many_small_members_do_not_keep_the_door_busy(encoding: str, pack: Any) -> None:
    assert decompress(pack(b"{}") * 1000, encoding) == b"{}" * 1000
    with pytest.raises(MalformedBody, match="more than"):
        decompress(pack(b"") * 2_000_000, encoding)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_what_is_not_compressed_is_no_compressed_body(encoding: str) -> None:
    for body in (BODY, b"\x1f\x8b", b"\x28\xb5\x2f\xfd", zlib.compress(BODY)):
        with pytest.raises(MalformedBody):
            decompress(body, encoding)


def test_a_zstd_window_larger_than_the_limit_is_refused() -> None:
    """A header may ask for gigabytes of window; 128 MiB is what browsers and we allow."""
    parameters = zstandard.ZstdCompressionParameters(window_log=30, compression_level=1, enable_ldm=True)
    out = io.BytesIO()
    with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(out, closefd=False) as writer:
        writer.write(BODY)
    with pytest.raises(MalformedBody):
        decompress(out.getvalue(), "zstd")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, zstd", "chunked"])
def test_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedMedia):
        decompress(BODY, encoding)


# -- any events, any bodies -------------------------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
quantity = st.integers(0, MAX_QUANTITY)
events = st.builds(
    UsageEvent,
    source=name,
    account=name,
    id=text,
    sequence=st.one_of(st.none(), st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1).map(str)),
    position=st.one_of(st.none(), text),
    time=st.one_of(st.none(), text),
    user=text,
    product=text,
    bytes_up=quantity,
    bytes_down=quantity,
    requests=quantity,
    status=st.integers(0, 65_535),
    labels=st.one_of(st.none(), st.dictionaries(text, text, max_size=3)),
)


def as_cloud(event: UsageEvent) -> dict[str, Any]:
    plain = msgspec.to_builtins(event)
    context = {name: plain.pop(name) for name in ("source", "id", "sequence", "position", "time") if name in plain}
    return {"specversion": "1.0", "type": "t", "subject": plain.pop("account"), "data": plain} | context


@given(st.lists(events, max_size=5))
def test_events_are_read_as_they_were_written(sent: list[UsageEvent]) -> None:
    wanted = Decoded(sent, {})
    encoded = [msgspec.json.encode(event) for event in sent]
    assert decode(b"\n".join(encoded), NDJSON) == wanted
    assert decode(b"\r\n".join(encoded) + b"\n\n", NDJSON) == wanted
    assert decode(b"[" + b",".join(encoded) + b"]", JSON) == wanted
    if all(event.id for event in sent):
        assert decode(json.dumps([as_cloud(event) for event in sent]).encode(), CLOUDEVENTS) == wanted


def careful(body: bytes) -> Decoded | None:
    """What the slow way makes of lines; None where it refuses the body."""
    try:
        return module._one_by_one(body, lines_of)
    except FlowtallyError:
        return None


ALPHABET: Final = [b"{", b"}", b"\n", b"\r\n", b",", b'"', b"[", b"]", b"0", b"-1", b"null", b" ", b"\\", b"\xff", b""]
changes = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.sampled_from(ALPHABET)), max_size=4)


@given(st.lists(events, max_size=3), st.sampled_from([b"\n", b"\r\n", b"", b" ", b"\n\n"]), changes)
@example([UsageEvent("a", "b", "c")] * 2, b"", [])
@example([UsageEvent("a", "b", "c")] * 2, b"", [(400, 0, b"\n")])
def test_the_fast_way_and_the_careful_way_agree_on_any_body(
    sent: list[UsageEvent], between: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    body = between.join(msgspec.json.encode(event) for event in sent)
    for place, gone, put in edits:
        at = min(place, len(body))
        body = body[:at] + put + body[at + gone :]
    try:
        fast: Decoded | None = decode(body, NDJSON)
    except MalformedBody:
        fast = None
    slow = careful(body)
    assert (fast is None) == (slow is None)
    assert fast is None or slow is None or same(fast, slow)


@given(st.binary(max_size=200), st.sampled_from([JSON, NDJSON, CLOUDEVENT, CLOUDEVENTS]))
def test_any_bytes_are_answered_and_never_break_the_door(body: bytes, kind: str) -> None:
    for encoding in (None, "gzip", "zstd"):
        try:
            decode(decompress(body, encoding), kind)
        except (MalformedBody, TooLarge):
            continue
