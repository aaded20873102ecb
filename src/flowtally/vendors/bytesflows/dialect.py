"""BytesFlows' traffic API, at its own paths: who is asking, and what they are told."""

from __future__ import annotations

from typing import Final

import msgspec

from flowtally.core.errors import (
    BadRequest,
    FlowtallyError,
    MethodNotAllowed,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from flowtally.core.times import MINUTE_MS
from flowtally.vendors.base import Asked, Dialect, Fault, Rate, Reply, Secrets
from flowtally.vendors.bytesflows import wire
from flowtally.vendors.bytesflows.routes import ROUTES
from flowtally.vendors.bytesflows.settings import Settings
from flowtally.vendors.shortly import with_why


def identify(asked: Asked, settings: Settings) -> Secrets:
    """The Bearer token; on the overview alone a cookie will do, where the settings name one."""
    scheme, _, token = asked.secret("authorization").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Secrets(token.strip())
    cookie = asked.cookie(settings.cookie) if settings.cookie and asked.path == wire.ASSET else None
    if not cookie:
        raise Unauthenticated("There is no `Authorization: Bearer <token>`.")
    return Secrets(cookie)


def succeed(answer: msgspec.Struct) -> Reply:
    return Reply(wire.encode(answer))


def fail(error: FlowtallyError) -> Reply:
    """The same envelope with `data` null; `code` is the HTTP status too. Which parameter is wrong is told, what went
    wrong inside is not."""
    code = error.status if error.status in wire.MESSAGES else 400 if error.status < wire.FAULT else wire.FAULT
    msg = with_why(wire.MESSAGES[code], error) if code == wire.BAD_PARAMETER else wire.MESSAGES[code]
    return Reply(wire.encode_error(code, msg), status=code, headers=_headers(error))


def _headers(error: FlowtallyError) -> dict[str, str]:
    if isinstance(error, Unavailable):
        return {"Retry-After": str(error.retry_after_s)}
    return {"Retry-After": str(error.extra.get("retry_after_s", 1))} if isinstance(error, RateLimited) else {}


def _fault(when: str, error: FlowtallyError) -> Fault:
    return Fault(when, fail(error))


FAULTS: Final = (
    _fault("A parameter is wrong.", BadRequest("", parameter="pageNo")),
    _fault("The token is missing, unknown or revoked.", Unauthenticated("")),
    _fault("Another method than GET.", MethodNotAllowed("")),
    _fault("Too many requests, or more work than the account's share.", RateLimited("")),
    _fault("Something failed inside.", FlowtallyError("")),
    _fault("Try again later.", Unavailable("")),
)

BYTESFLOWS: Final = Dialect(
    name="bytesflows",
    title="BytesFlows",
    description="Traffic and money left, and the grants behind them. The format is that of BytesFlows' traffic API "
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
    own_paths=("/api/v1/",),
    unserved=fail(NotFound("")),
    rate=lambda settings: Rate(settings.requests_per_minute, MINUTE_MS) if settings.requests_per_minute else None,
)
