"""Senders: who owns sources. Their credentials come and go; one is made with its first credential."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.core.edges import format_instant
from flowtally.core.errors import NotFound, UnknownAccount, Unprocessable
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people import senders
from flowtally.ledger.people.senders import Sender
from flowtally.protocol import SenderAnswer, SenderChange
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = SenderAnswer("snd_0199f2c47b3a7c13", None, "gateway 1", "2026-03-01T09:30:00Z")


class SendersQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    account: Annotated[
        str | None, Meta(description="Only senders that are bound to this account.", examples=["acme"])
    ] = None


@operation(
    "GET",
    "/v1/senders",
    may="senders:read",
    summary="List senders",
    query=SendersQuery,
    answer=Listed(SenderAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_senders(call: Call, query: SendersQuery) -> ListPage[SenderAnswer]:
    """In order of id. A sender is made with its first credential that writes events; more are issued with its id as
    `sender`. What it owns is in the list of sources."""
    return show_page(senders.list_senders(call.tx, query.account, query.cursor, query.limit), show)


@operation(
    "GET",
    "/v1/senders/{sender}",
    may="senders:read",
    summary="Read a sender",
    answer=SenderAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_sender(call: Call, sender: str) -> SenderAnswer:
    """`account` is whose events alone it sends; null: anybody's. Its credentials are bound alike."""
    return show(senders.read_sender(call.tx, sender))


@operation(
    "PATCH",
    "/v1/senders/{sender}",
    may="senders:write",
    summary="Rename a sender",
    body=SenderChange,
    answer=SenderAnswer,
    errors=(NotFound, Unprocessable),
    body_example={"name": "gateway 1, Berlin"},
    example=EXAMPLE,
)
def rename_sender(call: Call, sender: str, body: SenderChange) -> SenderAnswer:
    """A name for people: nothing hangs on it."""
    return show(senders.rename_sender(call.tx, sender, body.name, now=call.now))


def show(sender: Sender) -> SenderAnswer:
    return SenderAnswer(sender.id, sender.account, sender.name, format_instant(sender.created_at))
