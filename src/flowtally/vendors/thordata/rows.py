"""The rows of Thordata's ranges: which label stands for which time. Pure.

Every label from the first to the last has a row, so that a range of n days has n rows and a day 24, whatever the zone's
clock does:

* A date or hour that the clock skipped is a row of nothing.
* An hour that comes twice is one row; the half hour that is repeated where daylight saving is 30 minutes belongs to its
  hour. Where the clock goes back by more than that, what is shown again counts to the hour shown last.
* Hours of a day are parts of that day, and add up to it.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, timedelta
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

from flowtally.core.edges import calendar_edges, first_instant, format_instant
from flowtally.core.times import HOUR_MS
from flowtally.vendors.thordata.parameters import Range


class Series(Struct, frozen=True):
    """Row i, called labels[i], is [bounds[i], bounds[i + 1]): never backwards, empty where the clock skipped it."""

    labels: list[str]
    bounds: list[int]

    @property
    def edges(self) -> list[int]:
        """Every bound once: what to ask usage for."""
        return sorted(set(self.bounds))

    def parts(self, used: list[int]) -> list[int]:
        """What was used in each row, from what was used between the edges."""
        totals = dict(zip(self.edges, accumulate(used, initial=0), strict=True))
        return [totals[end] - totals[start] for start, end in pairwise(self.bounds)]


def series_of(asked: Range, zone: ZoneInfo) -> Series:
    """Its days, or its hours. BadRange where the calendar ends."""
    days = [asked.first + timedelta(n) for n in range(asked.days)]
    starts = [first_instant(day, zone) for day in [*days, asked.last + timedelta(1)]]
    if asked.hours is None:
        return Series([str(day) for day in days], starts)
    labels = [f"{day} {hour:02d}" for day in days for hour in range(24)]
    bounds = [at for day, span in zip(days, pairwise(starts), strict=True) for at in _hours(day, *span, zone)]
    first, last = labels.index(asked.hours[0]), labels.index(asked.hours[1])
    return Series(labels[first : last + 1], [*bounds, starts[-1]][first : last + 2])


def _hours(day: date, start: int, end: int, zone: ZoneInfo) -> list[int]:
    """Where each of the 24 hours of a day begins. No zone changes its clock twice within a week, so a day of 24 hours
    is a plain one (or begins with the change)."""
    if end - start == 24 * HOUR_MS:
        return list(range(start, end, HOUR_MS))
    if start == end:
        return [start] * 24
    cuts = calendar_edges("hour", start, end, zone)
    shown = list(accumulate((_clock(cut, day, zone) for cut in cuts[:-1]), max))
    return [cuts[bisect_left(shown, hour)] for hour in range(24)]


def _clock(at: int, day: date, zone: ZoneInfo) -> int:
    """The hour the clock shows, within the day that holds the instant: set back across midnight, it shows the day
    before."""
    text = format_instant(at, zone)
    return int(text[11:13]) if text[:10] >= str(day) else 0
