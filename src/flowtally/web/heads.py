"""HEAD wherever GET is (RFC 9110, 9.3.2): the same answer, its head alone.

A layer around the framework, so that it holds for every route there is and will be. What would be made only to be read
piece by piece is not made: see `is_head`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

ASKED: Final = "flowtally.method"  # in the ASGI scope: what was asked where it is not what is done


class Heads:
    """Wraps the framework: from here on HEAD is GET, and no body goes out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                if message.get("more_body", False):
                    return
                message["body"] = b""
            await send(message)

        scope[ASKED], scope["method"] = "HEAD", "GET"  # type: ignore[typeddict-unknown-key]
        await self._app(scope, receive, send_head)


def is_head(scope: Mapping[str, Any]) -> bool:
    return scope.get(ASKED) == "HEAD"


def method_of(scope: Mapping[str, Any]) -> str:
    """What the caller asked."""
    return str(scope.get(ASKED, scope["method"]))


def allowed(methods: Iterable[str]) -> str:
    """The header Allow of a path with these: HEAD goes with GET, and OPTIONS is answered everywhere."""
    found = {*methods, "OPTIONS"}
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))
