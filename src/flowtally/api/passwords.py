"""Users' passwords in clear: vendors' APIs show them again, so whoever manages users may read them."""

from __future__ import annotations

from flowtally.core.errors import NotFound, UnknownUser
from flowtally.ledger.people import managed, users
from flowtally.protocol import PasswordAnswer
from flowtally.web.call import Call
from flowtally.web.operation import operation

ID = "usr_0199f2c47b3a7c11a1f0b2c3d4e5f607"


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}/password",
    may="passwords:read",
    summary="Read a user's password",
    answer=PasswordAnswer,
    errors=(UnknownUser, NotFound),
    example=PasswordAnswer("acme", ID, "alice", "correct horse battery staple"),
)
def read_user_password(call: Call, account: str, user: str) -> PasswordAnswer:
    """In clear, for whoever manages the account's users. It is in no log. `not_found` when the user has none."""
    found = users.read_user(call.tx, account, user)
    sealed = managed.sealed_password(call.tx, found.id)
    if sealed is None:
        raise NotFound(f"user {found.name!r} has no password", user=found.id)
    return PasswordAnswer(account, found.id, found.name, call.services.vault.reveal(sealed))
