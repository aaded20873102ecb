"""Chunks: what is packed is what is unpacked, and what is damaged is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.errors import StoreDamaged
from flowtally.samples.chunks import MAX_IN_CHUNK, SPAN_S, pack, span_of, unpack

MOST = (2**53 - 1) * 1000
MINUTES = list(range(0, SPAN_S, 60))


def unpacked(span: int, count: int, packed: bytes) -> tuple[list[int], list[int]]:
    times, values = unpack(span, count, packed)
    return times.tolist(), values.tolist()


@given(
    st.integers(0, 200_000),
    st.dictionaries(st.integers(0, SPAN_S - 1), st.integers(-MOST, MOST), min_size=1, max_size=50),
)
def test_what_is_packed_is_unpacked(span: int, kept: dict[int, int]) -> None:
    times = sorted(span * SPAN_S + at for at in kept)
    values = [kept[at - span * SPAN_S] for at in times]
    assert unpacked(span, len(times), pack(span, times, values)) == (times, values)
    assert {span_of(at) for at in times} == {span}


def test_the_largest_and_the_smallest_go_together() -> None:
    times, values = [0, SPAN_S - 1], [-MOST, MOST]
    assert unpacked(0, 2, pack(0, times, values)) == (times, values)


def test_a_full_chunk_is_unpacked() -> None:
    times = list(range(0, SPAN_S, 10))
    values = [(at * 7919) ** 3 % MOST for at in times]
    assert len(times) == MAX_IN_CHUNK
    assert unpacked(0, len(times), pack(0, times, values)) == (times, values)


def test_a_gauge_that_stands_still_takes_next_to_nothing() -> None:
    assert len(pack(0, MINUTES, [5_000] * len(MINUTES))) < 60


def test_whole_numbers_take_no_more_than_their_thousandths() -> None:
    values = [at * 31 % 199 for at in MINUTES]
    whole = len(pack(0, MINUTES, [value * 1000 for value in values]))
    assert whole <= len(pack(0, MINUTES, values)) + 8


@pytest.mark.parametrize("at", [0, 5, 20, -5])
def test_bytes_that_were_changed_are_named(at: int) -> None:
    packed = bytearray(pack(0, MINUTES, [at * 31 % 199 for at in MINUTES]))
    packed[at] ^= 0x55
    with pytest.raises(StoreDamaged):
        unpack(0, len(MINUTES), bytes(packed))


@pytest.mark.parametrize("count", [0, len(MINUTES) - 1, len(MINUTES) + 1])
def test_another_count_than_there_are_is_named(count: int) -> None:
    with pytest.raises(StoreDamaged):
        unpack(0, count, pack(0, MINUTES, MINUTES))


def test_bytes_that_are_none_of_ours_are_named() -> None:
    for packed in (b"", b"x" * 40):
        with pytest.raises(StoreDamaged):
            unpack(0, 1, packed)
