"""Check-ins: a reward an account takes once a day, when the settings give one."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import format_instant, load_zone
from flowtally.core.errors import AccountSuspended, CheckedIn, CheckInCapReached, CheckInsOff, Conflict, UnknownAccount
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import check_ins
from flowtally.ledger.traffic.check_ins import CheckIn, Reward
from flowtally.protocol import CheckInAnswer
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = CheckInAnswer(
    account="acme",
    day="2026-03-01",
    timezone="Europe/Berlin",
    checked_in_at="2026-03-01T09:31:00Z",
    grant="grn_0199f2c47b3a7c11a1f0b2c3d4e5f60c",
    amount=100_000_000,
    expires_at="2026-03-31T09:31:00Z",
)


@operation(
    "POST",
    "/v1/accounts/{account}/check-ins",
    may="check_ins:write",
    summary="Check in",
    answer=CheckInAnswer,
    status=201,
    errors=(UnknownAccount, AccountSuspended, Conflict, CheckInsOff, CheckedIn, CheckInCapReached),
    example=msgspec.structs.replace(EXAMPLE, next_at="2026-03-02T00:00:00+01:00"),
)
def create_check_in(call: Call, account: str) -> CheckInAnswer:
    """Once a day of the account's own zone: a grant (source `sign`, reference the local date) of `check_in_bytes` in
    the pool `traffic`, for `check_in_days` times 24 hours. All check-ins of a calendar month give at most
    `check_in_cap_bytes`, the last of them what is left of that. A second time on a day answers 409, and when the next
    is possible; so do a day that comes again because the account's zone was changed, and a month that gave all."""
    config = call.services.config
    reward = Reward(config.check_in_bytes, config.check_in_days, config.check_in_cap_bytes)
    made = check_ins.check_in(call.tx, account, reward, now=call.now)
    zone = load_zone(accounts.read_account(call.tx, account).timezone)
    following = format_instant(check_ins.next_check_in(call.tx, account), zone)
    return msgspec.structs.replace(show(made), next_at=following)


@operation(
    "GET",
    "/v1/accounts/{account}/check-ins",
    may="check_ins:read",
    summary="List check-ins",
    query=PageQuery,
    answer=Listed(CheckInAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_check_ins(call: Call, account: str, query: PageQuery) -> ListPage[CheckInAnswer]:
    """In order of day. What is left of their grants is in the balance."""
    return show_page(check_ins.list_check_ins(call.tx, account, query.cursor, query.limit), show)


def show(made: CheckIn) -> CheckInAnswer:
    return CheckInAnswer(
        account=made.account,
        day=made.day,
        timezone=made.timezone,
        checked_in_at=format_instant(made.checked_in_at),
        grant=made.grant_id,
        amount=made.amount,
        expires_at=format_instant(made.expires_at),
    )
