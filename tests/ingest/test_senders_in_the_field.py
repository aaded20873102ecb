"""What log shippers, CloudEvents SDKs and curl send is stored, or refused in words and with a status that says so."""

from __future__ import annotations

import gzip
import json
import socket
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ingest.conftest import TIME, Services, named, numbered, run
from tests.live import Live, live_server

from flowtally.core.errors import (
    EventConflict,
    EventRefused,
    FlowtallyError,
    MalformedBody,
    SequenceGap,
    UnsupportedMedia,
)
from flowtally.core.events import MAX_SEQUENCE_CHARS, Sequence, UsageEvent, number_of
from flowtally.ingest.cloud_headers import ATTRIBUTES, attributes_of, is_binary
from flowtally.ingest.decode import Decoded, decode_request
from flowtally.protocol import EventsAnswer

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CLOUD: Final = "application/cloudevents+json"
DATA: Final = b'{"user":"ann","product":"residential","bytes_down":734003200}'
HEADERS: Final = {
    "ce-specversion": "1.0",
    "ce-id": "bin-1",
    "ce-source": "/gw/1",
    "ce-type": "flowtally.usage",
    "ce-subject": "acme",
    "ce-time": "2026-03-10T09:00:00Z",
}
WANTED: Final = UsageEvent(
    "/gw/1", "acme", "bin-1", time="2026-03-10T09:00:00Z", user="ann", product="residential", bytes_down=734003200
)


def ask(services: Services, body: bytes, kind: str = JSON, headers: dict[str, str] | None = None) -> EventsAnswer:
    return run(services.door.take(body, kind, None, services.credential, headers=list((headers or {}).items())))


def refusal(services: Services, body: bytes, kind: str = JSON, headers: dict[str, str] | None = None) -> FlowtallyError:
    with pytest.raises(FlowtallyError) as caught:
        ask(services, body, kind, headers)
    return caught.value


# -- CloudEvents in binary content mode -------------------------------------------------------------------------------


def binary(more: dict[str, str] | None = None, body: bytes = DATA, kind: str = JSON) -> Decoded:
    headers = {name: value for name, value in (HEADERS | (more or {})).items() if value != "gone"}
    return decode_request(body, kind, list(headers.items()))


@pytest.mark.parametrize(
    "kind", [JSON, "application/json; charset=utf-8", "application/vnd.usage+json", "", "text/json"]
)
def test_a_cloud_event_may_be_in_the_headers_and_its_data_in_the_body(kind: str) -> None:
    """`Content-Type` is the data's; the Python SDK sends none unless it is told one, that of JavaScript a charset."""
    assert binary(kind=kind) == Decoded([WANTED], {})
    assert binary(kind=kind).alone


def test_whatever_else_a_structured_event_says_is_said_in_headers_too() -> None:
    more = {"ce-sequence": "0007", "ce-position": "p7", "ce-traceparent": "x", "ce-partitionkey": "y", "x-other": "z"}
    [event] = binary(more).events
    assert (event.sequence, event.position) == ("7", "p7")
    assert binary(body=b"").events[0].bytes_down == 0
    assert binary({"ce-time": "gone"}).events[0].time is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("/gw%20%E2%82%AC", "/gw €"),
        ("/gw%2520", "/gw%20"),  # once
        ("100%", "100%"),
        ('"/a b"', "/a b"),
        ('"a\\"b\\\\c%20"', 'a"b\\c '),
        ("/gw€".encode().decode("latin-1"), "/gw€"),  # as it is, which the binding forbids and some do
        ('"', '"'),
    ],
)
def test_a_header_is_unquoted_and_then_percent_decoded_once(written: str, said: str) -> None:
    assert binary({"ce-source": written}).events[0].source == said


@pytest.mark.parametrize(
    ("more", "body"),
    [
        ({"ce-specversion": "0.3"}, DATA),
        ({"ce-id": "gone"}, DATA),
        ({"ce-subject": "gone"}, DATA),
        ({"ce-source": ""}, DATA),
        ({}, b"[1]"),
        ({}, b"null"),
        ({}, b'{"bytes":1}'),
        ({}, b'{"bytes_up":1,"bytes_up":2}'),
    ],
)
def test_one_that_is_none_of_ours_is_at_fault(more: dict[str, str], body: bytes) -> None:
    assert list(binary(more, body).faults) == [0]


