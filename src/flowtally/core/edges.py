"""Instants, and the edges that cut time into spans.

Owns RFC 3339 (the doors' text for instants), IANA zones, and where the 15-minute, hour, day, week and month spans of a
zone begin. Instants are whole milliseconds since 1970-01-01T00:00:00Z; spans include their start and exclude their end.

Two rules make every odd day come out right:

* A day begins at the first instant at which the zone's clock shows its date or a later one, and ends where the next
  begins. A day without midnight starts at 01:00, a date that was skipped has no span, and a clock set back across
  midnight lengthens the day that had already begun. Weeks are ISO weeks; they and months are made of whole days.
* An hour (and 15 minutes) begins whenever the clock comes to another one, and whenever the clock is set back. So a
  repeated hour is two spans, and no span holds the same clock reading twice. Where daylight saving is 30 minutes
  (Lord Howe), the repeated half hour is a span of 30 minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from msgspec import Meta

from flowtally.core.errors import BadRange, UnknownZone
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.core.words import Bucket

# Texts as messages hold them: here for who describes messages, looked at where they are read.
Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Date = Annotated[str, Meta(extra_json_schema={"format": "date"})]
DateOrInstant = Annotated[
    str,
    Meta(
        extra_json_schema={"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
    ),
]

Cut = Literal["start", "end", "both"]

MAX_SPANS: Final = 100_000
# How many spans a range has that does not say where it begins: a day of quarter hours, two of hours, a month of days, a
# quarter of weeks, a year of months. `total` is one span, of as many days.
RECENT: Final[dict[Bucket, int]] = {"15m": 96, "hour": 48, "day": 30, "week": 12, "month": 12, "total": 30}

_CLOCK_MS: Final[dict[str, int]] = {"15m": HOUR_MS // 4, "hour": HOUR_MS}  # cut by the clock; the others by the date
_USUAL_MS: Final = {**_CLOCK_MS, "day": DAY_MS, "week": 7 * DAY_MS, "month": 30 * DAY_MS}

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  (wall clocks and UTC are both reckoned from it, in whole ms)
_EPOCH_DAY: Final = _EPOCH.toordinal()
_LAST_DAY: Final = date.max.toordinal()
_MIN_MS: Final = (date.min.toordinal() - _EPOCH_DAY) * DAY_MS
_MAX_MS: Final = (_LAST_DAY + 1 - _EPOCH_DAY) * DAY_MS  # the end of the year 9999
_FIRST_YEAR: Final = 1970  # nothing older can be stored
_MAX_ZONE_CHARS: Final = 64
_UTC_KEYS: Final = frozenset({"UTC", "Etc/UTC"})

EXAMPLE: Final = "2026-03-01T12:00:00Z"
_MONTH: Final = re.compile(r"\d{4}-\d\d", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_TOLD_PLUS: Final = "has a space before its offset: in a URL a + means a space, so write %2B instead of +"
_PLUS_LOST: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt][\d:.]+ \d\d:\d\d", re.ASCII)


# -- Text: RFC 3339 ---------------------------------------------------------------------------------------------------


def parse_instant(text: str) -> int:
    """RFC 3339 with `Z` or an offset, in milliseconds; finer fractions are cut off. BadRange names the text.

    A leap second (`:60`) is refused: it has no place of its own in milliseconds since 1970.
    """
    if (usual := _parse_usual(text)) is not None:
        return usual
    match = _INSTANT.fullmatch(text)
    if match is None:
        if _PLUS_LOST.fullmatch(text):
            raise BadRange(f"{_shown(text)} {_TOLD_PLUS}")
        what = "is a date, and" if _DATE.fullmatch(text) else "is"
        raise BadRange(f"{_shown(text)} {what} not an RFC 3339 instant with Z or an offset, such as {EXAMPLE}")
    year, month, day, hour, minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    if second == "60":
        raise BadRange(f"{_shown(text)} is a leap second; state the second before or after it")
    try:
        clock = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second))  # noqa: DTZ001
    except ValueError as error:
        raise BadRange(f"{_shown(text)} is not an instant: {error}") from None
    at = _whole_ms(clock - _EPOCH)
    if fraction:
        at += int((fraction[:3] + "00")[:3])
    if sign:
        at -= _offset_of_text_ms(text, sign, int(offset_hour), int(offset_minute))
    if not _MIN_MS <= at < _MAX_MS:
        raise BadRange(f"{_shown(text)} is outside the years 1 to 9999")
    return at


def _parse_usual(text: str) -> int | None:
    """The spelling nearly all events use, `2026-03-01T12:00:00.123Z`, three times faster; None for any other."""
    if len(text) not in {20, 24} or text[4:17:3] != "--T::" or text[-1] != "Z" or text[19] not in ".Z":
        return None
    try:
        since = datetime.fromisoformat(text[:-1]) - _EPOCH
    except (ValueError, TypeError):  # TypeError: it reads a second Z as a zone
        return None
    return _whole_ms(since) + since.microseconds // 1000


def _offset_of_text_ms(text: str, sign: str, hour: int, minute: int) -> int:
    if hour > 23 or minute > 59:
        raise BadRange(f"{_shown(text)} is not an instant: its offset is more than 23:59")
    offset = hour * HOUR_MS + minute * 60_000
    return -offset if sign == "-" else offset


def second_of(at: int) -> int:
    """When the second that holds this instant began. What is made "now" begins there: logs and shells date by whole
    seconds, and what happens right after must not be dated before it."""
    return at - at % 1000


def find_instant(text: str) -> int | None:
    """The same of a text that may be anything else."""
    try:
        return parse_instant(text)
    except BadRange:
        return None


def format_instant(at: int, zone: ZoneInfo | None = None) -> str:
    """RFC 3339, `Z` for UTC, else with the zone's offset; milliseconds only where they are not zero.

    RFC 3339 offsets are whole minutes. Where the zone's is not (Monrovia before 1972: -00:44:30), and where the
    local date leaves the years 1 to 9999, the same instant is printed in UTC.
    """
    if zone is None or zone.key in _UTC_KEYS:
        return _utc_text(at)
    try:
        text = datetime.fromtimestamp(at // 1000, zone).isoformat()
    except (ValueError, OverflowError):
        return _utc_text(at)
    if len(text) != len("2026-03-01T12:00:00+01:00"):
        return _utc_text(at)
    return f"{text[:19]}.{at % 1000:03d}{text[19:]}" if at % 1000 else text


def parse_if_any(text: str | None) -> int | None:
    """`parse_instant` of what may not be given."""
    return None if text is None else parse_instant(text)


def format_if_any(at: int | None) -> str | None:
    """`format_instant` of what may not be there."""
    return None if at is None else format_instant(at)


def tell_instant(at: int) -> str:
    """For an error: the instant, or the number where it is none in the years 1 to 9999."""
    try:
        return format_instant(at)
    except OverflowError:
        return f"{at} ms"


def _utc_text(at: int) -> str:
    return (_EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds" if at % 1000 else "seconds") + "Z"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 64 else text[:61] + "...")


# -- Zones ------------------------------------------------------------------------------------------------------------


def load_zone(name: str) -> ZoneInfo:
    """The IANA zone of that very name (UnknownZone otherwise), from the system or the `tzdata` package."""
    if name not in _zone_names():
        shown = repr(name[:_MAX_ZONE_CHARS])
        raise UnknownZone(f"{shown} is not an IANA time zone such as Europe/Berlin or UTC", zone=name[:_MAX_ZONE_CHARS])
    return ZoneInfo(name)  # keeps what it has loaded


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    # `localtime` is a file some systems keep among the zones: whose zone it is depends on the machine.
    return frozenset(available_timezones() - {"localtime"})


def _offset_ms(at: int, zone: ZoneInfo) -> int:
    """The zone's offset at an instant. At the rims of the calendar the nearest day tells: no clock changes there."""
    seconds = min(max(at, _MIN_MS + 2 * DAY_MS), _MAX_MS - 2 * DAY_MS) // 1000
    return _whole_ms(datetime.fromtimestamp(seconds, zone).utcoffset())


