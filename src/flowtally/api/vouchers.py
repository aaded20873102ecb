"""Vouchers: codes that an account creates, lists and revokes, and that any account redeems into a grant.

A code is worth what is behind it, so it is in no path (paths are logged): it comes in a body or in the query, and goes
out to its issuer alone.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from flowtally.answers.account_balance import show_grant
from flowtally.core.errors import (
    AccountSuspended,
    BadRequest,
    Conflict,
    LimitReached,
    NotCovered,
    NotFound,
    RateLimited,
    UnknownAccount,
    Unprocessable,
    VoucherEnded,
)
from flowtally.core.words import VoucherStatus
from flowtally.funding import vouchers as issuing
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import codes, vouchers
from flowtally.protocol import GrantAnswer, RedemptionRequest, VoucherAnswer, VoucherRequest, VouchersAnswer
from flowtally.web.call import Call
from flowtally.web.idempotent import Recall
from flowtally.web.lists import Cursor, Limit, show_page
from flowtally.web.operation import Listed, operation

ID = "vch_0199f2c47b3a7c11a1f0b2c3d4e5f60a"
EXAMPLE = VoucherAnswer(
    id=ID,
    account="acme",
    code="x7Kp0aQz3LmV9dTn",
    pool="traffic",
    amount=1_000_000_000,
    duration_s=7_776_000,
    status="unused",
    created_at="2026-03-01T09:31:00Z",
    ended_at=None,
    redeemed_by=None,
)
REVOKED = msgspec.structs.replace(EXAMPLE, status="revoked", ended_at="2026-03-02T08:00:00Z")
REDEEMED = GrantAnswer(
    id="grn_0199f2c47b3a7c11a1f0b2c3d4e5f60b",
    account="beta",
    pool="traffic",
    amount=1_000_000_000,
    source="cdk",
    reference=ID,
    priority=100,
    starts_at="2026-03-02T08:00:00Z",
    expires_at="2026-05-31T08:00:00Z",
    created_at="2026-03-02T08:00:00Z",
    voided_at=None,
)


class VouchersQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    status: Annotated[VoucherStatus | None, Meta(description="Only vouchers of this status.")] = None
    code: Annotated[str | None, Meta(description="Only the voucher with this code.")] = None
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


def _ids(made: VouchersAnswer) -> dict[str, list[str]]:
    return {"vouchers": [one.id for one in made.items]}


def _read_again(call: Call, kept: dict[str, Any], account: str, **_: Any) -> VouchersAnswer:
    found = vouchers.read_vouchers(call.tx, account, kept["vouchers"])
    return VouchersAnswer([issuing.show_voucher(one, call.services.vault) for one in found])


@operation(
    "POST",
    "/v1/accounts/{account}/vouchers",
    may="vouchers:write",
    summary="Create vouchers",
    body=VoucherRequest,
    answer=VouchersAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, AccountSuspended, Conflict, LimitReached, NotCovered, Unprocessable),
    body_example={"amount": 1_000_000_000, "count": 1},
    example=VouchersAnswer([EXAMPLE]),
    recall=Recall(_ids, _read_again),
)
def create_vouchers(call: Call, account: str, body: VoucherRequest) -> VouchersAnswer:
    """`count` (at most 1000) vouchers of `amount` each, all or none. Each leaves the account's balance at once (its
    `drawn`), so what all of them take must be left. Whoever redeems one gets a grant that begins then and lasts
    `duration_s` seconds. Send an Idempotency-Key: a repeated request answers the same vouchers as they are then, codes
    included, and creates none."""
    made = issuing.create_vouchers(
        call.tx,
        call.usage,
        call.services.vault,
        account,
        body.amount,
        body.count,
        now=call.now,
        pool=body.pool,
        duration_s=body.duration_s,
        most=call.services.config.max_unused_vouchers,
    )
    return VouchersAnswer([issuing.show_voucher(one, call.services.vault) for one in made])


@operation(
    "GET",
    "/v1/accounts/{account}/vouchers",
    may="vouchers:read",
    summary="List vouchers",
    query=VouchersQuery,
    answer=Listed(VoucherAnswer),
    errors=(UnknownAccount, BadRequest),
    example={"items": [EXAMPLE], "next": None},
)
def list_vouchers(call: Call, account: str, query: VouchersQuery) -> ListPage[VoucherAnswer]:
    """Those the account created, with their codes, in the order they were created. `redeemed_by` tells which account
    used one, and nothing else of it. A code nobody made, or another account did, finds none."""
    digest = None
    if query.code is not None:
        digest = codes.digest_of(call.services.vault, query.code) or "no code"
    page = vouchers.list_vouchers(call.tx, account, query.cursor, query.limit, status=query.status, digest=digest)
    return show_page(page, lambda one: issuing.show_voucher(one, call.services.vault))


@operation(
    "GET",
    "/v1/accounts/{account}/vouchers/{voucher}",
    may="vouchers:read",
    summary="Read a voucher",
    answer=VoucherAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_voucher(call: Call, account: str, voucher: str) -> VoucherAnswer:
    """By id; by code, list with `code`: paths are logged."""
    return issuing.show_voucher(vouchers.read_voucher(call.tx, voucher, account), call.services.vault)


@operation(
    "POST",
    "/v1/accounts/{account}/vouchers/{voucher}/revoke",
    may="vouchers:write",
    summary="Revoke a voucher",
    answer=VoucherAnswer,
    errors=(NotFound, VoucherEnded),
    example=REVOKED,
    recall=Recall(
        lambda made: {"id": made.id}, lambda call, kept, account, **_: read_voucher(call, account, kept["id"])
    ),
)
def revoke_voucher(call: Call, account: str, voucher: str) -> VoucherAnswer:
    """Its amount is the account's again, as if it had never been set aside: where the grant that paid it has expired
    meanwhile, it comes back expired. A used one cannot be revoked; a second time changes nothing."""
    gone = vouchers.revoke_voucher(call.tx, voucher, account, now=call.now)
    return issuing.show_voucher(gone, call.services.vault)


def _look_up(call: Call, account: str, body: RedemptionRequest) -> None:
    """A wrong code is told before the ledger's one writer is taken up, and counted."""
    accounts.read_account(call.tx, account)
    call.services.failed_attempts.count(call.credential.id)
    if vouchers.find_voucher(call.tx, codes.digest_of(call.services.vault, body.code)) is None:
        raise NotFound("there is no voucher with this code")
    call.services.failed_attempts.was_right(call.credential.id)


@operation(
    "POST",
    "/v1/accounts/{account}/redemptions",
    may="vouchers:write",
    summary="Redeem a voucher",
    body=RedemptionRequest,
    answer=GrantAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, AccountSuspended, Conflict, VoucherEnded, Unprocessable, RateLimited),
    body_example={"code": "x7Kp0aQz3LmV9dTn"},
    example=REDEEMED,
    holds_password=True,
    prepare=_look_up,
)
def redeem_voucher(call: Call, account: str, body: RedemptionRequest, prepared: None) -> GrantAnswer:
    """Once ever, by one account, which gets the grant: source `cdk`, reference the voucher's id. After 30 wrong codes
    within an hour a credential is answered 429, with `Retry-After`."""
    digest = codes.digest_of(call.services.vault, body.code)
    return show_grant(vouchers.redeem_voucher(call.tx, account, digest, now=call.now))
