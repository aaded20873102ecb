"""BytesFlows' two endpoints over our grants, balance and wallet.

Both print the account's grants in all pools that charge bytes, burnt down as its balance is: `trafficUsed` is what a
grant has paid for, traffic passed on included. So they never say anything but what the native balance says.
"""

from __future__ import annotations

from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from flowtally.answers import account_balance
from flowtally.core import burndown
from flowtally.core.edges import load_zone
from flowtally.core.errors import (
    BadRequest,
    FlowtallyError,
    MethodNotAllowed,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from flowtally.core.times import MINUTE_MS
from flowtally.ledger.money import wallet
from flowtally.ledger.traffic.grants import Grant
from flowtally.vendors.base import Asked, Dialect, DialectCall, Fault, Nothing, Rate, Route, Secrets, declaring
from flowtally.vendors.bytesflows import wire
from flowtally.vendors.bytesflows.settings import Settings
from flowtally.web.call import Reply

MAX_PAGE_SIZE: Final = 100
ASSET: Final = "/api/v1/dashboard/asset"
_ALL: Final = ("product",)

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


class Paid(msgspec.Struct, frozen=True):
    """A grant, and what it has paid for."""

    grant: Grant
    burnt: burndown.GrantBalance

    @property
    def is_active(self) -> bool:
        """A used up grant is still active; one that has not begun is not yet."""
        return self.burnt.state in ("active", "spent")


class RecordsQuery(msgspec.Struct, frozen=True, rename="camel"):
    page_no: Annotated[int, Meta(description="Which page, from 1 on; past the end there are no records.", ge=1)] = 1
    page_size: Annotated[
        int, Meta(description="How many records a page has; more than 100 is taken for 100.", ge=1)
    ] = 10
    source_type: Annotated[str, Meta(description="Only grants of this source, such as `order` or `sign`.")] = ""


@route(
    "GET",
    ASSET,
    may="balance:read",
    answer=wire.Asset,
    summary="Traffic and money at hand",
    example=wire.Asset(188_978_561_024, 188_944_515_072, msgspec.Raw(b"0.00"), "USD"),
)
def read_asset(call: DialectCall, given: Nothing) -> wire.Asset:
    """Of all grants that are active now: what they were of, and what is left of them. The wallet's balance."""
    active = [one.burnt for one in paid_grants(call) if one.is_active]
    return wire.Asset(
        sum(one.grant.amount for one in active),
        sum(one.unspent for one in active),
        wire.show_money(wallet.balance_of(call.tx, call.account)),
        call.house.config.currency,
    )


@route(
    "GET",
    "/api/v1/user/traffic/records",
    may="grants:read",
    takes=RecordsQuery,
    answer=wire.Records,
    summary="Grants, and what each has paid for",
    example=wire.Records(
        [
            wire.Record(
                id="123456",
                order_id="ORD-7890",
                source_type="order",
                traffic=1_073_741_824,
                traffic_used=524_288,
                create_time="2026-02-21 20:00:00",
                expire_time="2026-03-21 20:00:00",
                status=1,
            )
        ],
        1,
    ),
)
def list_records(call: DialectCall, given: RecordsQuery) -> wire.Records:
    """Every grant of the account, the latest first."""
    found = [one for one in paid_grants(call) if given.source_type in ("", one.grant.source)]
    found.sort(key=lambda one: (one.grant.created_at // 1000, one.grant.id), reverse=True)  # as it is printed
    size = min(given.page_size, MAX_PAGE_SIZE)
    page = found[(given.page_no - 1) * size : given.page_no * size]
    zone = load_zone(call.settings.timezone)
    return wire.Records([_show(one, zone, call.settings.no_expiry) for one in page], len(found))


def paid_grants(call: DialectCall) -> list[Paid]:
    """All grants of the account that pay for bytes, burnt down as of now by one question to the usage store."""
    usage = call.usage
    given, pools = account_balance.burn_pools(
        call.tx, call.account, call.now, lambda where, edges: usage.sums(edges, where, _ALL)
    )
    burnt = {one.grant.id: one for pool in pools.values() if pool.unit == "bytes" for one in pool.balance.grants}
    return [Paid(grant, burnt[grant.id]) for grant in given if grant.id in burnt]


def _show(one: Paid, zone: ZoneInfo, no_expiry: str) -> wire.Record:
    grant = one.grant
    return wire.Record(
        id=grant.id,
        order_id=grant.reference or grant.id,  # one given by hand has no order: never an empty text
        source_type=grant.source,
        traffic=grant.amount,
        traffic_used=one.burnt.spent,
        create_time=wire.show_time(grant.created_at, zone),
        expire_time=no_expiry if grant.expires_at is None else wire.show_time(grant.expires_at, zone),
        status=int(one.is_active),
    )


# -- Who is asking, and what they are told ----------------------------------------------------------------------------


def identify(asked: Asked, settings: Settings) -> Secrets:
    """The Bearer token; on the overview alone a cookie will do, where the settings name one."""
    scheme, _, token = asked.secret("authorization").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Secrets(token.strip())
    cookie = asked.cookie(settings.cookie) if settings.cookie and asked.path == ASSET else None
    if not cookie:
        raise Unauthenticated("There is no `Authorization: Bearer <token>`.")
    return Secrets(cookie)


def succeed(answer: msgspec.Struct) -> Reply:
    return Reply(wire.encode(answer))


def fail(error: FlowtallyError) -> Reply:
    """The same envelope with `data` null; `code` is the HTTP status too. What is wrong with a request is told, what
    went wrong inside is not."""
    code = error.status if error.status in wire.MESSAGES else 400 if error.status < wire.FAULT else wire.FAULT
    msg = error.detail if code == wire.BAD_PARAMETER else wire.MESSAGES[code]
    return Reply(wire.encode_error(code, msg), status=code, headers=_headers(error))


def _headers(error: FlowtallyError) -> dict[str, str]:
    if isinstance(error, Unavailable):
        return {"Retry-After": str(error.retry_after_s)}
    return {"Retry-After": str(error.extra.get("retry_after_s", 1))} if isinstance(error, RateLimited) else {}


def _fault(when: str, error: FlowtallyError) -> Fault:
    return Fault(when, fail(error))


FAULTS: Final = (
    _fault("A parameter is wrong.", BadRequest("pageNo = '0': a whole number of 1 or more is expected.")),
    _fault("The token is missing, unknown or revoked.", Unauthenticated("")),
    _fault("Another method than GET.", MethodNotAllowed("")),
    _fault("Too many requests, or more work than the account's share.", RateLimited("")),
    _fault("Something failed inside.", FlowtallyError("")),
    _fault("Try again later.", Unavailable("")),
)

BYTESFLOWS: Final = Dialect(
    name="bytesflows",
    title="BytesFlows",
    description="Traffic and money at hand, and the grants behind them. The format is that of BytesFlows' traffic API "
    "(https://bytesflows.com/docs/api/traffic).",
    settings=Settings,
    identify=identify,
    succeed=succeed,
    fail=fail,
    routes=ROUTES,
    security={"bytesflowsBearer": {"type": "http", "scheme": "bearer", "description": "The token of a credential."}},
    faults=FAULTS,
    envelope=lambda schema: {
        "type": "object",
        "properties": {
            "code": {"type": "integer", "enum": [wire.OK], "description": "It is a success."},
            "msg": {"type": "string", "enum": [wire.SUCCESS], "description": "The same in words."},
            "data": {**schema, "description": "What was asked for."},
        },
        "required": ["code", "msg", "data"],
    },
    refusals=(wire.Refusal,),
    rate=lambda settings: Rate(settings.requests_per_minute, MINUTE_MS) if settings.requests_per_minute else None,
)
