"""Actions: what holders ask of the servers they lease, and the operator's machinery that does it."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import (
    AccountSuspended,
    ActionOver,
    ActionTaken,
    Conflict,
    LeaseEnded,
    NotFound,
    UnknownAccount,
    Unprocessable,
)
from flowtally.core.words import ActionState
from flowtally.ledger.inventory import actions
from flowtally.ledger.inventory.actions import ServerAction
from flowtally.ledger.inventory.leases import read_held
from flowtally.ledger.pages import ListPage
from flowtally.protocol import ActionAnswer, ActionRequest, ActionResult
from flowtally.web.bodies import AnyRequest
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Effect, Transaction, ask

MAX_WAIT_S: Final = 55  # proxies give up after a minute
OF_LEASE: Final = "/v1/accounts/{account}/leases/{lease}/actions"
EXAMPLE = ActionAnswer(
    id="act_0199f2c47b3a7c11a1f0b2c3d4e5f615",
    account="acme",
    lease="lse_0199f2c47b3a7c11a1f0b2c3d4e5f611",
    server="stk_0199f2c47b3a7c11a1f0b2c3d4e5f609",
    what="restart",
    status="requested",
    requested_at="2026-03-15T12:00:00Z",
    expires_at="2026-03-15T13:00:00Z",
    taken_at=None,
    answered_at=None,
    detail="",
)
TAKEN = msgspec.structs.replace(EXAMPLE, status="taken", taken_at="2026-03-15T12:00:01Z")
DONE = msgspec.structs.replace(TAKEN, status="done", answered_at="2026-03-15T12:01:10Z", detail="up after 64 s")
Status = Annotated[ActionState | None, Meta(description="Only actions of this status now.")]


class LeaseActionsQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    status: Status = None


class ActionsQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    status: Status = None
    wait_s: Annotated[
        int,
        Meta(
            description="Where there is none, wait for so many seconds until there is one. It ends at once when the"
            " server stops.",
            ge=0,
            le=MAX_WAIT_S,
        ),
    ] = 0


@operation(
    "POST",
    OF_LEASE,
    may="actions:write",
    summary="Ask for an action on what is leased",
    body=ActionRequest,
    answer=ActionAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, AccountSuspended, Conflict, LeaseEnded, Unprocessable),
    effects=(Effect.ACTIONS,),
    body_example={"what": "restart"},
    example=EXAMPLE,
)
def request_action(call: Call, account: str, lease: str, body: ActionRequest) -> ActionAnswer:
    """The operator's machinery is asked to do it, and its answer is the action's `status`. While one of the same is not
    over, that one is answered: what is asked for twice happens once."""
    lasts_ms = body.expires_in_s * 1000
    made = actions.request_action(call.tx, account, lease, body.what, now=call.now, lasts_ms=lasts_ms)
    return show(made, call.now)


@operation(
    "GET",
    OF_LEASE,
    may="actions:read",
    summary="List the actions on what is leased",
    query=LeaseActionsQuery,
    answer=Listed(ActionAnswer),
    errors=(NotFound,),
    example={"items": [DONE], "next": None},
)
def list_lease_actions(call: Call, account: str, lease: str, query: LeaseActionsQuery) -> ListPage[ActionAnswer]:
    """In the order they were asked for, those of this lease."""
    found = read_held(call.tx, account, lease).lease
    page = actions.list_actions(
        call.tx, query.cursor, query.limit, at=call.now, state=query.status, lease=found
    )  # fmt: skip
    return show_page(page, lambda one: show(one, call.now))


@operation(
    "GET",
    f"{OF_LEASE}/{{action}}",
    may="actions:read",
    summary="Read an action on what is leased",
    answer=ActionAnswer,
    errors=(NotFound,),
    example=DONE,
)
def read_action(call: Call, account: str, lease: str, action: str) -> ActionAnswer:
    """As it is now."""
    found = read_held(call.tx, account, lease).lease
    one = actions.read_action(call.tx, action)
    if one.lease_id != found.id:
        raise NotFound(f"lease {lease!r} has no action {action!r}", action=action)
    return show(one, call.now)


@operation(
    "GET",
    "/v1/actions",
    may="servers:read",
    summary="List actions of all accounts",
    query=ActionsQuery,
    answer=Listed(ActionAnswer),
    example={"items": [EXAMPLE], "next": None},
)
async def list_actions(call: Call, request: AnyRequest, query: ActionsQuery) -> ListPage[ActionAnswer]:
    """In the order they were asked for. The operator's machinery asks with `status=requested` and `wait_s`, takes what
    it is given (`POST .../take`), does it, and says what became of it (`POST .../answer`)."""

    def look(inside: Transaction) -> ListPage[ActionAnswer]:
        page = actions.list_actions(inside.tx, query.cursor, query.limit, at=inside.now, state=query.status)
        return show_page(page, lambda one: show(one, inside.now))

    async def asked() -> ListPage[ActionAnswer]:
        return await call.answered(lambda: ask(call.services, look))

    return await call.services.waiting.until(asked, lambda page: bool(page.items), query.wait_s)


@operation(
    "POST",
    "/v1/actions/{action}/take",
    may="servers:write",
    summary="Take an action",
    answer=ActionAnswer,
    errors=(NotFound, ActionTaken, ActionOver),
    example=TAKEN,
)
def take_action(call: Call, action: str) -> ActionAnswer:
    """This credential does it, and no other one. A second time changes nothing and answers the same."""
    return show(actions.take_action(call.tx, action, by=call.credential.id, now=call.now), call.now)


@operation(
    "POST",
    "/v1/actions/{action}/answer",
    may="servers:write",
    summary="Say what became of an action",
    body=ActionResult,
    answer=ActionAnswer,
    errors=(NotFound, ActionTaken, ActionOver, Unprocessable),
    body_example={"outcome": "done", "detail": "up after 64 s"},
    example=DONE,
)
def answer_action(call: Call, action: str, body: ActionResult) -> ActionAnswer:
    """`done` or `failed`. What nobody took is taken with it. The same again changes nothing. After it expired, or when
    the lease is over, it is refused: what is told to a customer stays as it is."""
    answered = actions.answer_action(
        call.tx, action, body.outcome, by=call.credential.id, now=call.now, detail=body.detail
    )
    return show(answered, call.now)


def show(one: ServerAction, at: int) -> ActionAnswer:
    return ActionAnswer(
        id=one.id,
        account=one.account,
        lease=one.lease_id,
        server=one.stock_id,
        what=one.what,
        status=one.state(at),
        requested_at=format_instant(one.requested_at),
        expires_at=format_instant(one.over_at),
        taken_at=format_if_any(one.taken_at),
        answered_at=format_if_any(one.answered_at),
        detail=one.detail,
    )
