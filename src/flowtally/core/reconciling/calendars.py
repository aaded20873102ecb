"""The calendar a vendor's spans are cut by: an IANA zone, or an offset from UTC such as +08:00."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from flowtally.core.edges import calendar_edges, format_instant, load_zone, local_date, parse_bound
from flowtally.core.errors import BadRange
from flowtally.core.times import DAY_MS, EPOCH, HOUR_MS, MINUTE_MS

_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)
_EPOCH_DAY: Final = EPOCH.toordinal()
_DATE_CHARS: Final = len("2026-03-01")


class VendorCalendar:
    """Days of a vendor. UnknownZone for a name that is none."""

    def __init__(self, name: str) -> None:
        self.name = name
        offset = _OFFSET.fullmatch(name)
        self._zone = None if offset else load_zone(name)
        self._offset = _offset_ms(*offset.groups()) if offset else 0

    def bound(self, text: str) -> int:
        """One end of a range: a date (its beginning here) or RFC 3339. BadRange."""
        if self._zone is not None:
            return parse_bound(text, self._zone)
        at = parse_bound(text, load_zone("UTC"))
        return at - self._offset if len(text) == _DATE_CHARS else at

    def days(self, start: int, end: int, limit: int) -> list[int]:
        """The edges of the whole days that lie between. BadRange where there are none, or more than `limit`."""
        if (spans := (end - start) // DAY_MS) > limit:
            raise BadRange(f"The range has {spans} days; at most {limit} are compared", limit=limit)
        if self._zone is not None:
            around = calendar_edges("day", start - 2 * DAY_MS, end + 2 * DAY_MS, self._zone, limit + 8)
            edges = [edge for edge in around[1:-1] if start <= edge <= end]
        else:
            first = -(-(start + self._offset) // DAY_MS) * DAY_MS - self._offset
            edges = list(range(first, end + 1, DAY_MS))
        if len(edges) < 2:
            raise BadRange(
                f"No whole day of the vendor's calendar ({self.name}) lies between {format_instant(start)} and "
                f"{format_instant(end)}"
            )
        return edges

    def clock(self, edge: int) -> int:
        """The midnight that begins a day, as the vendor's clock shows it: milliseconds since 1970 by that clock."""
        return (self.day_of(edge).toordinal() - _EPOCH_DAY) * DAY_MS

    def day_of(self, at: int) -> date:
        """The date that holds the instant."""
        if self._zone is not None:
            return local_date(at, self._zone)
        return date.fromordinal((at + self._offset) // DAY_MS + _EPOCH_DAY)

    def show(self, at: int) -> str:
        """RFC 3339 with the zone's offset."""
        if self._zone is not None:
            return format_instant(at, self._zone)
        return format_instant(at + self._offset).removesuffix("Z") + (self.name if self._offset else "Z")


def show_offset(offset: int) -> str:
    """`+08:00`, of an offset in milliseconds."""
    minutes = abs(offset) // MINUTE_MS
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def _offset_ms(sign: str, hours: str, minutes: str) -> int:
    size = int(hours) * HOUR_MS + int(minutes) * MINUTE_MS
    return -size if sign == "-" else size
