"""What is said of events at once is what would be said of them one by one: digests, keys and what they claim."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ingest.conftest import TIME, Services
from tests.ingest.test_held import together

from flowtally.core.events import UsageEvent
from flowtally.ingest import admission
from flowtally.ingest.columns import Columns
from flowtally.ingest.prepare import Prepared, join, prepare
from flowtally.keys.key_bytes import FEW, key_of

texts = st.text(max_size=3) | st.sampled_from(["", "a\0b", "ü", "\ud800"])
counts = st.integers(0, 2**53 - 1) | st.just(1)
contents = st.lists(st.tuples(texts, texts, texts, counts, counts, counts, st.integers(0, 65_535)), min_size=1)
NUMBERS: Final = {"a": 7, "b": 9}


def uuid(number: int) -> str:
    """Its last eight bytes are alike for two of three."""
    return str(UUID(bytes=number.to_bytes(8, "big") + (number % 3).to_bytes(8, "big")))


@settings(deadline=None)
@given(contents)
def test_the_digests_of_many_are_those_of_each(made: list[Any]) -> None:
    events = [UsageEvent("s", one[0], "1", None, None, TIME, *one[1:]) for one in made]
    columns = Columns.of(events * admission.MANY)
    try:
        expected = [xxhash.xxh3_64_intdigest("\0".join(map(str, one)).encode()) for one in made]
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            admission.digests(columns)
        return
    assert admission.digests(columns).view(np.uint64).tolist() == expected * admission.MANY


requests = st.tuples(
    st.sampled_from(["a", "b"]),
    st.lists(st.integers(0, 40), max_size=3 * FEW),
    st.sampled_from(["uuids", "texts", "numbers", "both"]),
)


def prepared(source: str, those: list[int], how: str) -> Prepared:
    spelt = str if how == "texts" else uuid
    numbered = [how == "numbers" or (how == "both" and place % 2 == 1) for place in range(len(those))]
    events = [
        UsageEvent(source, "acme", "", place + 1, time=TIME) if number else UsageEvent(source, "acme", spelt(one))
        for place, (one, number) in enumerate(zip(those, numbered, strict=True))
    ]
    return prepare(events, {})


@settings(deadline=None)
@given(st.lists(requests.filter(lambda one: bool(one[1])), min_size=1, max_size=4), st.data())
def test_rows_claim_their_keys_in_their_order_however_these_lie(sent: list[Any], data: st.DataObject) -> None:
    block = join([prepared(*one) for one in sent])
    sequence, sources, ids = block.columns.sequence, block.columns.source, block.columns.id
    named = [row for row in range(len(block)) if sequence[row] is None]
    rows = [row for row in named if data.draw(st.just(True) | st.booleans())]
    packed, few = block.claims(rows, NUMBERS.__getitem__)
    found = [
        (one.source, one.keys[at * one.width : (at + 1) * one.width], int(one.digests[at]))
        for one in packed
        for at in range(len(one))
    ] + few
    expected = [(NUMBERS[sources[row]], key_of(ids[row]), int(block.digests[row])) for row in rows]
    assert sorted(found) == sorted(expected)
    for row in named:
        assert block.keys[row] == (sources[row], key_of(ids[row]))


@given(st.lists(st.integers(0, 60), min_size=FEW, max_size=2 * FEW))
def test_that_keys_differ_is_told_of_uuids_as_of_others(those: list[int]) -> None:
    assert prepared("a", those, "uuids").differ is prepared("a", those, "texts").differ is (len({*those}) == len(those))


def test_requests_of_one_block_that_have_keys_of_one_another_count_them_once(light: Services) -> None:
    def events(first: int, *, up: int = 1) -> list[dict[str, Any]]:
        event = {"source": "gw", "account": "acme", "time": TIME, "bytes_up": up, "labels": {"padding": "x" * 200}}
        return [{**event, "id": uuid(number)} for number in range(first, first + 100)]

    light.open()
    together(light, (events(1000), False))
    before = light.keys.committed().block
    answers = together(light, (events(0), False), (events(50), False), (events(140, up=2), False))
    assert light.keys.committed().block == before + 1
    assert sum(one.stored for one in answers) == 240
    assert sum(one.duplicate for one in answers) == 50
    assert sum(one.conflict for one in answers) == 10
    again = together(light, (events(0), True))
    assert again[0].duplicate == 100
    light.whole()
