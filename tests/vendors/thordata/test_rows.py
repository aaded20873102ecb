"""Rows and what time they stand for, on plain days and on odd ones."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.edges import first_instant, format_instant
from flowtally.vendors.thordata.parameters import Range
from flowtally.vendors.thordata.rows import Series, series_of

HOUR = 3_600_000
ZONES = ["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]
ZONES += ["Pacific/Apia", "America/Sao_Paulo", "Antarctica/Troll"]


def hours_of(first: str, last: str, zone: str) -> Series:
    days = (date.fromisoformat(first[:10]), date.fromisoformat(last[:10]))
    return series_of(Range(*days, (first, last)), ZoneInfo(zone))


def days_of(first: str, last: str, zone: str) -> Series:
    return series_of(Range(date.fromisoformat(first), date.fromisoformat(last)), ZoneInfo(zone))


def minutes(found: Series) -> dict[str, int]:
    spans = [(end - start) // 60_000 for start, end in pairwise(found.bounds)]
    return {label: span for label, span in zip(found.labels, spans, strict=True) if span != 60}


def test_days_are_those_of_the_zone() -> None:
    found = days_of("2025-03-29", "2025-03-31", "Europe/Berlin")
    assert found.labels == ["2025-03-29", "2025-03-30", "2025-03-31"]
    assert [(end - start) // HOUR for start, end in pairwise(found.bounds)] == [24, 23, 24]


def test_a_date_the_zone_skipped_is_a_row_of_nothing() -> None:
    found = days_of("2011-12-29", "2011-12-31", "Pacific/Apia")
    assert [(end - start) // HOUR for start, end in pairwise(found.bounds)] == [24, 0, 24]
    assert found.parts([7, 9]) == [7, 0, 9]


def test_hours_have_both_ends() -> None:
    found = hours_of("2025-07-01 22", "2025-07-02 01", "UTC")
    assert found.labels == ["2025-07-01 22", "2025-07-01 23", "2025-07-02 00", "2025-07-02 01"]
    assert [end - start for start, end in pairwise(found.bounds)] == [HOUR] * 4


@pytest.mark.parametrize(
    ("day", "zone", "odd"),
    [
        ("2025-03-30", "Europe/Berlin", {"2025-03-30 02": 0}),
        ("2025-10-26", "Europe/Berlin", {"2025-10-26 02": 120}),
        ("2025-10-05", "Australia/Lord_Howe", {"2025-10-05 02": 30}),
        ("2025-04-06", "Australia/Lord_Howe", {"2025-04-06 01": 90}),
        ("2018-11-04", "America/Sao_Paulo", {"2018-11-04 00": 0}),
        ("2018-02-17", "America/Sao_Paulo", {"2018-02-17 23": 120}),
        ("2010-11-07", "America/St_Johns", {"2010-11-07 00": 120}),
        ("2025-10-26", "Antarctica/Troll", {"2025-10-26 02": 180}),
    ],
)
def test_an_hour_that_comes_twice_is_one_row_and_one_that_never_comes_is_empty(
    day: str, zone: str, odd: dict[str, int]
) -> None:
    found = hours_of(f"{day} 00", f"{day} 23", zone)
    assert len(found.labels) == 24
    assert minutes(found) == odd


@given(
    st.sampled_from(ZONES),
    st.dates(date(1971, 1, 1), date(2040, 1, 1)),
    st.integers(0, 9),
    st.integers(0, 23),
    st.integers(0, 23),
)
def test_hours_divide_the_days_they_are_of(zone: str, first: date, more: int, from_hour: int, to_hour: int) -> None:
    last = first + timedelta(more)
    whole = hours_of(f"{first} 00", f"{last} 23", zone)
    days = days_of(str(first), str(last), zone)
    assert whole.bounds[::24] == days.bounds
    assert whole.bounds[0] == first_instant(first, ZoneInfo(zone))
    assert whole.bounds == sorted(whole.bounds)
    for place, (start, end) in enumerate(pairwise(days.bounds)):
        if end - start == 24 * HOUR:  # on a plain day the clock shows what the label says
            hours = slice(place * 24, place * 24 + 24)
            shown = [format_instant(at, ZoneInfo(zone))[:19].replace("T", " ") for at in whole.bounds[hours]]
            assert shown == [f"{label}:00:00" for label in whole.labels[hours]]
    if more or from_hour <= to_hour:
        cut = hours_of(f"{first} {from_hour:02d}", f"{last} {to_hour:02d}", zone)
        start = whole.labels.index(cut.labels[0])
        assert cut.labels == whole.labels[start : start + len(cut.labels)]
        assert cut.bounds == whole.bounds[start : start + len(cut.bounds)]


@given(st.lists(st.integers(0, 10**15), min_size=2, max_size=2))
def test_parts_add_up_to_what_was_used(used: list[int]) -> None:
    assert sum(days_of("2011-12-29", "2011-12-31", "Pacific/Apia").parts(used)) == sum(used)
