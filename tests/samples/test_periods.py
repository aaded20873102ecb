"""What a period comes to: a table a reader can check, and a slow model beside it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.words import Aggregation
from flowtally.samples.periods import PeriodValue, summarize

KEPT = st.dictionaries(st.integers(0, 400_000), st.integers(-(2**53) * 1000, 2**53 * 1000), min_size=1, max_size=60)

TABLE = """
at    value
0     1
59    2
60    4
119   1
300   9
"""


@pytest.fixture
def series() -> tuple[list[int], list[int]]:
    rows = [line.split() for line in TABLE.split("\n")[2:-1]]
    return [int(at) for at, _ in rows], [int(value) * 1000 for _, value in rows]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("mean", [(0, 1500, 2), (60, 2500, 2), (300, 9000, 1)]),
        ("max", [(0, 2000, 2), (60, 4000, 2), (300, 9000, 1)]),
        ("min", [(0, 1000, 2), (60, 1000, 2), (300, 9000, 1)]),
        ("last", [(0, 2000, 2), (60, 1000, 2), (300, 9000, 1)]),
        ("sum", [(0, 3000, 2), (60, 5000, 2), (300, 9000, 1)]),
    ],
)
def test_a_period_has_one_value_and_one_without_samples_none(
    series: tuple[list[int], list[int]], aggregation: str, expected: list[tuple[int, int, int]]
) -> None:
    told = told_of(*series, 60, aggregation)  # type: ignore[arg-type]
    assert [(one.at, one.value, one.samples) for one in told] == expected


@pytest.mark.parametrize(
    ("values", "mean"), [((1, 2), 2), ((2, 3), 2), ((1, 1, 2), 1), ((-1, -2), -2), ((-1, 0), 0), ((0, 1, 1), 1)]
)
def test_a_mean_is_rounded_to_the_nearest_and_half_to_even(values: tuple[int, ...], mean: int) -> None:
    [one] = told_of(range(len(values)), values, 60, "mean")
    assert one.value == mean == round(Fraction(sum(values), len(values)))


@given(KEPT)
def test_the_sums_of_the_minutes_are_the_sum_of_their_day(kept: dict[int, int]) -> None:
    times = sorted(kept)
    values = [kept[at] for at in times]
    days: dict[int, int] = {}
    for one in told_of(times, values, 60, "sum"):
        days[one.at // 86_400] = days.get(one.at // 86_400, 0) + one.value
    assert days == {one.at // 86_400: one.value for one in told_of(times, values, 86_400, "sum")}


def told_of(times: Sequence[int], values: Sequence[int], period_s: int, aggregation: Aggregation) -> list[PeriodValue]:
    return list(summarize(np.array(times, np.int64), np.array(values, np.int64), period_s, aggregation))


def slowly(times: Sequence[int], values: Sequence[int], period_s: int, aggregation: Aggregation) -> list[PeriodValue]:
    """The same by Python's own numbers, a period at a time."""
    found = []
    for period, pairs in groupby(zip(times, values, strict=True), lambda pair: pair[0] // period_s):
        stood = [value for _, value in pairs]
        makes = {
            "mean": round(Fraction(sum(stood), len(stood))),
            "max": max(stood),
            "min": min(stood),
            "last": stood[-1],
            "sum": sum(stood),
        }
        found.append(PeriodValue(period * period_s, makes[aggregation], len(stood)))
    return found


@given(KEPT, st.sampled_from([60, 300, 3600, 86_400]), st.sampled_from(get_args(Aggregation)))
def test_it_is_what_the_slow_way_gives(kept: dict[int, int], period_s: int, aggregation: Aggregation) -> None:
    times = sorted(kept)
    values = [kept[at] for at in times]
    assert told_of(times, values, period_s, aggregation) == slowly(times, values, period_s, aggregation)


def test_no_samples_make_no_periods() -> None:
    assert told_of([], [], 60, "mean") == []
