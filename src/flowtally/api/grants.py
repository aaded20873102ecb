"""Grants: amounts given to an account in a pool, listed, read and voided; never edited."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.answers.account_balance import show_grant
from flowtally.core.edges import parse_if_any, parse_instant
from flowtally.core.errors import BadRange, Conflict, NotFound, RowsCompacted, UnknownAccount, Unprocessable
from flowtally.funding.user_funds import require_countable
from flowtally.ledger.pages import ListPage
from flowtally.ledger.traffic import grants
from flowtally.protocol import GrantAnswer, GrantRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = GrantAnswer(
    id="grn_0199f2c47b3a7c11a1f0b2c3d4e5f607",
    account="acme",
    pool="traffic",
    amount=100_000_000_000,
    source="order",
    reference="order-4711",
    priority=100,
    starts_at="2026-03-01T00:00:00Z",
    expires_at="2026-04-01T00:00:00Z",
    created_at="2026-03-01T09:30:00Z",
    voided_at=None,
)


class GrantsQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    source: Annotated[str | None, Meta(description="Only grants of this source.", examples=["order"])] = None
    reference: Annotated[str | None, Meta(description="Only grants of this reference.", examples=["order-4711"])] = None


@operation(
    "POST",
    "/v1/accounts/{account}/grants",
    may="grants:write",
    summary="Give a grant",
    body=GrantRequest,
    answer=GrantAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, Conflict, BadRange, Unprocessable, RowsCompacted),
    body_example={
        "amount": 100_000_000_000,
        "pool": "traffic",
        "source": "order",
        "reference": "order-4711",
        "starts_at": "2026-03-01T00:00:00Z",
        "expires_at": "2026-04-01T00:00:00Z",
    },
    example=EXAMPLE,
)
def give_grant(call: Call, account: str, body: GrantRequest) -> GrantAnswer:
    """`amount` in the pool's unit (bytes or requests). A grant pays for use from `starts_at` (default: now; the past
    is allowed) until `expires_at` (excluded; none: for ever), whenever that use arrives. Lower `priority` is spent
    first, then what expires first. Send an Idempotency-Key: a repeated request must not give twice."""
    given = show_grant(
        grants.give_grant(
            call.tx,
            account,
            body.amount,
            now=call.now,
            pool=body.pool,
            source=body.source,
            reference=body.reference,
            priority=body.priority,
            starts_at=parse_if_any(body.starts_at),
            expires_at=parse_if_any(body.expires_at),
        )
    )
    past = [parse_instant(edge) for edge in (body.starts_at, body.expires_at) if edge is not None]
    require_countable(call.usage, account, *(edge for edge in past if edge < call.now))
    return given


@operation(
    "GET",
    "/v1/accounts/{account}/grants",
    may="grants:read",
    summary="List grants",
    query=GrantsQuery,
    answer=Listed(GrantAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_grants(call: Call, account: str, query: GrantsQuery) -> ListPage[GrantAnswer]:
    """In the order they were given, voided ones included. What is left of them is in the balance."""
    which = {"source": query.source, "reference": query.reference}
    return show_page(grants.list_grants(call.tx, account, query.cursor, query.limit, **which), show_grant)


@operation(
    "GET",
    "/v1/accounts/{account}/grants/{grant}",
    may="grants:read",
    summary="Read a grant",
    answer=GrantAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_grant(call: Call, account: str, grant: str) -> GrantAnswer:
    """As it was given. What is left of it is in the balance."""
    return show_grant(grants.read_grant(call.tx, grant, account))


@operation(
    "POST",
    "/v1/accounts/{account}/grants/{grant}/void",
    may="grants:write",
    summary="Void a grant",
    answer=GrantAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def void_grant(call: Call, account: str, grant: str) -> GrantAnswer:
    """Takes back what the grant has not paid for, from now on; what it paid stays paid. A second void changes
    nothing and answers like the first."""
    return show_grant(grants.void_grant(call.tx, grant, account, call.now))
