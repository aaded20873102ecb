"""Webhooks: where messages go, the operator's own and each account's, and what became of each message."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import msgspec
from litestar import Request
from msgspec import UNSET, Meta

from flowtally.alerts import signing
from flowtally.alerts.places import check_url
from flowtally.core.edges import format_if_any, format_instant, parse_instant
from flowtally.core.errors import (
    Conflict,
    LimitReached,
    NotFound,
    Overloaded,
    TooManyAtOnce,
    Unavailable,
    UnknownAccount,
    Unprocessable,
)
from flowtally.core.words import DeliveryState
from flowtally.ledger.messages import deliveries, webhooks
from flowtally.ledger.messages.deliveries import MessageDelivery
from flowtally.ledger.messages.webhooks import Webhook
from flowtally.ledger.pages import ListPage
from flowtally.protocol import (
    DeliveryAnswer,
    ReplayAnswer,
    WebhookAnswer,
    WebhookChange,
    WebhookReplay,
    WebhookRequest,
    WebhookRotation,
    WebhookTestAnswer,
)
from flowtally.providers.connecting import ServerStops
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Effect

OURS: Final = "/v1/webhooks"
THEIRS: Final = "/v1/accounts/{account}/webhooks"
ONE: Final = "/{webhook}"
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 (nobody's)
EXAMPLE = WebhookAnswer(
    id="whk_0199f2c47b3a7c11a1f0b2c3d4e5f610",
    account=None,
    url="https://hooks.example.com/flowtally",
    types=[],
    description="on call",
    state="active",
    detail="",
    created_at="2026-03-01T09:30:00Z",
    failing_since=None,
    delivered_at="2026-03-01T10:31:04Z",
    held_until=None,
    old_secret_until=None,
    removed_at=None,
)
MADE = msgspec.structs.replace(EXAMPLE, delivered_at=None, secret=SECRET)
ROTATED = msgspec.structs.replace(
    EXAMPLE,
    old_secret_until="2026-03-03T10:31:04Z",  # noqa: S106 (an instant)
    secret=SECRET,
)
GONE = msgspec.structs.replace(EXAMPLE, state="removed", removed_at="2026-03-05T09:30:00Z")
DELIVERY = DeliveryAnswer(
    id="dlv_0199f2c47b3a7c11a1f0b2c3d4e5f611",
    webhook=EXAMPLE.id,
    message="msg_0199f2c47b3a7c11a1f0b2c3d4e5f612",
    type="webhook.disabled",
    state="waiting",
    created_at="2026-03-01T10:31:00Z",
    attempts=1,
    next_at="2026-03-01T10:31:09Z",
    tried_at="2026-03-01T10:31:04Z",
    status=503,
    duration_ms=81,
    detail="HTTP 503",
)
TESTED = WebhookTestAnswer(
    webhook=EXAMPLE.id,
    message=DELIVERY.message,
    ok=True,
    status=204,
    detail="",
    duration_ms=64,
    signed=DELIVERY.message + '.1772361064.{"type":"endpoint.test","timestamp":"2026-03-01T10:31:04Z","data":{}}',
    answer="",
)
BODY = {"url": EXAMPLE.url, "types": ["webhook.disabled"], "description": "on call"}


def _of(example: WebhookAnswer) -> WebhookAnswer:
    return msgspec.structs.replace(example, account="acme")


class WebhooksQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    removed: Annotated[bool, Meta(description="Also those that were removed.")] = False


class DeliveriesQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    state: Annotated[DeliveryState | None, Meta(description="Only those that are so.")] = None


@operation(
    "POST",
    OURS,
    may="webhooks:write",
    summary="Add a webhook",
    body=WebhookRequest,
    answer=WebhookAnswer,
    status=201,
    errors=(Conflict, LimitReached, Unprocessable),
    body_example=BODY,
    example=MADE,
    holds_password=True,
)
def add_webhook(call: Call, body: WebhookRequest) -> WebhookAnswer:
    """Messages about every account go there from now on, each signed as Standard Webhooks says. The answer shows the
    secret, and no other does: was it lost, rotate it. A network of your own is opened by FLOWTALLY_WEBHOOK_NETWORKS."""
    return _add(call, None, body)


@operation(
    "GET",
    OURS,
    may="webhooks:read",
    summary="List webhooks",
    query=WebhooksQuery,
    answer=Listed(WebhookAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_webhooks(call: Call, query: WebhooksQuery) -> ListPage[WebhookAnswer]:
    """The operator's own, in the order they were added."""
    return _list(call, None, query)


