"""Thordata's CDKs: vouchers of the account's pool `traffic`. There is no route of theirs to redeem one: an account does
that natively.

All parameters are taken from the query, a form or a JSON object, on either method: their pages put those of a GET into
its body.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from flowtally.core.times import DAY_S
from flowtally.core.words import VoucherStatus
from flowtally.funding.vouchers import create_vouchers
from flowtally.ledger.pages import MAX_LIMIT
from flowtally.ledger.traffic import codes, vouchers
from flowtally.ledger.traffic.vouchers import Voucher
from flowtally.protocol.words import DEFAULT_POOL
from flowtally.vendors.base import DialectCall, Route, declaring
from flowtally.vendors.printing import Unit
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.parameters import CreateCdk, ListCdk, OneCdk, wrong
from flowtally.vendors.thordata.wire import Cdk, CdkInfo, CdkStatus, NewCodes, Written, decimal

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)

STATUS: Final[dict[VoucherStatus, CdkStatus]] = {"unused": wire.UNUSED, "used": wire.USED, "revoked": wire.REVOKED}
MOST_LISTED: Final = 10_000  # their list has no pages, and no answer is without end


@route(
    "POST",
    "/api/cdk/create",
    may="vouchers:write",
    summary="Create CDKs",
    takes=CreateCdk,
    takes_example={"flow": "3", "num": "2"},
    answer=NewCodes,
    example=NewCodes(["nozzapqOWJOCcWIX", "uJQJFnycHOpSEw5N"]),
    writes=True,
)
def create_cdk(call: DialectCall, given: CreateCdk) -> NewCodes:
    """All or none: what they are worth leaves the balance at once. 10017 when it does not cover them."""
    units, number = given.units_and_number(call.settings.cdk_most)
    made = create_vouchers(
        call.tx,
        call.usage,
        call.services.vault,
        call.account,
        units * call.settings.cdk_unit_bytes,
        number,
        now=call.now,
        pool=DEFAULT_POOL,
        duration_s=call.settings.cdk_days * DAY_S,
        most=call.services.config.max_unused_vouchers,
    )
    return NewCodes([call.services.vault.reveal(one.sealed) for one in made])


@route(
    "GET",
    "/api/cdk/list",
    may="vouchers:read",
    summary="List CDKs",
    takes=ListCdk,
    takes_example={"status": "3"},
    answer=list[Cdk],
    example=[Cdk("uJQJFnycHOpSEw5N", 1748332399, 3, Decimal(3), 7776000)],
)
def list_cdk(call: DialectCall, given: ListCdk) -> list[Cdk]:
    """Those of the account's pool `traffic`, in the order they were made: codes are as good as what they are
    worth. More than 10000 are refused: ask by status, or natively."""
    wanted = given.wanted()
    found = _issued(call, next((name for name, number in STATUS.items() if number == wanted), None))
    return [
        Cdk(code, one.created_at // 1000, STATUS[one.status], _flow(call, one), one.duration_s)
        for one, code in ((one, call.services.vault.reveal(one.sealed)) for one in found)
    ]


def _issued(call: DialectCall, status: VoucherStatus | None) -> list[Voucher]:
    found: list[Voucher] = []
    cursor: str | None = None
    while True:
        page = vouchers.list_vouchers(call.tx, call.account, cursor, MAX_LIMIT, status=status)
        found += [one for one in page.items if one.pool == DEFAULT_POOL]
        if len(found) > MOST_LISTED:
            raise wire.ThordataError(wire.PARAMETER, f"Parameter error: more than {MOST_LISTED} CDKs, ask by status")
        if (cursor := page.next) is None:
            return found


@route(
    "POST",
    "/api/cdk/revoke",
    may="vouchers:write",
    summary="Revoke a CDK",
    takes=OneCdk,
    takes_example={"cdk": "LCoum2cHq1XSmTGi"},
    answer=Written,
    example=Written(),
    writes=True,
)
def revoke_cdk(call: DialectCall, given: OneCdk) -> Written:
    """Only an unused one: what it is worth comes back to the balance. 10000 for a used or revoked one."""
    found = _mine(call, given.code())
    if found.status != "unused":
        raise wrong("cdk", f"is {found.status}")
    vouchers.revoke_voucher(call.tx, found.id, call.account, now=call.now)
    return Written()


@route(
    "GET",
    "/api/cdk/info",
    may="vouchers:read",
    summary="Read a CDK",
    takes=OneCdk,
    takes_example={"cdk": "LCoum2cHq1XSmTGi"},
    answer=CdkInfo,
    example=CdkInfo("LCoum2cHq1XSmTGi", 1, 1748253271, Decimal(2), 7776000, "", 0),
)
def read_cdk(call: DialectCall, given: OneCdk) -> CdkInfo:
    """Whoever redeemed it is told as the id of an account."""
    code = given.code()
    found = _mine(call, code)
    used = found.status == "used"
    return CdkInfo(
        code,
        STATUS[found.status],
        found.created_at // 1000,
        _flow(call, found),
        found.duration_s,
        (found.redeemed_by or "") if used else "",
        (found.ended_at or 0) // 1000 if used else 0,
    )


def _mine(call: DialectCall, code: str) -> Voucher:
    """The account's own voucher of this code, among those the dialect lists; 10000 for any other."""
    digest = codes.digest_of(call.services.vault, code)
    found = vouchers.find_voucher(call.tx, digest, call.account)
    if found is None or found.pool != DEFAULT_POOL:
        raise wrong("cdk", "is unknown")
    return found


def _flow(call: DialectCall, voucher: Voucher) -> Decimal:
    unit = Unit(call.settings.cdk_unit_bytes, 2)
    return decimal(unit, unit.steps(voucher.amount))
