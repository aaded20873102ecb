"""What a body holds is counted before anything is made of it; a slow model counts the same."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any, Final

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.core.corrections import MAX_CORRECTIONS
from flowtally.core.errors import MalformedBody, QueueFull, TooLarge
from flowtally.core.media import JSON, NDJSON
from flowtally.ingest import counting
from flowtally.ingest.correction_body import decode_corrections
from flowtally.ingest.counting import MAX_PARTS, check_counts, check_parts, items_of, may_be_long
from flowtally.ingest.decode import CLOUDEVENT, CLOUDEVENTS, decode
from flowtally.ingest.decompress import MAX_WINDOW, decompress
from flowtally.protocol import MAX_EVENTS

EVENT: Final = {"source": "gw", "id": "1", "account": "acme", "time": "2026-01-01T00:00:00Z"}
texts = st.text(st.sampled_from('ab\\"[]{},:\n é'), max_size=8)
values = st.recursive(
    st.none() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def parts_of(value: Any) -> int:
    """Brackets that open, commas and colons."""
    if isinstance(value, dict):
        return 1 + len(value) + max(0, len(value) - 1) + sum(map(parts_of, value.values()))
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(parts_of, value))
    return 0


@settings(max_examples=300, deadline=None)
@given(st.lists(values, max_size=6), st.sampled_from([None, 1]), st.integers(1, 9), st.booleans())
def test_items_are_found_where_they_are_however_the_body_is_cut(
    items: list[Any], indent: int | None, window: int, ascii_only: bool
) -> None:
    body = json.dumps(items, indent=indent, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "WINDOW", window)
        assert [msgspec.json.decode(body[start:end]) for start, end in items_of(body, 10)] == items
        if len(items) > 1:
            with pytest.raises(TooLarge, match="items"):
                items_of(body, len(items) - 1)


@settings(max_examples=300, deadline=None)
@given(values, st.integers(1, 9))
def test_parts_are_counted_as_a_slow_model_does(value: Any, window: int) -> None:
    body = json.dumps(value).encode()
    parts = parts_of(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "WINDOW", window)
        patch.setattr(counting, "MAX_PARTS", parts)
        check_parts(body)
        patch.setattr(counting, "MAX_PARTS", parts - 1)
        if parts > 0:
            assert may_be_long(body) or len(body) <= parts - 1
            with pytest.raises(TooLarge, match="members and elements"):
                check_parts(body)


def many(item: bytes, count: int, between: bytes = b",") -> bytes:
    return b"[" + between.join([item] * count) + b"]"


LABELS: Final = b"{" + b",".join(b'"%x":""' % number for number in range(MAX_PARTS)) + b"}"
BOMBS: Final = {
    "empty arrays": (JSON, many(b"[]", 300_000)),
    "empty objects": (JSON, many(b"{}", 300_000)),
    "numbers": (JSON, many(b"1", 300_000)),
    "arrays in one item": (JSON, many(many(b"[]", 100_000), 1)),
    "an id that is an array": (JSON, b'{"source":"a","account":"b","id":' + many(b"[]", 100_000) + b"}"),
    "an id in an array": (JSON, b'[{"source":"a","account":"b","id":' + many(b"[]", 100_000) + b"}]"),
    "lines": (NDJSON, b"[]\n" * 300_000),
    "one line": (NDJSON, many(b"[]", 100_000)),
    "a batch": (CLOUDEVENTS, many(b"[]", 300_000)),
    "one of a batch": (CLOUDEVENTS, many(b'{"data":' + many(b"{}", 100_000) + b"}", 1)),
    "a CloudEvent": (CLOUDEVENT, b'{"data":' + many(b"{}", 100_000) + b"}"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_body_of_too_many_items_or_parts_is_refused_before_anything_is_made(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, body = BOMBS[name]
    made: list[int] = []
    module = __import__("flowtally.ingest.decode", fromlist=["decode"])
    monkeypatch.setattr(module, "_placeholder", _counted(module._placeholder, made))
    with pytest.raises(TooLarge):
        decode(body, kind)
    assert len(made) <= MAX_EVENTS


def _counted(inner: Any, made: list[int]) -> Any:
    def counting_one(value: Any) -> Any:
        made.append(parts_of(value))
        assert made[-1] <= MAX_PARTS
        return inner(value)

    return counting_one


@pytest.mark.parametrize("kind", [JSON, NDJSON])
@pytest.mark.parametrize(
    "item",
    [b'{"source":"a","account":"b"}', b'{"source":"a","account":"b","labels":' + LABELS + b"}"],
    ids=["events", "labels"],
)
def test_what_the_quick_decoder_takes_is_bounded_too(item: bytes, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 310_000 if len(item) < 100 else 1_600
    assert count > counting.FEW_BRACES or count * item.count(b":") > counting.FEW_COLONS
    body = many(item, count, b",\n" if kind == JSON else b"\n")
    module = __import__("flowtally.ingest.decode", fromlist=["decode"])
    monkeypatch.setitem(module._DECODERS, kind, lambda body: pytest.fail("it was made"))
    with pytest.raises(TooLarge):
        decode(body if kind == JSON else body[1:-1], kind)


def test_many_honest_events_with_all_their_labels_are_taken() -> None:
    labels = {f"label {number}": "a, b: {c}" for number in range(16)}
    events = [EVENT | {"labels": labels, "id": str(number)} for number in range(40_000)]
    for kind, body in ((JSON, msgspec.json.encode(events)), (NDJSON, msgspec.json.Encoder().encode_lines(events))):
        assert body.count(b":") > 40_000 * 20
        check_counts(body, MAX_EVENTS)
        assert len(decode(body, kind).events) == 40_000


def test_blank_lines_cost_nothing_and_lines_keep_their_numbers() -> None:
    event = msgspec.json.encode(EVENT)
    body = b"\n" * 3_000_000 + event + b"\n \t\r\n" + b"[]\n"
    decoded = decode(body, NDJSON)
    assert (len(decoded.events), list(decoded.faults)) == (2, [1])
    with pytest.raises(MalformedBody, match="line 3000003 is not JSON"):
        decode(b"\n" * 3_000_000 + event + b"\n\n{\n", NDJSON)


@pytest.mark.parametrize(
    "body", [many(b"[]", 300_000), many(many(b"[]", 100_000), 1), b'{"id":' + many(b"[]", 9_999) + b"}"]
)
def test_corrections_are_counted_too(body: bytes) -> None:
    with pytest.raises(TooLarge):
        decode_corrections(body, JSON)
    assert MAX_CORRECTIONS * MAX_PARTS <= 1_000_000, "as many parts are made at once"


# -- what is packed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_whoever_counts_hears_of_each_piece_and_can_end_it(encoding: str) -> None:
    plain = bytes(20_000_000)
    packed = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    heard: list[int] = []
    assert decompress(packed, encoding, made=heard.append) == plain
    assert sum(heard) == len(plain)
    assert max(heard) <= 1 << 20

    def stop(size: int) -> None:
        heard.append(size)
        raise QueueFull("no room")

    heard.clear()
    with pytest.raises(QueueFull):
        decompress(packed, encoding, made=stop)
    assert len(heard) == 1


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_pieces_are_put_together_at_their_edges(size: int) -> None:
    plain = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    deflate = zlib.compressobj(wbits=31)
    packed = deflate.compress(plain) + deflate.flush()
    assert decompress(packed * 2, "gzip") == plain * 2
    assert decompress(zstandard.compress(plain) * 2, "zstd") == plain * 2
    for body, encoding in ((packed, "gzip"), (zstandard.compress(plain), "zstd")):
        assert decompress(body, encoding, size) == plain
        if size:
            with pytest.raises(TooLarge):
                decompress(body, encoding, size - 1)


def test_a_frame_that_asks_for_more_window_than_the_web_allows_is_refused() -> None:
    out = io.BytesIO()
    parameters = zstandard.ZstdCompressionParameters(window_log=24, compression_level=3)
    with zstandard.ZstdCompressor(compression_params=parameters).stream_writer(out, closefd=False) as writer:
        writer.write(b"x")
    with pytest.raises(MalformedBody):
        decompress(out.getvalue(), "zstd")
    assert MAX_WINDOW == 8 << 20
