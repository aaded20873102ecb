"""Thordata's whitelist: from which addresses an account's traffic may come, for each family its own list."""

from __future__ import annotations

from typing import Final

from flowtally.core.errors import NotFound
from flowtally.ledger.people import whitelist
from flowtally.ledger.pools import read_pools
from flowtally.vendors.base import Adapted, DialectCall, Route, declaring
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.clients import READS_ARRAY, client_of
from flowtally.vendors.thordata.parameters import AddIp, Family, OfFamily, OneIp
from flowtally.vendors.thordata.wire import Whitelist, WhitelistedIp, Written, show_day

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


@route(
    "GET",
    "/api/whitelisted-ips/ip-list",
    may="whitelist:read",
    summary="List whitelisted IPs",
    takes=OfFamily,
    answer=Whitelist | list[WhitelistedIp | str],
    example=Whitelist(1, 100, 99, [WhitelistedIp("2025-01-01", "1.1.1.1", True)]),
)
def list_ips(call: DialectCall, given: OfFamily) -> Whitelist | list[WhitelistedIp] | Adapted:
    """The account's own list, in the order it was filled. Their own clients, known by what they say they are
    (`User-Agent: thordata-python-sdk/...`), are answered with the array of its addresses, which is what they read. The
    setting `whitelist_array` answers all with the array of its entries, or with the object."""
    pool = _pool(call, given.family())
    entries = [
        WhitelistedIp(show_day(one.created_at, call.settings.timezone), one.address, one.enabled)
        for one in whitelist.read_list(call.tx, call.account, None, pool)
    ]
    if call.settings.whitelist_array:
        return entries
    most = call.services.config.max_whitelist_ips
    documented = Whitelist(len(entries), max(most, len(entries)), max(0, most - len(entries)), entries)
    if call.settings.whitelist_array is None and client_of(call.asked) in READS_ARRAY:
        return Adapted([one.ip for one in entries], documented)
    return documented


@route(
    "POST",
    "/api/whitelisted-ips/add-ip",
    may="whitelist:write",
    summary="Whitelist an IP",
    takes=AddIp,
    takes_example={"ip": "1.1.1.1", "status": "true"},
    answer=Written,
    example=Written(),
    writes=True,
)
def add_ip(call: DialectCall, given: AddIp) -> Written:
    """One that is there already is enabled or disabled."""
    asked = given.address()
    whitelist.put_address(
        call.tx,
        call.account,
        None,
        asked.ip,
        now=call.now,
        most=call.services.config.max_whitelist_ips,
        pool=_pool(call, asked.family),
        enabled=asked.enabled,
    )
    return Written()


@route(
    "POST",
    "/api/whitelisted-ips/delete-ip",
    may="whitelist:write",
    summary="Remove an IP",
    takes=OneIp,
    takes_example={"ip": "1.1.1.1"},
    answer=Written,
    example=Written(),
    writes=True,
)
def delete_ip(call: DialectCall, given: OneIp) -> Written:
    """10010 when it is not on the list."""
    asked = given.address()
    try:
        whitelist.remove_address(call.tx, call.account, None, asked.ip, pool=_pool(call, asked.family))
    except NotFound:
        raise wire.ThordataError(wire.NO_SUCH_IP) from None
    return Written()


def _pool(call: DialectCall, family: Family) -> str:
    return read_pools(call.tx).pool_of(family)
