"""Cross-origin requests (the Fetch standard's CORS protocol): which web pages may read our answers in a browser.

Owns what is said of it, off unless `cors_origins` names origins. No answer allows credentials: tokens are in headers
that a page sets itself, never in what a browser adds (one dialect takes a cookie; from another origin it does not
come). The check of a browser is no protection of ours: who asks without one is answered all the same, by its token.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from flowtally.web.services import Services

Headers = tuple[tuple[bytes, bytes], ...]

METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE"
MAX_AGE_S: Final = b"600"  # how long a browser need not ask again
# What a page may read besides what every page may.
EXPOSED: Final = (
    "Allow, Content-Disposition, Flowtally-As-Of, Flowtally-Block, Flowtally-Rows, Idempotent-Replayed, Retry-After, "
    "WWW-Authenticate, X-Request-Id"
)
_NAMES: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~ ,-]{1,1000}")  # of headers, by comma
_PREFLIGHT_VARY: Final = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Preflights:
    """Wraps the application: answers the question of a browser whether a page may ask at all. One answer for every
    path, known or not: else a page could not read why it was refused."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] == "OPTIONS":
            services: Services = scope["litestar_app"].state.services
            if (headers := preflight(scope["headers"], services.config.origins)) is not None:
                await send({"type": "http.response.start", "status": 204, "headers": [*headers]})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
        await self._app(scope, receive, send)


def preflight(sent: Iterable[tuple[bytes, bytes]], origins: frozenset[str]) -> Headers | None:
    """What is answered to a browser that asks beforehand, besides `answered`. None where nothing is allowed, or where
    this is an ordinary OPTIONS."""
    said = dict(sent)
    if not allowed(said.get(b"origin", b""), origins) or b"access-control-request-method" not in said:
        return None
    asked = said.get(b"access-control-request-headers", b"")
    names = ((b"access-control-allow-headers", asked),) if _NAMES.fullmatch(asked) else ()
    methods = (b"access-control-allow-methods", METHODS)
    return (methods, *names, (b"access-control-max-age", MAX_AGE_S), (b"vary", _PREFLIGHT_VARY))


def answered(sent: Iterable[tuple[bytes, bytes]], origins: frozenset[str]) -> Headers:
    """What every answer says, errors too."""
    if not origins:
        return ()
    origin = next((value for name, value in sent if name == b"origin"), b"")
    if "*" in origins:
        return ((b"access-control-allow-origin", b"*"), _EXPOSES)
    told: Headers = ((b"access-control-allow-origin", origin), _EXPOSES) if allowed(origin, origins) else ()
    return (*told, (b"vary", b"Origin"))


_EXPOSES: Final = (b"access-control-expose-headers", EXPOSED.encode())


def allowed(origin: bytes, origins: frozenset[str]) -> bool:
    return bool(origin) and ("*" in origins or origin.decode("latin-1") in origins)
