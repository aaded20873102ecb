"""What a request of Whitepages' clients says. Pure."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.errors import BadRequest
from flowtally.vendors.whitepages import wire


class Days(msgspec.Struct, frozen=True):
    start_date: Annotated[str, Meta(description="The first day (UTC), as YYYY-MM-DD.")]
    end_date: Annotated[str, Meta(description="The last day (UTC), which belongs to the range; at most 90 days later.")]

    def range(self) -> tuple[date, date]:
        """The first and the last day. BadRequest names the parameter that is wrong."""
        first, last = _day("start_date", self.start_date), _day("end_date", self.end_date)
        if not 0 <= (last - first).days <= wire.MAX_DIFFERENCE_DAYS:
            raise BadRequest(wire.invalid("end_date"), parameter="end_date")
        return first, last


def _day(name: str, text: str) -> date:
    found = wire.parse_day(text)
    if found is None:
        raise BadRequest(wire.invalid(name), parameter=name)
    return found
