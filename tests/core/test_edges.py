"""Odd days, told as tables, then laws over every zone of the IANA database."""

from __future__ import annotations

import struct
import time
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from itertools import pairwise
from typing import Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowtally import protocol
from flowtally.core.edges import (
    RECENT,
    begin_of_recent,
    bucket_of,
    calendar_edges,
    cut_ends,
    first_instant,
    format_instant,
    load_zone,
    merge_edges,
    parse_bound,
    parse_instant,
    window_of,
)
from flowtally.core.errors import BadRange, UnknownZone
from flowtally.core.words import Bucket

HOUR = 3_600_000
law = settings(deadline=None)  # the machine may be busy
UTC_ZONE = ZoneInfo("UTC")


def spans(bucket: Bucket, start: str, end: str, zone: str) -> list[tuple[str, float]]:
    """Where each span begins on the zone's clock, and how many hours it lasts."""
    tz = load_zone(zone)
    edges = calendar_edges(bucket, parse_bound(start, tz), parse_bound(end, tz), tz)
    return [(format_instant(at, tz), (until - at) / HOUR) for at, until in pairwise(edges)]


# -- Text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-03-01T12:00:00Z", 1772366400000),
        ("2026-03-01t12:00:00z", 1772366400000),
        ("2026-03-01T12:00:00.123Z", 1772366400123),
        ("2026-03-01T12:00:00.1Z", 1772366400100),
        ("2026-03-01T12:00:00.1239999999999999999999999Z", 1772366400123),
        ("2026-03-01T12:00:00.9999999+00:00", 1772366400999),
        ("2026-03-01T17:45:00+05:45", 1772366400000),
        ("2026-03-01T02:30:00.5-09:30", 1772366400500),
        ("2026-03-01T12:00:00-00:00", 1772366400000),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("9999-12-31T23:59:59.999Z", 253402300799999),
        ("0001-01-01T00:00:00Z", -62135596800000),
    ],
)
def test_an_instant_is_read_to_the_millisecond(text: str, at: int) -> None:
    assert parse_instant(text) == at


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-03-01", "2026-03-01T12:00:00", "2026-03-01 12:00:00Z", "2026-03-01T12:00Z",
     "2026-03-01T12:00:00,5Z", "2026-03-01T12:00:00.Z", "2026-03-01T12:00:00 02:00", "2026-03-01T12:00:00+0200",
     "2026-03-01T12:00:00+02", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-03-01T24:00:00Z",
     "2026-03-01T12:60:00Z", "1772366400", "2026-03-01T12:00:00+24:00", "2026-03-01T12:00:00+02:60",
     "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
     "2026-03-01T12:00:00Z\n", "２026-03-01T12:00:00Z", "2026-W01-1T12:00:00Z", "2026-03-01T12:00:00.12ZZ",
     "2026-03-01T120000.0Z", "2026-03-01T12:00:00Z12ZZ"],
)  # fmt: skip
def test_what_is_no_instant_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadRange) as refused:
        parse_instant(text)
    assert repr(text) in refused.value.detail


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60.5Z", "2017-01-01T05:29:60+05:30"])
def test_a_leap_second_is_refused_as_such(text: str) -> None:
    with pytest.raises(BadRange, match="leap second"):
        parse_instant(text)


def test_a_long_text_is_not_repeated_in_full() -> None:
    with pytest.raises(BadRange) as refused:
        parse_instant("9" * 100_000)
    assert len(refused.value.detail) < 200


@law
@given(st.text(alphabet="0129-:.TZtz+ ,W", max_size=26))
@example("2026-03-01T12:00:00Z....")
def test_no_text_raises_anything_but_bad_range(text: str) -> None:
    for mutated in (text, "2026-03-01T12:00:00"[: len(text)] + text, "2026-03-01T12:00:00." + text):
        try:
            at = parse_instant(mutated)
        except BadRange:
            continue
        assert parse_instant(format_instant(at)) == at


