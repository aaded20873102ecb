"""The account, usage, proxy user, whitelist and CDK side of Thordata's API, at its own paths.

Owns who is asking (`token` and `key`, wherever they are put), the envelope and which error is which code. Answers are
HTTP 200 whatever the code: their client never reads the body of anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flowtally.core.errors import FlowtallyError, Unauthenticated
from flowtally.vendors.base import Asked, Dialect, Fault, Rate, Reply, Secrets
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.callers import SCHEMES, shown
from flowtally.vendors.thordata.codes import as_theirs
from flowtally.vendors.thordata.routes import ROUTES
from flowtally.vendors.thordata.settings import Settings
from flowtally.vendors.thordata.wire import BalancingMonitor, ThordataError


def identify(asked: Asked, settings: Settings) -> Secrets:
    """`token`, and `key` where it is sent: in the headers, the query or the body. Unauthenticated without a token, or
    with two that differ; WrongKey without a key that is required, or with two."""
    found = shown(asked, settings)
    if not found.token:
        raise Unauthenticated("There is no token.")
    return found


def succeed(made: Any) -> Reply:
    return Reply(wire.encode_balancing(made) if isinstance(made, BalancingMonitor) else wire.encode(made))


def fail(error: FlowtallyError) -> Reply:
    """Any error as an envelope. Nothing of what was sent is repeated: it may hold secrets."""
    return Reply(wire.encode_error(as_theirs(error)))


def envelope(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of an answer: of a success with these data, or a failure, whose data are `{}`."""
    data = {"anyOf": [schema, {"type": "object", "maxProperties": 0}]}
    members = {
        "code": {"type": "integer", "description": "200: it is a success. Any other: why it is none."},
        "data": {**data, "description": "What was asked for; empty where it is no success."},
        "msg": {"type": "string", "description": "`ok`, or why it is no success."},
    }
    usual: Mapping[str, Any] = {"type": "object", "properties": members, "required": list(members)}
    if not str(schema.get("$ref", "")).endswith(BalancingMonitor.__name__):
        return usual
    own = {
        "status_code": {"type": "integer", "description": "200: it is a success."},
        "payload": {**schema, "description": "What was asked for."},
    }
    # One object and no choice of two: generators of clients make nothing of a choice between objects without names.
    refused = members | {"data": {"type": "object", "maxProperties": 0, "description": "Empty: it is no success."}}
    return {
        "type": "object",
        "properties": own | refused,
        "description": "A success has `status_code` and `payload`, all else `code`, `data` and `msg`.",
    }


def _faults() -> list[Fault]:
    return [Fault(f"{number}: {text}", fail(ThordataError(number))) for number, text in wire.MESSAGES.items()]


def _rate(settings: Settings) -> Rate | None:
    return Rate(settings.rate_requests, settings.rate_seconds * 1000) if settings.rate_requests else None


THORDATA: Final = Dialect(
    name="thordata",
    title="Thordata",
    description="Balance, usage, proxy users, whitelist and CDKs. The format is that of Thordata's API "
    "(https://openapi.thordata.com/api). `token` and `key` may also be in the query or in the body; `key` may be left "
    "out unless the setting `key` says otherwise. Every answer is HTTP 200; `code` says whether it is a success.",
    settings=Settings,
    identify=identify,
    secrets_in_body=True,
    succeed=succeed,
    fail=fail,
    routes=ROUTES,
    security=SCHEMES,
    faults=_faults(),
    envelope=envelope,
    rate=_rate,
    own_paths=("/api/",),
    unserved=Reply(b"404 page not found", media_type="text/plain", status=404),
)
