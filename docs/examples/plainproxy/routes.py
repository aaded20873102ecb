"""What PlainProxy is asked, and the figures it answers with."""

from __future__ import annotations

from typing import Final

from flowtally.core.edges import load_zone
from flowtally.vendors import figures
from flowtally.vendors.base import DialectCall, Route, declaring

from . import wire
from .parameters import DayQuery

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


@route(
    "GET",
    "/plainproxy/traffic",
    may="usage:read",
    takes=DayQuery,
    takes_example={"day": "2026-03-10"},
    answer=wire.Answer,
    summary="Traffic of a day",
    example=wire.Answer(wire.Traffic("2026-03-10", "1.25", "20.5")),
)
def traffic(call: DialectCall, given: DayQuery) -> wire.Answer:
    """All products of the pool `traffic`, in GB."""
    start, end = given.span(load_zone(call.settings.timezone))
    found = figures.running(call.tx, call.usage, call.account, [start, end], of=("traffic",))
    return wire.show(given.day, found.before, sum(found.parts))
