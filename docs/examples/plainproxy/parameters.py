"""What a request may say, and what it means. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from flowtally.core.edges import first_instant
from flowtally.core.errors import BadRequest


class DayQuery(msgspec.Struct, frozen=True):
    day: Annotated[date, Meta(description="YYYY-MM-DD.")]

    def span(self, zone: ZoneInfo) -> tuple[int, int]:
        """When the day begins, and when the next one does. BadRequest before 1971 and where the calendar ends."""
        if not 1970 < self.day.year < 9999:
            raise BadRequest("day is out of range", parameter="day")
        return first_instant(self.day, zone), first_instant(self.day + timedelta(1), zone)
