"""Thordata's account side: what is left, and what was used day by day.

The account's figures are those of its pool `traffic`. What funded users used is among them, as in the account's own
statement; what was passed on to them has left the balance.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from flowtally.answers.account_balance import make_balance
from flowtally.core.edges import format_instant, load_zone, parse_instant
from flowtally.core.times import LAST_INSTANT
from flowtally.ledger.pools import DEFAULT_POOL
from flowtally.protocol import GrantAnswer
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.figures import running
from flowtally.vendors.printing import Unit
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.asking import Days, texts
from flowtally.vendors.thordata.parameters import day_range
from flowtally.vendors.thordata.series import Series, series_of
from flowtally.vendors.thordata.wire import TrafficBalance, Usage, UsageRow

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)

KB: Final = Unit(wire.KB, 2)
MB: Final = Unit(wire.MB, 2)


def decimal(unit: Unit, steps: int) -> Decimal:
    return Decimal(unit.text(steps))


@route(
    "GET",
    "/api/account/traffic-balance",
    may="balance:read",
    summary="Traffic balance",
    answer=TrafficBalance,
    example=TrafficBalance(Decimal(10000), "2025-03-26"),
)
def read_traffic_balance(call: DialectCall, given: Nothing) -> TrafficBalance:
    """What is left in the pool `traffic`, in MB, and the date on which the first of it expires: empty where nothing
    does."""
    balance = make_balance(call.tx, call.usage, call.account, call.now)
    left = decimal(MB, MB.steps(balance.pools[DEFAULT_POOL].left))
    return TrafficBalance(left, _expiration(call, balance.grants))


def _expiration(call: DialectCall, grants: Sequence[GrantAnswer]) -> str:
    """Of the grants of the pool that are worth something now."""
    ends = [one.expires_at for one in grants if one.pool == DEFAULT_POOL and one.state == "active" and one.left]
    known = [parse_instant(end) for end in ends if end is not None]
    if not known or (call.settings.expiration == "last" and None in ends):
        return ""
    return day_of(call, max(known) if call.settings.expiration == "last" else min(known))


def day_of(call: DialectCall, at: int) -> str:
    """The date of an instant in the dialect's zone."""
    return format_instant(at, load_zone(call.settings.timezone))[:10]


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
    """Lifetime usage, what is left, and each day of a range of at most 180 days, both ends included, all in KB. A day
    without use is a row of 0."""
    asked = day_range(texts(given))
    series = series_of(asked, load_zone(call.settings.timezone))
    ever = running(call.tx, call.usage, call.account, [*series.edges, LAST_INSTANT], of=(DEFAULT_POOL,))
    steps = KB.rows(ever.before, series.parts(ever.parts[:-1]))
    left = make_balance(call.tx, call.usage, call.account, call.now).pools[DEFAULT_POOL].left
    return Usage(
        decimal(KB, KB.steps(ever.total)),
        decimal(KB, KB.steps(left)),
        asked.days,
        decimal(KB, sum(steps)),
        rows_of(series, steps),
    )


def rows_of(series: Series, steps: Sequence[int]) -> list[UsageRow]:
    return [UsageRow(label, decimal(KB, one)) for label, one in zip(series.labels, steps, strict=True)]
