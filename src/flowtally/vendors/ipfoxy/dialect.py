"""IPFoxy's reseller side, at its own paths: who asks, and what an answer or an error looks like. HTTP is 200 in every
case, the code tells.

Owns which of our errors is which of the vendor's codes. No code of its own exists for "no such account": it is a
parameter error, as the notes read the vendor's list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flowtally.core import errors
from flowtally.core.errors import FlowtallyError, Unauthenticated
from flowtally.core.times import MINUTE_MS
from flowtally.vendors.base import Asked, Dialect, Fault, Rate, Reply, Secrets
from flowtally.vendors.ipfoxy import wire
from flowtally.vendors.ipfoxy.routes import ROUTES
from flowtally.vendors.ipfoxy.settings import Settings
from flowtally.vendors.shortly import with_why

ID, TOKEN = "api-id", "api-token"
NO_DATA: Final = {"type": "object", "maxProperties": 0}

# The first that fits: a body that cannot be read is a bad request as well.
CODES: Final[tuple[tuple[type[FlowtallyError], int], ...]] = (
    (errors.Unauthenticated, wire.NOT_AUTHORIZED),
    (errors.Forbidden, wire.NOT_AUTHORIZED),
    (errors.RateLimited, wire.TOO_OFTEN),
    (errors.NotCovered, wire.NO_BALANCE),
    (errors.InsufficientFunds, wire.NO_BALANCE),
    (errors.OutOfStock, wire.OUT_OF_STOCK),
    (errors.PlanRetired, wire.NOT_SOLD),
    (errors.StockRetired, wire.REMOVED),
    (errors.StockHeld, wire.ORDER_FAILED),
    (errors.LeaseEnded, wire.EXPIRED),
    (errors.MalformedBody, wire.BAD_REQUEST),
    (errors.UnsupportedMedia, wire.BAD_REQUEST),
    (errors.SlowBody, wire.BAD_REQUEST),
    (errors.TooLarge, wire.BAD_REQUEST),
    (errors.MethodNotAllowed, wire.BAD_REQUEST),
)


def identify(asked: Asked, settings: Settings) -> Secrets:
    """`api-id` is the credential's id, `api-token` its token; both must be right."""
    shown_id, token = asked.secret(ID), asked.secret(TOKEN)
    if not shown_id or not token:
        raise Unauthenticated(f"Send the headers {ID} and {TOKEN}.")
    return Secrets(token, id=shown_id)


def succeed(made: Any) -> Reply:
    return Reply(wire.encode(made))


def fail(error: FlowtallyError) -> Reply:
    """The error's code. A method that is not served keeps its status, as do unknown paths."""
    status = error.status if isinstance(error, errors.MethodNotAllowed) else 200
    # The rest of a body we gave up on is still on its way: the connection cannot carry another request.
    headers = {"Connection": "close"} if isinstance(error, (errors.SlowBody, errors.TooLarge)) else {}
    code = code_of(error)
    return Reply(wire.encode(wire.Empty(), code, _said(error, code)), status=status, headers=headers)


def _said(error: FlowtallyError, code: int) -> str:
    """Their words; where a code stands for many things, which it is."""
    many = code in (wire.BAD_PARAMETER, wire.BAD_REQUEST) or isinstance(error, errors.Forbidden)
    return with_why(wire.MESSAGES[code], error) if many else wire.MESSAGES[code]


def code_of(error: FlowtallyError) -> int:
    if isinstance(error, wire.FoxError):
        return error.number
    known = next((code for kind, code in CODES if isinstance(error, kind)), None)
    if known is not None:
        return known
    return wire.FAULT if error.status >= 500 else wire.BAD_PARAMETER


def envelope(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON schema of an answer around that of its data; an error has none."""
    members = {
        "data": {"anyOf": [schema, NO_DATA], "description": "What was asked for; empty where it is no success."},
        "code": {"type": "integer", "description": "0: it is a success. Any other: why it is none."},
        "msg": {"type": "string", "description": "`Success`, or why it is none."},
    }
    return {"type": "object", "properties": members, "required": list(members)}


def rate(settings: Settings) -> Rate | None:
    return Rate(settings.requests_per_minute, MINUTE_MS) if settings.requests_per_minute else None


FAULTS: Final = (
    Fault("a parameter is wrong, or no account of the caller", fail(errors.BadRequest("", parameter="page"))),
    Fault("a header is missing or wrong, or the credential may not do this", fail(Unauthenticated(""))),
    Fault("the balance does not cover it", fail(errors.NotCovered(""))),
    Fault("there is not enough in the wallet", fail(errors.InsufficientFunds(""))),
    Fault("no lease plan is for that area", fail(wire.FoxError(wire.NOT_SOLD))),
    Fault("no lease plan has so many days", fail(wire.FoxError(wire.DURATION))),
    Fault("none, or more than 100 are asked for", fail(wire.FoxError(wire.QUANTITY))),
    Fault("the account does not lease the proxy, or no longer", fail(errors.LeaseEnded(""))),
    Fault("the proxy was retired from stock", fail(errors.StockRetired(""))),
    Fault("fewer are free than were asked for", fail(errors.OutOfStock(""))),
    Fault("the proxy cannot be renewed", fail(wire.FoxError(wire.NOT_RENEWABLE))),
    Fault("somebody else was quicker", fail(errors.StockHeld(""))),
    Fault("too many requests", fail(errors.RateLimited(""))),
    Fault("the request cannot be read", fail(errors.MalformedBody(""))),
    Fault("a fault inside", fail(FlowtallyError(""))),
)

IPFOXY: Final = Dialect(
    name="ipfoxy",
    title="IPFoxy",
    description="Sub-accounts for resellers: a sub-account is a funded user, residential traffic the pool `traffic`, "
    "mobile traffic the pool `mobile`. The format is that of IPFoxy's open API "
    "(https://github.com/IPFoxy-Proxies/developer-api). An answer is HTTP 200; `code` says whether it is a success.",
    settings=Settings,
    identify=identify,
    succeed=succeed,
    fail=fail,
    routes=ROUTES,
    security={
        "ipfoxy_id": {
            "type": "apiKey",
            "in": "header",
            "name": ID,
            "description": "The id of a credential of an account.",
            "x-holds": "id",
        },
        "ipfoxy_token": {
            "type": "apiKey",
            "in": "header",
            "name": TOKEN,
            "description": "The token of that credential.",
        },
    },
    faults=FAULTS,
    envelope=envelope,
    rate=rate,
    own_paths=(wire.PATH,),
    unserved=Reply(wire.encode(wire.Empty(), wire.BAD_REQUEST, wire.MESSAGES[wire.BAD_REQUEST]), status=404),
)
