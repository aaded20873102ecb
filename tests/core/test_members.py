"""Members that one object has twice are found, whatever the spelling; and no body with one changes anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.filling import Filled

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.agents.formats.cloudevents import read_line
from flowtally.agents.reading import LineReading as LogReading
from flowtally.agents.reading import Unreadable as LogUnreadable
from flowtally.core.errors import MalformedBody, TooLarge
from flowtally.core.members import Repeated, count_members, find_repeated, find_repeated_in
from flowtally.core.readings import MAX_READINGS, Reading
from flowtally.ingest.correction_body import decode_corrections
from flowtally.ingest.counting import count_names
from flowtally.ingest.reading_body import UnreadableReading, decode_readings
from flowtally.web.operation import OPERATIONS, Operation


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", None),
        ('[{"a":1},{"a":1}]', None),
        ('{"a":{"a":{"a":1}}}', None),
        ('{"a":1,"\\u0061":2}', Repeated("a", frozenset("a"))),
        ('{"b":{"a":1,"a":2},"c":3}', Repeated("a", frozenset())),
        ('[1,{"a":[{"b":1,"b":1}],"a":2}]', Repeated("b", frozenset("a"))),
        ('{"' + "n" * 999 + '":1,"' + "n" * 999 + '":2}', Repeated("n" * 999, frozenset(["n" * 999]))),
        ('{"a":' + "9" * 5000 + "}", None),
    ],
)
def test_the_first_that_is_there_twice_is_told(text: str, found: Repeated | None) -> None:
    assert find_repeated(text.encode()) == found
    assert found is None or len(str(found)) < 120


def test_what_is_nested_too_deeply_to_tell_is_an_error() -> None:
    with pytest.raises(MalformedBody, match="nested"):
        find_repeated(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


names = st.text(max_size=3)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | names, lambda inner: st.lists(inner) | st.dictionaries(names, inner), max_leaves=20
)


@given(values, st.booleans())
def test_a_text_without_any_has_as_many_names_as_members(value: Any, ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii, indent=1).encode("utf-8", "surrogatepass")
    assert count_members(value) == count_names(text)


texts = st.text(st.sampled_from(['"', ":", "\\", "a", " ", "é"]), max_size=3)
objects = st.recursive(
    st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.lists(st.tuples(texts, inner), max_size=3).map(tuple),
    max_leaves=8,
)
colons = st.sampled_from([":", " :", ": ", "\t: "])


def written(value: Any, colon: str) -> str:
    """JSON, objects as they may be: pairs, of which some may have the same name."""
    if isinstance(value, tuple):
        return "{" + ",".join(f"{json.dumps(name)}{colon}{written(one, colon)}" for name, one in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one, colon) for one in value) + "]"
    return json.dumps(value)


@given(objects, colons)
def test_the_quick_look_finds_what_the_long_one_does(value: Any, colon: str) -> None:
    text = written(value, colon).encode()
    assert find_repeated_in(text, json.loads(text)) == find_repeated(text)


@pytest.mark.parametrize("colon", [":", " :"])
def test_a_line_of_a_log_with_a_member_twice_is_unreadable(colon: str) -> None:
    good = f'{{"id":"1","account"{colon}"acme","time":"2026-03-01T00:00:00Z","bytes_down"{colon}7}}'
    bad = good[:-1] + f',"bytes_do\\u0077n"{colon}1}}'
    cloud = '{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"a","data":{"bytes_up":1%s}}'
    assert isinstance(read_line(good.encode()), LogReading)
    assert isinstance(read_line((cloud % "").encode()), LogReading)
    for line in (bad, cloud % ',"bytes_up":2', cloud % ',"labels":{"a":"1","a":"2"}'):
        found = read_line(line.encode())
        assert isinstance(found, LogUnreadable)
        assert "given twice" in found.detail


# -- No route takes one -----------------------------------------------------------------------------------------------


def twice(body: dict[str, Any]) -> bytes:
    """Its first member again, with another spelling of the name."""
    name, value = next(iter(body.items()))
    spelled = f'"\\u{ord(name[0]):04x}{name[1:]}"'
    return f"{json.dumps(body)[:-1]},{spelled}:{json.dumps(value)}}}".encode()


WITH_BODIES = [op for op in OPERATIONS if op.body is not None and op.body_example]


@pytest.mark.parametrize("op", WITH_BODIES, ids=lambda op: f"{op.method} {op.path}")
def test_no_operation_takes_a_body_with_a_member_twice(shared: Filled, op: Operation) -> None:
    client = shared.client
    path = op.path.replace("{account}", "acme").replace("{", "").replace("}", "")
    before = client.get("/v1/audit").json()
    headers = {"Content-Type": "application/json"}
    answer = client.request(op.method, path, content=twice(op.body_example), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body"), answer.text
    assert "given twice" in answer.json()["detail"]
    assert client.get("/v1/audit").json() == before


def test_no_correction_is_taken_from_a_body_with_a_member_twice() -> None:
    good = '{"id":"a","corrects":{"source":"s","id":"1"},"void":true}'
    for bad in (
        '{"id":"b","corrects":{"source":"s","id":"1"},"bytes_up":1,"bytes_up":2}',
        '{"id":"b","corrects":{"source":"s","id":"1","id":"2"},"void":true}',
    ):
        for text in (bad, f"[{good},{bad}]"):
            with pytest.raises(MalformedBody, match="given twice"):
                decode_corrections(text.encode(), "application/json")
    assert len(decode_corrections(f"[{good},{good}]".encode(), "application/json")) == 2


def test_a_reading_with_a_member_twice_is_refused_alone() -> None:
    good = '{"source":"x","counter":"c","account":"acme","time":"2026-03-01T00:00:00Z","bytes_up":1}'
    bad = good[:-1] + ',"bytes_\\u0075p":2}'
    for text, kind in ((f"[{good},{bad}]", "application/json"), (f"{good}\n{bad}\n", "application/x-ndjson")):
        one, other = decode_readings(text.encode(), kind)
        assert isinstance(one, Reading)
        assert isinstance(other, UnreadableReading)
        assert "given twice" in other.fault
    assert isinstance(decode_readings(f"{good}\n{good}\n".encode(), "application/json")[1], Reading)
    with pytest.raises(TooLarge):
        decode_readings(b"5\n" * (MAX_READINGS + 1), "application/x-ndjson")
