"""Answering as PlainProxy: who asks, and what a success and a refusal look like."""

from __future__ import annotations

from typing import Final

import msgspec

from flowtally.core.errors import BadRequest, FlowtallyError, Unauthenticated
from flowtally.vendors.base import Asked, Dialect, Fault, Reply, Secrets
from flowtally.vendors.shortly import with_why

from . import wire
from .routes import ROUTES
from .settings import Settings


def identify(asked: Asked, settings: Settings) -> Secrets:
    """The token of a credential, in PlainProxy's own header."""
    key = asked.secret("x-plain-key")
    if not key:
        raise Unauthenticated("there is no X-Plain-Key")
    return Secrets(key)


def succeed(answer: wire.Answer) -> Reply:
    return Reply(msgspec.json.encode(answer))


def fail(error: FlowtallyError) -> Reply:
    """Every error there is, in the vendor's words: `bad request: day`. What went wrong inside is not told."""
    usual = "no access" if isinstance(error, Unauthenticated) else "bad request"
    told = with_why(usual, error) if error.status < 500 else "try again later"
    return Reply(msgspec.json.encode(wire.Refusal(told)), status=error.status)


PLAINPROXY: Final = Dialect(
    name="plainproxy",
    title="PlainProxy",
    description="Traffic by day, in GB.",
    settings=Settings,
    identify=identify,
    succeed=succeed,
    fail=fail,
    routes=ROUTES,
    security={"plainproxyKey": {"type": "apiKey", "in": "header", "name": "X-Plain-Key"}},
    faults=(
        Fault("The day is missing or none.", fail(BadRequest("", parameter="day"))),
        Fault("The key is missing or unknown.", fail(Unauthenticated(""))),
    ),
    refusals=(wire.Refusal,),
)