def _whole_ms(span: timedelta | None) -> int:
    assert span is not None, "zones of the IANA database know their offset"
    return (span.days * 86_400 + span.seconds) * 1000


# -- Bounds and calendar edges ----------------------------------------------------------------------------------------


def parse_bound(text: str, zone: ZoneInfo) -> int:
    """One end of a range: a date (its first instant in the zone) or an RFC 3339 instant, in the years 1970 to 9999.

    A date the zone skipped is the first instant after it. A date of 1970-01-01 east of Greenwich is negative.
    """
    if _DATE.fullmatch(text):
        try:
            at = first_instant(date.fromisoformat(text), zone)
        except ValueError as error:
            raise BadRange(f"{_shown(text)} is not a date: {error}") from None
    elif _MONTH.fullmatch(text):
        raise BadRange(f"{_shown(text)} is a month: give its first day, {text}-01")
    elif _PLUS_LOST.fullmatch(text):
        raise BadRange(f"{_shown(text)} {_TOLD_PLUS}")
    elif _INSTANT.fullmatch(text) is None:
        raise BadRange(f"{_shown(text)} is no date such as {EXAMPLE[:10]} and no RFC 3339 instant such as {EXAMPLE}")
    else:
        at = parse_instant(text)
    if int(text[:4]) < _FIRST_YEAR:
        raise BadRange(f"{_shown(text)} is before the year {_FIRST_YEAR}")
    return at