def test_one_that_cannot_be_read_is_refused_as_a_whole() -> None:
    for more, body, kind, error in (
        ({}, b"\x08\x96\x01", "application/protobuf", UnsupportedMedia),
        ({}, b"text", "text/plain", UnsupportedMedia),
        ({}, b"{}\n{}", NDJSON, UnsupportedMedia),
        ({}, b'{},"id":"2"', JSON, MalformedBody),
        ({}, DATA + DATA, JSON, MalformedBody),
        ({"ce-source": "%ff"}, DATA, JSON, MalformedBody),
        ({"ce-source": "%E2%82"}, DATA, JSON, MalformedBody),
    ):
        with pytest.raises(error):
            binary(more, body, kind)
    with pytest.raises(MalformedBody, match="ce-id is given twice"):
        decode_request(DATA, JSON, [*HEADERS.items(), ("ce-id", "other")])


def test_a_whole_cloud_event_is_read_as_such_whatever_the_headers_say() -> None:
    whole = {"specversion": "1.0", "id": "1", "source": "gw", "type": "t", "subject": "acme"}
    for body, kind in ((whole, CLOUD), ([whole], "application/cloudevents-batch+json")):
        [event] = decode_request(json.dumps(body).encode(), kind, list(HEADERS.items())).events
        assert event.id == "1"
    assert not is_binary([("ce-id", "1")], JSON)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(texts)
def test_any_text_arrives_as_the_binding_writes_it(text: str) -> None:
    """Section 3.1.3.2: space, double quote, percent and what is not printable ASCII are percent-encoded."""
    written = "".join(
        char if "!" <= char <= "~" and char not in '"%' else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in text
    )
    assert attributes_of([("ce-source", written)], JSON) == {"source": text}
    assert "data" not in ATTRIBUTES


# -- One event: the status tells --------------------------------------------------------------------------------------


def plain(**more: Any) -> bytes:
    return json.dumps(named("a")[0] | more).encode()


def cloud(data: dict[str, Any] | None = None, **more: Any) -> bytes:
    context = {"specversion": "1.0", "id": "a", "source": "gw", "type": "t", "subject": "acme", "time": TIME}
    return json.dumps(context | {"data": data or {"bytes_up": 1}} | more).encode()


def test_an_event_in_headers_is_stored(light: Services) -> None:
    assert ask(light, DATA, JSON, HEADERS).stored == 1
    assert ask(light, DATA, JSON, HEADERS).duplicate == 1
    assert light.door.event("/gw/1", "bin-1", light.credential).bytes_down == 734003200


@pytest.mark.parametrize(
    ("body", "kind", "headers", "code", "retriable"),
    [
        (plain(account="nobody"), JSON, None, "unknown_account", True),
        (plain(bytes_up=-1), JSON, None, "invalid_event", False),
        (plain(time="soon"), JSON, None, "bad_time", False),
        (cloud(subject="nobody"), CLOUD, None, "unknown_account", True),
        (cloud(subject="nobody"), JSON, None, "unknown_account", True),
        (cloud({"bytes": 1}), CLOUD, None, "invalid_event", False),
        (DATA, JSON, HEADERS | {"ce-subject": "nobody"}, "unknown_account", True),
        (b'{"bytes":1}', JSON, HEADERS, "invalid_event", False),
    ],
)
def test_one_event_that_is_refused_is_no_success(
    light: Services, body: bytes, kind: str, headers: dict[str, str] | None, code: str, retriable: bool
) -> None:
    error = refusal(light, body, kind, headers)
    assert isinstance(error, EventRefused)
    assert error.status == 422
    assert (error.extra["stored"], error.extra["refused"]) == (0, 1)
    receipts: Any = error.extra["receipts"]
    [receipt] = receipts
    assert (receipt.status, receipt.code, receipt.retriable) == ("refused", code, retriable)
    assert error.detail.startswith(code)


