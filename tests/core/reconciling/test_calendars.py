"""Days of a vendor: of a zone's calendar, or of an offset."""

from __future__ import annotations

from itertools import pairwise

import pytest

from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import BadRange, UnknownZone
from flowtally.core.reconciling.calendars import VendorCalendar, show_offset
from flowtally.core.times import DAY_MS, HOUR_MS, MINUTE_MS


def days(zone: str, start: str, end: str) -> list[str]:
    edges = VendorCalendar(zone).days(parse_instant(start), parse_instant(end), 10)
    return [format_instant(edge) for edge in edges]


def test_only_whole_days_are_taken() -> None:
    whole = ["2026-03-01T16:00:00Z", "2026-03-02T16:00:00Z", "2026-03-03T16:00:00Z"]
    for zone in ("+08:00", "Asia/Shanghai"):
        assert days(zone, "2026-03-01T15:00:00Z", "2026-03-03T17:00:00Z") == ["2026-03-01T16:00:00Z", *whole[1:]]
        assert days(zone, "2026-03-01T16:00:00Z", "2026-03-03T16:00:00Z") == whole
        assert days(zone, "2026-03-01T15:59:59Z", "2026-03-03T15:59:59Z") == whole[:2]
        with pytest.raises(BadRange, match="No whole day"):
            days(zone, "2026-03-01T16:00:01Z", "2026-03-03T15:59:59Z")
        with pytest.raises(BadRange, match="11 days; at most 10"):
            days(zone, "2026-03-01T16:00:00Z", "2026-03-12T16:00:00Z")


def test_a_date_is_the_vendors_and_an_instant_is_an_instant() -> None:
    for zone, midnight in (("+05:30", "2026-02-28T18:30:00Z"), ("-03:00", "2026-03-01T03:00:00Z")):
        calendar = VendorCalendar(zone)
        assert calendar.bound("2026-03-01") == parse_instant(midnight)
        assert calendar.bound("2026-03-01T00:00:00Z") == parse_instant("2026-03-01T00:00:00Z")
    with pytest.raises(BadRange):
        VendorCalendar("+08:00").bound("yesterday")


def test_a_day_of_a_clock_that_is_changed_has_23_hours_and_begins_at_its_midnight() -> None:
    calendar = VendorCalendar("Europe/Berlin")
    edges = calendar.days(parse_instant("2026-03-27T23:00:00Z"), parse_instant("2026-03-30T22:00:00Z"), 10)
    assert [(after - edge) // HOUR_MS for edge, after in pairwise(edges)] == [24, 23, 24]
    clocks = [calendar.clock(edge) for edge in edges]
    assert [after - clock for clock, after in pairwise(clocks)] == [DAY_MS] * 3
    assert format_instant(clocks[0]) == "2026-03-28T00:00:00Z"
    assert calendar.show(edges[-1]) == "2026-03-31T00:00:00+02:00"


def test_instants_are_shown_by_the_vendors_clock() -> None:
    at = parse_instant("2026-03-01T18:30:00Z")
    assert VendorCalendar("+05:30").show(at) == "2026-03-02T00:00:00+05:30"
    assert VendorCalendar("+00:00").show(at) == VendorCalendar("UTC").show(at) == "2026-03-01T18:30:00Z"
    assert VendorCalendar("-03:00").clock(parse_instant("2026-03-01T03:00:00Z")) == parse_instant(
        "2026-03-01T00:00:00Z"
    )
    assert [show_offset(one) for one in (0, 8 * HOUR_MS, -90 * MINUTE_MS)] == ["+00:00", "+08:00", "-01:30"]


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(UnknownZone):
        VendorCalendar("Mars/Olympus")
