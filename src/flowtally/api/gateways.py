"""Gateways: the hosts and ports that customers connect to, set by the operator."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.core.edges import format_instant
from flowtally.core.errors import Conflict, LimitReached, NotFound, Unprocessable
from flowtally.ledger.inventory import gateways
from flowtally.ledger.inventory.gateways import Gateway
from flowtally.ledger.pages import ListPage
from flowtally.protocol import GatewayAnswer, GatewayRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = GatewayAnswer(
    id="us-sticky",
    product="residential",
    host="us.proxy.example.com",
    first_port=10_000,
    last_port=19_999,
    session="sticky",
    hold_s=600,
    country="US",
    state="",
    city="",
    created_at="2026-03-01T09:30:00Z",
)


class GatewaysQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    product: Annotated[str | None, Meta(description="Only those of this product.")] = None


@operation(
    "POST",
    "/v1/gateways",
    may="gateways:write",
    summary="Add a gateway",
    body=GatewayRequest,
    answer=GatewayAnswer,
    status=201,
    errors=(Conflict, LimitReached, Unprocessable),
    body_example={
        "id": "us-sticky",
        "product": "residential",
        "host": "us.proxy.example.com",
        "first_port": 10_000,
        "last_port": 19_999,
        "session": "sticky",
        "hold_s": 600,
        "country": "US",
    },
    example=EXAMPLE,
)
def add_gateway(call: Call, body: GatewayRequest) -> GatewayAnswer:
    """A host with a range of ports that are all alike. A gateway never changes: for another range remove it and add
    another one. Within a product no port of a host can be offered twice."""
    made = gateways.add_gateway(
        call.tx,
        body.product,
        body.host,
        body.first_port,
        body.first_port if body.last_port is None else body.last_port,
        session=body.session,
        now=call.now,
        hold_s=body.hold_s,
        country=body.country,
        state=body.state,
        city=body.city,
        gateway_id=body.id,
    )
    return show(made)


@operation(
    "GET",
    "/v1/gateways",
    may="gateways:read",
    summary="List gateways",
    query=GatewaysQuery,
    answer=Listed(GatewayAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_gateways(call: Call, query: GatewaysQuery) -> ListPage[GatewayAnswer]:
    """In order of id."""
    return show_page(gateways.list_gateways(call.tx, query.cursor, query.limit, product=query.product), show)


@operation(
    "GET",
    "/v1/gateways/{gateway}",
    may="gateways:read",
    summary="Read a gateway",
    answer=GatewayAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_gateway(call: Call, gateway: str) -> GatewayAnswer:
    """As it was added."""
    return show(gateways.read_gateway(call.tx, gateway))


@operation(
    "DELETE",
    "/v1/gateways/{gateway}",
    may="gateways:write",
    summary="Remove a gateway",
    answer=GatewayAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def remove_gateway(call: Call, gateway: str) -> GatewayAnswer:
    """Its ports are in no list from now on; who has them already can still connect. Answers it as it was."""
    return show(gateways.remove_gateway(call.tx, gateway))


def show(one: Gateway) -> GatewayAnswer:
    return GatewayAnswer(
        id=one.id,
        product=one.product,
        host=one.host,
        first_port=one.first_port,
        last_port=one.last_port,
        session=one.session,
        hold_s=one.hold_s,
        country=one.country,
        state=one.state,
        city=one.city,
        created_at=format_instant(one.created_at),
    )
