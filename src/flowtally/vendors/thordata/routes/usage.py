"""What Thordata's proxy users used, by day and by hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from flowtally.answers.limits import limit_states
from flowtally.core.edges import load_zone
from flowtally.core.times import LAST_INSTANT
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.people.users import User
from flowtally.vendors.base import DialectCall, Route, declaring
from flowtally.vendors.figures import RunningTotal, running_by_user
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.parameters import UsageQuestion, UserDays, UserHours
from flowtally.vendors.thordata.routes.users import cap_of, read_proxy_users, whole
from flowtally.vendors.thordata.rows import series_of
from flowtally.vendors.thordata.wire import IN_KB, UsageRow, UserUsage, decimal, show_rows

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


@route(
    "GET",
    "/api/proxy-users/usage-statistics",
    may="usage:read",
    summary="Usage of a proxy user by day",
    takes=UserDays,
    takes_example={"username": "user123", "from_date": "2025-01-01", "to_date": "2025-01-03"},
    answer=UserUsage,
    example=UserUsage(
        200000,
        Decimal(150000),
        Decimal(50000),
        3,
        Decimal(150000),
        [UsageRow(f"2025-01-0{day}", Decimal(50000)) for day in (1, 2, 3)],
    ),
)
def read_user_usage(call: DialectCall, given: UserDays) -> UserUsage:
    """Cap, lifetime usage, what is left of the cap (0 where there is none), and each day of at most 181, both ends
    included, all in KB. Of several users: their sum, each counted once."""
    return _answer(call, given.question())


@route(
    "GET",
    "/api/proxy-users/usage-statistics-hour",
    may="usage:read",
    summary="Usage of a proxy user by hour",
    takes=UserHours,
    takes_example={"username": "user123", "from_date": "2025-07-01 00", "to_date": "2025-07-01 23"},
    answer=UserUsage,
    example=UserUsage(
        0,
        Decimal("19647382.68"),
        Decimal(0),
        1,
        Decimal("19647382.68"),
        [UsageRow("2025-07-01 00", Decimal("4719123.98")), UsageRow("2025-07-01 01", Decimal("14928258.7"))],
    ),
)
def read_user_usage_hour(call: DialectCall, given: UserHours) -> UserUsage:
    """The same by the hour. `query_days` is how many days the range touches. An hour that comes twice in the zone is
    one row, one that is skipped a row of 0."""
    return _answer(call, given.question())


def _answer(call: DialectCall, asked: UsageQuestion) -> UserUsage:
    found = read_proxy_users(call, asked.names, asked.family)
    series = series_of(asked.range, load_zone(call.settings.timezone))
    each = running_by_user(call.usage, call.account, [*series.edges, LAST_INSTANT], [user.id for user in found])
    before = sum(one.before for one in each.values())
    parts = [sum(some) for some in zip(*(one.parts for one in each.values()), strict=True)]
    steps = IN_KB.rows(before, series.parts(parts[:-1]))
    caps = [whole(cap_of(user), wire.KB) for user in found]
    capped = all(caps)  # one without a cap: all of them together have none
    return UserUsage(
        sum(caps) if capped else 0,
        decimal(IN_KB, IN_KB.steps(before + sum(parts))),
        decimal(IN_KB, sum(_left(call, found, each)) if capped else 0),
        asked.range.days,
        decimal(IN_KB, sum(steps)),
        show_rows(series.labels, steps),
    )


def _left(call: DialectCall, found: Sequence[User], each: Mapping[str, RunningTotal]) -> list[int]:
    """Steps of KB left of each user's limit: what it is less what is printed as used. Limits by day or month say
    themselves what is left of this one, all of them from one question. The limit itself, not the whole KB its cap is
    printed in."""
    windowed = [user for user in found if user.limit is not None and user.limit.window != "lifetime"]
    account = call.account
    states = limit_states(read_account(call.tx, account), call.usage, windowed, call.now) if windowed else {}
    left = []
    for user in found:
        assert user.limit is not None, "asked of users with a cap"
        if user.id in states:
            left.append(IN_KB.steps(states[user.id].left))
        else:
            left.append(max(0, IN_KB.steps(user.limit.amount) - IN_KB.steps(each[user.id].total)))
    return left
