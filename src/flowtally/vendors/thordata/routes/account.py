"""Thordata's account side: what is left, and what was used day by day.

The account's figures are those of its pool `traffic`. What funded users used is among them, as in the account's own
statement; what was passed on to them has left the balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from flowtally.core.edges import load_zone, parse_instant
from flowtally.core.times import LAST_INSTANT
from flowtally.protocol import GrantAnswer
from flowtally.protocol.words import DEFAULT_POOL
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.figures import running
from flowtally.vendors.printing import Unit
from flowtally.vendors.thordata.parameters import Days
from flowtally.vendors.thordata.rows import series_of
from flowtally.vendors.thordata.wire import IN_KB, IN_MB, TrafficBalance, Usage, UsageRow, decimal, show_day, show_rows

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


@route(
    "GET",
    "/api/account/traffic-balance",
    may="balance:read",
    summary="Traffic balance",
    answer=TrafficBalance,
    example=TrafficBalance(Decimal(10000), "2025-03-26"),
)
def read_traffic_balance(call: DialectCall, given: Nothing) -> TrafficBalance:
    """What is left in the pool `traffic`, in MB, and the date on which the first of it expires: a far one where
    nothing does."""
    left, ends_at = what_is_left(call, IN_MB)
    no_end = str(call.settings.no_expiry)
    return TrafficBalance(left, no_end if ends_at is None else show_day(ends_at, call.settings.timezone))


def what_is_left(call: DialectCall, unit: Unit = IN_KB) -> tuple[Decimal, int | None]:
    """In the pool `traffic`, and the instant at which the first of it ends, or the last; None where it does not."""
    balance = call.balance()
    return decimal(unit, unit.steps(balance.pools[DEFAULT_POOL].left)), _ends_at(call, balance.grants)


def _ends_at(call: DialectCall, grants: Sequence[GrantAnswer]) -> int | None:
    """Of the grants of the pool that are worth something now."""
    ends = [one.expires_at for one in grants if one.pool == DEFAULT_POOL and one.state == "active" and one.left]
    known = [parse_instant(end) for end in ends if end is not None]
    if not known or (call.settings.expiration == "last" and None in ends):
        return None
    return max(known) if call.settings.expiration == "last" else min(known)


@route(
    "GET",
    "/api/account/usage-statistics",
    may="usage:read",
    summary="Usage by day",
    takes=Days,
    takes_example={"from_date": "2025-01-01", "to_date": "2025-01-03"},
    answer=Usage,
    example=Usage(
        Decimal(1500000),
        Decimal(10000000),
        3,
        Decimal(1500000),
        [UsageRow(f"2025-01-0{day}", Decimal(500000)) for day in (1, 2, 3)],
    ),
)
def read_usage_statistics(call: DialectCall, given: Days) -> Usage:
    """Lifetime usage, what is left, and each day of a range of at most 181 days, both ends included, all in KB. A day
    without use is a row of 0."""
    asked = given.range()
    series = series_of(asked, load_zone(call.settings.timezone))
    ever = running(call.tx, call.usage, call.account, [*series.edges, LAST_INSTANT], of=(DEFAULT_POOL,))
    steps = IN_KB.rows(ever.before, series.parts(ever.parts[:-1]))
    left = call.balance().pools[DEFAULT_POOL].left
    return Usage(
        decimal(IN_KB, IN_KB.steps(ever.total)),
        decimal(IN_KB, IN_KB.steps(left)),
        asked.days,
        decimal(IN_KB, sum(steps)),
        show_rows(series.labels, steps),
    )
