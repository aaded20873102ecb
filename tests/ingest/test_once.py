"""An object that has a member twice is no event, however it is written; and proving that none has is exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowtally.core.events import CloudEvent, UsageEvent
from flowtally.core.media import JSON, NDJSON
from flowtally.ingest import decode as module
from flowtally.ingest import once
from flowtally.ingest.columns import Columns
from flowtally.ingest.decode import CLOUDEVENT, CLOUDEVENTS, Decoded, decode

EVENT: Final = '{"source":"gw","id":"1","account":"acme","time":"2026-01-01T00:00:00Z"%s}'
CLOUD: Final = (
    '{"specversion":"1.0","id":"1","source":"gw","type":"t","subject":"acme","time":"2026-01-01T00:00:00Z"%s}'
)
TWICE: Final = [
    ',"bytes_down":734003200,"bytes_down":1',
    ',"bytes_down":1,"bytes_down":1',
    ',"bytes_down":5,"bytes_do\\u0077n":6',
    ',"bytes_down" : 5 , "bytes_down"\t:6',
    ',"requests":1,"requests":1',
    ',"position":null,"position":null',
    ',"id":"2"',
    ',"source":"gw"',
    ',"labels":{"a":"1","a":"2"}',
    ',"labels":{"a":"1","\\u0061":"1"}',
    ',"labels":{},"labels":{}',
    ',"user":":\\":","user":"x"',
]
CLOUDS_TWICE: Final = [
    ',"data":{"bytes_down":1,"bytes_down":2}',
    ',"data":{"bytes_down":1},"data":{"bytes_down":1}',
    ',"data":{"labels":{"a":"1","a":"2"}}',
    ',"data":{"requests":1,"requests":1}',
    ',"type":"u"',
    ',"traceparent":"a","traceparent":"b"',
    ',"some":{"a":1,"a":2}',
    ',"some":[{"a":1},{"a":1,"a":2}]',
    ',"sequence":"1","sequence":"2"',
]


@pytest.fixture(scope="module", autouse=True, params=[0, 10**9])
def few(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether lines in which a default may have been said are read apart from the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(once, "APART", request.param)
        yield


def refused(text: str, decoded: Decoded, at: int) -> None:
    assert list(decoded.faults) == [at], text
    assert "given twice" in decoded.faults[at], text


@pytest.mark.parametrize("more", TWICE)
def test_a_plain_event_with_a_member_twice_is_refused_and_those_beside_it_are_not(more: str) -> None:
    good, bad = EVENT % ',"bytes_up":3', EVENT % more
    for text, kind in ((f"{good}\n{bad}\n{good}", NDJSON), (f"[{good},{bad},{good}]", JSON)):
        decoded = decode(text.encode(), kind)
        refused(text, decoded, 1)
        assert decoded.events[0] == decoded.events[2] == UsageEvent(**json.loads(good))
        assert decoded.events[1].bytes_down == 0
    refused(bad, decode(bad.encode(), JSON), 0)


@pytest.mark.parametrize("more", CLOUDS_TWICE)
def test_so_is_a_cloud_event_in_every_form(more: str) -> None:
    good, bad = CLOUD % ',"data":{"bytes_up":3},"traceparent":"x"', CLOUD % more
    for text, kind in ((f"[{good},{bad}]", CLOUDEVENTS), (f"[{good},{bad}]", JSON), (f"{good}\n{bad}", NDJSON)):
        refused(text, decode(text.encode(), kind), 1)
    for kind in (CLOUDEVENT, JSON):
        refused(bad, decode(bad.encode(), kind), 0)


def test_what_is_said_twice_says_nothing_and_the_rest_still_says_which_one_it_was() -> None:
    text = '{"source":"log","sequence":7,"account":"acme","bytes_up":1,"bytes_up":2}'
    [event] = decode(text.encode(), JSON).events
    assert (event.source, event.sequence) == ("log", 7)
    for more in ('"source":"log"', '"sequence":7', '"s\\u0065quence":8'):
        [event] = decode(f"{text[:-1]},{more}}}".encode(), JSON).events
        assert event.sequence is None, more


# -- Proving that nothing is there twice ------------------------------------------------------------------------------

NAMES: Final = st.text(st.sampled_from(['"', ":", "\\", "a", "é", " ", "{", "}"]), min_size=1, max_size=4)
VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "id": NAMES,
    "sequence": st.sampled_from([None, 1, "1"]),
    "position": st.none() | NAMES,
    "time": st.none() | NAMES,
    "user": st.just("") | NAMES,
    "product": NAMES,
    "bytes_up": st.integers(0, 2),
    "requests": st.integers(0, 2),
    "labels": st.none() | st.dictionaries(NAMES, NAMES, max_size=2),
}
pairs = st.lists(st.sampled_from(sorted(VALUES)).flatmap(lambda n: st.tuples(st.just(n), VALUES[n])), max_size=5)
spaces = st.sampled_from(["", " ", "\t "])


@st.composite
def objects(draw: st.DrawFn, required: tuple[str, ...], optional: st.SearchStrategy[Any]) -> str:
    """JSON text of an object, as any sender might write it: any order, space, escapes, and sometimes a name twice."""
    members = [(name, "1.0" if name == "specversion" else "x") for name in required] + draw(optional)
    if draw(st.integers(0, 3)):
        members = list(dict(members).items())
    texts = []
    for name, value in draw(st.permutations(members)):
        said = json.dumps(name).replace("s", "\\u0073") if draw(st.integers(0, 9)) == 0 else json.dumps(name)
        texts.append(f"{said}{draw(spaces)}:{draw(spaces)}{written(draw, value)}")
    return "{" + ",".join(texts) + "}"


def written(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, list):
        return "{" + ",".join(f"{json.dumps(name)}:{written(draw, one)}" for name, one in value) + "}"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


def repeats(text: str) -> bool:
    """The obvious way."""
    found = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        found.append(len({name for name, _ in pairs}) < len(pairs))

    json.loads(text, object_pairs_hook=look)
    return any(found)


plain = objects(("source", "account"), pairs)
DATA: Final = ("user", "product", "bytes_up", "requests", "labels")
inner = pairs.map(lambda found: [pair for pair in found if pair[0] in DATA])
beside = st.lists(
    st.tuples(st.just("data"), inner)
    | st.tuples(st.sampled_from(["sequence", "position", "time", "other"]), st.just("1"))
    | st.just(("datacontenttype", "application/json")),
    max_size=4,
)
cloud = objects(("specversion", "id", "source", "type", "subject"), beside)


@settings(max_examples=300, deadline=None)
@given(st.lists(plain, min_size=1, max_size=4), st.sampled_from([NDJSON, JSON]))
@example(['{"source":"x","account":"x","user":":a"}'], NDJSON)
@example(['{"source":"x","account":"x","requests":1}', '{"source":"x","account":"x","user":"a","user":"b"}'], NDJSON)
def test_every_body_of_plain_events_is_judged_as_the_obvious_way_does(texts: list[str], kind: str) -> None:
    body = ("\n".join(texts) if kind == NDJSON else f"[{','.join(texts)}]").encode()
    decoded = decode(body, kind)
    assert {at for at, fault in decoded.faults.items() if "given twice" in fault} == {
        at for at, text in enumerate(texts) if repeats(text)
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(cloud, min_size=1, max_size=4))
def test_so_is_every_batch_of_cloud_events(texts: list[str]) -> None:
    decoded = decode(f"[{','.join(texts)}]".encode(), CLOUDEVENTS)
    assert {at for at, fault in decoded.faults.items() if "given twice" in fault} == {
        at for at, text in enumerate(texts) if repeats(text)
    }


def usual(count: int, **more: Any) -> list[dict[str, Any]]:
    event = {"source": "gw", "account": "acme", "time": "2026-01-01T00:00:00Z", "bytes_down": 5, **more}
    return [event | {"sequence": number} for number in range(1, count + 1)]


USUAL: Final[list[tuple[str, list[dict[str, Any]]]]] = [
    ("left out", usual(9)),
    ("said", usual(9, requests=1, labels={}, user="", position=None, status=0)),
    ("sometimes", [*usual(5, user="a", bytes_up=0), *usual(4)]),
    ("colons", usual(9, user='a":b', labels={'"x":': '{"a":1}', "b": ":"})),
]


@pytest.mark.parametrize(("which", "events"), USUAL, ids=[which for which, _ in USUAL])
@pytest.mark.parametrize("spaces", [None, (",", ":")])
def test_usual_bodies_are_proved_without_a_look_at_each_event(
    which: str, events: list[dict[str, Any]], spaces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes the slow way takes several times as long."""
    monkeypatch.setattr(module, "_one_by_one", None)
    texts = [json.dumps(event, separators=spaces) for event in events]
    assert len(decode("\n".join(texts).encode(), NDJSON).events) == 9
    assert len(decode(f"[{','.join(texts)}]".encode(), JSON).events) == 9
    clouds = [
        {"specversion": "1.0", "type": "t", "id": "i", "source": "gw", "subject": "acme", "datacontenttype": kind}
        | {"sequence": event["sequence"], "data": {k: v for k, v in event.items() if k in once.IN_DATA}, **more}
        for event, kind in zip(events, ["application/json"] * 9, strict=True)
        for more in ({}, {"traceparent": "a:b", "some": "thing"})
    ]
    assert len(decode(json.dumps(clouds, separators=spaces).encode(), CLOUDEVENTS).events) == 18


def test_a_name_that_only_later_events_have_is_still_counted() -> None:
    long = [*usual(once.HEAD // 50), *usual(3, requests=1)]
    body = "\n".join(json.dumps(event) for event in long).encode()
    assert decode(body, NDJSON).faults == {}
    twice = body.replace(b'"requests": 1,', b'"requests": 1, "requests": 1,', 1)
    assert list(decode(twice, NDJSON).faults) == [len(long) - 3]


def test_the_two_counts_of_the_proof_are_what_they_say() -> None:
    body = b'{"source":"x","account" : "x"}'
    assert once._quoted_names(body) is None
    event = msgspec.json.decode(body, type=UsageEvent)
    assert not once.all_once(body, Columns.of([event]), lines=True)
    assert (
        msgspec.json.decode(CLOUD % "", type=CloudEvent).data is msgspec.json.decode(CLOUD % "", type=CloudEvent).data
    )