@pytest.mark.parametrize(
    ("text", "zone", "shown"),
    [
        ("2026-03-01T12:00:00Z", None, "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00.050Z", "UTC", "2026-03-01T12:00:00.050Z"),
        ("2026-03-01T12:00:00Z", "Europe/London", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T12:00:00.5Z", "Asia/Kathmandu", "2026-03-01T17:45:00.500+05:45"),
        ("2026-03-01T12:00:00Z", "Pacific/Marquesas", "2026-03-01T02:30:00-09:30"),
        ("1969-12-31T23:59:59.999Z", "UTC", "1969-12-31T23:59:59.999Z"),
        ("1971-06-01T12:00:00Z", "Africa/Monrovia", "1971-06-01T12:00:00Z"),  # its offset -00:44:30 is no RFC 3339
        ("1973-06-01T12:00:00Z", "Africa/Monrovia", "1973-06-01T12:00:00+00:00"),
        ("9999-12-31T23:59:59Z", "Asia/Tokyo", "9999-12-31T23:59:59Z"),  # the year 10000 there
    ],
)
def test_an_instant_is_printed_with_its_zones_offset(text: str, zone: str | None, shown: str) -> None:
    assert format_instant(parse_instant(text), load_zone(zone) if zone else None) == shown


# -- Zones ------------------------------------------------------------------------------------------------------------

ZONES = sorted(available_timezones() - {"localtime"})


def test_every_iana_zone_is_known() -> None:
    assert {load_zone(name).key for name in ZONES} == set(ZONES)


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "/", "localtime", "Mars/Olympus", "europe/berlin", "Europe/Berlin ", "Europe", "Europe/",
     "../../etc/passwd", "/usr/share/zoneinfo/UTC", "right/UTC", "posix/UTC", "posixrules", "UTC\x00", "A" * 100_000,
     "+02:00", "zone.tab", "Ëurope", "\ud800"],
)  # fmt: skip
def test_what_is_no_iana_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone) as refused:
        load_zone(name)
    assert len(refused.value.detail) < 200


# -- Bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone", "at"),
    [
        ("2026-03-01", "UTC", "2026-03-01T00:00:00Z"),
        ("2026-03-01", "Asia/Kolkata", "2026-02-28T18:30:00Z"),
        ("2026-03-01", "Asia/Kathmandu", "2026-02-28T18:15:00Z"),
        ("2026-03-01T00:00:00+02:00", "Asia/Tokyo", "2026-02-28T22:00:00Z"),
        ("2019-09-08", "America/Santiago", "2019-09-08T04:00:00Z"),  # begins at 01:00
        ("2022-03-27", "Asia/Beirut", "2022-03-26T22:00:00Z"),
        ("2023-04-28", "Africa/Cairo", "2023-04-27T22:00:00Z"),
        ("2011-12-29", "Pacific/Apia", "2011-12-29T10:00:00Z"),
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),  # skipped: the start of the 31st
        ("2011-12-31", "Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("1993-08-21", "Pacific/Kwajalein", "1993-08-21T12:00:00Z"),
        ("2006-10-29", "America/St_Johns", "2006-10-29T02:30:00Z"),  # set back at 00:01, so midnight comes twice
        ("2018-02-17", "America/Sao_Paulo", "2018-02-17T02:00:00Z"),
        ("2018-02-18", "America/Sao_Paulo", "2018-02-18T03:00:00Z"),  # the clock reached 24:00 and showed 23:00 again
        ("1970-01-01", "Asia/Tokyo", "1969-12-31T15:00:00Z"),
        ("1971-06-01", "Africa/Monrovia", "1971-06-01T00:44:30Z"),
        ("9999-12-31", "Asia/Tokyo", "9999-12-30T15:00:00Z"),
        ("9999-12-31", "America/New_York", "9999-12-31T05:00:00Z"),
    ],
)
def test_a_date_is_its_first_instant_in_the_zone(text: str, zone: str, at: str) -> None:
    assert format_instant(parse_bound(text, load_zone(zone))) == at


@pytest.mark.parametrize(
    "text",
    ["", "today", "2026-3-1", "20260301", "2026-02-30", "2026-W01-1", "1969-12-31", "0000-01-01", "0001-01-01",
     "1969-12-31T23:59:59Z", "10000-01-01", "-2026-01-01", "2026-03-01T00:00", "２026-03-01", "2026-03-01\n"],
)  # fmt: skip
def test_a_bound_outside_1970_to_9999_or_unreadable_is_refused(text: str) -> None:
    with pytest.raises(BadRange) as refused:
        parse_bound(text, UTC_ZONE)
    assert repr(text) in refused.value.detail


