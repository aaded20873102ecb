"""Accounts: the customers of whoever runs flowtally."""

from __future__ import annotations

from flowtally.core.edges import format_if_any, format_instant, parse_if_any
from flowtally.core.errors import BadRange, Conflict, UnknownAccount, UnknownZone, Unprocessable
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people import accounts
from flowtally.ledger.people.accounts import Account
from flowtally.protocol import AccountAnswer, AccountChange, AccountRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Effect

EXAMPLE = AccountAnswer(
    "acme", "Acme Ltd", "Europe/Berlin", "active", "2026-03-01T00:00:00Z", "carry", "2026-03-01T09:30:00Z"
)


@operation(
    "POST",
    "/v1/accounts",
    may="accounts:write",
    summary="Create an account",
    body=AccountRequest,
    answer=AccountAnswer,
    status=201,
    errors=(Conflict, UnknownZone, BadRange, Unprocessable),
    body_example={"id": "acme", "name": "Acme Ltd", "timezone": "Europe/Berlin", "carry_from": "2026-03-01T00:00:00Z"},
    example=EXAMPLE,
    effects=(Effect.OPENING,),
)
def create_account(call: Call, body: AccountRequest) -> AccountAnswer:
    """`id` is yours to choose, or made. `timezone` is where its days begin by default. `carry_from` (default: now)
    keeps imported history from eating later grants: unpaid use before it is reported, never carried. `carry_from`
    and `overage` cannot be changed later."""
    return show(
        accounts.create_account(
            call.tx,
            body.id,
            now=call.now,
            name=body.name,
            timezone=body.timezone,
            carry_from=parse_if_any(body.carry_from),
            overage=body.overage,
        )
    )


@operation(
    "GET",
    "/v1/accounts",
    may="accounts:read",
    summary="List accounts",
    query=PageQuery,
    answer=Listed(AccountAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_accounts(call: Call, query: PageQuery) -> ListPage[AccountAnswer]:
    """In order of id."""
    return show_page(accounts.list_accounts(call.tx, query.cursor, query.limit), show)


@operation(
    "GET",
    "/v1/accounts/{account}",
    may="accounts:read",
    summary="Read an account",
    answer=AccountAnswer,
    errors=(UnknownAccount,),
    example=EXAMPLE,
)
def read_account(call: Call, account: str) -> AccountAnswer:
    """An account that is not yours answers like one that does not exist."""
    return show(accounts.read_account(call.tx, account))


@operation(
    "PATCH",
    "/v1/accounts/{account}",
    may="accounts:write",
    summary="Change an account",
    body=AccountChange,
    answer=AccountAnswer,
    errors=(UnknownAccount, UnknownZone, Conflict, Unprocessable),
    body_example={"name": "Acme Group", "status": "active"},
    example=EXAMPLE,
    effects=(Effect.OPENING,),
)
def change_account(call: Call, account: str, body: AccountChange) -> AccountAnswer:
    """Name, zone and status; nothing that would alter a past balance. One that is `suspended` passes nothing on and
    takes nothing for itself (409 `account_suspended`); its use is counted. Closed is for ever: nothing new, no use."""
    return show(
        accounts.change_account(
            call.tx, account, now=call.now, name=body.name, timezone=body.timezone, status=body.status
        )
    )


def show(account: Account) -> AccountAnswer:
    return AccountAnswer(
        account.id,
        account.name,
        account.timezone,
        account.status,
        format_instant(account.carry_from),
        account.overage,
        format_instant(account.created_at),
        format_if_any(account.erased_at),
    )
