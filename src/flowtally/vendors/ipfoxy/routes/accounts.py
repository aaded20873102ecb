"""What accounts have left: get-sub-account-flow, get-sub-account-list, residential-data, account-info."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from flowtally.answers.user_balance import burn_funded
from flowtally.core.burndown import Balance
from flowtally.ledger.money import wallet
from flowtally.ledger.people import names, roster, whitelist
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.people.roster import Managed
from flowtally.ledger.people.whitelist import WhitelistEntry
from flowtally.usage.values import Sum, Where
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.ipfoxy import wire
from flowtally.vendors.ipfoxy.parameters import AccountAsked, AccountsAsked, MaybeAccountAsked
from flowtally.vendors.ipfoxy.routes.subjects import MOBILE, RESIDENTIAL, expires_at, purses, subject_of
from flowtally.vendors.printing import Unit

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES, under=wire.PATH)

NORMAL, DISABLED = "1", "2"
MAIN, SUB = "1", "2"
CENTS: Final = Unit(1_000_000, 2)
EXAMPLE_ROW: Final = wire.AccountRow(
    "eHhQVbaj", "U2QGKxfG", NORMAL, "2692215418", "1012547520", "203.0.113.7", "1687252074", wire.NEVER, "KB", SUB
)
PAYS: Final = frozenset({"active", "spent"})  # states of grants that make up a package


@route(
    "GET",
    "get-sub-account-flow",
    may="balance:read",
    takes=AccountAsked,
    answer=wire.Flow,
    summary="What a sub-account has left",
    takes_example={"account": "ABCDEFHGJ2000"},
    example=wire.Flow("10485760", "0", "KB", "2097152", "0"),
)
def read_sub_account_flow(call: DialectCall, given: AccountAsked) -> wire.Flow:
    """Left and used ever, in whole KB: residential traffic, and mobile. As of now: nothing is cached."""
    found = purses(call, subject_of(call, given.account))
    flow = wire.Flow(*_left_and_used(found.get(RESIDENTIAL)), "KB")
    if not call.settings.mobile_fields:
        return flow
    return wire.Flow(flow.surplus_flow, flow.use_flow, "KB", *_left_and_used(found.get(MOBILE)))


@route(
    "GET",
    "get-sub-account-list",
    may="users:read",
    takes=AccountsAsked,
    answer=wire.AccountList,
    summary="List accounts",
    example=wire.AccountList([EXAMPLE_ROW], "2"),
)
def list_accounts(call: DialectCall, given: AccountsAsked) -> wire.AccountList:
    """The main account, then its sub-accounts in the order they were made. Passwords are in clear for a credential of
    scope `manage`, and empty for others. `account`: that one alone, or nothing where it is none of these. Traffic is
    residential."""
    skip, size = (given.page - 1) * given.page_size, given.page_size
    if given.account:
        listed = _named(call, given.account)
        return wire.AccountList(_rows(call, listed[skip : skip + size]), str(len(listed)))
    first: list[Managed | None] = [None] if skip == 0 else []
    listed = first + _funded(call, offset=max(0, skip - 1), limit=size - len(first))
    total = 1 + roster.count_managed(call.tx, call.account, funded=True)
    return wire.AccountList(_rows(call, listed), str(total))


@route(
    "GET",
    "residential-data",
    may="balance:read",
    takes=MaybeAccountAsked,
    answer=wire.Residential,
    summary="Residential package",
    example=wire.Residential("1724055635", "1726644469", "644981.47", "431955.06"),
)
def read_residential_data(call: DialectCall, given: MaybeAccountAsked) -> wire.Residential:
    """What was given of the residential traffic that can still be used or was used up, what is left of it, and when the
    first of that ends; of the main account, or of `account`."""
    purse = purses(call, subject_of(call, given.account) if given.account else None).get(RESIDENTIAL)
    given_bytes = sum(one.grant.amount for one in purse.grants if one.state in PAYS) if purse else 0
    return wire.Residential(
        wire.seconds_text(call.now),
        wire.expiry_text(expires_at(call, purse)),
        wire.IN_MB.text(wire.IN_MB.steps(given_bytes)),
        wire.IN_MB.text(wire.IN_MB.steps(purse.left if purse else 0)),
    )


@route(
    "GET",
    "account-info",
    may="wallet:read",
    takes=Nothing,
    answer=wire.Money,
    summary="Money of the account",
    example=wire.Money("12.34", "0.00", "12.34"),
)
def read_account_info(call: DialectCall, given: Nothing) -> wire.Money:
    """What the wallet holds, with two decimals. There is no cashback."""
    held = _money(wallet.balance_of(call.tx, call.account))
    return wire.Money(held, _money(0), held)


def _funded(call: DialectCall, **which: Any) -> list[Managed | None]:
    return list(roster.list_managed(call.tx, call.account, funded=True, **which))


def _named(call: DialectCall, name: str) -> list[Managed | None]:
    """Whom the other endpoints mean by this name; of users only sub-accounts."""
    if name == call.account and not names.present_bearers(call.tx, [(call.account, name)]):
        return [None]
    return list(_funded(call, name=name))


def _rows(call: DialectCall, listed: Sequence[Managed | None]) -> list[wire.AccountRow]:
    """None: the main account. Purses and whitelists are asked for once for all sub-accounts."""
    funded = [one.user for one in listed if one is not None]
    burnt = burn_funded(call.tx, call.account, funded, call.now, partial(_asked, call)) if funded else {}
    allowed = whitelist.entries_of(call.tx, [one.id for one in funded])
    return [
        _main_row(call) if one is None else _sub_row(call, one, burnt[one.user.id], allowed[one.user.id])
        for one in listed
    ]


def _asked(call: DialectCall, where: Where, edges: list[int]) -> Sequence[Sum]:
    return call.usage.sums(edges, where, ("user", "product"))


def _main_row(call: DialectCall) -> wire.AccountRow:
    account = read_account(call.tx, call.account)
    status = NORMAL if account.status == "active" else DISABLED
    return _row(call, account.id, "", status, purses(call, None).get(RESIDENTIAL), (), account.created_at, MAIN)


def _sub_row(
    call: DialectCall, one: Managed, burnt: Mapping[str, Balance], allowed: Sequence[WhitelistEntry]
) -> wire.AccountRow:
    status = NORMAL if one.user.status == "active" else DISABLED
    shown = allowed if call.credential.may("whitelist:read") else ()
    addresses = dict.fromkeys(entry.address for entry in shown if entry.enabled)
    purse = burnt.get(RESIDENTIAL)
    return _row(call, one.user.name, call.password(one.sealed), status, purse, addresses, one.user.created_at, SUB)


def _row(
    call: DialectCall,
    name: str,
    password: str,
    status: str,
    purse: Balance | None,
    addresses: Iterable[str],
    created_at: int,
    kind: str,
) -> wire.AccountRow:
    return wire.AccountRow(
        name,
        password,
        status,
        *_left_and_used(purse),
        ",".join(addresses),
        wire.seconds_text(created_at),
        wire.expiry_text(expires_at(call, purse)),
        "KB",
        kind,
    )


def _left_and_used(purse: Balance | None) -> tuple[str, str]:
    left, used = (purse.left, purse.used) if purse else (0, 0)
    return wire.IN_KB.text(wire.IN_KB.steps(left)), wire.IN_KB.text(wire.IN_KB.steps(used))


def _money(micros: int) -> str:
    whole, cents = divmod(CENTS.steps(micros), 100)
    return f"{whole}.{cents:02d}"
