"""Shadows of accounts: turned on and off, and what the vendors answered otherwise."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from flowtally.core.comparing import Differs
from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import Conflict, Forbidden, NotFound, UnknownAccount, Unprocessable
from flowtally.ledger.pages import ListPage
from flowtally.ledger.providers import connected, shadows
from flowtally.ledger.providers.shadows import Difference
from flowtally.protocol import ShadowAnswer, ShadowDifference, ShadowRequest, ShadowRouteCount
from flowtally.web.auth import require_whole
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Effect

ONE: Final = "/v1/accounts/{account}/shadow/{dialect}"
USAGE: Final = "GET /api/account/usage-statistics"
EXAMPLE: Final = ShadowAnswer(
    "acme",
    "thordata",
    True,
    True,
    "thor-main",
    20,
    "2026-03-01T09:30:00Z",
    "",
    None,
    [ShadowRouteCount(USAGE, 131, 2, 0, "2026-03-01T10:31:04Z")],
)
DIFFERENCE: Final = ShadowDifference(
    "shd_0199f2c4a1b27c3d8e4f5a6b7c8d9e0f",
    "thordata",
    "thor-main",
    USAGE,
    "2026-03-01T10:31:04Z",
    '{"from_date": "2026-02-28", "to_date": "2026-02-28"}',
    '{"code":200,"data":{"data":[{"date":"2026-02-28","usage_traffic":1024}]},"msg":"ok"}',
    '{"code":200,"data":{"data":[{"date":"2026-02-28","usage_traffic":1030.5}]},"msg":"ok"}',
    [Differs("data.data[2026-02-28].usage_traffic", "1024", "1030.5", "6.5")],
    1,
)


class DifferencesQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    dialect: Annotated[str | None, Meta(description="Only those of this dialect.")] = None


@operation(
    "GET",
    ONE,
    may="providers:read",
    summary="Whether calls of a dialect are asked of the vendor, too",
    answer=ShadowAnswer,
    errors=(UnknownAccount, NotFound),
    example=EXAMPLE,
)
def read_shadow(call: Call, account: str, dialect: str) -> ShadowAnswer:
    """And how often its answers were ours, by route."""
    _check(call, dialect)
    return _show(call, account, dialect)


@operation(
    "PUT",
    ONE,
    may="providers:write",
    summary="Have calls of a dialect asked of the vendor, too",
    body=ShadowRequest,
    answer=ShadowAnswer,
    errors=(UnknownAccount, NotFound, Conflict, Unprocessable, Forbidden),
    effects=(Effect.SHADOWS,),
    body_example={"enabled": True, "provider": "thor-main", "share": 20},
    example=EXAMPLE,
)
def put_shadow(call: Call, account: str, dialect: str, body: ShadowRequest) -> ShadowAnswer:
    """Customers are answered from what was measured, as always. Once an answer has gone out, the vendor is asked the
    same in the background with the secrets of the provider, and where its answer differs that is kept. Only calls that
    read are asked, with the caller's own parameters; none of it delays or changes an answer. Only credentials of the
    installation may turn it on."""
    if body.enabled:
        require_whole(call.credential)
    _check(call, dialect)
    shadows.set_shadow(
        call.tx, account, dialect, enabled=body.enabled, provider=body.provider, share=body.share, now=call.now
    )
    return _show(call, account, dialect)


@operation(
    "GET",
    "/v1/accounts/{account}/shadow/differences",
    may="providers:read",
    summary="List calls that a vendor answered otherwise",
    query=DifferencesQuery,
    answer=Listed(ShadowDifference),
    errors=(UnknownAccount,),
    example={"items": [DIFFERENCE], "next": None},
)
def list_differences(call: Call, account: str, query: DifferencesQuery) -> ListPage[ShadowDifference]:
    """The last 200 of the account, of at most 30 days, in the order they were seen. They are kept about half a minute
    after the call."""
    page = shadows.list_differences(call.tx, account, query.cursor, query.limit, dialect=query.dialect)
    return show_page(page, _show_difference)


def _check(call: Call, dialect: str) -> None:
    if dialect not in call.services.shadowing.declared:
        known = ", ".join(sorted(call.services.shadowing.declared))
        raise NotFound(f"there is no dialect {dialect[:80]!r} whose vendor can be asked: {known}", dialect=dialect[:80])


def _show(call: Call, account: str, dialect: str) -> ShadowAnswer:
    switch = shadows.read_shadow(call.tx, account, dialect)
    if switch is None:
        return ShadowAnswer(account, dialect, False, False, None, 100, None, "", None, [])
    return ShadowAnswer(
        account,
        dialect,
        switch.enabled,
        shadows.read_asked(call.tx, account, dialect) is not None,
        connected.name_of(call.tx, switch.provider),
        switch.share,
        format_instant(switch.changed_at),
        switch.detail,
        format_if_any(switch.detail_at),
        [
            ShadowRouteCount(one.route, one.agreed, one.differed, one.failed, format_instant(one.last_at))
            for one in shadows.read_routes(call.tx, account, dialect)
        ],
    )


def _show_difference(one: Difference) -> ShadowDifference:
    return ShadowDifference(
        one.id,
        one.dialect,
        one.provider,
        one.route,
        format_instant(one.at),
        one.question,
        one.ours,
        one.theirs,
        list(one.fields),
        one.count,
    )
