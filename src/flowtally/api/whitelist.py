"""IP whitelists of an account and of its users: one list for each pool."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.edges import format_instant
from flowtally.core.errors import Conflict, LimitReached, NotFound, UnknownAccount, UnknownUser, Unprocessable
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage
from flowtally.ledger.people import users, whitelist
from flowtally.ledger.people.whitelist import WhitelistEntry
from flowtally.protocol import WhitelistAnswer, WhitelistChange, WhitelistRequest
from flowtally.web.call import Call
from flowtally.web.lists import Cursor, Limit, show_page
from flowtally.web.operation import Listed, operation

OWN = WhitelistAnswer(
    account="acme",
    user=None,
    user_id=None,
    pool="traffic",
    address="203.0.113.7",
    enabled=True,
    created_at="2026-03-01T09:31:00Z",
    changed_at="2026-03-01T09:31:00Z",
)
USERS = msgspec.structs.replace(OWN, user="bob", user_id="usr_0199f2c47b3a7c11a1f0b2c3d4e5f608")
LIST = "/v1/accounts/{account}/whitelist"
USERS_LIST = "/v1/accounts/{account}/users/{user}/whitelist"
READING = (UnknownAccount, UnknownUser, NotFound)
WRITING = (*READING, Conflict, LimitReached, Unprocessable)


class WhitelistQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pool: Annotated[str | None, Meta(description="Only the list of this pool.")] = None
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


@operation(
    "GET",
    LIST,
    may="whitelist:read",
    summary="List an account's whitelists",
    query=WhitelistQuery,
    answer=Listed(WhitelistAnswer),
    errors=READING,
    example={"items": [OWN], "next": None},
)
def list_whitelist(call: Call, account: str, query: WhitelistQuery) -> ListPage[WhitelistAnswer]:
    """Addresses in the order they came, of the account's own lists: those of its users are beside the users."""
    return _page(call, account, None, query)


@operation(
    "PUT",
    f"{LIST}/{{pool}}",
    may="whitelist:write",
    summary="Replace an account's whitelist",
    body=WhitelistRequest,
    answer=Listed(WhitelistAnswer),
    errors=WRITING,
    body_example={"addresses": ["203.0.113.7", "198.51.100.0/24"]},
    example={"items": [OWN], "next": None},
)
def replace_whitelist(call: Call, account: str, pool: str, body: WhitelistRequest) -> ListPage[WhitelistAnswer]:
    """The pool's list then holds these addresses and no others, all enabled; none empties it. Those that stay keep when
    they came. All of them, or nothing where one is wrong or they are too many (`max_whitelist_ips`)."""
    return _replace(call, account, None, pool, body)


@operation(
    "PUT",
    f"{LIST}/{{pool}}/{{address}}",
    may="whitelist:write",
    summary="Put an address on an account's whitelist",
    body=WhitelistChange,
    answer=WhitelistAnswer,
    errors=WRITING,
    body_example={"enabled": True},
    example=OWN,
)
def put_whitelist_address(call: Call, account: str, pool: str, address: str, body: WhitelistChange) -> WhitelistAnswer:
    """IPv4, IPv6 or a network (`198.51.100.0%2F24`), kept in one spelling. One that is there is enabled or disabled;
    repeating the request changes nothing. A list holds `max_whitelist_ips` at most."""
    return _put(call, account, None, pool, address, body)


@operation(
    "DELETE",
    f"{LIST}/{{pool}}/{{address}}",
    may="whitelist:write",
    summary="Take an address off an account's whitelist",
    answer=WhitelistAnswer,
    errors=(*READING, Unprocessable),
    example=OWN,
)
def remove_whitelist_address(call: Call, account: str, pool: str, address: str) -> WhitelistAnswer:
    """In any spelling. Answers it as it was; `not_found` when it is not there."""
    return _show(call, whitelist.remove_address(call.tx, account, None, address, pool=pool))


@operation(
    "GET",
    USERS_LIST,
    may="whitelist:read",
    summary="List a user's whitelists",
    query=WhitelistQuery,
    answer=Listed(WhitelistAnswer),
    errors=READING,
    example={"items": [USERS], "next": None},
)
def list_user_whitelist(call: Call, account: str, user: str, query: WhitelistQuery) -> ListPage[WhitelistAnswer]:
    """As an account's own. They are gone when the user is deleted."""
    return _page(call, account, user, query)


@operation(
    "PUT",
    f"{USERS_LIST}/{{pool}}",
    may="whitelist:write",
    summary="Replace a user's whitelist",
    body=WhitelistRequest,
    answer=Listed(WhitelistAnswer),
    errors=WRITING,
    body_example={"addresses": ["203.0.113.7"]},
    example={"items": [USERS], "next": None},
)
def replace_user_whitelist(
    call: Call, account: str, user: str, pool: str, body: WhitelistRequest
) -> ListPage[WhitelistAnswer]:
    """As an account's own."""
    return _replace(call, account, user, pool, body)


@operation(
    "PUT",
    f"{USERS_LIST}/{{pool}}/{{address}}",
    may="whitelist:write",
    summary="Put an address on a user's whitelist",
    body=WhitelistChange,
    answer=WhitelistAnswer,
    errors=WRITING,
    body_example={"enabled": False},
    example=msgspec.structs.replace(USERS, enabled=False),
)
def put_user_whitelist_address(
    call: Call, account: str, user: str, pool: str, address: str, body: WhitelistChange
) -> WhitelistAnswer:
    """As on an account's own."""
    return _put(call, account, user, pool, address, body)


@operation(
    "DELETE",
    f"{USERS_LIST}/{{pool}}/{{address}}",
    may="whitelist:write",
    summary="Take an address off a user's whitelist",
    answer=WhitelistAnswer,
    errors=(*READING, Unprocessable),
    example=USERS,
)
def remove_user_whitelist_address(call: Call, account: str, user: str, pool: str, address: str) -> WhitelistAnswer:
    """As off an account's own."""
    return _show(call, whitelist.remove_address(call.tx, account, user, address, pool=pool))


def _page(call: Call, account: str, user: str | None, query: WhitelistQuery) -> ListPage[WhitelistAnswer]:
    found = whitelist.list_addresses(call.tx, account, user, query.cursor, query.limit, pool=query.pool)
    return show_page(found, lambda one: _show(call, one))


def _replace(
    call: Call, account: str, user: str | None, pool: str, body: WhitelistRequest
) -> ListPage[WhitelistAnswer]:
    most = call.services.config.max_whitelist_ips
    made = whitelist.replace_addresses(call.tx, account, user, body.addresses, now=call.now, most=most, pool=pool)
    return ListPage([_show(call, one) for one in made], None)


def _put(call: Call, account: str, user: str | None, pool: str, address: str, body: WhitelistChange) -> WhitelistAnswer:
    most = call.services.config.max_whitelist_ips
    made = whitelist.put_address(
        call.tx, account, user, address, now=call.now, most=most, pool=pool, enabled=body.enabled
    )
    return _show(call, made)


def _show(call: Call, one: WhitelistEntry) -> WhitelistAnswer:
    name = None if one.user_id is None else users.names_of(call.tx, [one.user_id])[one.user_id]
    return show(one, name)


def show(one: WhitelistEntry, user: str | None) -> WhitelistAnswer:
    """An entry; `user` is what its user is called."""
    return WhitelistAnswer(
        account=one.account,
        user=user,
        user_id=one.user_id,
        pool=one.pool,
        address=one.address,
        enabled=one.enabled,
        created_at=format_instant(one.created_at),
        changed_at=format_instant(one.changed_at),
    )
