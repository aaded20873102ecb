"""Which users may use what is leased."""

from __future__ import annotations

from typing import Final

from flowtally.core.edges import format_instant
from flowtally.core.errors import (
    AccountSuspended,
    Conflict,
    LeaseEnded,
    LimitReached,
    NotFound,
    UnknownAccount,
    UnknownUser,
)
from flowtally.ledger.inventory import bound_users
from flowtally.ledger.inventory.bound_users import BoundUser
from flowtally.ledger.pages import ListPage
from flowtally.protocol import BoundUserAnswer
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

LIST: Final = "/v1/accounts/{account}/leases/{lease}/users"
EXAMPLE = BoundUserAnswer("alice", "usr_0199f2c47b3a7c11a1f0b2c3d4e5f607", "2026-03-15T12:00:00Z")


@operation(
    "GET",
    LIST,
    may="users:read",
    summary="List the users that are bound to a lease",
    query=PageQuery,
    answer=Listed(BoundUserAnswer),
    errors=(NotFound,),
    example={"items": [EXAMPLE], "next": None},
)
def list_bound_users(call: Call, account: str, lease: str, query: PageQuery) -> ListPage[BoundUserAnswer]:
    """In the order the users were made. They belong to the lease: who leases the same next has others."""
    return show_page(bound_users.list_bound(call.tx, account, lease, query.cursor, query.limit), _show)


@operation(
    "PUT",
    f"{LIST}/{{user}}",
    may="users:write",
    summary="Bind a user to a lease",
    answer=BoundUserAnswer,
    errors=(UnknownAccount, NotFound, UnknownUser, AccountSuspended, Conflict, LeaseEnded, LimitReached),
    example=EXAMPLE,
)
def bind_user(call: Call, account: str, lease: str, user: str) -> BoundUserAnswer:
    """The user, by name or id, may use what is leased. A second time changes nothing. flowtally keeps the list; your
    gateway asks for it."""
    return _show(bound_users.bind_user(call.tx, account, lease, user, now=call.now))


@operation(
    "DELETE",
    f"{LIST}/{{user}}",
    may="users:write",
    summary="Take a user off a lease",
    answer=BoundUserAnswer,
    errors=(NotFound, UnknownUser),
    example=EXAMPLE,
)
def unbind_user(call: Call, account: str, lease: str, user: str) -> BoundUserAnswer:
    """Answers it as it was; `not_found` when it is not bound."""
    return _show(bound_users.unbind_user(call.tx, account, lease, user))


def _show(one: BoundUser) -> BoundUserAnswer:
    return BoundUserAnswer(one.user.name, one.user.id, format_instant(one.bound_at))
