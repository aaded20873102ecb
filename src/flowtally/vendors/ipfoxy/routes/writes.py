"""What a manager changes: create-sub-account, allocate-flow-sub-account, update-pass, update-ip-whitelist.

Traffic is passed on once per `idempotency_key`, which is the account's, over all operations and for good; what failed
used no key. The first answer follows from the request, so the same request is answered the same without being kept.
Of a creation the password is no part of what makes it the same: who retries may draw another one, and is told the one
that is kept.
"""

from __future__ import annotations

from typing import Final

from flowtally.core.errors import NameTaken
from flowtally.funding import user_funds
from flowtally.ledger.people import managed, users, whitelist
from flowtally.vendors.base import DialectCall, Effect, Route, declaring
from flowtally.vendors.ipfoxy import wire
from flowtally.vendors.ipfoxy.parameters import (
    Allocating,
    Creating,
    Repassing,
    Whitelisting,
    addresses_of,
    amount_of,
    expiry_of,
)
from flowtally.vendors.ipfoxy.routes.keys import is_new
from flowtally.vendors.ipfoxy.routes.subjects import MOBILE, RESIDENTIAL, sub_account

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES, under=wire.PATH)

KEY: Final = "order-20260301-1"


@route(
    "POST",
    "create-sub-account",
    may="users:write",
    takes=Creating,
    answer=wire.Created,
    writes=True,
    effects=(Effect.NAMES,),
    summary="Create a sub-account",
    takes_example={
        "account": "ABCDEFHGJ2000",
        "password": "correct-horse",
        "flow": "1024",
        "day": "30",
        "idempotency_key": KEY,
    },
    example=wire.Created("ABCDEFHGJ2000", "correct-horse"),
)
def create_sub_account(call: DialectCall, given: Creating) -> wire.Created:
    """A user that is paid from its own balance, and the first residential traffic in it, drawn from the account's: both
    or neither; so it needs the right `allocations:write`, too. The name is borne once in the account, and is not that
    of the caller's own account. Traffic under it that came before stays the account's. The same again under its key
    makes nothing and is answered with the password that is kept, whatever password it has."""
    call.require("allocations:write")
    formerly = ("create", given.account, given.password, given.flow, given.day)
    if not is_new(call, given.idempotency_key, "create", given.account, given.flow, given.day, formerly=formerly):
        return wire.Created(given.account, _kept_password(call, given))
    if given.account == call.account:
        raise NameTaken(f"{given.account!r} is your main account.", name=given.account)
    user = managed.create_user(
        call.tx,
        call.account,
        given.account,
        now=call.now,
        funded=True,
        password=call.services.vault.seal(given.password),
        most=call.services.config.max_users,
    )
    _pass_on(call, user.id, given.flow, given.day)
    return wire.Created(given.account, given.password)


@route(
    "POST",
    "allocate-flow-sub-account",
    may="allocations:write",
    takes=Allocating,
    answer=wire.Empty,
    writes=True,
    summary="Allocate to a sub-account",
    takes_example={"account": "ABCDEFHGJ2000", "flow": "1024", "day": "0", "idempotency_key": "order-20260302-1"},
    example=wire.Empty(),
)
def allocate_flow(call: DialectCall, given: Allocating) -> wire.Empty:
    """Passes residential traffic of the account on to a sub-account, for ever or for some days."""
    if is_new(call, given.idempotency_key, "allocate", given.account, given.flow, given.day):
        _pass_on(call, sub_account(call, given.account).id, given.flow, given.day)
    return wire.Empty()


@route(
    "POST",
    "update-pass",
    may="users:write",
    takes=Repassing,
    answer=wire.Empty,
    writes=True,
    summary="Change a sub-account's password",
    takes_example={"account": "ABCDEFHGJ2000", "password": "battery-stapl"},
    example=wire.Empty(),
)
def update_password(call: DialectCall, given: Repassing) -> wire.Empty:
    """The one its proxies are asked for. It is kept encrypted, and shown in the list of accounts."""
    user, sealed = sub_account(call, given.account), call.services.vault.seal(given.password)
    managed.change_user(call.tx, call.account, user.id, now=call.now, password=sealed)
    return wire.Empty()


@route(
    "POST",
    "update-ip-whitelist",
    may="whitelist:write",
    takes=Whitelisting,
    answer=wire.Empty,
    writes=True,
    summary="Change a sub-account's whitelist",
    takes_example={"account": "ABCDEFHGJ2000", "ip": "203.0.113.7,2001:db8::1"},
    example=wire.Empty(),
)
def update_whitelist(call: DialectCall, given: Whitelisting) -> wire.Empty:
    """The addresses a sub-account may connect from, residential and mobile: these and no others."""
    user, addresses = sub_account(call, given.account), addresses_of(given.ip)
    most = call.services.config.max_whitelist_ips
    for pool in (RESIDENTIAL, MOBILE):
        whitelist.replace_addresses(call.tx, call.account, user.id, addresses, now=call.now, most=most, pool=pool)
    return wire.Empty()


def _kept_password(call: DialectCall, given: Creating) -> str:
    """The one that is kept of the account; empty where there is none any more. Who may not read passwords is told none
    that it did not send itself."""
    bearer = users.users_named(call.tx, call.account, [given.account]).get(given.account)
    sealed = managed.sealed_password(call.tx, bearer.id) if bearer is not None and bearer.funded else None
    kept = "" if sealed is None else call.services.vault.reveal(sealed)
    return kept if kept == given.password or call.credential.may("passwords:read") else ""


def _pass_on(call: DialectCall, user_id: str, flow: int, day: int) -> None:
    user_funds.allocate(
        call.tx,
        call.usage,
        call.account,
        user_id,
        amount_of(flow),
        now=call.now,
        pool=RESIDENTIAL,
        expires_at=expiry_of(day, call.now),
    )
