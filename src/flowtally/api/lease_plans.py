"""Lease plans: for how much stock is leased, for how long; set by the operator."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import Conflict, NotFound, Unprocessable
from flowtally.core.leasing import Site, Size
from flowtally.ledger.inventory import lease_plans
from flowtally.ledger.inventory.lease_plans import LeasePlan
from flowtally.ledger.pages import ListPage
from flowtally.protocol import LeasePlanAnswer, LeasePlanRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = LeasePlanAnswer(
    id="isp-30",
    name="ISP address for 30 days",
    kind="isp",
    days=30,
    price_micros=3_500_000,
    currency="USD",
    country="US",
    state="",
    city="",
    region="",
    cpu_cores=None,
    memory_mib=None,
    bandwidth_mbps=None,
    status="active",
    created_at="2026-03-01T09:30:00Z",
    retired_at=None,
)


class LeasePlansQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    kind: Annotated[str | None, Meta(description="Only plans for stock of this kind.", examples=["isp"])] = None
    retired: Annotated[bool, Meta(description="Also plans that are no longer sold.")] = False


@operation(
    "POST",
    "/v1/lease-plans",
    may="plans:write",
    summary="Create a lease plan",
    body=LeasePlanRequest,
    answer=LeasePlanAnswer,
    status=201,
    errors=(Conflict, Unprocessable),
    body_example={
        "id": "isp-30",
        "name": "ISP address for 30 days",
        "kind": "isp",
        "days": 30,
        "price_micros": 3_500_000,
        "country": "US",
    },
    example=EXAMPLE,
)
def create_lease_plan(call: Call, body: LeasePlanRequest) -> LeasePlanAnswer:
    """A plan never changes: for another price make another one and retire this. It is for all stock of its kind, or
    only for that of the place and size which it says."""
    made = lease_plans.create_lease_plan(
        call.tx,
        body.kind,
        body.days,
        body.price_micros,
        now=call.now,
        currency=call.services.config.currency,
        name=body.name,
        place=Site(body.country, body.state, body.city, body.region),
        size=Size(body.cpu_cores, body.memory_mib, body.bandwidth_mbps),
        plan_id=body.id,
    )
    return show(made)


@operation(
    "GET",
    "/v1/lease-plans",
    may="plans:read",
    narrows=True,
    summary="List lease plans",
    query=LeasePlansQuery,
    answer=Listed(LeasePlanAnswer),
    errors=(Unprocessable,),
    example={"items": [EXAMPLE], "next": None},
)
def list_lease_plans(call: Call, query: LeasePlansQuery) -> ListPage[LeasePlanAnswer]:
    """Those that can be bought, in order of id."""
    page = lease_plans.list_lease_plans(call.tx, query.cursor, query.limit, kind=query.kind, retired=query.retired)
    return show_page(page, show)


@operation(
    "GET",
    "/v1/lease-plans/{plan}",
    may="plans:read",
    narrows=True,
    summary="Read a lease plan",
    answer=LeasePlanAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_lease_plan(call: Call, plan: str) -> LeasePlanAnswer:
    """Retired or not."""
    return show(lease_plans.read_lease_plan(call.tx, plan))


@operation(
    "POST",
    "/v1/lease-plans/{plan}/retire",
    may="plans:write",
    summary="Retire a lease plan",
    answer=LeasePlanAnswer,
    errors=(NotFound,),
    example=msgspec.structs.replace(EXAMPLE, status="retired", retired_at="2026-03-15T12:00:00Z"),
)
def retire_lease_plan(call: Call, plan: str) -> LeasePlanAnswer:
    """Sells it no more, and no lease is renewed by it; what was leased stays. A second time changes nothing and answers
    like the first."""
    return show(lease_plans.retire_lease_plan(call.tx, plan, now=call.now))


def show(one: LeasePlan) -> LeasePlanAnswer:
    return LeasePlanAnswer(
        id=one.id,
        name=one.name,
        kind=one.kind,
        days=one.days,
        price_micros=one.price,
        currency=one.currency,
        **msgspec.structs.asdict(one.place),
        **msgspec.structs.asdict(one.size),
        status="active" if one.retired_at is None else "retired",
        created_at=format_instant(one.created_at),
        retired_at=format_if_any(one.retired_at),
    )