@pytest.mark.parametrize(
    ("first", "again", "kind", "headers"),
    [
        (plain(), plain(bytes_up=2), JSON, None),
        (cloud(), cloud({"bytes_up": 2}), CLOUD, None),
        (cloud(), cloud({"bytes_up": 2}), JSON, None),
        (DATA, b'{"bytes_up":2}', JSON, HEADERS),
    ],
)
def test_nor_is_one_whose_id_was_stored_with_another_content(
    light: Services, first: bytes, again: bytes, kind: str, headers: dict[str, str] | None
) -> None:
    ask(light, first, kind, headers)
    error = refusal(light, again, kind, headers)
    assert (type(error), error.status) == (EventConflict, 409)
    assert (error.extra["stored"], error.extra["conflict"], error.extra["refused"]) == (0, 1, 0)
    receipts: Any = error.extra["receipts"]
    assert [(one.status, one.retriable) for one in receipts] == [("conflict", False)]
    assert ask(light, first, kind, headers).duplicate == 1  # the same content is no conflict, before and after


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (cloud(data_base64="eyJieXRlc191cCI6MX0="), "data_base64 (some libraries"),
        (cloud(datacontenttype="text/xml"), "not text/xml"),
        (cloud().replace(b'"bytes_up": 1', b'"bytes_up": 1, "bytes\\u005fup": 2'), "'bytes_up' is given twice"),
        (cloud({"labels": {"a": "1"}}).replace(b'"a": "1"', b'"a": "1", "a": "2"'), "'a' is given twice"),
        (cloud(other={"x": 1}).replace(b'"x": 1', b'"x": 1, "x": 2'), "'x' is given twice"),
        (plain(labels={"a": "1"}).replace(b'"a": "1"', b'"a": "1", "\\u0061": "2"'), "'a' is given twice"),
        (plain(time="2999-01-01T00:00:00Z"), "is in the future: the latest that is taken now is"),
    ],
)
def test_one_that_is_no_use_of_ours_is_told_why(light: Services, body: bytes, told: str) -> None:
    error = refusal(light, body)
    assert (type(error), error.status) == (EventRefused, 422)
    assert told in error.detail


def test_a_list_in_which_one_is_in_conflict_is_a_success(light: Services) -> None:
    ask(light, plain())
    for body, kind in ((b"[" + plain(bytes_up=2) + b"]", JSON), (plain(bytes_up=2), NDJSON)):
        assert ask(light, body, kind).conflict == 1


def test_one_numbered_event_that_is_held_is_kept_and_so_a_success(light: Services) -> None:
    light.send(*numbered(1, 1))
    [held] = numbered(2, 2, account="nobody")
    assert ask(light, json.dumps(held).encode()).held == 1
    [wrong] = numbered(3, 3, bytes_up=-1)
    assert refusal(light, json.dumps(wrong).encode()).extra["refused"] == 1
    assert light.door.source("log", light.credential).sequence == 3


def test_a_list_of_one_is_a_list(light: Services) -> None:
    bad = plain(account="nobody")
    for body, kind in ((b"[" + bad + b"]", JSON), (bad, NDJSON), (bad + b"\n", NDJSON)):
        assert ask(light, body, kind).refused == 1


# -- Lines under another name, marks, encodings -----------------------------------------------------------------------

