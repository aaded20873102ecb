"""Thordata's fixed proxies and unlimited servers: what the account leases here, under their words.

Their ISP proxies are leases of the kind `isp`, their datacenter proxies of `datacenter`, their servers of `unlimited`.
`ins_id` is the id of what is in stock, `plan_name` the name of its host, or its address where it has no name. What a
renewal or an upgrade costs is what the lease plan says that fits the numbers of theirs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from flowtally.core.leasing import Size
from flowtally.ledger.inventory import lease_plans, leases, orders, stock
from flowtally.ledger.inventory.lease_plans import LeasePlan
from flowtally.ledger.inventory.leases import LeasedItem
from flowtally.ledger.inventory.orders import Order
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.parameters import FixedIps, OfFixed, RenewServer, UpgradeServer
from flowtally.vendors.thordata.wire import IN_MONEY, FixedProxy, IpExpiration, ServerOrder, UnlimitedServer, decimal

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)

UNLIMITED: Final = "unlimited"
NO_END: Final = "9999-12-31 23:59"  # of a lease without an end: their clients read a date
GIB: Final = 1024  # MiB


@route(
    "GET",
    "/api/proxy/proxy-list",
    may="leases:read",
    summary="List ISP or datacenter proxies",
    takes=OfFixed,
    answer=list[FixedProxy],
    example=[
        FixedProxy("2025-03-06 14:21", "2025-03-13 14:21", "1.1.1.1", 6666, "user123", "password123", "US", "New York")
    ],
)
def list_proxies(call: DialectCall, given: OfFixed) -> list[FixedProxy]:
    """What the account has now. The password is empty for a credential without the right `passwords:read`."""
    held = leases.held_by(call.tx, call.account, at=call.now, kind=given.kind())
    sealed = stock.sealed_passwords_of(call.tx, [one.item.id for one in held])
    return [
        FixedProxy(
            _minute(call, one.lease.starts_at),
            _minute(call, one.lease.ends_at),
            one.item.address,
            one.item.port or 0,
            one.item.username,
            call.password(sealed[one.item.id]),
            one.item.place.country,
            one.item.place.city,
        )
        for one in held
    ]


@route(
    "GET",
    "/api/proxy/expiration-time",
    may="leases:read",
    summary="When proxies expire",
    takes=FixedIps,
    takes_example={"ips": "1.1.1.1"},
    answer=list[IpExpiration],
    example=[IpExpiration("1.1.1.1", "2025-03-13 14:21")],
)
def read_expiration(call: DialectCall, given: FixedIps) -> list[IpExpiration]:
    """Of those that the account has, in the order they are asked for; 10010 where it has none of them."""
    held = leases.held_by(call.tx, call.account, at=call.now, kind=given.kind())
    ends = {one.item.address: one.lease.ends_at for one in held}
    found = [IpExpiration(ip, _minute(call, ends[ip])) for ip in given.addresses() if ip in ends]
    if not found:
        raise wire.ThordataError(wire.NO_SUCH_IP)
    return found


@route(
    "GET",
    "/api/unlimited/server-list",
    may="leases:read",
    summary="List unlimited servers",
    answer=list[UnlimitedServer],
    example=[
        UnlimitedServer(
            "2025-03-06 14:21",
            "2025-04-05 14:21",
            "gate-1.example.com",
            "8vCPU 16GiB",
            "200Mbps",
            "Turn on",
            "ord_0199f2c47b3a7c11a1f0b2c3d4e5f612",
            "stk_0199f2c47b3a7c11a1f0b2c3d4e5f610",
            "na-siliconvalley",
        )
    ],
)
def list_servers(call: DialectCall, given: Nothing) -> list[UnlimitedServer]:
    """What the account has now. A server that is leased is told as turned on."""
    held = leases.held_by(call.tx, call.account, at=call.now, kind=UNLIMITED)
    first = leases.first_orders(call.tx, [one.lease.id for one in held])
    return [
        UnlimitedServer(
            _minute(call, one.lease.starts_at),
            _minute(call, one.lease.ends_at),
            one.item.name or one.item.address,
            _size(one.lease.size),
            "" if one.lease.size.bandwidth_mbps is None else f"{one.lease.size.bandwidth_mbps}Mbps",
            "Turn on",
            first[one.lease.id],
            one.item.id,
            one.item.place.region,
        )
        for one in held
    ]


@route(
    "POST",
    "/api/unlimited/renew",
    may="leases:write",
    summary="Renew an unlimited server",
    takes=RenewServer,
    takes_example={"ins_id": "stk_0199f2c47b3a7c11a1f0b2c3d4e5f610", "package_id": "8"},
    answer=ServerOrder,
    example=ServerOrder("ord_0199f2c47b3a7c11a1f0b2c3d4e5f612", Decimal("123.12")),
    writes=True,
)
def renew_server(call: DialectCall, given: RenewServer) -> ServerOrder:
    """From its end, for as many days as a lease plan has that fits the server; 10001 where none has."""
    days = given.days()
    server = _server(call, given.ins_id, given.plan_name)
    plan = _plan(call, server, server.lease.size, days)
    if plan is None:
        raise wire.ThordataError(wire.DURATION)
    return _shown(orders.renew_leases(call.tx, call.account, [server.lease.id], plan_id=plan.id, now=call.now))


@route(
    "POST",
    "/api/unlimited/upgrade",
    may="leases:write",
    summary="Upgrade an unlimited server",
    takes=UpgradeServer,
    takes_example={"ins_id": "stk_0199f2c47b3a7c11a1f0b2c3d4e5f610", "bw_id": "1", "sv_id": "2"},
    answer=ServerOrder,
    example=ServerOrder("ord_0199f2c47b3a7c11a1f0b2c3d4e5f612", Decimal("123.12")),
    writes=True,
)
def upgrade_server(call: DialectCall, given: UpgradeServer) -> ServerOrder:
    """For the rest of its time, for the difference in price. It needs a lease plan of that size, for as many days as
    the present one where there are several."""
    asked = given.size()
    server = _server(call, given.ins_id, given.plan_name)
    plan_id = given.target_plan
    if asked is not None:
        lease = server.lease
        days = None if lease.plan_id is None else lease_plans.read_lease_plan(call.tx, lease.plan_id).days
        size = asked.over(lease.size)
        plan = _plan(call, server, size, days) or _plan(call, server, size, None)
        if plan is None:
            raise wire.ThordataError(wire.PARAMETER)
        plan_id = plan.id
    return _shown(orders.upgrade_lease(call.tx, call.account, server.lease.id, plan_id, now=call.now))


def _server(call: DialectCall, ins_id: str, plan_name: str) -> LeasedItem:
    """The lease of that server which can still be renewed; 10010 where the account has none."""
    for one in leases.renewable(call.tx, call.account, at=call.now, kind=UNLIMITED):
        if ins_id == one.item.id or (not ins_id and plan_name in (one.item.name, one.item.address, one.item.id)):
            return one
    raise wire.ThordataError(wire.NO_SUCH_IP)


def _plan(call: DialectCall, server: LeasedItem, size: Size, days: int | None) -> LeasePlan | None:
    """The one the lease has, else the first by id, of those that fit."""
    fit = [
        one
        for one in lease_plans.plans_of(call.tx, UNLIMITED)
        if days in (None, one.days) and one.place.holds(server.item.place) and one.size.over(server.lease.size) == size
        and one.size.holds(size)
    ]  # fmt: skip
    return next((one for one in fit if one.id == server.lease.plan_id), fit[0] if fit else None)


def _shown(order: Order) -> ServerOrder:
    return ServerOrder(order.id, decimal(IN_MONEY, IN_MONEY.steps(order.price)))


def _size(size: Size) -> str:
    said = [] if size.cpu_cores is None else [f"{size.cpu_cores}vCPU"]
    return " ".join([*said, *([] if size.memory_mib is None else [f"{size.memory_mib // GIB}GiB"])])


def _minute(call: DialectCall, at: int | None) -> str:
    return NO_END if at is None else wire.show_minute(at, call.settings.timezone)
