"""Purchases: a plan paid from the account's wallet, and the grant it gives."""

from __future__ import annotations

from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import AccountSuspended, Conflict, InsufficientFunds, NotFound, PlanRetired, UnknownAccount
from flowtally.ledger.money import purchases
from flowtally.ledger.money.purchases import Purchase
from flowtally.ledger.pages import ListPage
from flowtally.protocol import PurchaseAnswer, PurchaseRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = PurchaseAnswer(
    id="ord_0199f2c47b3a7c11a1f0b2c3d4e5f60c",
    account="acme",
    plan="month-100",
    name="100 GB for a month",
    pool="traffic",
    amount=100_000_000_000,
    price_micros=12_500_000,
    currency="USD",
    transfer="trf_0199f2c47b3a7c11a1f0b2c3d4e5f60d",
    grant="grn_0199f2c47b3a7c11a1f0b2c3d4e5f60e",
    created_at="2026-03-02T10:00:00Z",
    expires_at="2026-04-01T10:00:00Z",
)


@operation(
    "POST",
    "/v1/accounts/{account}/purchases",
    may="purchases:write",
    summary="Buy a plan",
    body=PurchaseRequest,
    answer=PurchaseAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, AccountSuspended, Conflict, PlanRetired, InsufficientFunds),
    body_example={"plan": "month-100"},
    example=EXAMPLE,
)
def create_purchase(call: Call, account: str, body: PurchaseRequest) -> PurchaseAnswer:
    """The plan's price leaves the wallet and a grant begins (source `order`, the purchase's id as its reference), in
    one step. Refused with `balance_micros` and `price_micros` when the wallet does not hold the price. Send an
    Idempotency-Key: a repeated request must not buy twice. Voiding the grant later gives no money back by itself."""
    return show(purchases.purchase(call.tx, account, body.plan, now=call.now))


@operation(
    "GET",
    "/v1/accounts/{account}/purchases",
    may="purchases:read",
    summary="List purchases",
    query=PageQuery,
    answer=Listed(PurchaseAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_purchases(call: Call, account: str, query: PageQuery) -> ListPage[PurchaseAnswer]:
    """In the order they were made, each with what its plan was then."""
    return show_page(purchases.list_purchases(call.tx, account, query.cursor, query.limit), show)


@operation(
    "GET",
    "/v1/accounts/{account}/purchases/{purchase}",
    may="purchases:read",
    summary="Read a purchase",
    answer=PurchaseAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_purchase(call: Call, account: str, purchase: str) -> PurchaseAnswer:
    """What was bought, as the plan was then. What is left of it is in the balance, under its grant."""
    return show(purchases.read_purchase(call.tx, purchase, account))


def show(one: Purchase) -> PurchaseAnswer:
    return PurchaseAnswer(
        id=one.id,
        account=one.account,
        plan=one.plan_id,
        name=one.name,
        pool=one.pool,
        amount=one.amount,
        price_micros=one.price,
        currency=one.currency,
        transfer=one.transfer_id,
        grant=one.grant_id,
        created_at=format_instant(one.created_at),
        expires_at=format_if_any(one.expires_at),
    )