# -- Odd days ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-28", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Santiago", "2019-09-07", 24),
        ("America/Santiago", "2019-09-08", 23),  # 01:00 to 24:00
        ("America/Santiago", "2019-04-06", 25),  # 23:00 twice
        ("America/Sao_Paulo", "2018-02-17", 25),
        ("Asia/Beirut", "2022-03-27", 23),
        ("Africa/Cairo", "2023-04-28", 23),
        ("Africa/Cairo", "2023-10-26", 25),
        ("America/St_Johns", "2006-10-28", 24),  # the hour repeated after midnight belongs to the 29th
        ("America/St_Johns", "2006-10-29", 25),
        ("America/St_Johns", "2006-04-02", 23),
        ("Asia/Kathmandu", "2026-03-29", 24),
        ("Asia/Kathmandu", "1985-12-31", 24),
        ("Asia/Kathmandu", "1986-01-01", 23.75),  # +05:30 became +05:45
        ("Pacific/Apia", "2011-12-29", 24),
        ("Africa/Monrovia", "1972-01-07", 24 - 2670 / 3600),  # -00:44:30 became 0
        ("Europe/Dublin", "2026-03-29", 23),  # negative daylight saving in winter
        ("Africa/Casablanca", "2026-02-15", 25),
        ("Antarctica/Troll", "2026-03-29", 22),  # two hours
    ],
)
def test_a_day_lasts_as_long_as_its_zone_says(zone: str, day: str, hours: float) -> None:
    tz = load_zone(zone)
    today = date.fromisoformat(day)
    lasts = first_instant(today + timedelta(days=1), tz) - first_instant(today, tz)
    assert lasts == round(hours * HOUR)


def test_a_date_that_was_skipped_gives_no_day_of_its_own() -> None:
    assert spans("day", "2011-12-29", "2012-01-02", "Pacific/Apia") == [
        ("2011-12-29T00:00:00-10:00", 24),
        ("2011-12-31T00:00:00+14:00", 24),
        ("2012-01-01T00:00:00+14:00", 24),
    ]


def test_a_day_without_midnight_starts_at_one() -> None:
    assert spans("day", "2019-09-07", "2019-09-09", "America/Santiago") == [
        ("2019-09-07T00:00:00-04:00", 24),
        ("2019-09-08T01:00:00-03:00", 23),
    ]


def test_a_repeated_hour_is_two_hours() -> None:
    assert spans("hour", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z", "Europe/Berlin") == [
        ("2026-10-25T01:00:00+02:00", 1),
        ("2026-10-25T02:00:00+02:00", 1),
        ("2026-10-25T02:00:00+01:00", 1),
        ("2026-10-25T03:00:00+01:00", 1),
    ]


def test_a_skipped_hour_gives_no_row() -> None:
    assert spans("hour", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z", "Europe/Berlin") == [
        ("2026-03-29T01:00:00+01:00", 1),
        ("2026-03-29T03:00:00+02:00", 1),
    ]


def test_half_an_hour_set_back_is_a_span_of_its_own() -> None:
    assert spans("hour", "2026-04-04T14:00:00Z", "2026-04-04T16:30:00Z", "Australia/Lord_Howe") == [
        ("2026-04-05T01:00:00+11:00", 1),
        ("2026-04-05T01:30:00+10:30", 0.5),
        ("2026-04-05T02:00:00+10:30", 1),
    ]


def test_half_an_hour_skipped_shortens_its_hour() -> None:
    assert spans("hour", "2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z", "Australia/Lord_Howe") == [
        ("2026-10-04T01:00:00+10:30", 1),
        ("2026-10-04T02:30:00+11:00", 0.5),
        ("2026-10-04T03:00:00+11:00", 1),
    ]


def test_hours_of_a_zone_with_a_quarter_offset_follow_its_clock() -> None:
    starts = [start for start, _ in spans("hour", "2026-03-01", "2026-03-02", "Asia/Kathmandu")]
    assert starts == [f"2026-03-01T{hour:02d}:00:00+05:45" for hour in range(24)]


def test_hours_under_an_offset_with_seconds_follow_its_clock() -> None:
    tz = load_zone("Africa/Monrovia")
    edges = calendar_edges("hour", parse_bound("1972-01-06", tz), parse_bound("1972-01-08", tz), tz)
    lasting = [until - at for at, until in pairwise(edges)]
    short = HOUR - 2_670_000  # 00:44:30 of the first hour of the 7th were skipped
    assert lasting == [HOUR] * 24 + [short] + [HOUR] * 23


def test_weeks_begin_on_monday() -> None:
    starts = [start[:10] for start, _ in spans("week", "2025-12-30", "2026-01-14", "Europe/Berlin")]
    assert starts == ["2025-12-30", "2026-01-05", "2026-01-12"]