def first_instant(day: date, zone: ZoneInfo) -> int:
    """The first instant at which the zone's clock shows `day` or a later date."""
    midnight = (day.toordinal() - _EPOCH_DAY) * DAY_MS
    # fold=0: the first of two midnights; in a gap, the offset before it (PEP 495), which puts us at or after the gap.
    at = midnight - _whole_ms(datetime(day.year, day.month, day.day, tzinfo=zone).utcoffset())
    skipped = at + _offset_ms(at, zone) - midnight
    return at if skipped == 0 else _first_change(at - skipped, at, zone)


def local_date(at: int, zone: ZoneInfo) -> date:
    """The date of the day that holds the instant: the latest one that has begun."""
    return date.fromordinal(_begun_day(at, zone))


def _first_change(low: int, high: int, zone: ZoneInfo) -> int:
    """The instant in (low, high] from which the offset is that of `high`. Clocks change on whole seconds."""
    offset = _offset_ms(high, zone)
    before, after = low // 1000, high // 1000
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_ms(middle * 1000, zone) == offset:
            after = middle
        else:
            before = middle
    return after * 1000


def calendar_edges(bucket: Bucket, start: int, end: int, zone: ZoneInfo, limit: int = MAX_SPANS) -> list[int]:
    """`start`, every boundary of the zone's calendar strictly between, `end`; strictly ascending.

    BadRange if the range is reversed, empty, outside 1970 to 9999, or makes more than `limit` spans (before any work).
    """
    _check_range(bucket, start, end, zone, limit)
    if bucket == "total":
        between: Iterable[int] = ()
    elif bucket in _CLOCK_MS:
        between = _clock_edges(_CLOCK_MS[bucket], start, end, zone)
    else:
        between = _date_edges(bucket, start, end, zone)
    edges = [start, *between, end]
    if len(edges) - 1 > limit:
        raise _too_fine(bucket, len(edges) - 1, limit)
    return edges


def window_of(window: Literal["day", "month"], at: int, zone: ZoneInfo) -> tuple[int, int]:
    """The day or month of the zone's calendar that holds the instant: its beginning, and where the next one begins."""
    found = local_date(at, zone)
    if window == "month":
        found = found.replace(day=1)
    edges = _date_edges(window, at, _MAX_MS, zone)
    return first_instant(found, zone), next(edges, _MAX_MS)


def bucket_of(bucket: Bucket, at: int, zone: ZoneInfo) -> tuple[int, int]:
    """The whole span of the zone's calendar that holds the instant. Of `total` there is none: any range is one."""
    assert bucket != "total"
    if bucket in _CLOCK_MS:
        reach = _CLOCK_MS[bucket]  # a span is never longer
        begun = max(_clock_edges(reach, at - reach - 1, at + 1, zone))
        return begun, next(_clock_edges(reach, at, at + reach + 1, zone))
    if bucket == "day" or bucket == "month":  # noqa: PLR1714  (so the types follow)
        return window_of(bucket, at, zone)
    day = local_date(at, zone)
    monday = first_instant(day - timedelta(day.weekday()), zone)
    return monday, next(_date_edges(bucket, at, _MAX_MS, zone), _MAX_MS)


def cut_ends(bucket: Bucket, edges: Sequence[int], zone: ZoneInfo) -> dict[int, Cut]:
    """Which spans between calendar edges are not whole, and where they were cut: only the first and the last can be.
    Nothing is cut off where nothing can be: before 1970, and after the year 9999."""
    if bucket == "total":
        return {}
    first, last = 0, len(edges) - 2
    cut_start = edges[0] > 0 and bucket_of(bucket, edges[0], zone)[0] != edges[0]
    cut_end = edges[-1] < _MAX_MS and bucket_of(bucket, edges[-1] - 1, zone)[1] != edges[-1]
    if cut_start and cut_end and first == last:
        return {first: "both"}
    ends: dict[int, Cut] = {first: "start"} if cut_start else {}
    return ends | {last: "end"} if cut_end else ends