LINES: Final = b"".join(json.dumps(event).encode() + b"\n" for event in named("f1", "f2", "f3"))


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (LINES, JSON),  # Fluent Bit's json_lines
        (LINES.strip(), JSON),
        (LINES.replace(b"\n", b"\r\n"), JSON),
        (LINES + b"\n\n", JSON),
        (LINES, f"{JSON}; charset=utf-8"),
        (LINES, NDJSON),  # Vector, newline_delimited
        (LINES.replace(b"\n", b"\r\n") + b"\r\n", f"{NDJSON}; charset=UTF-8"),
        (b"\xef\xbb\xbf" + LINES, NDJSON),
        (b"\xef\xbb\xbf" + LINES, JSON),
        (b"[" + LINES.strip().replace(b"\n", b",") + b"]", JSON),  # Logstash's json_batch, Fluent Bit's json
        (b"\xef\xbb\xbf[" + LINES.strip().replace(b"\n", b",\n") + b"\n]\n", JSON),
    ],
)
def test_events_are_stored_however_a_shipper_writes_them(light: Services, body: bytes, kind: str) -> None:
    assert ask(light, body, kind).stored == 3


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (LINES.replace(b"\n", b""), JSON, "x-ndjson"),  # Fluent Bit's json_stream
        (LINES.replace(b"\n", b""), NDJSON, "--data-binary"),  # curl -d @file
        (LINES.decode().encode("utf-16"), NDJSON, "UTF-16"),
        (LINES.decode().encode("utf-16-le"), JSON, "UTF-16"),
        (LINES + b'{"source":"gw","id":"half","acc', JSON, "line 4"),
        (LINES + b"log line\n", JSON, "line 4"),
        (LINES, "text/plain", "x-ndjson"),
        (LINES, "text/plain", "curl: -H 'Content-Type: application/json'"),
        (LINES, "multipart/form-data", "curl: -H 'Content-Type: application/json'"),  # curl -F
        (LINES, "application/msgpack", "x-ndjson"),  # Fluent Bit's default
        (LINES, "application/x-www-form-urlencoded", "x-ndjson"),  # curl -d
        (LINES, "application/x-www-form-urlencoded", "curl: -H 'Content-Type: application/json'"),
        (LINES, "", "missing"),
        (LINES, "", "curl: -H"),
        (b"", JSON, "it is empty"),
        (b" \n", CLOUD, "it is empty"),
        (gzip.compress(LINES), NDJSON, "not JSON"),  # without a Content-Encoding
    ],
)
def test_or_they_are_told_what_to_send(light: Services, body: bytes, kind: str, told: str) -> None:
    error = refusal(light, body, kind)
    assert error.status in (400, 415)
    assert told in error.detail
    assert light.store.inner.totals().rows == 0


def test_one_object_over_several_lines_is_one_object(light: Services) -> None:
    assert ask(light, json.dumps(named("a")[0], indent=1).encode() + b"\n").stored == 1
    assert isinstance(refusal(light, json.dumps(named("b")[0], indent=1).encode()[:-2]), MalformedBody)


# -- Numbers with zeros before them -----------------------------------------------------------------------------------


def cloud_number(text: str, **data: Any) -> dict[str, Any]:
    data = {"bytes_down": 10} | data
    return json.loads(cloud(data, source="log", sequence=text))  # type: ignore[no-any-return]


def test_a_padded_number_is_that_number(light: Services) -> None:
    """CloudEvents' Sequence extension asks no more of it than that it sorts as text."""
    assert light.statuses(cloud_number("0000000001"), cloud_number("0000000002")) == ["stored", "stored"]
    assert light.statuses(cloud_number("2"), cloud_number("00000000000000000003")) == ["duplicate", "stored"]
    assert light.door.source("log", light.credential).sequence == 3
    assert light.send({**cloud_number("004", bytes_up=-1), "id": "x"}).receipts[0].status == "refused"
    assert light.door.source("log", light.credential).sequence == 4
    [held] = light.send(numbered(5, 5, account="nobody")[0] | {"sequence": "0000005"}).receipts
    assert (held.retriable, held.id) == (True, "5")
    assert light.door.event("log", "5", light.credential).retriable


@pytest.mark.parametrize("text", ["0", "000", "+1", " 1", "1 ", "0x1", "1_0", "١", "1.0", "-1", "", "1e0"])
def test_what_is_no_number_is_told_to_be_none(light: Services, text: str) -> None:
    with pytest.raises(SequenceGap, match="is no whole number from 1 to 9223372036854775807"):
        light.send(cloud_number(text))
    assert number_of(text) is None


