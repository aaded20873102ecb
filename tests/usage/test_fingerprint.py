"""Digests: two lists differ in a bucket exactly where they do not hold the same, and SQL digests as Python does."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowtally.keys.key_bytes import key_of
from flowtally.usage import fingerprint
from flowtally.usage.engine import Engine
from flowtally.usage.fingerprint import BucketDigests

Entry = tuple[bytes, int, int]
ENTRIES = st.lists(
    st.tuples(st.binary(min_size=1, max_size=3), st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
              st.integers(1, 2**40) | st.integers(1, 3)), max_size=30
)  # fmt: skip
IDS = (
    "a", "ü", "x\ny", "x" * 36, "0198f3a0-1111-7abc-8def-00000000000a", "0198f3a0-1111-7abc-8def-000000000000",
    "00000000-0000-0000-0000-000000000000", "0198F3A0-1111-7ABC-8DEF-00000000000A",
    "0198f3a0-1111-7abc-8def-00000000000\n", "0198f3a0-1111-7abc-8def-0000000000 a",
    "0198f3a0-1111-7abc-8def-00000000000a\n", "0198f3a0x1111-7abc-8def-00000000000a",
)  # fmt: skip


def digests(entries: list[Entry]) -> BucketDigests:
    made = BucketDigests()
    for start in range(0, len(entries), 7):  # in portions: the order of things does not matter
        keys, digests, blocks = zip(*entries[start : start + 7], strict=True)
        entry = fingerprint.entries("gw", keys)
        made.add(entry, fingerprint.contents(entry, digests, blocks))
    return made


@given(ENTRIES, st.randoms())
def test_order_and_portions_do_not_matter(entries: list[Entry], chance: object) -> None:
    shuffled = sorted(entries, key=lambda _: chance.random())  # type: ignore[attr-defined]
    assert digests(entries).differing(digests(shuffled)) == []


@given(ENTRIES, ENTRIES)
def test_lists_differ_exactly_where_their_entries_do(one: list[Entry], other: list[Entry]) -> None:
    differing = (Counter(one) - Counter(other)) + (Counter(other) - Counter(one))
    entry = fingerprint.entries("gw", [key for key, _, _ in differing])
    buckets = {int(bucket) for bucket in entry % np.uint64(fingerprint.BUCKETS)} if differing else set()
    assert set(digests(one).differing(digests(other))) == buckets


@given(st.integers(1, 10**12), st.integers(0, 500), st.data())
def test_a_run_of_numbers_is_its_numbers(first: int, length: int, data: st.DataObject) -> None:
    numbers = list(range(first, first + length + 1))
    assert fingerprint.of_numbers(first, first + length) == fingerprint.of_some(numbers)
    removed = data.draw(st.sampled_from(numbers))
    rest = [number for number in numbers if number != removed]
    assert fingerprint.of_some(rest) != fingerprint.of_some(numbers)


def test_the_engine_folds_ids_as_python_folds_keys(database_url: str) -> None:
    engine = Engine(database_url)
    try:
        source = "(SELECT arrayJoin({ids:Array(String)}) AS id, 'gw' AS key_source, toInt64(-5) AS digest, "
        source += "toUInt64(7) AS block)"
        text = f"SELECT id, {fingerprint.ENTRY_SQL}, {fingerprint.CONTENT_SQL} FROM {source} GROUP BY id, key_source"
        rows = engine.rows(text, {"ids": list(IDS)})
        assert len(rows) == len(IDS)
        for id, entry, content in rows:
            mine = fingerprint.entries("gw", [key_of(id)])
            assert int(mine[0]) == entry, id
            assert int(fingerprint.contents(mine, [-5], [7])[0]) == content
    finally:
        engine.close()
