"""What Thordata's proxy users used, by day and by hour."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from flowtally.answers.user_balance import make_user_balance
from flowtally.core.edges import load_zone
from flowtally.core.events import METERED
from flowtally.core.times import LAST_INSTANT
from flowtally.ledger.people.users import User
from flowtally.usage.values import Where
from flowtally.vendors.base import DialectCall, Route, declaring
from flowtally.vendors.figures import Running
from flowtally.vendors.thordata import parameters, wire
from flowtally.vendors.thordata.account import KB, decimal, rows_of
from flowtally.vendors.thordata.asking import UserDays, UserHours, texts
from flowtally.vendors.thordata.parameters import Given, Range
from flowtally.vendors.thordata.series import series_of
from flowtally.vendors.thordata.users import cap_of, read_proxy_user, whole
from flowtally.vendors.thordata.wire import UsageRow, UserUsage

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
    """Cap, lifetime usage, what is left of the cap (0 where there is none), and each day of at most 180, both ends
    included, all in KB. Of several users: their sum, each counted once."""
    asked = texts(given)
    return _answer(call, asked, parameters.day_range(asked))


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
    asked = texts(given)
    return _answer(call, asked, parameters.hour_range(asked))


def _answer(call: DialectCall, asked: Given, wanted: Range) -> UserUsage:
    family = parameters.family_of(asked)
    found = [read_proxy_user(call, name, family) for name in parameters.names_of(asked)]
    series = series_of(wanted, load_zone(call.settings.timezone))
    each = _used_by_each(call, found, [*series.edges, LAST_INSTANT])
    before = sum(one.before for one in each.values())
    parts = [sum(some) for some in zip(*(one.parts for one in each.values()), strict=True)]
    steps = KB.rows(before, series.parts(parts[:-1]))
    caps = [whole(cap_of(user), wire.KB) for user in found]
    left = [_left(call, user, each[user.id].total) for user in found] if all(caps) else []
    return UserUsage(
        sum(caps) if all(caps) else 0,  # one without a cap: all of them together have none
        decimal(KB, KB.steps(before + sum(parts))),
        decimal(KB, sum(left)),
        wanted.days,
        decimal(KB, sum(steps)),
        rows_of(series, steps),
    )


def _left(call: DialectCall, user: User, total: int) -> int:
    """Steps of KB left of the user's limit: what it is less what is printed as used. A limit by day or month says
    itself what is left of this one. The limit itself, not the whole KB its cap is printed in."""
    assert user.limit is not None, "asked of users with a cap"
    if user.limit.window == "lifetime":
        return max(0, KB.steps(user.limit.amount) - KB.steps(total))
    state = make_user_balance(call.tx, call.usage, call.account, user.id, call.now).limit
    assert state is not None, "the user has a limit"
    return KB.steps(state.left)


def _used_by_each(call: DialectCall, found: Sequence[User], edges: Sequence[int]) -> dict[str, Running]:
    """What each of these users used before the first edge and between them: one question, one moment."""
    asked = [0, *edges] if edges[0] > 0 else list(edges)
    shift = len(asked) - len(edges)
    totals = {user.id: [0] * (len(asked) - 1) for user in found}
    where = Where(METERED, call.account, tuple(totals))
    for one in call.usage.sums(asked, where, ("user",)):
        totals[one.by[0]][one.span] += one.bytes_up + one.bytes_down
    return {user: Running(parts[0] if shift else 0, parts[shift:]) for user, parts in totals.items()}
