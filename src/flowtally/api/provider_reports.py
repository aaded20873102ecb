"""What providers say beside their usage: balances, grants, sub-users; of which stretches, and how asking them went."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.answers.provider_balance import provider_balance, show_grant
from flowtally.api.providers import ONE, READING
from flowtally.core.edges import format_if_any, format_instant, load_zone, parse_bound
from flowtally.core.errors import BadRange
from flowtally.ledger.pages import ListPage
from flowtally.ledger.providers import connected, pulls, said, stretches
from flowtally.protocol import (
    ProviderBalanceAnswer,
    ProviderStretch,
    ProviderStretchesAnswer,
    PullAnswer,
    RunOut,
    VendorBalance,
    VendorGrant,
    VendorSubUser,
)
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation


class GoneQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    gone: Annotated[bool, Meta(description="Also what the vendor lists no more.")] = False


class StretchesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: Annotated[str | None, Meta(description="The first instant. Default: the `since` of the provider.")] = (
        msgspec.field(name="from", default=None)
    )
    end: Annotated[str | None, Meta(description="The end, excluded. Default: now.")] = msgspec.field(
        name="to", default=None
    )


@operation(
    "GET",
    ONE + "/pulls",
    may="providers:read",
    tag="providers",
    summary="List a provider's last pulls",
    query=PageQuery,
    answer=Listed(PullAnswer),
    errors=READING,
    example={
        "items": [PullAnswer("2026-03-01T10:31:00Z", "2026-03-01T10:31:04Z", "ok", "", 5, 62, 1)],
        "next": None,
    },
)
def list_pulls(call: Call, account: str, provider: str, query: PageQuery) -> ListPage[PullAnswer]:
    """The last 200, in the order they ended."""
    page = pulls.list_pulls(call.tx, connected.read_provider(call.tx, provider, account), query.cursor, query.limit)
    return show_page(
        page,
        lambda one: PullAnswer(
            format_instant(one.began_at),
            format_instant(one.ended_at),
            one.outcome,
            one.detail,
            one.calls,
            one.figures,
            one.changed,
        ),
    )


@operation(
    "GET",
    ONE + "/balance",
    may="providers:read",
    tag="providers",
    summary="What a provider says is left",
    answer=ProviderBalanceAnswer,
    errors=READING,
    example=ProviderBalanceAnswer(
        "thor-main",
        "acme",
        "2026-03-01T10:31:04Z",
        [
            VendorBalance(
                "traffic", "bytes", 10_485_760_000, None, None, "", "2026-03-26T00:00:00Z", 1_048_576,
                "2026-03-01T10:31:04Z",
            )
        ],
        RunOut("2026-03-09T02:11:40Z", 1_370_000_000, 7, "", "traffic"),
    ),
)  # fmt: skip
def read_provider_balance(call: Call, account: str, provider: str) -> ProviderBalanceAnswer:
    """Its balances as the vendor said them last, and when nothing is left of what use is taken from, if use goes on as
    in those of the last seven whole days that the vendor has told."""
    found = connected.read_provider(call.tx, provider, account)
    puller = call.services.providers.pullers.get(found.vendor)
    paying = None if puller is None else puller.paying
    return provider_balance(call.tx, call.usage, found, paying, call.now)


@operation(
    "GET",
    ONE + "/grants",
    may="providers:read",
    tag="providers",
    summary="List the grants a provider tells",
    query=GoneQuery,
    answer=Listed(VendorGrant),
    errors=READING,
    example={
        "items": [
            VendorGrant(
                "7", "ORD-7890", "order", "bytes", 1_073_741_824, 524_288, 1_073_217_536, "2026-02-21T20:00:00Z",
                "2026-03-21T20:00:00Z", "active", "2026-02-21 20:00:00", "2026-03-21 20:00:00", None,
            )
        ],
        "next": None,
    },
)  # fmt: skip
def list_provider_grants(call: Call, account: str, provider: str, query: GoneQuery) -> ListPage[VendorGrant]:
    """In order of id, as the vendor said them last."""
    found = connected.read_provider(call.tx, provider, account)
    return show_page(said.list_grants(call.tx, found, query.cursor, query.limit, gone=query.gone), show_grant)


@operation(
    "GET",
    ONE + "/sub-users",
    may="providers:read",
    tag="providers",
    summary="List the sub-users a provider tells",
    query=GoneQuery,
    answer=Listed(VendorSubUser),
    errors=READING,
    example={
        "items": [VendorSubUser("user123", True, None, 1_048_576, "2026-03-01T10:31:04Z", None)],
        "next": None,
    },
)
def list_sub_users(call: Call, account: str, provider: str, query: GoneQuery) -> ListPage[VendorSubUser]:
    """In order of name, as the vendor said them last."""
    found = connected.read_provider(call.tx, provider, account)
    page = said.list_sub_users(call.tx, found, query.cursor, query.limit, gone=query.gone)
    return show_page(
        page,
        lambda one: VendorSubUser(
            one.sub_user.name,
            one.sub_user.enabled,
            one.sub_user.limit,
            one.sub_user.used,
            format_instant(one.first_at),
            format_if_any(one.gone_at),
        ),
    )


@operation(
    "GET",
    ONE + "/stretches",
    may="providers:read",
    tag="providers",
    summary="Of which stretches of time a provider told the usage",
    query=StretchesQuery,
    answer=ProviderStretchesAnswer,
    errors=(*READING, BadRange),
    example=ProviderStretchesAnswer(
        "thor-main",
        [ProviderStretch("2026-01-01T00:00:00Z", "2026-03-02T00:00:00Z", "day", "UTC", 1024, "2026-03-01T10:31:04Z")],
    ),
)
def list_stretches(call: Call, account: str, provider: str, query: StretchesQuery) -> ProviderStretchesAnswer:
    """What was not told is not known: it is not nothing."""
    found = connected.read_provider(call.tx, provider, account)
    zone = load_zone("UTC")
    start = found.since if query.start is None else parse_bound(query.start, zone)
    end = call.now if query.end is None else parse_bound(query.end, zone)
    if start >= end:
        raise BadRange(f"from {format_instant(start)} is not before to {format_instant(end)}")
    told = stretches.read_stretches(call.tx, found.id, start, end)
    shown = [
        ProviderStretch(
            format_instant(one.starts_at),
            format_instant(one.ends_at),
            one.grain,
            one.zone,
            one.step,
            format_instant(one.asked_at),
        )
        for one in told
    ]
    return ProviderStretchesAnswer(found.name, shown)