def test_a_number_is_as_long_as_the_contract_says_zeros_among_it(light: Services) -> None:
    longest = "7".zfill(MAX_SEQUENCE_CHARS)
    [said] = [one["maxLength"] for one in msgspec.json.schema(Sequence)["anyOf"] if "maxLength" in one]
    assert said == MAX_SEQUENCE_CHARS
    assert number_of(longest) == 7
    [receipt] = light.send(cloud_number("0" + longest)).receipts
    assert (receipt.status, receipt.detail) == ("refused", "sequence: text of at most 32 characters is expected")


def test_a_hole_inside_a_request_is_told_where_it_is(light: Services) -> None:
    with pytest.raises(SequenceGap, match="must follow one another: 3 comes next, not 5"):
        light.send(*(cloud_number(str(number)) for number in (1, 2, 5)))


SERIAL: Final = count(1)
PADDED: Final = st.integers(0, 24)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), PADDED, st.booleans()), min_size=1, max_size=6))
def test_every_spelling_of_a_number_counts_as_it_does(light: Services, runs: list[tuple[int, int, int, bool]]) -> None:
    """Two sources are sent the same numbers, one of them in all spellings: both are told the same."""
    number = next(SERIAL)
    one, other = f"one-{number}", f"other-{number}"
    for first, length, zeros, as_number in runs:
        numbers = range(first, first + length)
        usual = [cloud_number(str(number)) | {"source": one} for number in numbers]
        odd = [
            cloud_number("0" * zeros + str(number)) | {"source": other} | ({"sequence": number} if as_number else {})
            for number in numbers
        ]
        told = [outcome(light, events) for events in (usual, odd)]
        assert told[0] == told[1]


def outcome(services: Services, events: list[dict[str, Any]]) -> Any:
    try:
        return [(one.status, one.code) for one in services.send(*events).receipts]
    except FlowtallyError as error:
        return error.code, error.extra.get("sequence")


# -- Over a socket ----------------------------------------------------------------------------------------------------

BINARY: Final = (
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nCE-SpecVersion: 1.0\r\nCe-Id: %s\r\n"
    b"ce-source: /gw/%%31\r\nce-type: flowtally.usage\r\nce-subject: acme\r\nce-time: 2026-03-10T09:00:00Z\r\n"
    b"Authorization: Bearer %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
)
TWICE: Final = (
    b'[{"source":"gw","id":"dup-1","account":"acme","time":"2026-03-10T09:00:00Z","bytes_up":7,"bytes_up":1}]'
)


def test_a_real_server_takes_them_and_counts_what_it_refused(tmp_path: Path) -> None:
    with live_server(tmp_path / "data") as live, httpx.Client(base_url=live.url) as client:
        client.headers["Authorization"] = f"Bearer {live.token}"
        client.post("/v1/accounts", json={"id": "acme"})
        for data, status in ((DATA, 200), (DATA, 200), (DATA.replace(b"734003200", b"1"), 409), (b"{", 400)):
            answer = over_a_socket(live, BINARY % (b"bin-1", live.token.encode(), len(data), data))
            assert answer.startswith(b"HTTP/1.1 %d " % status), answer
        kind = {"Content-Type": JSON}
        assert client.post("/v1/events", content=LINES, headers=kind).json()["stored"] == 3
        told = client.post("/v1/events", content=TWICE, headers=kind).json()
        assert (told["refused"], told["receipts"][0]["code"]) == (1, "invalid_event")
        alone = client.post("/v1/events", content=TWICE[1:-1], headers=kind)
        assert (alone.status_code, alone.json()["code"]) == (422, "event_refused")
        assert alone.json()["receipts"][0]["detail"] == "the member 'bytes_up' is given twice"
        event = client.get("/v1/events", params={"source": "/gw/1", "id": "bin-1"}).json()
        assert (event["bytes_down"], event["user"]) == (734003200, "ann")
        counted = client.get("/metrics").text
        assert 'flowtally_events_total{outcome="refused"} 2.0' in counted
        assert 'flowtally_events_total{outcome="conflict"} 1.0' in counted


def over_a_socket(live: Live, request: bytes) -> bytes:
    with socket.create_connection(live.place, timeout=60) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)