def begin_of_recent(bucket: Bucket, end: int, zone: ZoneInfo) -> int:
    """Where as many whole spans begin as one looks at at once (RECENT), the last of them the one that ends at `end` or
    is cut by it. Nothing is older than 1970."""
    if bucket in _CLOCK_MS:
        whole_end = bucket_of(bucket, end - 1, zone)[1]
        return max(bucket_of(bucket, whole_end - RECENT[bucket] * _CLOCK_MS[bucket], zone)[0], 0)
    day = local_date(end - 1, zone)
    if bucket == "month":
        months = day.year * 12 + day.month - RECENT[bucket]
        found = date(months // 12, months % 12 + 1, 1)
    elif bucket == "week":
        found = day - timedelta(day.weekday() + 7 * (RECENT[bucket] - 1))
    else:
        found = day - timedelta(RECENT[bucket] - 1)
    return max(first_instant(found, zone), 0)


def _begun_day(at: int, zone: ZoneInfo) -> int:
    # Where the clock was set back across midnight the day that had already begun goes on, whatever the clock shows.
    day = min(_local_day(at, zone) + 1, _LAST_DAY)
    while first_instant(date.fromordinal(day), zone) > at:
        day -= 1
    return day


def _check_range(bucket: Bucket, start: int, end: int, zone: ZoneInfo, limit: int) -> None:
    if start >= end:
        raise BadRange(f"The range is empty: from {format_instant(start, zone)} to {format_instant(end, zone)}")
    if start < -DAY_MS or end > _MAX_MS:  # 1970-01-01 begins in 1969 UTC, east of Greenwich
        raise BadRange(f"The range leaves the years 1970 to 9999: from {tell_instant(start)} to {tell_instant(end)}")
    usual = _USUAL_MS.get(bucket, end - start)
    # A tenth more than usual is more than any long row of odd days or months can make up for; the rest is counted.
    if (end - start) // (usual + usual // 10) > limit:
        raise _too_fine(bucket, (end - start) // usual, limit)


def _too_fine(bucket: Bucket, spans: int, limit: int) -> BadRange:
    return BadRange(f"The range has about {spans} spans of {bucket}; at most {limit}", spans=spans, limit=limit)


def _clock_edges(size: int, start: int, end: int, zone: ZoneInfo) -> Iterator[int]:
    """Instants in (start, end) at which the clock comes to a multiple of `size`, jumps past one, or is set back."""
    changes = _offset_changes(start, end, zone)
    untils = [since for since, _ in changes[1:]] + [end]
    before = changes[0][1]
    for (since, offset), until in zip(changes, untils, strict=True):
        if since > start and (offset < before or (since - 1 + before) // size != (since + offset) // size):
            yield since
        yield from range(since + size - (since + offset) % size, until, size)
        before = offset


def _offset_changes(start: int, end: int, zone: ZoneInfo) -> list[tuple[int, int]]:
    """(instant, offset from there on) in [start, end), the first one at `start`.

    Looks once a day: since 1970 no zone has changed its clock twice within a week.
    """
    changes = [(start, _offset_ms(start, zone))]
    seen = start
    while seen < end - 1:
        low, seen = seen, min(seen + DAY_MS, end - 1)
        offset = _offset_ms(seen, zone)
        if offset != changes[-1][1]:
            changes.append((_first_change(low, seen, zone), offset))
    return changes


def _date_edges(bucket: Bucket, start: int, end: int, zone: ZoneInfo) -> Iterator[int]:
    """First instants of days, Mondays or firsts of the month, in (start, end)."""
    last = start
    # One date more than the clock shows at the end: it may have been set back across midnight.
    for day in _dates(bucket, _local_day(start, zone) + 1, _local_day(end, zone) + 1):
        at = first_instant(day, zone)
        if last < at < end:  # a skipped date begins where the next one does: no edge of its own
            yield at
            last = at


def _local_day(at: int, zone: ZoneInfo) -> int:
    return _EPOCH_DAY + (at + _offset_ms(at, zone)) // DAY_MS


def _dates(bucket: Bucket, first: int, last: int) -> Iterator[date]:
    """The dates with ordinals first to last (as far as the calendar goes) on which a day, week or month begins."""
    last = min(last, _LAST_DAY)
    if bucket == "month":
        day = date.fromordinal(min(first - 1, _LAST_DAY))
        months = range(day.year * 12 + day.month, 10_000 * 12)  # months since the year 0, from the next one on
        firsts = (date(month // 12, month % 12 + 1, 1) for month in months)
        return takewhile(lambda first_of_month: first_of_month.toordinal() <= last, firsts)
    step = 7 if bucket == "week" else 1
    monday = first + (1 - first) % step  # ordinal 1 was a Monday
    return map(date.fromordinal, range(monday, last + 1, step))


def merge_edges(*lists: Iterable[int]) -> list[int]:
    """All edges of all lists, ascending, each once."""
    return sorted(set().union(*lists))
