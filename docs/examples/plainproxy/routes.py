"""Answering as PlainProxy: who asks, what for, from which figures, and what a refusal looks like."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from flowtally.core.edges import first_instant, load_zone
from flowtally.core.errors import BadRequest, FlowtallyError, Unauthenticated
from flowtally.vendors import base, figures
from flowtally.vendors.base import Asked, Dialect, DialectCall, Fault, Route, Secrets, declaring
from flowtally.web.call import Reply

from . import wire

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


class Settings(base.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`FLOWTALLY_PLAINPROXY_TIMEZONE` sets it, as `FLOWTALLY_PLAINPROXY_ENABLED` switches the dialect off."""

    timezone: Annotated[str, Meta(description="Zone whose days are told.")] = "UTC"


class DayQuery(msgspec.Struct, frozen=True):
    day: Annotated[date, Meta(description="YYYY-MM-DD.")]


@route(
    "GET",
    "/plainproxy/traffic",
    may="usage:read",
    takes=DayQuery,
    takes_example={"day": "2026-03-10"},
    answer=wire.Answer,
    summary="Traffic of a day",
    example=wire.Answer(wire.Traffic("2026-03-10", "1.25", "20.5")),
)
def traffic(call: DialectCall, given: DayQuery) -> wire.Answer:
    """All products of the pool `traffic`, in GB."""
    zone = load_zone(call.settings.timezone)
    start, end = first_instant(given.day, zone), _day_after(given.day, zone)
    found = figures.running(call.tx, call.house.usage, call.account, [start, end], of=("traffic",))
    return wire.show(given.day, found.before, sum(found.parts))


def _day_after(day: date, zone: ZoneInfo) -> int:
    if not 1970 < day.year < 9999:
        raise BadRequest("day is out of range")
    return first_instant(date.fromordinal(day.toordinal() + 1), zone)


def identify(asked: Asked, settings: Settings) -> Secrets:
    """The token of a credential, in PlainProxy's own header."""
    key = asked.secret("x-plain-key")
    if not key:
        raise Unauthenticated("there is no X-Plain-Key")
    return Secrets(key)


def succeed(answer: wire.Answer) -> Reply:
    return Reply(msgspec.json.encode(answer))


def fail(error: FlowtallyError) -> Reply:
    """Every error there is: what is wrong with a request is told, what went wrong inside is not."""
    told = error.detail if error.status < 500 else "try again later"
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
        Fault("The day is missing or none.", fail(BadRequest("day is missing"))),
        Fault("The key is missing or unknown.", fail(Unauthenticated("the key is unknown"))),
    ),
    refusals=(wire.Refusal,),
)
