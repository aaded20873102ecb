"""Thordata's first generation, which its own pages no longer list: `gateway/*` and `child/*`, with `sign` and `apiKey`.

The same account asked in other words: what each answers is what the later routes answer, under the names it had then.
`sign` is what `token` became, `apiKey` is `key`; both pairs are taken. Its writes are GETs, as they were: HEAD changes
nothing. All of it is about users of kind residential.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final

from flowtally.core.edges import first_instant, load_zone
from flowtally.core.errors import FlowtallyError, Unauthenticated
from flowtally.vendors.base import (
    Asked,
    DialectCall,
    Effect,
    Fault,
    Manner,
    Nothing,
    Reply,
    Route,
    Secrets,
    declaring,
)
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.callers import scheme, shown
from flowtally.vendors.thordata.codes import as_theirs
from flowtally.vendors.thordata.parameters import (
    ChildFlowDays,
    EditChild,
    FlowDays,
    OfFamily,
    OneUser,
    SaveChild,
)
from flowtally.vendors.thordata.routes import account, money, usage, users
from flowtally.vendors.thordata.settings import Settings
from flowtally.vendors.thordata.wire import (
    Child,
    ChildList,
    FlowBalance,
    FlowRow,
    FlowUsage,
    ThordataError,
    UserUsage,
    WalletHolds,
    Written,
)

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


def identify(asked: Asked, settings: Settings) -> Secrets:
    """`sign` and `apiKey`, or `token` and `key`: in the headers, the query or the body."""
    found = shown(asked, settings, ("sign", "token"), ("apiKey", "key"))
    if not found.token:
        raise Unauthenticated("There is no sign.")
    return found


def succeed(made: Any) -> Reply:
    return Reply(wire.encode(made))


def fail(error: FlowtallyError) -> Reply:
    found = as_theirs(error)
    if found.number == wire.WRONG_TOKEN:
        found = ThordataError(wire.WRONG_SIGN, found.message.replace(wire.MESSAGES[wire.WRONG_TOKEN], SIGN_ERROR, 1))
    return Reply(wire.encode_error(found))


SIGN_ERROR: Final = wire.MESSAGES[wire.WRONG_SIGN]
EARLIER: Final = Manner(
    identify=identify,
    succeed=succeed,
    fail=fail,
    security={"thordataSign": scheme("sign", "token"), "thordataApiKey": scheme("apiKey", "key")},
    faults=[
        Fault(f"{number}: {text}", Reply(wire.encode_error(ThordataError(number))))
        for number, text in wire.MESSAGES.items()
        if number != wire.WRONG_TOKEN
    ],
)


@route(
    "POST",
    "/api/gateway/getFlowBalance",
    may="balance:read",
    summary="Traffic balance, as first served",
    answer=FlowBalance,
    example=FlowBalance(Decimal(10240000), 1742947200),
    manner=EARLIER,
)
def read_flow_balance(call: DialectCall, given: Nothing) -> FlowBalance:
    """What is left in the pool `traffic`, in KB, and when the first of it expires; a far date where nothing does.
    Their pages disagree about the unit: bytes in English, KB in Chinese, which is also that of the later routes."""
    left, ends_at = account.what_is_left(call)
    return FlowBalance(left, no_expiry(call.settings) if ends_at is None else ends_at // 1000)


def no_expiry(settings: Settings) -> int:
    """The far date, at its beginning; 0 where none is set."""
    if not settings.no_expiry:
        return 0
    return first_instant(date.fromisoformat(settings.no_expiry), load_zone(settings.timezone)) // 1000


@route(
    "POST",
    "/api/gateway/usageRecord",
    may="usage:read",
    summary="Usage by day, as first served",
    takes=FlowDays,
    takes_example={"start_time": "2025-01-01", "end_time": "2025-01-03"},
    answer=FlowUsage,
    example=FlowUsage(
        Decimal(11500000),
        Decimal(1500000),
        Decimal(10000000),
        3,
        Decimal(1500000),
        [FlowRow(f"2025-01-0{day}", Decimal(500000)) for day in (1, 2, 3)],
    ),
    manner=EARLIER,
)
def read_flow_usage(call: DialectCall, given: FlowDays) -> FlowUsage:
    """As `/api/account/usage-statistics`, in KB. `all_flow` is what was ever used and what is left, together."""
    found = account.read_usage_statistics(call, given.days())
    rows = [FlowRow(one.date, one.usage_traffic) for one in found.data]
    return FlowUsage(
        wire.sum_of(found.total_usage_traffic, found.traffic_balance),
        found.total_usage_traffic,
        found.traffic_balance,
        found.query_days,
        found.range_usage_traffic,
        rows,
    )


@route(
    "POST",
    "/api/gateway/childUsageRecord",
    may="usage:read",
    summary="Usage of a proxy user by day, as first served",
    takes=ChildFlowDays,
    takes_example={"child_username": "user123", "start_time": "2025-01-01", "end_time": "2025-01-03"},
    answer=FlowUsage,
    example=FlowUsage(
        Decimal(200000), Decimal(500), Decimal(199500), 1, Decimal(500), [FlowRow("2025-01-01", Decimal(500))]
    ),
    manner=EARLIER,
)
def read_child_usage(call: DialectCall, given: ChildFlowDays) -> FlowUsage:
    """As `/api/proxy-users/usage-statistics`, in KB. `all_flow` is the user's cap; 0: it has none."""
    found: UserUsage = usage.read_user_usage(call, given.user_days())
    rows = [FlowRow(one.date, one.usage_traffic) for one in found.data]
    return FlowUsage(
        Decimal(found.traffic_limit),
        found.total_usage_traffic,
        found.traffic_balance,
        found.query_days,
        found.range_usage_traffic,
        rows,
    )


