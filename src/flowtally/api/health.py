"""What machines ask: is the process up, can it write and read, how is it doing; and what this is at all."""

from __future__ import annotations

import asyncio
import ipaddress
from importlib.metadata import version
from typing import Any, Final, Literal

import msgspec

from flowtally.api.reference import serving
from flowtally.core.errors import Forbidden, StoreDamaged, Unauthenticated, Unavailable
from flowtally.core.media import JSON
from flowtally.ledger.people import credentials
from flowtally.usage.values import Where
from flowtally.web import auth
from flowtally.web.bodies import AnyRequest
from flowtally.web.call import Reply
from flowtally.web.forwarded import BY_PROXIES
from flowtally.web.metrics import MEDIA_TYPE
from flowtally.web.operation import operation, who_asks
from flowtally.web.problems import ITS_SECURITY
from flowtally.web.services import Services

HOW_TO_READ: Final = (
    "Send a token that has the right metrics:read as `Authorization: Bearer <token>`. "
    "`flowtally key create --name prometheus --right metrics:read` makes one."
)
PATIENCE_S = 5.0  # a probe that waits longer is given up by who sent it


class Health(msgspec.Struct, frozen=True):
    """Whether it is well.

    status: `ok`: it is well.
    """

    status: Literal["ok"]


class About(msgspec.Struct, frozen=True):
    """What answers here.

    name: The name of the program.
    version: The version of the program.
    openapi: The path of this document.
    """

    name: str
    version: str
    openapi: str


@operation(
    "GET",
    "/",
    may="",
    summary="Name and version of the server",
    answer=About,
    example=About("flowtally", version("flowtally"), "/schema/openapi.json"),
)
async def read_about(services: Services, request: AnyRequest) -> About:
    """Name, version, and where the description of the API is."""
    return About("flowtally", version("flowtally"), "/schema/openapi.json")


@operation("GET", "/healthz", may="", summary="Whether the process runs", answer=Health, example=Health("ok"))
async def check_health(services: Services, request: AnyRequest) -> Health:
    """Asks no database: failing it is a reason to restart."""
    return Health("ok")


@operation(
    "GET",
    "/readyz",
    may="",
    summary="Whether the server can write and read",
    answer=Health,
    errors=(Unavailable,),
    example=Health("ok"),
)
async def check_readiness(services: Services, request: AnyRequest) -> Health:
    """Asks both databases, ingest whether its door is open, and whether the clock can be believed: failing it is a
    reason to send traffic elsewhere."""
    services.clock.check()
    writes, why = services.ingest.ready()
    if not writes:
        raise Unavailable(f"Usage cannot be written: {why}.")
    try:
        async with asyncio.timeout(PATIENCE_S):
            await services.in_thread(check_reads, services)
    except TimeoutError:
        raise Unavailable(f"A store does not answer within {PATIENCE_S:g} s.") from None
    return Health("ok")


@operation(
    "GET",
    "/metrics",
    may="",
    asks="metrics:read",
    summary="Prometheus metrics",
    answer=str,
    errors=(Unauthenticated, Forbidden),
)
async def read_metrics(services: Services, request: AnyRequest) -> Reply:
    """A key with the right `metrics:read` may read them; the setting `metrics` can let in others. They
    are about the server, never about a customer."""
    if not _is_open(services.config.metrics, request):
        if "authorization" not in request.headers:
            raise Unauthenticated(HOW_TO_READ)
        auth.require_right(await who_asks(services, request), "metrics:read")
    return Reply(await services.in_thread(services.metrics.text), MEDIA_TYPE)


def _is_open(setting: str, request: AnyRequest) -> bool:
    return setting == "open" or (setting == "loopback" and from_here(request))


@operation("GET", "/schema/openapi.json", may="", summary="This description", answer=dict[str, Any])
async def read_openapi(services: Services, request: AnyRequest) -> Reply:
    """OpenAPI 3.1."""
    return Reply(request.app.state.openapi, JSON)


@operation("GET", "/docs", may="", summary="The API as a page for people", answer=bytes, also=("text/html",))
async def read_docs(services: Services, request: AnyRequest) -> Reply:
    """This description as HTML. It loads nothing from elsewhere, and needs no scripts."""
    reply = serving.answer(await serving.page_of(request.app, services), request.headers)
    request.scope[ITS_SECURITY] = serving.SECURITY  # type: ignore[typeddict-unknown-key]
    return reply


def check_reads(services: Services) -> None:
    """Unavailable unless both databases answer."""
    try:
        with services.ledger.read() as tx:
            credentials.has_admin(tx)
        services.usage.sums([0, 1], Where(account=""))
    except Unavailable:
        raise
    except StoreDamaged as error:
        raise Unavailable(error.detail) from error
    except Exception as error:  # whatever a driver raises: it is not ready
        raise Unavailable(f"A store does not answer ({type(error).__name__}).") from error


def from_here(request: AnyRequest) -> bool:
    """Whether the caller is a process of this machine, as far as can be told: a proxy of this machine that adds nothing
    to a request (nginx's bare `proxy_pass`) cannot be told from it."""
    if request.client is None or any(name in BY_PROXIES for name, _ in request.scope["headers"]):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