def test_months_are_as_long_as_they_are() -> None:
    hours = [lasts for _, lasts in spans("month", "2026-01-01", "2027-01-01", "Europe/Berlin")]
    days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    clock = [0, 0, -1, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert hours == [24 * day + change for day, change in zip(days, clock, strict=True)]


def test_a_range_is_cut_to_the_millisecond() -> None:
    start, end = parse_instant("2026-03-01T23:59:59.999Z"), parse_instant("2026-03-02T00:00:00.001Z")
    assert calendar_edges("day", start, end, UTC_ZONE) == [start, start + 1, end]
    assert calendar_edges("total", start, end, UTC_ZONE) == [start, end]


def test_the_last_day_of_the_calendar_can_be_asked_for() -> None:
    for zone in (UTC_ZONE, load_zone("Asia/Tokyo"), load_zone("Pacific/Pago_Pago")):
        for bucket in get_args(Bucket):
            edges = calendar_edges(bucket, parse_bound("9999-12-30", zone), parse_instant("9999-12-31T23:59:59Z"), zone)
            assert edges == sorted(set(edges))


# -- Refusals and speed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("start", "end"), [(0, 0), (1, 0), (-(10**12), 0), (0, 10**18), (-(10**18), 10**18)])
def test_a_reversed_empty_or_absurd_range_is_refused(start: int, end: int) -> None:
    with pytest.raises(BadRange):
        calendar_edges("total", start, end, load_zone("Asia/Tokyo"))


def test_too_many_spans_are_refused_at_once_with_the_numbers() -> None:
    tz = load_zone("America/New_York")
    began = time.process_time()
    with pytest.raises(BadRange) as refused:
        calendar_edges("15m", parse_bound("1970-01-01", tz), parse_bound("9999-12-31", tz), tz)
    assert time.process_time() - began < 0.01
    assert refused.value.extra == {"spans": 281558016, "limit": 100_000}


@pytest.mark.parametrize(
    ("bucket", "many"), [("15m", 96 * 30), ("hour", 24 * 30), ("day", 30), ("week", 6), ("month", 2)]
)
def test_the_limit_is_exact(bucket: Bucket, many: int) -> None:
    start, end = parse_bound("2026-06-05", UTC_ZONE), parse_bound("2026-07-05", UTC_ZONE)
    many = len(calendar_edges(bucket, start, end, UTC_ZONE, limit=many)) - 1
    with pytest.raises(BadRange) as refused:
        calendar_edges(bucket, start, end, UTC_ZONE, limit=many - 1)
    assert refused.value.extra == {"spans": many, "limit": many - 1}


@pytest.mark.parametrize(("bucket", "until", "count"), [("hour", "2026-01-01", 17_544), ("day", "2034-01-01", 3_653)])
def test_years_of_spans_take_milliseconds(bucket: Bucket, until: str, count: int) -> None:
    tz = load_zone("Europe/Berlin")
    start, end = parse_bound("2024-01-01", tz), parse_bound(until, tz)
    began = time.process_time()
    assert len(calendar_edges(bucket, start, end, tz)) - 1 == count
    assert time.process_time() - began < 0.05


def test_merged_edges_ascend_and_come_once() -> None:
    assert merge_edges([0, 10, 20], [5, 10], [], [30, 1]) == [0, 1, 5, 10, 20, 30]


def test_the_buckets_are_those_of_the_api() -> None:
    assert get_args(Bucket) == get_args(protocol.Bucket)


# -- Laws, over every zone --------------------------------------------------------------------------------------------

zones = st.sampled_from(ZONES).map(load_zone)
instants = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(
    lambda moment: int(moment.replace(tzinfo=UTC).timestamp() * 1000)
)
lengths = st.integers(1, 70 * 24 * HOUR)


def clock(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at // 1000, zone).replace(tzinfo=None) + timedelta(milliseconds=at % 1000)


@st.composite
def odd_ranges(draw: st.DrawFn) -> tuple[ZoneInfo, int, int]:
    """A zone and a range: half the time around a change of its clock, where the mistakes are."""
    zone, start, length = draw(zones), draw(instants), draw(lengths)
    if draw(st.booleans()):
        for day in range(400):
            at = start + day * 24 * HOUR
            if clock(at + 24 * HOUR, zone) - clock(at, zone) != timedelta(days=1):
                start = at - draw(st.integers(0, 3 * 24 * HOUR))
                break
    return zone, start, start + length


@law
@given(odd_ranges(), st.sampled_from(get_args(Bucket)))
def test_edges_ascend_from_start_to_end(odd: tuple[ZoneInfo, int, int], bucket: Bucket) -> None:
    zone, start, end = odd
    edges = calendar_edges(bucket, start, end, zone)
    assert edges[0] == start
    assert edges[-1] == end
    assert all(at < until for at, until in pairwise(edges))


@law
@given(odd_ranges())
def test_finer_calendars_keep_the_edges_of_coarser_ones(odd: tuple[ZoneInfo, int, int]) -> None:
    zone, start, end = odd
    fine, hours, days, weeks, months = (
        set(calendar_edges(bucket, start, end, zone)) for bucket in ("15m", "hour", "day", "week", "month")
    )
    assert weeks | months <= days <= hours <= fine


@law
@given(odd_ranges(), st.sampled_from(get_args(Bucket)), st.data())
def test_cutting_a_range_anywhere_moves_no_edge(
    odd: tuple[ZoneInfo, int, int], bucket: Bucket, data: st.DataObject
) -> None:
    zone, start, end = odd
    whole = calendar_edges(bucket, start, end, zone)
    cut = data.draw(st.integers(start, end) | st.sampled_from(whole))
    if start < cut < end:
        left, right = calendar_edges(bucket, start, cut, zone), calendar_edges(bucket, cut, end, zone)
        assert merge_edges(left, right) == merge_edges(whole, [cut])


@law
@given(odd_ranges())
def test_a_day_edge_is_the_first_instant_of_a_date(odd: tuple[ZoneInfo, int, int]) -> None:
    zone, start, end = odd
    for at in calendar_edges("day", start, end, zone)[1:-1]:
        today = clock(at, zone).date()
        assert clock(at - 1, zone).date() < today
        # Brute force: not a minute of the three days before showed this date or a later one.
        assert all(clock(at - minutes * 60_000 - 1, zone).date() < today for minutes in range(0, 3 * 24 * 60, 7))


@law
@given(odd_ranges())
def test_days_agree_with_a_walk_over_the_clock(odd: tuple[ZoneInfo, int, int]) -> None:
    """The slow model: in steps of 15 s, an edge wherever the clock shows a date it never showed before."""
    zone, start, _ = odd
    start -= start % 60_000
    end = start + 2 * 24 * HOUR
    highest = max(clock(start - minutes * 60_000, zone).date() for minutes in range(3 * 60))
    walked = []
    for at in range(start + 15_000, end, 15_000):
        if clock(at, zone).date() > highest:
            highest = clock(at, zone).date()
            walked.append(at)
    assert calendar_edges("day", start, end, zone)[1:-1] == walked


@law
@given(odd_ranges(), st.sampled_from([("hour", 60), ("15m", 15)]))
def test_hours_agree_with_a_walk_over_the_clock(odd: tuple[ZoneInfo, int, int], cut: tuple[Bucket, int]) -> None:
    """The slow model: in steps of 15 s, an edge wherever the clock shows another hour (quarter) or went back."""
    zone, start, _ = odd
    bucket, minutes = cut
    start -= start % 60_000
    end = start + 24 * HOUR
    walked = []
    before = clock(start, zone)
    for at in range(start + 15_000, end, 15_000):
        now = clock(at, zone)
        if now < before or now.replace(minute=now.minute // minutes * minutes, second=0) > before:
            walked.append(at)
        before = now
    assert calendar_edges(bucket, start, end, zone)[1:-1] == walked


@law
@given(zones, instants)
def test_an_instant_printed_in_any_zone_reads_back(zone: ZoneInfo, at: int) -> None:
    assert parse_instant(format_instant(at, zone)) == at


def offset_changes(name: str) -> list[int]:
    """Seconds since 1970 at which the zone's offset changes, read from the compiled file (RFC 8536, version 2 part)."""
    data = (resources.files("tzdata.zoneinfo") / name).read_bytes()
    utc, std, leap, times, types, chars = struct.unpack(">6l", data[20:44])
    data = data[44 + times * 5 + types * 6 + chars + leap * 8 + std + utc :]
    _, _, _, times, types, _ = struct.unpack(">6l", data[20:44])
    at = struct.unpack(f">{times}q", data[44 : 44 + times * 8])
    kinds = data[44 + times * 8 : 44 + times * 9]
    offsets = [struct.unpack_from(">l", data, 44 + times * 9 + kind * 6)[0] for kind in range(types)]
    shown = [offsets[kind] for kind in kinds]
    return [moment for moment, (before, after) in zip(at[1:], pairwise(shown), strict=True) if before != after]


def test_no_zone_changes_its_clock_twice_within_two_days() -> None:
    """The daily look for changes relies on it; a new release of the database could break it."""
    for name in ZONES:
        changes = [moment for moment in offset_changes(name) if moment > -86_400]
        assert all(later - sooner > 2 * 86_400 for sooner, later in pairwise(changes)), name


@law
@given(odd_ranges(), st.sampled_from(("day", "month")))
def test_the_window_of_an_instant_is_the_span_of_the_calendar_that_holds_it(
    odd: tuple[ZoneInfo, int, int], window: Literal["day", "month"]
) -> None:
    zone, at, _ = odd
    start, end = window_of(window, at, zone)
    assert start <= at < end
    around = 40 * 24 * HOUR
    edges = calendar_edges(window, max(start - around, -24 * HOUR), end + around, zone)
    assert end in edges[1:-1]
    assert start in edges or start < 0
    assert not [edge for edge in edges if start < edge < end]


SPANS = st.sampled_from([bucket for bucket in get_args(Bucket) if bucket != "total"])


@law
@given(odd_ranges(), SPANS)
def test_a_span_is_marked_where_it_is_not_a_whole_span_of_the_calendar(
    odd: tuple[ZoneInfo, int, int], bucket: Bucket
) -> None:
    zone, start, end = odd
    end = min(end, start + 3000 * HOUR // 4)
    around = calendar_edges(bucket, max(start - 40 * 24 * HOUR, 0), end + 40 * 24 * HOUR, zone)[1:-1]
    edges = calendar_edges(bucket, start, end, zone)
    marked = cut_ends(bucket, edges, zone)
    for span, (at, until) in enumerate(pairwise(edges)):
        begun, ended = at in around or at < 33 * 24 * HOUR, until in around
        if at >= 33 * 24 * HOUR:  # what is cut before 1970 is told below
            assert marked.get(span) == {(True, True): None, (False, True): "start", (True, False): "end"}.get(
                (begun, ended), "both"
            )
    assert cut_ends("total", [start, end], zone) == {}


@law
@given(odd_ranges(), SPANS)
def test_what_is_shown_by_default_cuts_no_span(odd: tuple[ZoneInfo, int, int], bucket: Bucket) -> None:
    zone, now, _ = odd
    end = bucket_of(bucket, now, zone)[1]
    start = begin_of_recent(bucket, end, zone)
    edges = calendar_edges(bucket, start, end, zone)
    assert cut_ends(bucket, edges, zone) == {}
    assert edges[-2] <= now < edges[-1]
    if bucket in ("month", "week") and start > 0:
        assert len(edges) - 1 == RECENT[bucket]
    if bucket in ("hour", "15m", "day") and start > 0:  # where the clock was changed, or a date was skipped
        assert RECENT[bucket] - 1 <= len(edges) - 1 <= RECENT[bucket] + 5


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("bucket", ["15m", "hour", "day", "week", "month"])
def test_nothing_is_cut_off_where_nothing_can_be(zone: str, bucket: Bucket) -> None:
    named = load_zone(zone)
    first = bucket_of(bucket, 0, named)[1]
    assert cut_ends(bucket, calendar_edges(bucket, 0, first, named), named) == {}
    assert begin_of_recent(bucket, first, named) == 0
    last = parse_instant("9999-12-31T23:59:59.999Z") + 1
    edges = calendar_edges(bucket, last - 40 * 24 * HOUR, last, named)
    assert cut_ends(bucket, edges, named).get(len(edges) - 2) is None


def test_the_window_goes_on_where_the_clock_was_set_back_across_midnight() -> None:
    """St John's, 2010-11-07: at 00:01 the clock went back to 23:01."""
    zone = load_zone("America/St_Johns")
    begun = parse_instant("2010-11-07T00:00:00-02:30")
    again = begun + 30 * 60_000  # the clock shows 23:30 of the day before
    assert format_instant(again, zone).startswith("2010-11-06T23:")
    assert window_of("day", again, zone)[0] == begun


def test_the_last_day_of_the_calendar_has_a_window() -> None:
    start, end = window_of("month", parse_instant("9999-12-31T23:59:59Z"), load_zone("UTC"))
    assert (format_instant(start), end) == ("9999-12-01T00:00:00Z", 253_402_300_800_000)
