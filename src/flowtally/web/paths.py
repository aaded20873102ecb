"""Names in paths: any text can be one segment of a path, percent-encoded, `/`, `%` and dots too.

Servers decode the path before anybody routes it, and then a `/` in a name is like one between segments. So the path is
read again from what was sent, and the two characters that could be misread stay encoded until routing is over. Owns
both directions; `application` puts `Paths` around the framework, `operation` decodes what it was given.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from flowtally.core.errors import BadRequest


class Paths:
    """Wraps the framework: from here on each segment of `scope["path"]` is `as_segment` of a text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            sent = scope.get("raw_path")  # a server may leave it out, and some add the query
            if not sent:
                scope["path"] = scope["path"].replace("%", "%25")
            elif b"%" in sent:
                segments = sent.partition(b"?")[0].split(b"/")
                scope["path"] = "/".join(as_segment(unquote_to_bytes(one).decode(errors="replace")) for one in segments)
        await self._app(scope, receive, send)


def as_segment(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F")


def name_of(segment: str) -> str:
    """The text that `as_segment` was made of."""
    return segment.replace("%2F", "/").replace("%25", "%")


def check_path(sent: bytes | None) -> None:
    """BadRequest for what no name is written as: nobody should be found or made under a makeshift character."""
    try:
        unquote_to_bytes((sent or b"").partition(b"?")[0]).decode()
    except UnicodeDecodeError:
        raise BadRequest("The path is no UTF-8.") from None
