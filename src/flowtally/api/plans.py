"""Plans: what can be bought, set by the operator."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import Conflict, NotFound, Unprocessable
from flowtally.ledger.money import plans
from flowtally.ledger.money.plans import Plan
from flowtally.ledger.pages import ListPage
from flowtally.protocol import PlanAnswer, PlanRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = PlanAnswer(
    id="month-100",
    name="100 GB for a month",
    pool="traffic",
    amount=100_000_000_000,
    price_micros=12_500_000,
    currency="USD",
    days=30,
    status="active",
    created_at="2026-03-01T09:30:00Z",
    retired_at=None,
)


class PlansQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    retired: Annotated[bool, Meta(description="Also plans that are no longer sold.")] = False


@operation(
    "POST",
    "/v1/plans",
    may="plans:write",
    summary="Create a plan",
    body=PlanRequest,
    answer=PlanAnswer,
    status=201,
    errors=(NotFound, Conflict, Unprocessable),
    body_example={
        "id": "month-100",
        "name": "100 GB for a month",
        "amount": 100_000_000_000,
        "price_micros": 12_500_000,
        "days": 30,
    },
    example=EXAMPLE,
)
def create_plan(call: Call, body: PlanRequest) -> PlanAnswer:
    """A plan never changes: for another price make another one and retire this. What it grants lasts `days` times 24
    hours from the purchase, without `days` for ever."""
    made = plans.create_plan(
        call.tx,
        body.name,
        body.amount,
        body.price_micros,
        now=call.now,
        currency=call.services.config.currency,
        pool=body.pool,
        days=body.days,
        plan_id=body.id,
    )
    return show(made)


@operation(
    "GET",
    "/v1/plans",
    may="plans:read",
    narrows=True,
    summary="List plans",
    query=PlansQuery,
    answer=Listed(PlanAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_plans(call: Call, query: PlansQuery) -> ListPage[PlanAnswer]:
    """Those that can be bought, in order of id."""
    return show_page(plans.list_plans(call.tx, query.cursor, query.limit, retired=query.retired), show)


@operation(
    "GET",
    "/v1/plans/{plan}",
    may="plans:read",
    narrows=True,
    summary="Read a plan",
    answer=PlanAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_plan(call: Call, plan: str) -> PlanAnswer:
    """Retired or not."""
    return show(plans.read_plan(call.tx, plan))


@operation(
    "POST",
    "/v1/plans/{plan}/retire",
    may="plans:write",
    summary="Retire a plan",
    answer=PlanAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def retire_plan(call: Call, plan: str) -> PlanAnswer:
    """Sells it no more; what was bought stays. A second time changes nothing and answers like the first."""
    return show(plans.retire_plan(call.tx, plan, now=call.now))


def show(one: Plan) -> PlanAnswer:
    return PlanAnswer(
        id=one.id,
        name=one.name,
        pool=one.pool,
        amount=one.amount,
        price_micros=one.price,
        currency=one.currency,
        days=one.days,
        status="active" if one.retired_at is None else "retired",
        created_at=format_instant(one.created_at),
        retired_at=format_if_any(one.retired_at),
    )
