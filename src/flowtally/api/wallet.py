"""Wallets: the money of accounts, in whole millionths of the installation's currency."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.core.edges import format_instant
from flowtally.core.errors import Conflict, InsufficientFunds, UnknownAccount, Unprocessable
from flowtally.ledger.money import wallet
from flowtally.ledger.money.wallet import Transfer
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people.accounts import read_account
from flowtally.protocol import AdjustmentRequest, DepositRequest, WalletAnswer, WalletEntryAnswer
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

DEPOSIT = WalletEntryAnswer(
    id="trf_0199f2c47b3a7c11a1f0b2c3d4e5f60a",
    account="acme",
    kind="deposit",
    amount_micros=50_000_000,
    currency="USD",
    reference="payment-4711",
    reason="",
    created_at="2026-03-01T09:30:00Z",
)
ADJUSTMENT = WalletEntryAnswer(
    id="trf_0199f2c47b3a7c11a1f0b2c3d4e5f60b",
    account="acme",
    kind="adjustment",
    amount_micros=-12_500_000,
    currency="USD",
    reference="",
    reason="paid out",
    created_at="2026-03-02T10:00:00Z",
)


class EntriesQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    reference: Annotated[str | None, Meta(description="Only entries of this reference.", examples=["payment-4711"])] = (
        None
    )


@operation(
    "GET",
    "/v1/accounts/{account}/wallet",
    may="wallet:read",
    summary="Read a wallet",
    answer=WalletAnswer,
    example=WalletAnswer("acme", 37_500_000, "USD"),
)
def read_wallet(call: Call, account: str) -> WalletAnswer:
    """What it holds: the sum of its entries. 1,000,000 micros are one unit of the currency."""
    read_account(call.tx, account)
    return WalletAnswer(account, wallet.balance_of(call.tx, account), call.services.config.currency)


@operation(
    "GET",
    "/v1/accounts/{account}/wallet/entries",
    may="wallet:read",
    summary="List the entries of a wallet",
    query=EntriesQuery,
    answer=Listed(WalletEntryAnswer),
    errors=(UnknownAccount,),
    example={"items": [DEPOSIT, ADJUSTMENT], "next": None},
)
def list_wallet_entries(call: Call, account: str, query: EntriesQuery) -> ListPage[WalletEntryAnswer]:
    """In the order it happened. The `reference` of a purchase is the purchase's id."""
    found = wallet.list_entries(call.tx, account, query.cursor, query.limit, reference=query.reference)
    return show_page(found, show)


@operation(
    "POST",
    "/v1/accounts/{account}/wallet/deposits",
    may="wallet:write",
    summary="Deposit into a wallet",
    body=DepositRequest,
    answer=WalletEntryAnswer,
    status=201,
    errors=(UnknownAccount, Conflict, Unprocessable),
    body_example={"amount_micros": 50_000_000, "reference": "payment-4711"},
    example=DEPOSIT,
)
def create_deposit(call: Call, account: str, body: DepositRequest) -> WalletEntryAnswer:
    """Money that came in from outside. Send an Idempotency-Key: a repeated request must not pay twice."""
    currency = call.services.config.currency
    made = wallet.deposit(
        call.tx, account, body.amount_micros, now=call.now, currency=currency, reference=body.reference
    )
    return show(made)


@operation(
    "POST",
    "/v1/accounts/{account}/wallet/adjustments",
    may="wallet:write",
    summary="Adjust a wallet",
    body=AdjustmentRequest,
    answer=WalletEntryAnswer,
    status=201,
    errors=(UnknownAccount, Conflict, InsufficientFunds, Unprocessable),
    body_example={"amount_micros": -12_500_000, "reason": "paid out"},
    example=ADJUSTMENT,
)
def adjust_wallet(call: Call, account: str, body: AdjustmentRequest) -> WalletEntryAnswer:
    """Puts it right by hand, or (below zero) pays out of it. Refused when the wallet does not hold that much. A refund
    is an adjustment with the purchase's id as its `reference`; voiding the purchase's grant is a step of its own."""
    made = wallet.adjust(
        call.tx,
        account,
        body.amount_micros,
        now=call.now,
        currency=call.services.config.currency,
        reason=body.reason,
        reference=body.reference,
    )
    return show(made)


def show(one: Transfer) -> WalletEntryAnswer:
    return WalletEntryAnswer(
        id=one.id,
        account=one.account,
        kind=one.kind,
        amount_micros=one.amount,
        currency=one.currency,
        reference=one.reference,
        reason=one.reason,
        created_at=format_instant(one.created_at),
    )
