"""Held events: numbered ones whose number is taken and that count once the reason has passed."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.corrections import MAX_REASON_CHARS
from flowtally.core.errors import QueueFull, Settling, StorageFull, UnknownAccount, Unprocessable
from flowtally.core.events import MAX_SEQUENCE
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage
from flowtally.ledger.texts import check_text
from flowtally.protocol import HeldAnswer, HeldCode, HeldDrop, HeldEvent, HeldFilter
from flowtally.web.bodies import AnyRequest
from flowtally.web.call import Call
from flowtally.web.lists import Cursor, Limit
from flowtally.web.operation import Listed, operation

EXAMPLE = HeldEvent(
    source="squid-1",
    sequence=2108,
    id="",
    code="unknown_account",
    detail="there is no account 'amce'",
    held_at="2026-03-01T12:00:01.500Z",
    account="amce",
    user="alice",
    product="residential",
    time="2026-03-01T12:00:00Z",
    bytes_up=1200,
    bytes_down=50_000,
    requests=1,
    http_status=200,
    labels={"country": "de"},
)


class HeldQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: Annotated[str | None, Meta(description="Only held events of this source.", examples=["squid-1"])] = None
    sequence: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)] | None,
        Meta(description="Only the held event with this number.", examples=[2108]),
    ] = None
    account: Annotated[str | None, Meta(description="Only held events of this account.", examples=["amce"])] = None
    code: Annotated[HeldCode | None, Meta(description="Only events that are held for this reason.")] = None
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


@operation(
    "GET",
    "/v1/held",
    may="events:read",
    narrows=True,
    or_sent=True,
    summary="List held events",
    query=HeldQuery,
    answer=Listed(HeldEvent),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
async def list_held_events(call: Call, request: AnyRequest, query: HeldQuery) -> ListPage[HeldEvent]:
    """Numbered events that cannot be stored yet: their account or user is not known, or their time is still to come.
    Their numbers are taken; each is stored, once, when the reason has passed: by itself, when it is sent again, or when
    that is asked for. Sources come in the order they were first written, their events by number. A credential of an
    account sees that account's events, one of scope `ingest` those of its own sources."""
    asked = HeldFilter(query.source, query.sequence, query.account, query.code)
    return await call.answered(lambda: call.services.ingest.held(asked, call.credential, query.cursor, query.limit))


@operation(
    "POST",
    "/v1/held/retry",
    may="held:write",
    summary="Retry held events",
    body=HeldFilter,
    answer=HeldAnswer,
    errors=(QueueFull, StorageFull, Settling),
    body_example={"account": "acme"},
    example=HeldAnswer(stored=120, refused=0, held=3),
)
async def retry_held_events(call: Call, request: AnyRequest, body: HeldFilter) -> HeldAnswer:
    """Those that all given members fit, `{}` for all: what may be stored now is, and counts when this answers. It
    happens by itself too: at once when the account or the user is made, within seconds when the instant comes, and
    every minute."""
    await call.answered(lambda: _record(call, "held.retry", body))
    return await call.services.ingest.retry_held(body)


@operation(
    "POST",
    "/v1/held/drop",
    may="held:write",
    summary="Drop held events",
    body=HeldDrop,
    answer=HeldAnswer,
    errors=(Unprocessable, QueueFull, StorageFull, Settling),
    body_example={"source": "squid-1", "account": "amce", "reason": "a typing error, sent again as acme"},
    example=HeldAnswer(stored=0, refused=120, held=0),
)
async def drop_held_events(call: Call, request: AnyRequest, body: HeldDrop) -> HeldAnswer:
    """Those that all given members fit will never count: their numbers are refused from now on, with the code `dropped`
    and the `reason`, which is kept: it should name nobody. At least one of `source`, `account` and `code` says which.
    There is no way back."""
    if body.source is body.account is body.code is None:
        raise Unprocessable("Name a source, an account or a code: what is dropped will never count", field="source")
    check_text("reason", body.reason, least=1, most=MAX_REASON_CHARS)
    asked = HeldFilter(body.source, body.sequence, body.account, body.code)
    await call.answered(lambda: _record(call, "held.drop", asked, reason=body.reason))
    return await call.services.ingest.drop_held(asked, body.reason, call.credential)


def _record(call: Call, action: str, asked: HeldFilter, **said: str) -> None:
    which = {"sequence": asked.sequence, "held_for": asked.code}
    call.record(action, subject=asked.source or "", account=asked.account, **which, **said)
