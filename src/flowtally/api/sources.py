"""Sources: where each stands and whose it is, what is in another already; an administrator may hand one over."""

from __future__ import annotations

from typing import Annotated

import msgspec
import structlog
from msgspec import Meta

from flowtally.core.errors import BadRequest, NotFound, Settling
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage
from flowtally.ledger.people import senders
from flowtally.protocol import (
    Overlap,
    OverlapsAnswer,
    OverlapsRequest,
    SourceAnswer,
    SourceDetail,
    SourceHandOver,
)
from flowtally.web.bodies import AnyRequest
from flowtally.web.call import Call
from flowtally.web.lists import Cursor, Limit
from flowtally.web.operation import operation

log = structlog.get_logger("flowtally.api")

DETAIL = SourceDetail("squid-1", "numbered", "snd_0199f2c47b3a7c13", 2107, "184467")


class SourceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: Annotated[
        str | None, Meta(description="The name of one source; left out: all are listed.", examples=["gateway-1"])
    ] = None
    sender: Annotated[
        str | None, Meta(description="Only sources of the sender with this id; empty: those of nobody.")
    ] = None
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


@operation(
    "GET",
    "/v1/sources",
    may="sources:read",
    narrows=True,
    or_sent=True,
    summary="Where a source stands, or the list of sources",
    sends=True,
    query=SourceQuery,
    answer=SourceAnswer,
    listed=SourceDetail,
    errors=(NotFound,),
    example=SourceAnswer("squid-1", 2107, "184467"),
)
async def read_source(call: Call, request: AnyRequest, query: SourceQuery) -> SourceAnswer | ListPage[SourceDetail]:
    """With `source`: the number and position to go on after, so that a sender needs no memory of its own. `sequence` is
    null for a source whose events are named, not numbered.

    Without it a page of sources, in the order they were first written: with their kind and the `sender` that owns
    them, empty where only rows were left to tell of one. A credential of scope `ingest` sees those of its own
    sender."""
    return await call.answered(lambda: _read(call, query))


def _read(call: Call, query: SourceQuery) -> SourceAnswer | ListPage[SourceDetail]:
    if query.source is not None:
        if query.cursor is not None or query.sender is not None:
            raise BadRequest(
                "`source` asks for one source: it goes with no `cursor` and no `sender`", parameter="source"
            )
        return call.services.ingest.source(query.source, call.credential)
    return call.services.ingest.sources(call.credential, query.sender, query.cursor, query.limit)


@operation(
    "POST",
    "/v1/sources/overlaps",
    may="events:write",
    narrows=True,
    summary="Whether events are there already under another source",
    sends=True,
    body=OverlapsRequest,
    answer=OverlapsAnswer,
    body_example={
        "source": "import:all.log",
        "events": [
            {
                "source": "import:all.log",
                "account": "acme",
                "sequence": 1,
                "time": "2026-03-01T12:00:00Z",
                "user": "alice",
                "bytes_down": 50_000,
                "status": 200,
            }
        ],
    },
    example=OverlapsAnswer([Overlap(0, ["import:one.log"], 1)], None),
)
async def find_overlaps(call: Call, request: AnyRequest, body: OverlapsRequest) -> OverlapsAnswer:
    """Stores nothing: to be asked before a log is sent, with at most 100 samples of it, because a log that is read
    again under another source counts again. For each event that is found: the other sources in which an event of the
    same account, user, instant, quantities and status is stored or held, at most 5 of them. Product and labels are not
    compared. One that was voided does not count as there: it may be sent again.

    Named are sources of the caller's own sender; whoever has the right `sources:read` is told all. Of other senders'
    sources there is only a number, `other_senders`, and only of events that the caller may look up. What is compacted
    is not found: before `unknown_before` not every event is known."""
    return await call.answered(lambda: call.services.ingest.overlaps(body, call.credential))


@operation(
    "POST",
    "/v1/sources/hand-over",
    may="sources:write",
    summary="Hand a source over to another sender",
    body=SourceHandOver,
    answer=SourceDetail,
    errors=(NotFound, Settling),
    body_example={"source": "squid-1", "sender": "snd_0199f2c47b3a7c13"},
    example=DETAIL,
)
async def hand_over_source(call: Call, request: AnyRequest, body: SourceHandOver) -> SourceDetail:
    """From the next block on the source is that sender's, with its mark and position; who owned it before is answered
    403 `source_not_yours`. What is stored stays as it is. A credential of an account never sees what others sent for
    other accounts, also in a source that it was handed. Asked again it changes nothing."""
    return await call.services.in_thread(_hand_over, call, body)


def _hand_over(call: Call, body: SourceHandOver) -> SourceDetail:
    with call.services.ledger.read() as tx:
        sender = senders.read_sender(tx, body.sender)
    call.record("source.hand_over", account=sender.account, subject=body.source, sender=body.sender)
    found = call.services.ingest.hand_over(body.source, body.sender)
    log.info("source_handed_over", source=body.source, sender=body.sender, credential=call.credential.id)
    return found
