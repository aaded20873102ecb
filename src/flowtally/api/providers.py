"""Providers of accounts: connected, changed, removed, checked, and asked now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from litestar import Request
from msgspec import Meta, UnsetType

from flowtally.core.edges import format_if_any, format_instant, load_zone, parse_bound
from flowtally.core.errors import (
    BadRange,
    Conflict,
    Forbidden,
    LimitReached,
    NotFound,
    Overloaded,
    TooManyAtOnce,
    Unavailable,
    UnknownAccount,
    Unprocessable,
)
from flowtally.core.times import DAY_MS
from flowtally.ledger.pages import ListPage
from flowtally.ledger.providers import connected, pulls, stretches
from flowtally.ledger.providers.connected import Provider
from flowtally.protocol import (
    ProviderAnswer,
    ProviderChange,
    ProviderCheckAnswer,
    ProviderRequest,
    VendorInfo,
    VendorSetting,
)
from flowtally.providers.connecting import ServerStops
from flowtally.providers.providers import check_address, check_given
from flowtally.providers.puller import ProviderSetting, VendorFault
from flowtally.web.auth import require_whole
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Effect

LIST: Final = "/v1/accounts/{account}/providers"
ONE: Final = LIST + "/{provider}"
FIRST_DAYS: Final = 90  # how far back is asked where nobody says
READING: Final = (UnknownAccount, NotFound)
EXAMPLE = ProviderAnswer(
    name="thor-main",
    account="acme",
    vendor="thordata",
    settings={"grain": "day", "timezone": "UTC"},
    secrets=["token"],
    since="2026-01-01T00:00:00Z",
    told_until="2026-03-02T00:00:00Z",
    state="ok",
    state_since="2026-03-01T09:31:00Z",
    detail="",
    failures=0,
    every_s=3600,
    paused=False,
    address=None,
    created_at="2026-03-01T09:30:00Z",
    tried_at="2026-03-01T10:31:04Z",
    pulled_at="2026-03-01T10:31:04Z",
    next_at="2026-03-01T11:32:40Z",
    removed_at=None,
    told_from="2026-01-01T00:00:00Z",
)
CHECKED = ProviderCheckAnswer(
    "thor-main",
    "ok",
    "",
    ["traffic balance: 976.56 GB left", "usage of the account by day", "3 sub-users, and their usage by hour"],
    ["what is left of mobile packages: the vendor tells it nowhere"],
)


class ProvidersQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    removed: Annotated[bool, Meta(description="Also those that were removed.")] = False


@operation(
    "GET",
    "/v1/vendors",
    may="providers:read",
    narrows=True,
    summary="List vendors whose accounts can be connected",
    answer=list[VendorInfo],
    example=[
        VendorInfo(
            "thordata",
            "Thordata",
            "https://openapi.thordata.com/api",
            [VendorSetting("token", "The public API's token, from the dashboard", None, [])],
            [VendorSetting("grain", "How finely usage is asked", "day", ["day", "hour"])],
            3600,
            None,
        )
    ],
)
def list_vendors(call: Call) -> list[VendorInfo]:
    """And what each of them must be told when a provider is added."""
    found = sorted(call.services.providers.pullers.values(), key=lambda one: one.vendor)
    return [
        VendorInfo(
            one.vendor,
            one.title,
            one.base_url,
            [_setting(each) for each in one.secrets],
            [_setting(each) for each in one.settings],
            one.every_s,
            one.keeps_days,
        )
        for one in found
    ]


def _setting(one: ProviderSetting) -> VendorSetting:
    return VendorSetting(one.name, one.meaning, one.default, list(one.choices))


@operation(
    "POST",
    LIST,
    may="providers:write",
    summary="Connect an account at a vendor",
    body=ProviderRequest,
    answer=ProviderAnswer,
    status=201,
    errors=(UnknownAccount, Conflict, LimitReached, Unprocessable, Forbidden),
    effects=(Effect.PROVIDERS,),
    holds_password=True,
    body_example={"name": "thor-main", "vendor": "thordata", "secrets": {"token": "aaaa-bbbb"}, "since": "2026-01-01"},
    example=msgspec.structs.replace(
        EXAMPLE, state="new", told_until=None, told_from=None, tried_at=None, pulled_at=None
    ),
)
def add_provider(call: Call, account: str, body: ProviderRequest) -> ProviderAnswer:
    """It is asked at once, and from then on as often as its vendor's figures move; what it says becomes the series of
    its name, beside what is measured and never added to it. The secrets are kept encrypted and never shown. Ask
    `POST .../check` what they can see."""
    puller = call.services.providers.puller(body.vendor)
    settings = check_given(puller, body.secrets, body.settings)
    made = connected.add_provider(
        call.tx,
        account,
        body.name,
        body.vendor,
        secrets=_sealed(call, body.secrets),
        settings=settings,
        since=_since(body.since, puller.keeps_days, call.now),
        address=_address(call, body.address) if body.address else "",
        every_s=body.every_s,
        now=call.now,
    )
    return _show(call, made)


def _since(text: str | None, keeps_days: int | None, now: int) -> int:
    """Of a date its beginning in UTC."""
    if text is None:
        return max(0, now - min(FIRST_DAYS, keeps_days or FIRST_DAYS) * DAY_MS) // DAY_MS * DAY_MS
    try:
        at = parse_bound(text, load_zone("UTC"))
    except BadRange as error:
        raise Unprocessable(f"since: {error.detail}", field="since") from None
    if at > now:
        raise Unprocessable(f"since is {text}, which is still to come", field="since")
    return at


def _address(call: Call, address: str | None) -> str:
    """Where our own network is asked from is the operator's to say; empty: at the vendor's own."""
    require_whole(call.credential)
    return check_address(address) if address else ""


def _sealed(call: Call, secrets: Mapping[str, str]) -> dict[str, str]:
    seal = call.services.vault.seal_secret
    return {name: seal(f"secrets.{name}", secret) for name, secret in secrets.items()}


@operation(
    "GET",
    LIST,
    may="providers:read",
    summary="List an account's providers",
    query=ProvidersQuery,
    answer=Listed(ProviderAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_providers(call: Call, account: str, query: ProvidersQuery) -> ListPage[ProviderAnswer]:
    """In the order they were added."""
    page = connected.list_providers(call.tx, account, query.cursor, query.limit, removed=query.removed)
    return show_page(page, lambda one: _show(call, one))


@operation(
    "GET",
    "/v1/providers",
    may="providers:read",
    summary="List all providers",
    query=ProvidersQuery,
    answer=Listed(ProviderAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_all_providers(call: Call, query: ProvidersQuery) -> ListPage[ProviderAnswer]:
    """Of all accounts, in the order they were added."""
    page = connected.list_providers(call.tx, None, query.cursor, query.limit, removed=query.removed)
    return show_page(page, lambda one: _show(call, one))


@operation(
    "GET",
    "/v1/providers/{provider}",
    may="providers:read",
    narrows=True,
    summary="Find a provider by its name",
    answer=ProviderAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def find_provider(call: Call, provider: str) -> ProviderAnswer:
    """Names of providers are unique; credentials of an account find its own."""
    return _show(call, connected.read_provider(call.tx, provider, call.credential.account))


@operation(
    "GET",
    ONE,
    may="providers:read",
    summary="Read a provider",
    answer=ProviderAnswer,
    errors=READING,
    example=EXAMPLE,
)
def read_provider(call: Call, account: str, provider: str) -> ProviderAnswer:
    """How it is, and up to when its usage is known. Removed or not."""
    return _show(call, _read(call, account, provider))


@operation(
    "PATCH",
    ONE,
    may="providers:write",
    summary="Change a provider",
    body=ProviderChange,
    answer=ProviderAnswer,
    errors=(*READING, Conflict, Unprocessable, Forbidden),
    effects=(Effect.PROVIDERS,),
    holds_password=True,
    body_example={"secrets": {"token": "cccc-dddd"}},
    example=EXAMPLE,
)
def change_provider(call: Call, account: str, provider: str, body: ProviderChange) -> ProviderAnswer:
    """With other secrets, settings or address, or no longer paused, it is asked at once. How finely its use is brought
    (`grain`) stays."""
    was = _read(call, account, provider)
    puller = call.services.providers.puller(was.vendor)
    secrets = None if isinstance(body.secrets, UnsetType) else body.secrets
    settings = None if isinstance(body.settings, UnsetType) else body.settings
    if secrets is not None or settings is not None:
        there = dict.fromkeys(connected.sealed_secrets(call.tx, was.id), "kept")
        given = was.settings if settings is None else settings
        settings = check_given(puller, there | (secrets or {}), given, was.settings)
    changed = connected.change_provider(
        call.tx,
        was.name,
        now=call.now,
        secrets=None if secrets is None else _sealed(call, secrets),
        settings=settings,
        address=None if isinstance(body.address, UnsetType) else _address(call, body.address),
        every_s=None if isinstance(body.every_s, UnsetType) else body.every_s,
        paused=None if isinstance(body.paused, UnsetType) else body.paused,
    )
    return _show(call, changed)


@operation(
    "DELETE",
    ONE,
    may="providers:write",
    summary="Remove a provider",
    answer=ProviderAnswer,
    errors=READING,
    of_erased=True,
    example=msgspec.structs.replace(
        EXAMPLE, state="removed", secrets=[], next_at=None, removed_at="2026-03-05T09:30:00Z"
    ),
)
def remove_provider(call: Call, account: str, provider: str) -> ProviderAnswer:
    """It is asked no more and its secrets are destroyed; what it said stays, under its name, which nobody else gets. A
    second time changes nothing and answers like the first."""
    return _show(call, connected.remove_provider(call.tx, _read(call, account, provider).name, now=call.now))


@operation(
    "POST",
    ONE + "/pull",
    may="providers:write",
    summary="Ask a provider now",
    answer=ProviderAnswer,
    status=202,
    errors=(*READING, Conflict),
    effects=(Effect.PROVIDERS,),
    example=EXAMPLE,
)
def start_pull(call: Call, account: str, provider: str) -> ProviderAnswer:
    """It has the next turn of its account: one provider is asked at a time. `tried_at` tells when that is done. While
    `FLOWTALLY_PULL_PROVIDERS` is off nobody is asked: it waits until that is on."""
    found = _read(call, account, provider)
    asked = pulls.ask_now(call.tx, connected.read_live(call.tx, found.name), now=call.now)
    return _show(call, asked)


@operation(
    "POST",
    ONE + "/check",
    may="providers:write",
    summary="Check what a provider's secrets can see",
    answer=ProviderCheckAnswer,
    errors=(*READING, Conflict, TooManyAtOnce, Overloaded),
    example=CHECKED,
)
async def check_provider(
    call: Call, request: Request[Any, Any, Any], account: str, provider: str
) -> ProviderCheckAnswer:
    """A test call to the vendor, now: whether the secrets work, and what they can see. Nothing is kept of it. It takes
    as long as the vendor takes, a minute at the most; an account has one at a time."""

    def find() -> Provider:
        with call.services.ledger.read() as tx:
            found = connected.read_provider(tx, provider, account)
            return connected.read_live(tx, found.name)

    found = await call.answered(find)
    return await _checked(call, found)


async def _checked(call: Call, found: Provider) -> ProviderCheckAnswer:
    try:
        sight = await asyncio.wrap_future(call.services.providers.begin_check(found))
    except ServerStops:
        raise Unavailable("This server stops; ask the next one", retry_after_s=1) from None
    except VendorFault as error:
        return ProviderCheckAnswer(found.name, error.outcome, error.told, [], [])
    return ProviderCheckAnswer(found.name, "ok", "", list(sight.works), list(sight.cannot))


def _read(call: Call, account: str, name: str) -> Provider:
    return connected.read_provider(call.tx, name, account)


def _show(call: Call, stored: Provider) -> ProviderAnswer:
    one = connected.as_it_is(stored, call.now, call.services.providers.asked)
    puller = call.services.providers.pullers.get(one.vendor)
    told = stretches.told_last(call.tx, one.id, one.since)
    asked = one.removed_at is None and one.next_at != connected.NEVER
    return ProviderAnswer(
        name=one.name,
        account=one.account,
        vendor=one.vendor,
        settings=one.settings,
        secrets=sorted(connected.sealed_secrets(call.tx, one.id)),
        since=format_instant(one.since),
        told_until=None if told is None else format_instant(told[1]),
        state=one.state,
        state_since=format_instant(one.state_since),
        detail=one.detail,
        failures=one.failures,
        every_s=one.every_s or (puller.every_s if puller is not None else 0),
        paused=one.paused,
        address=one.address or None,
        created_at=format_instant(one.created_at),
        tried_at=format_if_any(one.tried_at),
        pulled_at=format_if_any(one.pulled_at),
        next_at=format_instant(one.next_at) if asked else None,
        removed_at=format_if_any(one.removed_at),
        told_from=None if told is None else format_instant(told[0]),
    )
