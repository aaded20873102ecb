"""Thordata's links that extract endpoints: hosts and ports to connect to, as a text or as JSON.

They are a service of its own, with a host and codes of its own: a caller shows no secret, but names an account and asks
from an address on its whitelist. Here a token is as good. A refusal is told as JSON, whatever was asked for: as a text
it would be taken for a proxy, and their Python client looks for it there.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

from flowtally.core.endpoints import as_text
from flowtally.core.errors import AddressNotAllowed, FlowtallyError, Forbidden, RateLimited, Unauthenticated
from flowtally.core.media import PLAIN
from flowtally.ledger.inventory import gateways
from flowtally.ledger.inventory.gateways import Wanted
from flowtally.ledger.pools import read_pools
from flowtally.vendors.base import (
    Asked,
    DialectCall,
    Fault,
    Manner,
    Rate,
    Reply,
    Route,
    Secrets,
    WrongKey,
    declaring,
)
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.callers import SCHEMES, shown
from flowtally.vendors.thordata.codes import as_theirs
from flowtally.vendors.thordata.parameters import ExtractLink, Link, UnlimitedLink
from flowtally.vendors.thordata.settings import Settings
from flowtally.vendors.thordata.wire import ProxyAddress, ThordataError

WITHHELD: Final = {"never": wire.NO_PLAN, "ended": wire.PLAN_ENDED}
ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


def identify(asked: Asked, settings: Settings) -> Secrets:
    """`td-customer`, the id of an account; a token, and a key, where they are sent."""
    found = shown(asked, settings)
    account = asked.secret("td-customer", "query")
    if not found.token and not account:
        raise Unauthenticated("Neither td-customer nor a token is sent.")
    return Secrets(found.token, found.key if found.token else None, account=account)


def succeed(made: Any) -> Reply:
    return made if isinstance(made, Reply) else Reply(wire.encode(made))


def fail(error: FlowtallyError) -> Reply:
    return Reply(wire.encode_error(_as_link_says(error)))


def _as_link_says(error: FlowtallyError) -> ThordataError:
    if isinstance(error, RateLimited):
        return ThordataError(wire.ASKED_AGAIN)
    if isinstance(error, (Unauthenticated, Forbidden)) and not isinstance(error, WrongKey):
        return ThordataError(wire.NO_SUCH_ACCOUNT)
    return as_theirs(error)


def _rate(settings: Settings) -> Rate | None:
    return Rate(1, settings.extract_seconds * 1000) if settings.extract_seconds else None


LINKS: Final = Manner(
    identify=identify,
    succeed=succeed,
    fail=fail,
    security=SCHEMES,
    faults=[Fault(f"{number}: {text}", fail(ThordataError(number))) for number, text in wire.LINK_MESSAGES.items()],
    by_address=True,
    rate=_rate,
    served=lambda settings: bool(settings.extract_links),
    host=lambda settings: str(settings.extract_host),
)


@route(
    "GET",
    "/api",
    may="endpoints:read",
    summary="Extract endpoints",
    takes=ExtractLink,
    takes_example={"sesstype": "1", "number": "5", "country": "US", "return_type": "json"},
    answer=list[ProxyAddress],
    example=[ProxyAddress("us.proxy.example.com", 14_711)],
    manner=LINKS,
    any_text=frozenset({"sep"}),
    also=(PLAIN,),
)
def extract_endpoints(call: DialectCall, given: ExtractLink) -> list[ProxyAddress] | Reply:
    """Endpoints of the product `residential`, each once, another choice each time: a text with `host:port` lines, or
    JSON. Fewer where there are no more; 114 where there are none. A caller without a token must be on the account's own
    whitelist, and waits 2 seconds between two lists."""
    return _extracted(call, given.link(), "residential")


@route(
    "GET",
    "/unlimited_api",
    may="endpoints:read",
    summary="Extract endpoints of servers with unlimited traffic",
    takes=UnlimitedLink,
    takes_example={"sesstype": "1", "number": "5", "return_type": "json"},
    answer=list[ProxyAddress],
    example=[ProxyAddress("server-7.proxy.example.com", 10_007)],
    manner=LINKS,
    any_text=frozenset({"sep"}),
    also=(PLAIN,),
)
def extract_unlimited_endpoints(call: DialectCall, given: UnlimitedLink) -> list[ProxyAddress] | Reply:
    """The same of the product `unlimited`. `servers` names one of them: a gateway by its id or
    host, or what is in stock there. Those of a server that is in stock are told to whoever leases it: 117 to who never
    did, 121 when the lease has ended."""
    try:
        return _extracted(call, given.link(), "unlimited", given.servers)
    except AddressNotAllowed:
        raise ThordataError(wire.NO_PLAN) from None


def _extracted(call: DialectCall, asked: Link, product: str, gateway: str = "") -> list[ProxyAddress] | Reply:
    call.require_on_list(read_pools(call.tx).pool_of(product))
    wanted = Wanted(product, asked.session, asked.country, asked.state, asked.city, asked.least_hold_s, gateway)
    found, _ = gateways.choose_endpoints(
        call.tx, call.account, wanted, asked.number, secrets.randbelow(2**63), at=call.now
    )
    if not found:
        why = gateways.withheld(call.tx, call.account, wanted, at=call.now)
        raise ThordataError(WITHHELD.get(why or "", wire.NOTHING_FITS))
    if asked.separator is None:
        return [ProxyAddress(one.host, one.port) for one in found]
    return Reply(as_text(found, asked.separator).encode(), PLAIN)
