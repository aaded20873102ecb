"""Allocations: traffic passed on to a funded user, and taken back."""

from __future__ import annotations

from flowtally.answers.user_balance import show_allocation
from flowtally.core.edges import parse_if_any
from flowtally.core.errors import (
    AccountSuspended,
    BadRange,
    Conflict,
    NotCovered,
    NotFound,
    UnknownAccount,
    UnknownUser,
    Unprocessable,
)
from flowtally.funding import user_funds
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people import users
from flowtally.ledger.traffic import allocations
from flowtally.protocol import AllocationAnswer, AllocationRequest, ReturnRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = AllocationAnswer(
    id="alc_0199f2c47b3a7c11a1f0b2c3d4e5f609",
    account="acme",
    user="bob",
    user_id="usr_0199f2c47b3a7c11a1f0b2c3d4e5f608",
    pool="traffic",
    amount=10_000_000_000,
    returned=0,
    created_at="2026-03-01T09:31:00Z",
)


@operation(
    "POST",
    "/v1/accounts/{account}/users/{user}/allocations",
    may="allocations:write",
    summary="Allocate to a user",
    body=AllocationRequest,
    answer=AllocationAnswer,
    status=201,
    errors=(UnknownAccount, UnknownUser, NotFound, AccountSuspended, Conflict, NotCovered, BadRange, Unprocessable),
    body_example={"amount": 10_000_000_000, "pool": "traffic"},
    example=EXAMPLE,
)
def create_allocation(call: Call, account: str, user: str, body: AllocationRequest) -> AllocationAnswer:
    """Passes traffic of the account on to a funded user: drawn from the account's balance, granted to the user's own,
    in one step. What the user has not spent at `expires_at` (none: never) is lost, and does not come back to the
    account. Refused with what is `left` when the account's balance does not cover it. Send an Idempotency-Key: a
    repeated request must not allocate twice."""
    ends = parse_if_any(body.expires_at)
    made = user_funds.allocate(
        call.tx, call.usage, account, user, body.amount, now=call.now, pool=body.pool, expires_at=ends
    )
    return show_allocation(made, users.read_user(call.tx, account, made.user_id).name)


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}/allocations",
    may="allocations:read",
    summary="List allocations to a user",
    query=PageQuery,
    answer=Listed(AllocationAnswer),
    errors=(UnknownUser,),
    example={"items": [EXAMPLE], "next": None},
)
def list_allocations(call: Call, account: str, user: str, query: PageQuery) -> ListPage[AllocationAnswer]:
    """In the order they were made, returned ones included. What is left of them is in the user's balance."""
    found = users.read_user(call.tx, account, user)
    page = allocations.list_allocations(call.tx, found, query.cursor, query.limit)
    return show_page(page, lambda one: show_allocation(one, found.name))


@operation(
    "POST",
    "/v1/accounts/{account}/users/{user}/allocations/{allocation}/return",
    may="allocations:write",
    summary="Take back an allocation",
    body=ReturnRequest,
    answer=AllocationAnswer,
    errors=(UnknownAccount, UnknownUser, NotFound, NotCovered, Unprocessable),
    body_example={"amount": 4_000_000_000},
    example=EXAMPLE,
)
def return_allocation(call: Call, account: str, user: str, allocation: str, body: ReturnRequest) -> AllocationAnswer:
    """Returns `amount`, or all that the user has not spent of it, to the account, as if the allocation had been that
    much smaller from its beginning: where the grant that paid it has expired meanwhile, it comes back expired. Of an
    allocation that has expired itself nothing comes back."""
    found = user_funds.take_back(call.tx, call.usage, account, user, allocation, now=call.now, amount=body.amount)
    return show_allocation(found, users.read_user(call.tx, account, found.user_id).name)
