"""Usage by hour and day: get-account-use-flow-list and residential-data-history.

Rows are law 4 in hundredths of a MB: hours add up to days and days to any range, in what is printed. Buckets without
traffic have no row. The first list is of residential and mobile traffic together, the history of residential alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from flowtally.core.times import DAY_MS
from flowtally.vendors.base import DialectCall, Route, declaring
from flowtally.vendors.ipfoxy import wire
from flowtally.vendors.ipfoxy.parameters import (
    HISTORY_PAGE_SIZE,
    HistoryAsked,
    Range,
    UsageAsked,
    history_range,
    usage_range,
)
from flowtally.vendors.ipfoxy.routes.subjects import MOBILE, RESIDENTIAL, Subject, subject_of, used
from flowtally.vendors.ipfoxy.rows import bucket_edges

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES, under=wire.PATH)

LATEST_MS: Final = 366 * DAY_MS  # no event is taken that is dated further ahead: see `max_future_s`
EXAMPLE_USAGE: Final = wire.UsageList(
    [
        wire.UsageRow("2025-06-26 00:00:00", "ABCDEFHGJ2000", "11"),
        wire.UsageRow("2025-06-25 00:00:00", "ABCDEFHGJ2000", "22.5"),
    ],
    "MB",
    "8",
    "+08:00",
)
EXAMPLE_HISTORY: Final = wire.History([wire.HistoryRow("1453.16", "1725231600", "1 hour")], 11, 1, 35)


@route(
    "GET",
    "get-account-use-flow-list",
    may="usage:read",
    takes=UsageAsked,
    answer=wire.UsageList,
    summary="Usage by hour or day",
    takes_example={"account": "ABCDEFHGJ2000", "start_time": "1750608000", "end_time": "1750953599", "unit": "2"},
    example=EXAMPLE_USAGE,
)
def list_usage(call: DialectCall, given: UsageAsked) -> wire.UsageList:
    """Traffic of a sub-account (or of the main account itself) in MB, newest first: every hour or day that overlaps the
    range, told whole; without those that have none. `count` is of all pages. Not further back than the day of
    90 days ago."""
    asked = usage_range(given, call.now)
    rows = _rows(call, subject_of(call, given.account), asked, (RESIDENTIAL, MOBILE))[::-1]
    return wire.UsageList(
        [
            wire.UsageRow(wire.date_text(at, asked.offset), given.account, wire.IN_MB.text(steps))
            for at, steps in _page(rows, given.page, given.page_size)
        ],
        "MB",
        str(len(rows)),
        wire.offset_text(asked.offset),
    )


@route(
    "GET",
    "residential-data-history",
    may="usage:read",
    takes=HistoryAsked,
    answer=wire.History,
    summary="Residential usage by hour or day",
    takes_example={"start_timestamp": "1750608000", "end_timestamp": "1750953599", "is_hour": "1"},
    example=EXAMPLE_HISTORY,
)
def list_history(call: DialectCall, given: HistoryAsked) -> wire.History:
    """Residential traffic in MB, oldest first, 35 rows a page and 25 pages; cut in UTC+8. Otherwise as the usage
    list."""
    asked = history_range(given, call.now, usually_hours=call.settings.history_by_hour)
    subject = subject_of(call, given.account) if given.account else None
    rows = _rows(call, subject, asked, (RESIDENTIAL,))
    told = [
        wire.HistoryRow(wire.IN_MB.text(steps), wire.seconds_text(at), f"1 {asked.unit}")
        for at, steps in _page(rows, given.page, HISTORY_PAGE_SIZE)
    ]
    return wire.History(told, len(rows), given.page, HISTORY_PAGE_SIZE)


def _rows(call: DialectCall, subject: Subject, asked: Range, of: Collection[str]) -> list[tuple[int, int]]:
    """Where each bucket that has traffic begins, and its hundredths of a MB."""
    end = max(asked.start, min(asked.end, call.now + LATEST_MS))
    edges = bucket_edges(asked.unit, asked.start, end, asked.offset)
    found = used(call, subject, edges, of)
    steps = wire.IN_MB.rows(found.before, found.parts)
    return [(at, row) for at, row, part in zip(edges, steps, found.parts, strict=False) if part]


def _page(rows: list[tuple[int, int]], page: int, size: int) -> list[tuple[int, int]]:
    return rows[(page - 1) * size : page * size]
