"""Whitepages' account usage, at its own path: who is asking, the quota, and what each error looks like."""

from __future__ import annotations

import secrets
from http.client import responses
from typing import Any, Final

import msgspec

from flowtally.core.errors import BadRequest, FlowtallyError, Forbidden, MethodNotAllowed, RateLimited, Unauthenticated
from flowtally.core.times import MINUTE_MS
from flowtally.vendors.base import Asked, Dialect, DialectCall, Fault, Rate, Reply, Secrets
from flowtally.vendors.shortly import with_why
from flowtally.vendors.whitepages import wire
from flowtally.vendors.whitepages.routes import POOL, ROUTES
from flowtally.vendors.whitepages.settings import Settings

HEADER: Final = "x-api-key"
# Where Whitepages sells data. What is beside account usage (/v1/account/) stays ours: it is one letter from our own.
OWN_PATHS: Final = ("/v1/person/", "/v2/person/", "/v1/property/", "/v2/property/", "/v1/regions/")


class LimitExceeded(RateLimited):
    """Nothing is left of what the account may ask."""


def identify(asked: Asked, settings: Settings) -> Secrets:
    if not (key := asked.secret(HEADER)):
        raise Unauthenticated(f"Send the key in the header {HEADER}.")
    return Secrets(key)


def check_quota(call: DialectCall) -> None:
    """The gateway's quota: before parameters are looked at."""
    if not call.settings.enforce_quota:
        return
    purse = call.balance().pools.get(POOL)
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
        return _service(400, "Bad Request", wire.invalid(field) if field else wire.INVALID)
    if error.status < 500:
        long_message = with_why("The request could not be answered", error)
        return _service(error.status, responses.get(error.status, "Error"), f"{long_message}.")
    return _service(500, "Internal Server Error", "The request could not be answered. Please try again.")


def _gateway(status: int, message: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply(msgspec.json.encode(wire.GatewayFault(message)), status=status, headers=headers or {})


def _service(status: int, message: str, long_message: str) -> Reply:
    fault = wire.ServiceFault(wire.ServiceError(status, message, long_message), secrets.token_hex(16))
    return Reply(msgspec.json.encode(fault), status=status)


def rate(settings: Settings) -> Rate | None:
    return Rate(settings.requests_per_minute, MINUTE_MS) if settings.requests_per_minute else None


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
    own_paths=OWN_PATHS,
    unserved=_gateway(403, wire.FORBIDDEN),  # as of a key that may not use the endpoint
)
