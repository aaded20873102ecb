"""IPFoxy's static proxies: area-list, order-price, proxy-buy, order-info, proxy-list, auto-extend.

They are leases of the kinds `datacenter`, `isp` and `isp-pro`, a proxy's id is that of what is in stock. What it costs
is what the lease plan says that has so many days and is for the area: of several the one that says most of the place,
of these the cheapest. A plan that names a size is of servers, and not sold here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from flowtally.core.errors import BadRequest, NotFound, OutOfStock
from flowtally.core.leasing import ANY_SIZE, Site
from flowtally.ledger.inventory import iso, lease_plans, leases, orders, stock
from flowtally.ledger.inventory.lease_plans import LeasePlan
from flowtally.ledger.inventory.leases import LeasedItem
from flowtally.ledger.inventory.orders import Order
from flowtally.ledger.inventory.stock import StockArea
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.ipfoxy import wire
from flowtally.vendors.ipfoxy.parameters import (
    MOST_BOUGHT,
    AutoExtending,
    Buying,
    Extending,
    OrderAsked,
    PriceAsked,
    ProxiesAsked,
    proxies_of,
)
from flowtally.vendors.ipfoxy.routes.areas import IP_TYPES, area_of, by_number, number_of, region_of, version_of
from flowtally.vendors.ipfoxy.routes.keys import is_new
from flowtally.vendors.ipfoxy.wire import FoxError

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES, under=wire.PATH)

BUY, EXTEND = "BUY", "EXTEND"
TYPES: Final = {"given": BUY, "bought": BUY, "renewed": EXTEND}
ITEM: Final = "stk_0199f2c47b3a7c11a1f0b2c3d4e5f610"
ORDER: Final = "ord_0199f2c47b3a7c11a1f0b2c3d4e5f612"

Plans = Mapping[str, Sequence[LeasePlan]]


@route(
    "GET",
    "area-list",
    may="leases:read",
    takes=Nothing,
    answer=list[wire.Area],
    summary="List areas of static proxies",
    example=[wire.Area("280680951", "STATIC_ISP", "true", "IPv4", "United States", "US", "Zone D")],
)
def list_areas(call: DialectCall, given: Nothing) -> list[wire.Area]:
    """Everywhere that something is in stock, also where all of it is leased. `status` is true where one can be bought
    now."""
    areas, plans = stock.areas_of(call.tx, tuple(IP_TYPES), call.now), _plans(call)
    sold = by_number(areas)
    return [_area(one, bool(one.free and number_of(one) in sold and _fitting(plans, one))) for one in areas]


@route(
    "GET",
    "order-price",
    may="plans:read",
    takes=PriceAsked,
    answer=wire.OrderPrice,
    summary="What an order would cost",
    takes_example={"order_type": BUY, "days": "30", "area_id": "280680951", "num": "2"},
    example=wire.OrderPrice("11.98", BUY),
)
def read_order_price(call: DialectCall, given: PriceAsked) -> wire.OrderPrice:
    """Of buying in an area, or of renewing proxies of the account. Nothing is bought, and no stock is looked at."""
    if given.order_type == BUY:
        price = _plan(_plans(call), _sold(call, given.area_id), given.days).price * _quantity(given.num)
    else:
        call.require("leases:read")
        price = sum(one.price for one in _renewals(call, proxies_of(given.proxy_ids), given.days).values())
    return wire.OrderPrice(_price(price), given.order_type)


@route(
    "POST",
    "proxy-buy",
    may="leases:write",
    takes=Buying,
    answer=wire.OrderMade,
    writes=True,
    summary="Buy or renew static proxies",
    takes_example={"days": "30", "area_id": "280680951", "auto_extend": "0", "num": "1"},
    example=wire.OrderMade(ORDER),
)
def buy_proxies(call: DialectCall, given: Buying) -> wire.OrderMade:
    """With `area_id` so many are leased there, with `proxy_ids` these go on from their ends. All or none, paid from the
    wallet at once. With an `idempotency_key` it happens once, and the same request again is answered with the same
    order; without one each request is an order of its own."""
    if given.proxy_ids:
        if given.area_id or given.num is not None:
            raise BadRequest("Send area_id and num to buy, or proxy_ids to renew.", parameter="proxy_ids")
        asked = Extending(given.days, given.proxy_ids, given.idempotency_key)
        return _extend(call, asked, by_itself=bool(given.auto_extend))
    if given.num is None or given.auto_extend is None:
        missing = "num" if given.num is None else "auto_extend"
        raise BadRequest(f"Send {missing}.", parameter=missing)
    request = ("buy", given.area_id, given.days, given.num, given.auto_extend)
    if given.idempotency_key and not is_new(call, given.idempotency_key, *request):
        return wire.OrderMade(_named(call, given.idempotency_key))
    return wire.OrderMade(_bought(call, given, _quantity(given.num)).id)


@route(
    "POST",
    "proxy-extend",
    may="leases:write",
    takes=Extending,
    answer=wire.OrderMade,
    writes=True,
    summary="Renew static proxies",
    takes_example={"days": "30", "proxy_ids": ITEM},
    example=wire.OrderMade(ORDER),
)
def renew_as_proxy_extend(call: DialectCall, given: Extending) -> wire.OrderMade:
    """As `proxy-buy` with `proxy_ids`: a name that public clients use."""
    return _extend(call, given)


@route(
    "POST",
    "proxy-renew",
    may="leases:write",
    takes=Extending,
    answer=wire.OrderMade,
    writes=True,
    summary="Renew static proxies",
    takes_example={"days": "30", "proxy_ids": ITEM},
    example=wire.OrderMade(ORDER),
)
def renew_as_proxy_renew(call: DialectCall, given: Extending) -> wire.OrderMade:
    """As `proxy-buy` with `proxy_ids`: a name that public clients use."""
    return _extend(call, given)


@route(
    "GET",
    "order-info",
    may="leases:read",
    takes=OrderAsked,
    answer=wire.OrderInfo,
    summary="Read an order of static proxies",
    takes_example={"order_id": ORDER},
    example=wire.OrderInfo(ORDER, "5.99", [ITEM], "1", BUY),
)
def read_order(call: DialectCall, given: OrderAsked) -> wire.OrderInfo:
    """An order of the account by which static proxies were bought, given or renewed."""
    order, ids = _order(call, given.order_id), {}
    for one in leases.held_in_order(call.tx, call.account, given.order_id):
        if one.item.kind in IP_TYPES:
            ids[one.lease.id] = one.item.id
    if order is None or order.what not in TYPES or not ids:
        raise BadRequest("The account has no such order.", parameter="order_id")
    paid = order.price if order.transfer_id is not None else 0
    proxies = [ids[one] for one in order.leases if one in ids]
    return wire.OrderInfo(order.id, _price(paid), proxies, str(len(proxies)), TYPES[order.what])


@route(
    "GET",
    "proxy-list",
    may="leases:read",
    takes=ProxiesAsked,
    answer=wire.ProxyList,
    summary="List static proxies",
    takes_example={"page": "1", "page_size": "50"},
    example=wire.ProxyList(
        [
            wire.Proxy(
                ITEM,
                "192.0.2.10",
                "192.0.2.10",
                "45001",
                "socks5",
                "280680951",
                "user123",
                "password123",
                "0",
                "1701599163",
                "1699007163",
                "US",
                "STATIC_ISP",
                "IPv4",
                "0",
            )
        ],
        1,
        1,
        50,
    ),
)
def list_proxies(call: DialectCall, given: ProxiesAsked) -> wire.ProxyList:
    """What the account has now, in the order it was leased; `proxy_ids`: of these what it has. The password is empty
    for a credential without the right `passwords:read`."""
    held, total = leases.held_page(
        call.tx,
        call.account,
        at=call.now,
        kinds=tuple(IP_TYPES),
        offset=(given.page - 1) * given.page_size,
        limit=given.page_size,
        some=proxies_of(given.proxy_ids) if given.proxy_ids else None,
    )
    sealed = stock.sealed_passwords_of(call.tx, [one.item.id for one in held])
    renewed = leases.last_renewals(call.tx, [one.lease.id for one in held])
    rows = [_proxy(call, one, sealed[one.item.id], renewed.get(one.lease.id, 0)) for one in held]
    return wire.ProxyList(rows, total, given.page, given.page_size)


@route(
    "POST",
    "auto-extend",
    may="leases:write",
    takes=AutoExtending,
    answer=wire.Empty,
    writes=True,
    summary="Switch renewing by itself on or off",
    takes_example={"auto_extend": "0", "proxy_ids": ITEM},
    example=wire.Empty(),
)
def change_auto_extend(call: DialectCall, given: AutoExtending) -> wire.Empty:
    """Of the proxies that the account has; others are passed over, where it has one of them. 60600 where one of them
    has no plan to be renewed by."""
    _renew_by_itself(call, proxies_of(given.proxy_ids), on=bool(given.auto_extend))
    return wire.Empty()


def _renew_by_itself(call: DialectCall, ids: Sequence[str], *, on: bool) -> None:
    found = leases.renewable_of(call.tx, call.account, ids, at=call.now)
    of_account = [one.lease for one in found.values() if one.item.kind in IP_TYPES]
    if not of_account:
        raise FoxError(wire.EXPIRED)
    if on and any(one.plan_id is None or one.ends_at is None for one in of_account):
        raise FoxError(wire.NOT_RENEWABLE)
    orders.set_auto_renew(call.tx, call.account, [one.id for one in of_account], on, now=call.now)


def _bought(call: DialectCall, given: Buying, count: int) -> Order:
    """What is free there is looked for and leased in one transaction: nobody has it in between."""
    area, key = _sold(call, given.area_id), given.idempotency_key
    plan = _plan(_plans(call), area, given.days)
    found = stock.free_in(call.tx, area, count, call.now)
    if len(found) < count:
        raise OutOfStock(f"{count} were asked for, {len(found)} are free in area {given.area_id}", free=len(found))
    return orders.buy_leases(
        call.tx,
        call.account,
        plan.id,
        now=call.now,
        some=found,
        grace_ms=call.services.config.lease_grace_s * 1000,
        auto_renew=bool(given.auto_extend),
        order_id=None if key is None else _named(call, key),
    )


def _extend(call: DialectCall, given: Extending, *, by_itself: bool = False) -> wire.OrderMade:
    """`by_itself`: and from then on they are renewed by themselves. The same request again changes nothing."""
    ids, key = proxies_of(given.proxy_ids), given.idempotency_key
    if key and not is_new(call, key, "extend", ids, given.days, by_itself):
        return wire.OrderMade(_named(call, key))
    plans = _renewals(call, ids, given.days)
    order = orders.renew_leases(
        call.tx,
        call.account,
        list(plans),
        now=call.now,
        plans={lease: one.id for lease, one in plans.items()},
        order_id=None if key is None else _named(call, key),
    )
    if by_itself:
        orders.set_auto_renew(call.tx, call.account, list(plans), True, now=call.now)
    return wire.OrderMade(order.id)


def _named(call: DialectCall, key: str) -> str:
    """The id of the order that is made under this key: of both alone, so that it is the same when it is asked again."""
    return f"ord_{sha256(msgspec.json.encode((call.account, key))).hexdigest()[:32]}"


def _renewals(call: DialectCall, ids: Sequence[str], days: int) -> dict[str, LeasePlan]:
    """By which plan each of these leases goes on: its own where that has so many days, else as one is bought."""
    found, plans = leases.renewable_of(call.tx, call.account, ids, at=call.now), _plans(call)
    held = [found.get(one) for one in ids]
    made = {}
    for one in held:
        if one is None or one.item.kind not in IP_TYPES:
            raise FoxError(wire.EXPIRED)
        if one.item.retired_at is not None:
            raise FoxError(wire.REMOVED)
        if one.lease.ends_at is None:
            raise FoxError(wire.NOT_RENEWABLE)
        made[one.lease.id] = _own(plans, one, days) or _plan(plans, area_of(one.item), days)
    return made


def _own(plans: Plans, held: LeasedItem, days: int) -> LeasePlan | None:
    mine = (one for one in plans[held.item.kind] if one.id == held.lease.plan_id and one.days == days)
    return next((one for one in mine if one.place.holds(held.item.place) and one.size.holds(held.lease.size)), None)


def _sold(call: DialectCall, area_id: int) -> StockArea:
    found = by_number(stock.areas_of(call.tx, tuple(IP_TYPES), call.now)).get(area_id)
    if found is None:
        raise BadRequest(f"There is no area {area_id}.", parameter="area_id")
    return found


def _plans(call: DialectCall) -> Plans:
    return {kind: lease_plans.plans_of(call.tx, kind) for kind in IP_TYPES}


def _fitting(plans: Plans, area: StockArea) -> list[LeasePlan]:
    return [one for one in plans[area.kind] if one.size == ANY_SIZE and one.place.holds(area.place)]


def _plan(plans: Plans, area: StockArea, days: int) -> LeasePlan:
    fit = _fitting(plans, area)
    if not fit:
        raise FoxError(wire.NOT_SOLD)
    same = [one for one in fit if one.days == days]
    if not same:
        raise FoxError(wire.DURATION)
    return min(same, key=lambda one: (-_said(one.place), one.price, one.id))


def _said(place: Site) -> int:
    return sum(one != "" for one in msgspec.structs.astuple(place))


def _quantity(num: int) -> int:
    if not 1 <= num <= MOST_BOUGHT:
        raise FoxError(wire.QUANTITY)
    return num


def _order(call: DialectCall, order_id: str) -> Order | None:
    try:
        return orders.read_order(call.tx, call.account, order_id)
    except NotFound:
        return None


def _area(one: StockArea, sold: bool) -> wire.Area:
    country = one.place.country
    name = iso.country_name(country) or country
    status = "true" if sold else "false"
    return wire.Area(str(number_of(one)), IP_TYPES[one.kind], status, version_of(one), name, country, region_of(one))


def _proxy(call: DialectCall, one: LeasedItem, sealed: str | None, renewed_at: int) -> wire.Proxy:
    lease, item, area = one.lease, one.item, area_of(one.item)
    return wire.Proxy(
        item.id,
        item.address,
        item.address if _is_ip(item.address) else "",
        str(item.port or 0),
        call.settings.proxy_type,
        str(number_of(area)),
        item.username,
        call.password(sealed),
        str(int(lease.auto_renew)),
        wire.expiry_text(lease.ends_at),
        wire.seconds_text(lease.starts_at),
        item.place.country,
        IP_TYPES[item.kind],
        version_of(area),
        wire.seconds_text(renewed_at),
    )


def _is_ip(address: str) -> bool:
    """Of a spelt address: no name of a host ends in digits, or has a colon."""
    return ":" in address or address.rpartition(".")[2].isdigit()


def _price(micros: int) -> str:
    """Exact: two decimals, or as many as it has."""
    whole, rest = divmod(micros, 1_000_000)
    return f"{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"
