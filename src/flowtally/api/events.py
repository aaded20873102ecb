"""Events in, and what became of them. The body is read as a bounded stream; everything else is ingest's."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.errors import (
    AtomicRefused,
    EventConflict,
    EventRefused,
    HoldsFull,
    NotFound,
    NotYourAccount,
    RowsCompacted,
    SequenceGap,
)
from flowtally.core.words import Logins, ReceiptsTold
from flowtally.protocol import EventAnswer, EventsAnswer, Receipt
from flowtally.web.bodies import WRITER_ERRORS, AnyRequest, read_body
from flowtally.web.call import Call, Reply
from flowtally.web.inputs import ANY_TEXT
from flowtally.web.operation import operation
from flowtally.web.problems import HELD

PLAIN = {
    "source": "gateway-1",
    "id": "0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607",
    "account": "acme",
    "time": "2026-03-01T12:00:00Z",
    "user": "alice",
    "product": "residential",
    "bytes_up": 1200,
    "bytes_down": 50_000,
    "status": 200,
    "labels": {"country": "de"},
}
CLOUD = {
    "specversion": "1.0",
    "type": "flowtally.usage",
    "source": "gateway-1",
    "id": "0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607",
    "subject": "acme",
    "time": "2026-03-01T12:00:00Z",
    "data": {"user": "alice", "product": "residential", "bytes_up": 1200, "bytes_down": 50_000, "status": 200},
}


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    atomic: Annotated[bool, Meta(description="Store all events or none: 422 if one is refused or in conflict.")] = False
    receipts: Annotated[
        ReceiptsTold,
        Meta(description="`notable`: receipts of all but the stored events; `all`: of every event."),
    ] = "notable"
    logins: Annotated[
        Logins | None,
        Meta(
            description="`user` is a login as gateways of this vendor take it, such as `td-customer-alice-country-us` "
            "or `customer-alice-cc-US`: the user is `alice`. What is no such login is the user's name itself."
        ),
    ] = None


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: Annotated[str, Meta(description="The source of the event or correction.", examples=["gateway-1"])]
    id: Annotated[
        str, Meta(description="Its id, or its number where the source is numbered.", examples=["4711"]), ANY_TEXT
    ]


@operation(
    "POST",
    "/v1/events",
    may="events:write",
    narrows=True,
    summary="Send events",
    sends=True,
    query=EventsQuery,
    answer=EventsAnswer,
    errors=(*WRITER_ERRORS, NotYourAccount, SequenceGap, EventConflict, AtomicRefused, EventRefused, HoldsFull),
    raw_body={
        "application/json": [PLAIN],
        "application/x-ndjson": '{"source":"gateway-1","sequence":1,"account":"acme","time":"2026-03-01T12:00:00Z"}\n',
        "application/cloudevents+json": CLOUD,
        "application/cloudevents-batch+json": [CLOUD],
    },
    example=EventsAnswer(
        stored=998,
        duplicate=1,
        conflict=0,
        refused=1,
        receipts=[
            Receipt(17, "gateway-1", "0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607", "duplicate"),
            Receipt(
                20,
                "gateway-1",
                "0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f608",
                "refused",
                "unknown_account",
                "there is no account 'amce'",
                retriable=True,
            ),
        ],
    ),
)
async def send_events(call: Call, request: AnyRequest, query: EventsQuery) -> Reply:
    """A plain event, an array of them, newline-delimited JSON (plain or CloudEvents; also sent as `application/json`),
    a CloudEvent, in binary content mode too (`ce-` headers, the body is its data), or a CloudEvents batch; bodies may
    be compressed with gzip or zstd. At most 100,000 events and 64 MiB decompressed.

    The answer is 200 as soon as every event has a receipt and all `stored` ones would survive a power cut: send
    anything else again, as often as needed; `(source, id)`, or the number of a numbered source, counts once for ever.
    503 says when to come back. Look at the receipts, or say `atomic`: of a list events may be refused in an answer 200.
    A body that is one event and no list is answered 422 `event_refused` where the event is refused and not held, and
    409 `event_conflict` where it is in conflict; the receipt is in the problem document. An object in which a member
    stands twice is no event (`invalid_event`): nobody knows which of them counts.

    A refused event is `retriable` where the reason may pass (`unknown_account`, `unknown_user`, `time_in_future`). A
    named one can be sent again. A numbered one is held: its number is taken, so go on; it is stored when the reason has
    passed (see `/v1/held`). Where no more may be held the request ends before that event with 503 `holds_full`:
    what came before it is stored and its receipts are in the problem document, with the source's mark as `sequence`.
    Of a source of which nothing was stored yet no number is taken before an event of it can be.

    `never_paid` counts events that are stored and dated before the account or its first grant began, so that nothing
    will pay for them: a grant that starts by their `first` does. Sent again, they are told again.

    A request begins at most `max_new_sources_per_request` sources and makes `max_new_users_per_request` users (413
    `too_many_new`: send it in parts), an account so many within an hour (429 `new_too_often`, with `Retry-After`).
    Nothing of such a request is stored, and no number taken."""
    hold = request.scope[HELD].enter_context(call.services.bodies.hold(call.credential.account))  # type: ignore[typeddict-item]
    try:
        taken = await call.services.ingest.take(
            await read_body(request, call.services.config.max_body_bytes, call.services.config, hold),
            request.headers.get("content-type", ""),
            request.headers.get("content-encoding"),
            call.credential,
            atomic=query.atomic,
            receipts_all=query.receipts == "all",
            made=hold.add,
            in_thread=partial(call.services.read, call.credential),
            headers=_attributes(request),
            logins=query.logins,
        )
    except (HoldsFull, EventRefused, EventConflict) as error:
        call.services.metrics.events(msgspec.convert(error.extra, EventsAnswer))
        raise
    call.services.metrics.events(taken)
    reply = Reply(msgspec.json.encode(taken))
    hold.become(len(reply.content))
    return reply


def _attributes(request: AnyRequest) -> list[tuple[str, str]]:
    """The headers that are a CloudEvent's; a server hands names over in small letters."""
    sent = request.scope["headers"]
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent if name.startswith(b"ce-")]


@operation(
    "GET",
    "/v1/events",
    may="events:read",
    narrows=True,
    or_sent=True,
    summary="Look up an event or a correction",
    query=EventQuery,
    answer=EventAnswer,
    errors=(NotFound, RowsCompacted),
    example=EventAnswer(
        source="gateway-1",
        id="0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607",
        sequence=None,
        status="stored",
        code="",
        detail="",
        series="metered",
        account="acme",
        user="alice",
        user_id="usr_0199f2c47b3a7c11a1f0b2c3d4e5f607",
        product="residential",
        time="2026-03-01T12:00:00Z",
        received_at="2026-03-01T12:00:01.500Z",
        bytes_up=1200,
        bytes_down=50_000,
        requests=1,
        http_status=200,
        labels={"country": "de"},
        block=12,
    ),
)
async def read_event(call: Call, request: AnyRequest, query: EventQuery) -> EventAnswer:
    """The event and what happened to it; or a correction or adjustment by its own `source` and `id`: `kind` tells, with
    what it `corrects`, its `reason` and what it added. Those of others answer like those that do not exist."""
    return await call.answered(lambda: call.services.ingest.event(query.source, query.id, call.credential))
