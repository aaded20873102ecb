"""Answering as Whitepages: `GET /v1/account/usage/`.

Owns the order of days and what each error looks like. Requests are those of the pool `api`, by the time of the event.
"""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from flowtally.answers.account_balance import make_balance
from flowtally.core.edges import format_instant
from flowtally.core.errors import BadRequest, FlowtallyError, Forbidden, MethodNotAllowed, RateLimited, Unauthenticated
from flowtally.core.times import DAY_MS
from flowtally.vendors import figures
from flowtally.vendors.base import Asked, Dialect, DialectCall, Fault, Rate, Route, Secrets, declaring
from flowtally.vendors.whitepages import wire
from flowtally.vendors.whitepages.settings import Settings
from flowtally.web.call import Reply

POOL: Final = "api"
HEADER: Final = "x-api-key"
ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


class Days(msgspec.Struct, frozen=True):
    start_date: Annotated[str, Meta(description="The first day (UTC), as YYYY-MM-DD.")]
    end_date: Annotated[str, Meta(description="The last day (UTC), which belongs to the range; at most 90 days later.")]


class LimitExceeded(RateLimited):
    """Nothing is left of what the account may ask."""


@route(
    "GET",
    "/v1/account/usage",
    may="usage:read",
    takes=Days,
    answer=wire.AccountUsage,
    summary="Account usage",
    takes_example={"start_date": "2026-03-10", "end_date": "2026-03-12"},
    example=wire.AccountUsage(
        wire.TimeRange("2026-03-10", "2026-03-12"), [wire.Day("2026-03-11", 120), wire.Day("2026-03-12", 0)], 120
    ),
)
def read_account_usage(call: DialectCall, given: Days) -> wire.AccountUsage:
    """Requests by UTC day, from the first day that has any to the last one asked for, or today."""
    first, last = _day(given, "start_date"), _day(given, "end_date")
    if not 0 <= (last - first).days <= wire.MAX_DIFFERENCE_DAYS:
        raise BadRequest(wire.invalid("end_date"), parameter="end_date")
    today = datetime.fromtimestamp(call.now // 1000, UTC).date()
    return wire.encode_usage(first, last, today, _counts(call, first, min(last, today)))


def _day(given: Days, name: str) -> date:
    found = wire.parse_day(getattr(given, name))
    if found is None:
        raise BadRequest(wire.invalid(name), parameter=name)
    return found


def _counts(call: DialectCall, first: date, last: date) -> dict[date, int]:
    """Requests of each day; before 1970 and after today there are none."""
    start, end = max(_at(first), 0), _at(last) + DAY_MS
    if start >= end:
        return {}
    edges = range(start, end + 1, DAY_MS)
    used = figures.between(call.tx, call.usage, call.account, edges, of=(POOL,), count=figures.request_count)
    return {date.fromisoformat(format_instant(at)[:10]): count for at, count in zip(edges, used, strict=False)}


def _at(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_MS


def identify(asked: Asked, settings: Settings) -> Secrets:
    if not (key := asked.secret(HEADER)):
        raise Unauthenticated(f"Send the key in the header {HEADER}.")
    return Secrets(key)


def check_quota(call: DialectCall) -> None:
    """The gateway's quota: before parameters are looked at."""
    if not call.settings.enforce_quota:
        return
    purse = make_balance(call.tx, call.usage, call.account, call.now).pools.get(POOL)
    if purse is None or purse.left + purse.credit == 0:
        raise LimitExceeded("Nothing is left in the pool api.")


def succeed(made: Any) -> Reply:
    return Reply(msgspec.json.encode(made))


def fail(error: FlowtallyError) -> Reply:
    """Secrets and limits in the gateway's form, the rest in the service's."""
    if isinstance(error, LimitExceeded):
        return _gateway(429, wire.LIMIT_EXCEEDED)
    if isinstance(error, RateLimited):
        return _gateway(429, wire.TOO_MANY, {"Retry-After": str(error.extra.get("retry_after_s", 1))})
    if isinstance(error, (Unauthenticated, Forbidden, MethodNotAllowed)):
        return _gateway(403, wire.FORBIDDEN)
    if isinstance(error, BadRequest):
        field = str(error.extra.get("parameter", ""))
        return _service(400, "Bad Request", wire.invalid(field) if field else error.detail)
    if error.status < 500:
        return _service(error.status, error.title, error.detail)
    return _service(500, "Internal Server Error", "The request could not be answered. Please try again.")


def _gateway(status: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply(msgspec.json.encode(wire.GatewayFault(message)), status=status, headers=headers or {})


def _service(status: int, message: str, long_message: str) -> Reply:
    fault = wire.ServiceFault(wire.ServiceError(status, message, long_message), secrets.token_hex(16))
    return Reply(msgspec.json.encode(fault), status=status)


def rate(settings: Settings) -> Rate | None:
    return Rate(settings.requests_per_minute, 60_000) if settings.requests_per_minute else None


WHITEPAGES: Final = Dialect(
    name="whitepages",
    title="Whitepages",
    description="Requests by UTC day, of the pool `api`. The format is that of Whitepages' account usage "
    "(https://api.whitepages.com/docs/references/account/get_account_usage_data).",
    settings=Settings,
    identify=identify,
    succeed=succeed,
    fail=fail,
    routes=ROUTES,
    security={
        "whitepages_key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Api-Key",
            "description": "The token of a credential of an account.",
        }
    },
    faults=(
        Fault("a parameter is missing or wrong", fail(BadRequest("", parameter="start_date"))),
        Fault("no key, or one that is not known", fail(Unauthenticated(""))),
        Fault("too many requests", fail(RateLimited(""))),
        Fault("nothing is left in the pool api", fail(LimitExceeded(""))),
        Fault("a fault inside", fail(FlowtallyError(""))),
    ),
    refusals=(wire.ServiceFault, wire.GatewayFault),
    rate=rate,
    check=check_quota,
    metered=lambda settings: settings.meter_calls,
)