@route(
    "POST",
    "/api/gateway/getBalance",
    may="wallet:read",
    summary="Wallet balance, as first served",
    answer=WalletHolds,
    example=WalletHolds(Decimal(800)),
    manner=EARLIER,
)
def read_wallet_holds(call: DialectCall, given: Nothing) -> WalletHolds:
    """What the wallet holds, in the currency."""
    return WalletHolds(money.read_wallet_balance(call, given).money)


@route(
    "GET",
    "/api/child/user_list",
    may="users:read",
    summary="List proxy users, as first served",
    answer=ChildList,
    example=ChildList(1, 100, [Child("user123", "password123", 500, wire.CHILD_ON)]),
    manner=EARLIER,
)
def list_children(call: DialectCall, given: Nothing) -> ChildList:
    """The users of kind residential, as `/api/proxy-users/user-list` has them; `limit` is how many there may be."""
    listed, room = users.listed_users(call, OfFamily().family())
    rows = [
        Child(
            one.user.name,
            call.password(one.sealed),
            users.whole(users.cap_of(one.user), wire.MB),
            wire.CHILD_ON if one.user.status == "active" else wire.CHILD_OFF,
        )
        for one in listed
    ]
    return ChildList(len(listed), len(listed) + room, rows)


@route(
    "GET",
    "/api/child/save_user",
    may="users:write",
    summary="Create a proxy user, as first served",
    takes=SaveChild,
    takes_example={"username": "user124", "password": "password123", "flow_limit": "0", "status": "1"},
    answer=Written,
    example=Written(),
    writes=True,
    effects=(Effect.NAMES,),
    manner=EARLIER,
)
def save_child(call: DialectCall, given: SaveChild) -> Written:
    """As `/api/proxy-users/create-user`."""
    users.create_proxy_user(call, given.new_user())
    return Written()


@route(
    "GET",
    "/api/child/edit_user",
    may="users:write",
    summary="Change a proxy user, as first served",
    takes=EditChild,
    takes_example={"username": "user124", "new_flow_limit": "500", "new_status": "-2"},
    answer=Written,
    example=Written(),
    writes=True,
    effects=(Effect.NAMES,),
    manner=EARLIER,
)
def edit_child(call: DialectCall, given: EditChild) -> Written:
    """As `/api/proxy-users/update-user`: what is missing stays as it is."""
    users.update_proxy_user(call, given.changed_user())
    return Written()


@route(
    "GET",
    "/api/child/del_user",
    may="users:write",
    summary="Delete a proxy user, as first served",
    takes=OneUser,
    takes_example={"username": "user124"},
    answer=Written,
    example=Written(),
    writes=True,
    effects=(Effect.NAMES,),
    manner=EARLIER,
)
def delete_child(call: DialectCall, given: OneUser) -> Written:
    """As `/api/proxy-users/delete-user`."""
    users.delete_proxy_user(call, given)
    return Written()
