"""Whitepages' one endpoint, `GET /v1/account/usage/`: requests of the pool `api`, by the time of the event."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from flowtally.core.edges import format_instant
from flowtally.core.times import DAY_MS
from flowtally.vendors import figures
from flowtally.vendors.base import DialectCall, Route, declaring
from flowtally.vendors.whitepages import wire
from flowtally.vendors.whitepages.parameters import Days

POOL: Final = "api"
ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


@route(
    "GET",
    "/v1/account/usage",
    may="usage:read",
    takes=Days,
    answer=wire.AccountUsage,
    summary="Account usage",
    takes_example={"start_date": "2026-03-10", "end_date": "2026-03-12"},
    example=wire.AccountUsage(
        wire.TimeRange("2026-03-10", "2026-03-12"), [wire.Day("2026-03-11", 120), wire.Day("2026-03-12", 0)], 120
    ),
)
def read_account_usage(call: DialectCall, given: Days) -> wire.AccountUsage:
    """Requests by UTC day, from the first day that has any to the last one asked for, or today."""
    first, last = given.range()
    today = datetime.fromtimestamp(call.now // 1000, UTC).date()
    return wire.encode_usage(first, last, today, _counts(call, first, min(last, today)))


def _counts(call: DialectCall, first: date, last: date) -> dict[date, int]:
    """Requests of each day; before 1970 and after today there are none."""
    start, end = max(_at(first), 0), _at(last) + DAY_MS
    if start >= end:
        return {}
    edges = range(start, end + 1, DAY_MS)
    used = figures.between(call.tx, call.usage, call.account, edges, of=(POOL,), count=figures.request_count)
    return {date.fromisoformat(format_instant(at)[:10]): count for at, count in zip(edges, used, strict=False)}


def _at(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_MS
