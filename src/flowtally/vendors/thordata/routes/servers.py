"""Thordata's unlimited servers: restarted, watched, and which proxy users may use them.

A server is what the account leases of the kind `unlimited`; it is named by its host (`plan_name`), its id or its lease
(`ins_id`), or its address. A restart is asked of the operator's machinery: that it was asked is all that the answer
says. Leaves to others which servers there are, and what they cost.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from flowtally.core.errors import NotFound
from flowtally.core.samples import MAX_PERIODS
from flowtally.ledger.inventory import actions, bound_users, leases
from flowtally.ledger.inventory.leases import LeasedItem
from flowtally.ledger.pages import MAX_LIMIT
from flowtally.ledger.people import users
from flowtally.samples.periods import summarize
from flowtally.vendors.base import Adapted, DialectCall, Effect, Route, declaring
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.clients import READS_LIST, client_of
from flowtally.vendors.thordata.parameters import BindUser, OneServer, OneServerIp, Watched, WatchedServer, wrong
from flowtally.vendors.thordata.wire import (
    BalancingMonitor,
    BoundServer,
    MonitorSeries,
    ServerMonitor,
    ServerUser,
    ServerUsers,
    ThordataError,
    Written,
    hundredths,
)

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)

KIND: Final = "unlimited"
RESTART_MS: Final = 3_600_000  # for so long a restart may be done
SERIES = MonitorSeries([1_741_258_800, 1_741_259_100], [Decimal("12.5"), Decimal(13)])


@route(
    "POST",
    "/api/unlimited/restart-server",
    may="actions:write",
    summary="Restart a server",
    takes=OneServer,
    takes_example={"plan_name": "gate-1.example"},
    answer=Written,
    example=Written(),
    writes=True,
    effects=(Effect.ACTIONS,),
)
def restart_server(call: DialectCall, given: OneServer) -> Written:
    """It is asked for, for an hour; whether it was done is told natively. While one is asked for it is not asked for
    twice."""
    server = _server(call, given.server(), "plan_name")
    actions.request_action(call.tx, call.account, server.lease.id, "restart", now=call.now, lasts_ms=RESTART_MS)
    return Written()


@route(
    "GET",
    "/api/unlimited/server-monitor",
    may="samples:read",
    summary="Watch a server",
    takes=WatchedServer,
    takes_example={"ins_id": "gate-1.example", "start_time": "1741258800", "end_time": "1741259400"},
    answer=ServerMonitor,
    example=ServerMonitor(SERIES, SERIES, SERIES, SERIES, SERIES),
)
def read_server_monitor(call: DialectCall, given: WatchedServer) -> ServerMonitor:
    """The means of periods, as the operator's monitoring measured them while the lease lasts: `cpu`, `memory`,
    `connections`, `bytes_in` and `bytes_out` of our samples. A period without samples has no value."""
    asked = given.watched()
    server = _server(call, asked.server, "ins_id")
    names = ("cpu", "memory", "connections", "bytes_in", "bytes_out")
    return ServerMonitor(*(_series(call, server, name, asked) for name in names))


@route(
    "GET",
    "/api/unlimited/balancing-monitor",
    may="samples:read",
    summary="Watch the load balancer of a server",
    takes=WatchedServer,
    takes_example={"ins_id": "gate-1.example", "start_time": "1741258800", "end_time": "1741259400"},
    answer=BalancingMonitor,
    example=BalancingMonitor(SERIES, SERIES, SERIES),
)
def read_balancing_monitor(call: DialectCall, given: WatchedServer) -> BalancingMonitor:
    """The same of the gauges `client_connection_count`, `client_in_traffic` and `client_out_traffic`, in an envelope of
    its own: `status_code` and `payload`. A refusal is as all others are."""
    asked = given.watched()
    server = _server(call, asked.server, "ins_id")
    names = ("client_connection_count", "client_in_traffic", "client_out_traffic")
    return BalancingMonitor(*(_series(call, server, name, asked) for name in names))


@route(
    "POST",
    "/api/get_unlimited_servers_bind_user",
    may="users:read",
    summary="List the users bound to a server",
    takes=OneServerIp,
    takes_example={"ip": "192.0.2.50"},
    answer=list[BoundServer] | ServerUsers,
    example=[BoundServer("gate-1.example", "192.0.2.50", [ServerUser("2025-03-06 14:21:00", "user123")])],
)
def list_bound_users(call: DialectCall, given: OneServerIp) -> list[BoundServer] | ServerUsers | Adapted:
    """One server, with its users. Their Python client, which reads a list inside an object, is answered so."""
    server = _by_ip(call, given.address())
    bound = bound_users.list_bound(call.tx, call.account, server.lease.id, None, MAX_LIMIT).items
    shown = [ServerUser(_second(one.bound_at), one.user.name) for one in bound]
    documented = [BoundServer(server.item.name or server.item.address, server.item.address, shown)]
    if client_of(call.asked) in READS_LIST:
        return Adapted(ServerUsers(documented), documented)
    return documented


@route(
    "POST",
    "/api/add_unlimited_servers_bind_user",
    may="users:write",
    summary="Bind a user to a server",
    takes=BindUser,
    takes_example={"ip": "192.0.2.50", "username": "user123"},
    answer=Written,
    example=Written(),
    writes=True,
)
def bind_user(call: DialectCall, given: BindUser) -> Written:
    """One that is bound already stays so."""
    server, user = _by_ip(call, given.address()), _user(call, given.name())
    bound_users.bind_user(call.tx, call.account, server.lease.id, user, now=call.now)
    return Written()


@route(
    "POST",
    "/api/del_unlimited_servers_bind_user",
    may="users:write",
    summary="Take a user off a server",
    takes=BindUser,
    takes_example={"ip": "192.0.2.50", "username": "user123"},
    answer=Written,
    example=Written(),
    writes=True,
)
def unbind_user(call: DialectCall, given: BindUser) -> Written:
    """One that is not bound stays so."""
    server, user = _by_ip(call, given.address()), _user(call, given.name())
    with suppress(NotFound):
        bound_users.unbind_user(call.tx, call.account, server.lease.id, user)
    return Written()


def _server(call: DialectCall, wanted: str, parameter: str) -> LeasedItem:
    """What the account leases now under this name. ThordataError 10000 where it leases none such."""
    for one in leases.held_by(call.tx, call.account, at=call.now, kind=KIND):
        if wanted in (one.item.name, one.item.address, one.item.id, one.lease.id):
            return one
    raise wrong(parameter, "names no server of yours")


def _by_ip(call: DialectCall, ip: str) -> LeasedItem:
    """ThordataError 10010."""
    try:
        return _server(call, ip, "ip")
    except ThordataError:
        raise ThordataError(wire.NO_SUCH_IP) from None


def _user(call: DialectCall, name: str) -> str:
    """The id of who bears the name now. ThordataError 10020: their names are no ids."""
    found = users.users_named(call.tx, call.account, [name]).get(name)
    if found is None:
        raise ThordataError(wire.NO_SUCH_USER)
    return found.id


def _series(call: DialectCall, server: LeasedItem, name: str, asked: Watched) -> MonitorSeries:
    start = max(asked.start, -(-server.lease.starts_at // 1000))
    if (asked.end - 1) // asked.period_s - asked.start // asked.period_s + 1 > MAX_PERIODS:
        raise wrong("period", "is too short for this range")
    stood = call.services.samples.read(server.item.id, name, start, asked.end)
    told = list(summarize(*stood, asked.period_s, "mean"))
    return MonitorSeries([one.at for one in told], [hundredths(one.value) for one in told])


def _second(at: int) -> str:
    return datetime.fromtimestamp(at // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
