"""What a vendor told of each row: a table for each kind of question, and what stays a figure."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.answers.statement import columns_of, to_csv
from flowtally.answers.told_rows import COLUMNS, columns_told, show_told
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.reported import Grain
from flowtally.core.times import HOUR_MS
from flowtally.protocol import Totals, UsageAnswer
from flowtally.protocol.usage import ToldStretch

MARCH: Final = parse_instant("2026-03-01T00:00:00Z")
NOBODY: Final = Totals(0, 0, 0, 0)


def stretch(first_hour: int, end_hour: int, grain: Grain = "day", zone: str = "UTC") -> ToldStretch:
    start, end = (format_instant(MARCH + hour * HOUR_MS) for hour in (first_hour, end_hour))
    return ToldStretch(start, end, grain, zone, 1)


def answer(figures: list[int], every_h: int, *told: ToldStretch, **more: Any) -> UsageAnswer:
    """Of the provider thor, from March on."""
    edges = [format_instant(MARCH + number * every_h * HOUR_MS) for number in range(len(figures) + 1)]
    rows: list[dict[str, Any]] = [
        {"start": start, "end": end, "bytes_up": 0, "bytes_down": one, "bytes": one, "requests": 0, "cut": None} | more
        for (start, end), one in zip(pairwise(edges), figures, strict=True)
    ]
    return UsageAnswer("acme", edges[0], edges[-1], "UTC", "day", rows, NOBODY, grain={"thor": list(told)})


def said(one: UsageAnswer) -> list[tuple[Any, ...]]:
    """Of each row, what was told of it and its bytes."""
    return [(row["told"], row["grain"], row["zone"], row["bytes"]) for row in show_told(one).rows]


def test_a_day_that_was_not_told_is_empty_and_one_that_was_is_zero() -> None:
    assert said(answer([7, 0, 0], 24, stretch(0, 48))) == [
        ("whole", "day", "UTC", 7),
        ("whole", "day", "UTC", 0),
        ("none", "", "", None),
    ]
    assert to_csv(show_told(answer([7, 0], 24, stretch(0, 24))), (*columns_of(()), *COLUMNS)).decode().splitlines() == [
        "start,end,bytes_up,bytes_down,bytes,requests,cut,told,grain,zone",
        "2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,0,7,7,0,,whole,day,UTC",
        "2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,,,,,,none,,",
    ]


def test_of_hours_of_a_vendor_that_tells_days_only_the_one_that_has_the_figure_has_one() -> None:
    hours = said(answer([9, *[0] * 23, 0, 0], 1, stretch(0, 48)))
    assert hours[0] == ("finer", "day", "UTC", 9)
    assert hours[1:24] == [("finer", "day", "UTC", None)] * 23
    assert hours[24:] == [("finer", "day", "UTC", 0), ("finer", "day", "UTC", None)]  # a day of nothing begins


def test_days_of_another_calendar_have_the_day_that_begins_in_them() -> None:
    assert said(answer([5, 0], 24, stretch(-8, 40, zone="+08:00"))) == [
        ("finer", "day", "+08:00", 5),
        ("finer", "day", "+08:00", None),  # the day that goes on here began the day before
    ]


def test_a_total_over_a_hole_is_a_part_and_says_each_way_in_which_it_was_told() -> None:
    told = stretch(0, 24), stretch(24, 30, "hour", "+08:00")
    assert said(answer([5], 48, *told)) == [("part", "day hour", "UTC +08:00", 5)]
    assert said(answer([5], 30, *told)) == [("whole", "day hour", "UTC +08:00", 5)]


def test_use_that_is_dated_when_it_was_seen_is_cut_by_no_row() -> None:
    assert said(answer([5, 0, 0], 1, stretch(0, 2, "pull"))) == [
        ("whole", "pull", "UTC", 5),
        ("whole", "pull", "UTC", 0),
        ("none", "", "", None),
    ]


def test_a_figure_stays_though_nothing_is_known_of_its_time() -> None:
    """A report that is not yet complete has its rows, and no stretch."""
    assert said(answer([5], 24)) == [("none", "", "", 5)]


def test_what_was_measured_is_known() -> None:
    measured = answer([5, 0], 24, series="metered")
    assert said(measured) == [(None, None, None, 5), (None, None, None, 0)]
    alone = UsageAnswer("acme", measured.start, measured.end, "UTC", "day", measured.rows, NOBODY)
    assert (columns_told(alone), show_told(alone)) == ((), alone)


@pytest.mark.parametrize("grain", ["hour", "day"])
@given(st.data())
def test_no_figure_is_lost_and_none_is_made(grain: Grain, data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(["UTC", "+05:30", "Europe/Berlin", "nowhere"]))
    first, length = data.draw(st.integers(-50, 50)), data.draw(st.integers(1, 60))
    figures = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=30))
    before = answer(figures, data.draw(st.integers(1, 30)), stretch(first, first + length, grain, zone))
    after = show_told(before)
    assert [row["bytes"] or 0 for row in after.rows] == figures
    for row in after.rows:
        in_it = min(parse_instant(str(row["end"])), MARCH + (first + length) * HOUR_MS)
        in_it -= max(parse_instant(str(row["start"])), MARCH + first * HOUR_MS)
        assert (row["told"] == "none") == (in_it <= 0)
        assert row["bytes"] is not None or row["told"] in ("none", "finer")
        if row["told"] == "whole":
            assert in_it == parse_instant(str(row["end"])) - parse_instant(str(row["start"]))
