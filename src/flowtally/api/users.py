"""Users of an account: they come into being with their first event."""

from __future__ import annotations

from flowtally import auth
from flowtally.api.call import Call
from flowtally.api.lists import PageQuery, show_page
from flowtally.api.operation import Listed, operation
from flowtally.edges import format_instant
from flowtally.errors import UnknownAccount
from flowtally.ledger import accounts, users
from flowtally.ledger.pages import Page
from flowtally.ledger.users import User
from flowtally.protocol import UserAnswer

EXAMPLE = UserAnswer("usr_0199f2c47b3a7c11a1f0b2c3d4e5f607", "acme", "alice", "2026-03-01T09:31:00Z")


@operation(
    "GET",
    "/v1/accounts/{account}/users",
    may=auth.READERS,
    summary="List users",
    query=PageQuery,
    answer=Listed(UserAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_users(call: Call, account: str, query: PageQuery) -> Page[UserAnswer]:
    """In the order they were made. `id` never changes; `name` is what the user is called now."""
    accounts.read_account(call.tx, account)
    return show_page(users.list_users(call.tx, account, query.cursor, query.limit), show)


def show(user: User) -> UserAnswer:
    return UserAnswer(user.id, user.account, user.name, format_instant(user.created_at))
