"""Lists of endpoints: where an account's programs connect to, as JSON, text or CSV.

Told to whoever shows a token, or asks from an address on the account's whitelist: what fetches such a list is often a
program that can send no header.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core import endpoints
from flowtally.core.endpoints import SEPARATORS, Separator, Session
from flowtally.core.errors import AddressNotAllowed, NotAcceptable, RateLimited, UnknownAccount, Unprocessable
from flowtally.core.media import CSV, JSON, PLAIN
from flowtally.core.words import ListForm
from flowtally.ledger.inventory import gateways
from flowtally.ledger.inventory.gateways import Wanted
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.pools import read_pools
from flowtally.protocol import EndpointAnswer, EndpointsAnswer
from flowtally.web.auth import require_on_list
from flowtally.web.call import Call, Reply
from flowtally.web.media import choose
from flowtally.web.operation import operation

MAX_ENDPOINTS: Final = 10_000
FORMS: Final = {"json": JSON, "text": PLAIN, "csv": CSV}
EXAMPLE = EndpointsAnswer(
    "acme",
    "residential",
    [EndpointAnswer("us.proxy.example.com", 14_711, "sticky", 600, "US", "", "")],
    10_000,
)


class EndpointsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    product: Annotated[str, Meta(description="The product to use.", examples=["residential"])] = "residential"
    number: Annotated[int, Meta(description="How many, at most.", ge=1, le=MAX_ENDPOINTS)] = 10
    session: Annotated[
        Session | None,
        Meta(
            description="`sticky`: those that keep the address they go out from; `rotating`: those that do not. "
            "Default: both."
        ),
    ] = None
    country: Annotated[
        str, Meta(description="Two letters (ISO 3166-1): only those that go out there. Default: all.", examples=["US"])
    ] = ""
    state: Annotated[str, Meta(description="The code of a state: only those in it. Default: all.")] = ""
    city: Annotated[str, Meta(description="The code of a city: only those in it. Default: all.")] = ""
    format: Annotated[
        ListForm | None, Meta(description="The form of the answer. Default: by the Accept header, else `json`.")
    ] = None
    separator: Annotated[Separator, Meta(description="What stands between two endpoints of the form `text`.")] = "lf"


@operation(
    "GET",
    "/v1/accounts/{account}/endpoints",
    may="endpoints:read",
    or_whitelisted=True,
    summary="List endpoints to connect to",
    query=EndpointsQuery,
    answer=EndpointsAnswer,
    errors=(UnknownAccount, AddressNotAllowed, RateLimited, NotAcceptable, Unprocessable),
    also=(PLAIN, CSV),
    example=EXAMPLE,
)
def list_endpoints(call: Call, account: str, query: EndpointsQuery) -> EndpointsAnswer | Reply:
    """So many of the ports that are offered, each once; another choice each time, taken evenly from all gateways that
    fit. Fewer where there are no more. `text` has a `host:port` for each, an IPv6 address in brackets.

    A caller without a token is answered if its address is on the account's own whitelist of the product's pool. A
    caller gets `endpoint_lists_per_minute` lists a minute."""
    admit(call)
    form = choose(call.accept, tuple(FORMS.values())) if query.format is None else FORMS[query.format]
    read_account(call.tx, account)
    require_on_list(call.tx, call.credential, read_pools(call.tx).pool_of(query.product))
    wanted = Wanted(query.product, query.session, query.country, query.state, query.city)
    start = secrets.randbelow(2**63)
    found, fitting = gateways.choose_endpoints(call.tx, account, wanted, query.number, start, at=call.now)
    if form == PLAIN:
        return Reply(endpoints.as_text(found, SEPARATORS[query.separator]).encode(), PLAIN)
    if form == CSV:
        return Reply(endpoints.as_csv(found).encode(), CSV)
    shown = [msgspec.convert(msgspec.structs.asdict(one), EndpointAnswer) for one in found]
    return EndpointsAnswer(account, query.product, shown, fitting)


def admit(call: Call) -> None:
    """RateLimited for a caller that asks too often."""
    if call.services.endpoint_lists is not None:
        call.services.endpoint_lists.let_in(call.credential.id, call.now, "lists of endpoints")