@operation(
    "GET",
    OURS + ONE,
    may="webhooks:read",
    summary="Read a webhook",
    answer=WebhookAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_webhook(call: Call, webhook: str) -> WebhookAnswer:
    """How it is, removed or not."""
    return _show_one(call, None, webhook)


@operation(
    "PATCH",
    OURS + ONE,
    may="webhooks:write",
    summary="Change a webhook",
    body=WebhookChange,
    answer=WebhookAnswer,
    errors=(NotFound, Conflict, Unprocessable),
    body_example={"enabled": True},
    example=EXAMPLE,
    effects=(Effect.WEBHOOKS,),
    holds_password=True,
)
def change_webhook(call: Call, webhook: str, body: WebhookChange) -> WebhookAnswer:
    """While it is disabled nothing goes there; what is raised meanwhile is dead, and sent when it is replayed."""
    return _change(call, None, webhook, body)


@operation(
    "DELETE",
    OURS + ONE,
    may="webhooks:write",
    summary="Remove a webhook",
    answer=WebhookAnswer,
    errors=(NotFound,),
    example=GONE,
)
def remove_webhook(call: Call, webhook: str) -> WebhookAnswer:
    """Nothing goes there any more, and its secrets are destroyed. A second time changes nothing."""
    return _remove(call, None, webhook)


@operation(
    "POST",
    OURS + ONE + "/rotate",
    may="webhooks:write",
    summary="Rotate a webhook's secret",
    body=WebhookRotation,
    answer=WebhookAnswer,
    errors=(NotFound, Conflict, Unprocessable),
    body_example={"overlap_s": 86_400},
    example=ROTATED,
)
def rotate_webhook(call: Call, webhook: str, body: WebhookRotation) -> WebhookAnswer:
    """Messages are signed with another secret from now on, which the answer shows, and for `overlap_s` seconds with the
    one before, too: a receiver that knows either takes them."""
    return _rotate(call, None, webhook, body)


@operation(
    "POST",
    OURS + ONE + "/test",
    may="webhooks:write",
    summary="Send a test to a webhook",
    answer=WebhookTestAnswer,
    errors=(NotFound, Conflict, TooManyAtOnce, Overloaded),
    example=TESTED,
)
async def send_test(call: Call, request: Request[Any, Any, Any], webhook: str) -> WebhookTestAnswer:
    """A message of the type `endpoint.test`, now, past all that waits; nothing is kept of it. It takes as long as the
    receiver takes, 15 seconds at the most; one at a time."""
    return await _test(call, None, webhook)


@operation(
    "GET",
    OURS + ONE + "/deliveries",
    may="webhooks:read",
    summary="List deliveries to a webhook",
    query=DeliveriesQuery,
    answer=Listed(DeliveryAnswer),
    errors=(NotFound,),
    example={"items": [DELIVERY], "next": None},
)
def list_deliveries(call: Call, webhook: str, query: DeliveriesQuery) -> ListPage[DeliveryAnswer]:
    """In the order they were raised. They are kept 30 days."""
    return _list_deliveries(call, None, webhook, query)


@operation(
    "POST",
    OURS + ONE + "/replay",
    may="webhooks:write",
    summary="Send messages to a webhook again",
    body=WebhookReplay,
    answer=ReplayAnswer,
    errors=(NotFound, Conflict, Unprocessable),
    body_example={"since": "2026-03-01T00:00:00Z"},
    example=ReplayAnswer(3),
    effects=(Effect.WEBHOOKS,),
)
def send_again(call: Call, webhook: str, body: WebhookReplay) -> ReplayAnswer:
    """One, or all that are dead since an instant, under the ids they had: who has one already knows it by that."""
    return _replay(call, None, webhook, body)


@operation(
    "POST",
    THEIRS,
    may="webhooks:write",
    summary="Add a webhook of an account",
    body=WebhookRequest,
    answer=WebhookAnswer,
    status=201,
    errors=(UnknownAccount, Conflict, LimitReached, Unprocessable),
    body_example=BODY,
    example=_of(MADE),
    holds_password=True,
)
def add_account_webhook(call: Call, account: str, body: WebhookRequest) -> WebhookAnswer:
    """Messages about this account go there from now on, each signed as Standard Webhooks says. The answer shows the
    secret, and no other does: was it lost, rotate it. It must be https, at a public address."""
    return _add(call, account, body)


@operation(
    "GET",
    THEIRS,
    may="webhooks:read",
    summary="List webhooks of an account",
    query=WebhooksQuery,
    answer=Listed(WebhookAnswer),
    errors=(UnknownAccount,),
    example={"items": [_of(EXAMPLE)], "next": None},
)
def list_account_webhooks(call: Call, account: str, query: WebhooksQuery) -> ListPage[WebhookAnswer]:
    """In the order they were added."""
    return _list(call, account, query)


@operation(
    "GET",
    THEIRS + ONE,
    may="webhooks:read",
    summary="Read a webhook of an account",
    answer=WebhookAnswer,
    errors=(UnknownAccount, NotFound),
    example=_of(EXAMPLE),
)
def read_account_webhook(call: Call, account: str, webhook: str) -> WebhookAnswer:
    """How it is, removed or not."""
    return _show_one(call, account, webhook)


@operation(
    "PATCH",
    THEIRS + ONE,
    may="webhooks:write",
    summary="Change a webhook of an account",
    body=WebhookChange,
    answer=WebhookAnswer,
    errors=(UnknownAccount, NotFound, Conflict, Unprocessable),
    body_example={"enabled": True},
    example=_of(EXAMPLE),
    effects=(Effect.WEBHOOKS,),
    holds_password=True,
)
def change_account_webhook(call: Call, account: str, webhook: str, body: WebhookChange) -> WebhookAnswer:
    """As `PATCH /v1/webhooks/{webhook}`."""
    return _change(call, account, webhook, body)


@operation(
    "DELETE",
    THEIRS + ONE,
    may="webhooks:write",
    summary="Remove a webhook of an account",
    answer=WebhookAnswer,
    errors=(UnknownAccount, NotFound),
    example=_of(GONE),
    of_erased=True,
)
def remove_account_webhook(call: Call, account: str, webhook: str) -> WebhookAnswer:
    """As `DELETE /v1/webhooks/{webhook}`."""
    return _remove(call, account, webhook)


@operation(
    "POST",
    THEIRS + ONE + "/rotate",
    may="webhooks:write",
    summary="Rotate the secret of an account's webhook",
    body=WebhookRotation,
    answer=WebhookAnswer,
    errors=(UnknownAccount, NotFound, Conflict, Unprocessable),
    body_example={"overlap_s": 86_400},
    example=_of(ROTATED),
)
def rotate_account_webhook(call: Call, account: str, webhook: str, body: WebhookRotation) -> WebhookAnswer:
    """As `POST /v1/webhooks/{webhook}/rotate`."""
    return _rotate(call, account, webhook, body)


@operation(
    "POST",
    THEIRS + ONE + "/test",
    may="webhooks:write",
    summary="Send a test to a webhook of an account",
    answer=WebhookTestAnswer,
    errors=(UnknownAccount, NotFound, Conflict, TooManyAtOnce, Overloaded),
    example=msgspec.structs.replace(TESTED, answer=None),
)
async def send_account_test(
    call: Call, request: Request[Any, Any, Any], account: str, webhook: str
) -> WebhookTestAnswer:
    """A message of the type `endpoint.test`, now, past all that waits; nothing is kept of it, and what the receiver
    answers is not shown. It takes 15 seconds at the most; an account has one at a time."""
    return await _test(call, account, webhook)


@operation(
    "GET",
    THEIRS + ONE + "/deliveries",
    may="webhooks:read",
    summary="List deliveries to a webhook of an account",
    query=DeliveriesQuery,
    answer=Listed(DeliveryAnswer),
    errors=(UnknownAccount, NotFound),
    example={"items": [DELIVERY], "next": None},
)
def list_account_deliveries(call: Call, account: str, webhook: str, query: DeliveriesQuery) -> ListPage[DeliveryAnswer]:
    """As `GET /v1/webhooks/{webhook}/deliveries`."""
    return _list_deliveries(call, account, webhook, query)


@operation(
    "POST",
    THEIRS + ONE + "/replay",
    may="webhooks:write",
    summary="Send messages to a webhook of an account again",
    body=WebhookReplay,
    answer=ReplayAnswer,
    errors=(UnknownAccount, NotFound, Conflict, Unprocessable),
    body_example={"since": "2026-03-01T00:00:00Z"},
    example=ReplayAnswer(3),
    effects=(Effect.WEBHOOKS,),
)
def send_account_again(call: Call, account: str, webhook: str, body: WebhookReplay) -> ReplayAnswer:
    """As `POST /v1/webhooks/{webhook}/replay`."""
    return _replay(call, account, webhook, body)


def _add(call: Call, account: str | None, body: WebhookRequest) -> WebhookAnswer:
    secret, sealed = _new_secret(call)
    made = webhooks.add_webhook(
        call.tx,
        account,
        check_url(body.url, whole=account is None),
        sealed=sealed,
        types=body.types,
        description=body.description,
        now=call.now,
    )
    return msgspec.structs.replace(_show(made), secret=secret)


def _new_secret(call: Call) -> tuple[str, str]:
    secret = signing.new_secret()
    return secret, call.services.vault.seal_secret("secret", secret)


def _list(call: Call, account: str | None, query: WebhooksQuery) -> ListPage[WebhookAnswer]:
    page = webhooks.list_webhooks(call.tx, account, query.cursor, query.limit, removed=query.removed)
    return show_page(page, _show)


def _show_one(call: Call, account: str | None, webhook: str) -> WebhookAnswer:
    return _show(webhooks.read_webhook(call.tx, webhook, account))


def _change(call: Call, account: str | None, webhook: str, body: WebhookChange) -> WebhookAnswer:
    changed = webhooks.change_webhook(
        call.tx,
        webhooks.read_webhook(call.tx, webhook, account),
        url=None if body.url is UNSET else check_url(body.url, whole=account is None),
        types=None if body.types is UNSET else body.types,
        description=None if body.description is UNSET else body.description,
        enabled=None if body.enabled is UNSET else body.enabled,
        now=call.now,
    )
    return _show(changed)


def _remove(call: Call, account: str | None, webhook: str) -> WebhookAnswer:
    found = webhooks.read_webhook(call.tx, webhook, account)
    return _show(webhooks.remove_webhook(call.tx, found, now=call.now))


def _rotate(call: Call, account: str | None, webhook: str, body: WebhookRotation) -> WebhookAnswer:
    secret, sealed = _new_secret(call)
    found = webhooks.read_webhook(call.tx, webhook, account)
    rotated = webhooks.rotate_secret(call.tx, found, sealed=sealed, overlap_s=body.overlap_s, now=call.now)
    return msgspec.structs.replace(_show(rotated), secret=secret)


async def _test(call: Call, account: str | None, webhook: str) -> WebhookTestAnswer:
    def find() -> Webhook:
        with call.services.ledger.read() as tx:
            found = webhooks.read_webhook(tx, webhook, account)
        if found.removed_at is not None:
            raise Conflict(f"webhook {webhook!r} was removed: nothing is sent there", webhook=webhook)
        return found

    found = await call.answered(find)
    try:
        tried = await asyncio.wrap_future(call.services.deliverer.begin_test(found))
    except ServerStops:
        raise Unavailable("This server stops; ask the next one", retry_after_s=1) from None
    came = tried.answer.attempt
    shown = None if account is not None or came.status is None else tried.answer.body.decode(errors="replace")
    return WebhookTestAnswer(
        found.id, tried.message, came.good, came.status, came.detail, came.duration_ms, tried.signed, shown
    )


def _list_deliveries(call: Call, account: str | None, webhook: str, query: DeliveriesQuery) -> ListPage[DeliveryAnswer]:
    found = webhooks.read_webhook(call.tx, webhook, account)
    page = deliveries.list_deliveries(call.tx, found, query.cursor, query.limit, state=query.state)
    return show_page(page, _show_delivery)


def _replay(call: Call, account: str | None, webhook: str, body: WebhookReplay) -> ReplayAnswer:
    if (body.delivery is None) == (body.since is None):
        raise Unprocessable("say either `delivery` or `since`", field="delivery")
    found = webhooks.read_webhook(call.tx, webhook, account)
    if body.delivery is not None:
        deliveries.replay(call.tx, found, body.delivery, now=call.now)
        return ReplayAnswer(1)
    assert body.since is not None, "one of the two was said"
    return ReplayAnswer(deliveries.replay_dead(call.tx, found, parse_instant(body.since), now=call.now))


def _show(one: Webhook) -> WebhookAnswer:
    return WebhookAnswer(
        id=one.id,
        account=one.account,
        url=one.url,
        types=list(one.types),
        description=one.description,
        state=one.state,
        detail=one.detail,
        created_at=format_instant(one.created_at),
        failing_since=format_if_any(one.failing_since),
        delivered_at=format_if_any(one.delivered_at),
        held_until=format_if_any(one.held_until),
        old_secret_until=format_if_any(one.old_until),
        removed_at=format_if_any(one.removed_at),
    )


def _show_delivery(one: MessageDelivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=one.id,
        webhook=one.webhook,
        message=one.message,
        type=one.type,
        state=one.state,
        created_at=format_instant(one.created_at),
        attempts=one.attempts,
        next_at=format_if_any(one.next_at),
        tried_at=format_if_any(one.tried_at),
        status=one.status,
        duration_ms=one.duration_ms,
        detail=one.detail,
    )
