"""Erasing the texts of a user, or of a whole account: asked for by one request, finished soon after, asked about by
others."""

from __future__ import annotations

from typing import Any, Final

from flowtally.care.erasing import FinishedErasures
from flowtally.care.job import Status
from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import Conflict, NotFound, UnknownAccount, UnknownUser
from flowtally.funding.user_funds import erase_user as erase
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.erasing.erased_accounts import AccountErasure
from flowtally.ledger.erasing.erasures import Erasure
from flowtally.ledger.ids import erased_name
from flowtally.ledger.people import names, users
from flowtally.protocol import AccountErasureAnswer, ErasureAnswer
from flowtally.web.call import Call
from flowtally.web.operation import operation
from flowtally.web.transaction import Effect

ID = "usr_0199f2c47b3a7c11a1f0b2c3d4e5f607"
ASKED = ErasureAnswer("acme", ID, erased_name(ID), "pending", "2026-03-15T12:00:00Z")
FINISHED = ErasureAnswer("acme", ID, erased_name(ID), "finished", "2026-03-15T12:00:00Z", "2026-03-15T12:00:04Z")

WHOLE = AccountErasureAnswer("acme", "pending", "2026-03-15T12:00:00Z")
WHOLE_FINISHED = AccountErasureAnswer("acme", "finished", "2026-03-15T12:00:00Z", "2026-03-15T12:00:04Z")

NOT_LOOKED: Final[Status[FinishedErasures]] = Status()  # nothing of the work is told


def tag_held(call: Call, account: str, user: str) -> None:
    """What is held under a name of the user goes with it: afterwards nobody knows that it was the user's."""
    found = users.read_user(call.tx, account, user)
    call.services.ingest.tag_held(account, [one.name for one in names.names_borne(call.tx, found.id)], found.id)


@operation(
    "POST",
    "/v1/accounts/{account}/users/{user}/erase",
    may="erasures:write",
    summary="Erase a user's name and labels",
    status=202,
    answer=ErasureAnswer,
    errors=(UnknownAccount, UnknownUser),
    example=ASKED,
    prepare=tag_held,
    effects=(Effect.NAMES, Effect.ERASURES),
    of_erased=True,
)
def erase_user(call: Call, account: str, user: str, prepared: None) -> ErasureAnswer:
    """There is no way back. A user that is in use is deleted first, and what a funded one has not spent goes back to
    the account. Its names, password and whitelists are gone when this answers: from then on it is called `erased-` and
    its id, and use that still comes under an old name is of whoever bore the name after it, or of a new user. The
    labels of its use and the reasons of its corrections are emptied next, events held under its names are refused for
    good (`erased`), and then the old files removed; ask with GET
    until `state` is `finished`. No quantity changes: only what is split by label has no label there. Address a deleted
    user by its id. A second time does the work again and changes nothing else. Exports and backups made before still
    hold all of it."""
    return _of_user(erase(call.tx, call.usage, account, user, now=call.now))


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}/erase",
    may="erasures:read",
    summary="How far an erasure is",
    answer=ErasureAnswer,
    errors=(UnknownAccount, UnknownUser, NotFound),
    example=FINISHED,
)
def read_erasure(call: Call, account: str, user: str) -> ErasureAnswer:
    """By the user's id. `finished`: nothing the server keeps holds the name or a label any more, but backups. Where the
    work stopped, `detail` says why; it goes on at the next start, or when the erasure is asked for again."""
    found = erasures.read_erasure(call.tx, account, user)
    return _of_user(found, _work(call, found))


def _of_user(found: Erasure, work: Status[FinishedErasures] = NOT_LOOKED) -> ErasureAnswer:
    return ErasureAnswer(
        account=found.account, user_id=found.user_id, user=erased_name(found.user_id), **_standing(found, work)
    )


def _work(call: Call, found: Erasure | AccountErasure) -> Status[FinishedErasures]:
    """What the server does for all erasures, as long as this one is not finished."""
    return call.services.care.erasing() if found.finished_at is None else NOT_LOOKED


def _standing(found: Erasure | AccountErasure, work: Status[FinishedErasures]) -> dict[str, Any]:
    """The members that both answers have."""
    return {
        "state": "pending" if found.finished_at is None else "finished",
        "asked_at": format_instant(found.asked_at),
        "finished_at": format_if_any(found.finished_at),
        "step": work.step,
        "done": work.done,
        "total": work.total,
        "detail": work.detail,
    }


@operation(
    "POST",
    "/v1/accounts/{account}/erase",
    may="erasures:write",
    summary="Erase all texts of an account",
    status=202,
    answer=AccountErasureAnswer,
    errors=(UnknownAccount, Conflict),
    example=WHOLE,
    effects=(Effect.CREDENTIALS, Effect.NAMES, Effect.ERASURES),
    of_erased=True,
)
def erase_account(call: Call, account: str) -> AccountErasureAnswer:
    """There is no way back. The account must be closed and its wallet empty (409 `conflict`). When this answers, its
    name is gone, its credentials are revoked, and nothing about it can be changed any more (409 `account_erased`), but
    its periods can be closed. What follows: its users are deleted and have no name, password or whitelist; references,
    reasons and names that were given to its grants, payments and credentials are emptied, also in the audit trail, in
    closed statements and in remembered answers; labels of its use and reasons of its corrections are emptied; held
    events are refused (`erased`); old files are removed. Ask with GET until `state` is `finished`. No quantity, amount,
    instant or id changes, and the id is never free again. A second time does the work again and changes nothing else.
    Exports and backups made before still hold all of it."""
    return _of_account(erased_accounts.erase_account(call.tx, account, now=call.now))


@operation(
    "GET",
    "/v1/accounts/{account}/erase",
    may="erasures:read",
    summary="How far the erasure of an account is",
    answer=AccountErasureAnswer,
    errors=(UnknownAccount, NotFound),
    example=WHOLE_FINISHED,
)
def read_account_erasure(call: Call, account: str) -> AccountErasureAnswer:
    """`finished`: nothing the server keeps holds a text of the account any more, but backups. Where the work stopped,
    `detail` says why; it goes on at the next start, or when the erasure is asked for again."""
    found = erased_accounts.read_erasure(call.tx, account)
    return _of_account(found, _work(call, found))


def _of_account(found: AccountErasure, work: Status[FinishedErasures] = NOT_LOOKED) -> AccountErasureAnswer:
    return AccountErasureAnswer(account=found.account, **_standing(found, work))
