"""Which buckets a range of IPFoxy's usage list holds."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.edges import parse_instant
from flowtally.core.times import HOUR_MS
from flowtally.vendors.ipfoxy.rows import UTC_PLUS_8, bucket_edges

SIZES: dict[Literal["hour", "day"], int] = {"hour": HOUR_MS, "day": 24 * HOUR_MS}


def test_the_documented_range_of_one_day_is_that_day_though_it_begins_a_second_late() -> None:
    start, end = 1_725_206_401_000, 1_725_292_799_999
    day = [parse_instant("2024-09-01T16:00:00Z"), parse_instant("2024-09-02T16:00:00Z")]
    assert bucket_edges("day", start, end) == day
    assert len(bucket_edges("hour", start, end)) == 25


def test_a_range_of_one_instant_is_the_bucket_that_holds_it() -> None:
    midnight = parse_instant("2024-09-01T16:00:00Z")
    assert bucket_edges("hour", midnight, midnight) == [midnight, midnight + HOUR_MS]
    assert bucket_edges("hour", midnight - 1, midnight) == [midnight - HOUR_MS, midnight, midnight + HOUR_MS]
    assert bucket_edges("day", midnight, midnight, 0)[0] == parse_instant("2024-09-01T00:00:00Z")


@given(
    st.sampled_from(["hour", "day"]),
    st.integers(0, 2**42),
    st.integers(0, 90 * 24 * HOUR_MS),
    st.integers(-12, 14).map(lambda hour: hour * HOUR_MS),
)
def test_buckets_are_whole_on_the_clock_and_just_hold_the_range(
    unit: Literal["hour", "day"], start: int, length: int, offset: int
) -> None:
    edges, size = bucket_edges(unit, start, start + length, offset), SIZES[unit]
    assert all(later - one == size for one, later in pairwise(edges))
    assert all((edge + offset) % size == 0 for edge in edges)
    assert edges[0] <= start < edges[1]
    assert edges[-2] <= start + length < edges[-1]


def test_usually_buckets_are_cut_in_utc_plus_8() -> None:
    assert UTC_PLUS_8 == 8 * HOUR_MS
