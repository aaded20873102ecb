"""Thordata's first generation of ISP proxies, `gateway/*`: what can be leased, what is, and until when.

They are what is in stock of the kind `isp`. Owns no buying and no renewing: no page that we know shows such a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowtally.core.leasing import Site
from flowtally.ledger.inventory import leases, stock
from flowtally.ledger.inventory.lease_plans import LeasePlan, list_lease_plans
from flowtally.ledger.inventory.leases import LeasedItem
from flowtally.ledger.pages import MAX_LIMIT
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.parameters import FixedIps
from flowtally.vendors.thordata.routes.earlier import EARLIER, no_expiry
from flowtally.vendors.thordata.wire import IN_MONEY, IspPrices, IspProxy, IspRegion, IspTime, ThordataError, decimal

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES, "/api/gateway")

KIND: Final = "isp"
WEEK_DAYS: Final = 7
MONTH_DAYS: Final = 30


@route(
    "POST",
    "/getRegionIsp",
    may="plans:read",
    summary="Regions and prices of ISP proxies, as first served",
    answer=list[IspRegion],
    example=[IspRegion("na", "US", "newyork", IspPrices(decimal(IN_MONEY, 250), decimal(IN_MONEY, 800)))],
    manner=EARLIER,
)
def list_isp_regions(call: DialectCall, given: Nothing) -> list[IspRegion]:
    """Each place that something of the kind `isp` is in stock at, with the lowest price of a plan of 7 and of 30 days
    for it; 0: none is sold for so long. A place for which neither is sold is left out."""
    plans = list_lease_plans(call.tx, limit=MAX_LIMIT, kind=KIND).items
    regions = [IspRegion(one.region, one.country, one.city, _prices(plans, one)) for one in stock.sites(call.tx, KIND)]
    return [one for one in regions if one.pricing.week or one.pricing.month]


def _prices(plans: Sequence[LeasePlan], site: Site) -> IspPrices:
    def lowest(days: int) -> int:
        return min((one.price for one in plans if one.days == days and one.place.holds(site)), default=0)

    week, month = (decimal(IN_MONEY, IN_MONEY.steps(lowest(days))) for days in (WEEK_DAYS, MONTH_DAYS))
    return IspPrices(week, month)


@route(
    "POST",
    "/queryListIsp",
    may="leases:read",
    summary="ISP proxies, as first served",
    answer=list[IspProxy],
    example=[
        IspProxy(1741270860, 1741875660, "1.1.1.1", 6666, "user123", "password123", "na", "US", "newyork"),
    ],
    manner=EARLIER,
)
def list_isp_proxies(call: DialectCall, given: Nothing) -> list[IspProxy]:
    """What the account leases now of the kind `isp`, in the order of its leases, in Unix seconds. Passwords are
    in clear for a credential that may see them, empty for others."""
    held = leases.held_by(call.tx, call.account, at=call.now, kind=KIND)
    sealed = stock.sealed_passwords_of(call.tx, [one.item.id for one in held])
    return [_show(call, one, call.password(sealed[one.item.id])) for one in held]


@route(
    "POST",
    "/queryTimeIsp",
    may="leases:read",
    summary="When ISP proxies expire, as first served",
    takes=FixedIps,
    takes_example={"ips": "1.1.1.1"},
    answer=list[IspTime],
    example=[IspTime("1.1.1.1", 1741875660)],
    manner=EARLIER,
)
def list_isp_times(call: DialectCall, given: FixedIps) -> list[IspTime]:
    """Of those that the account leases now, in the order that is asked; the others are left out. 10010 where all of
    them would be."""
    asked = given.addresses()
    held = leases.held_by(call.tx, call.account, at=call.now, kind=given.kind())
    ends = {one.item.address: _ends_s(call, one) for one in held}
    found = [IspTime(ip, ends[ip]) for ip in asked if ip in ends]
    if not found:
        raise ThordataError(wire.NO_SUCH_IP)
    return found


def _show(call: DialectCall, held: LeasedItem, password: str) -> IspProxy:
    item = held.item
    return IspProxy(
        held.lease.starts_at // 1000,
        _ends_s(call, held),
        item.address,
        item.port or 0,
        item.username,
        password,
        item.place.region,
        item.place.country,
        item.place.city,
    )


def _ends_s(call: DialectCall, held: LeasedItem) -> int:
    return no_expiry(call.settings) if held.lease.ends_at is None else held.lease.ends_at // 1000
