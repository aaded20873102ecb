"""The page as an answer: made once, kept packed and plain, and not sent again to who has it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Litestar

from flowtally.api.reference.page import POLICY, render
from flowtally.web.call import Reply
from flowtally.web.media import read_range
from flowtally.web.services import Services

HTML: Final = "text/html"  # the framework says the charset
# Instead of the usual ones: anybody may keep it, and its own style is let in.
SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"public, max-age=300"),
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
)


class ServedPage(msgspec.Struct, frozen=True):
    plain: bytes
    packed: bytes
    digest: str


def make(document: bytes) -> ServedPage:
    """The page of an OpenAPI document in JSON."""
    plain = render(msgspec.json.decode(document)).encode()
    return ServedPage(plain, gzip.compress(plain, mtime=0), hashlib.sha256(plain).hexdigest()[:32])


async def page_of(app: Litestar, services: Services) -> ServedPage:
    """Made when it is first asked for, in a thread, once however many ask meanwhile."""
    made: asyncio.Future[ServedPage] | None = app.state.get("docs")
    if made is None:
        made = app.state.docs = asyncio.ensure_future(services.in_thread(make, app.state.openapi))
    return await asyncio.shield(made)


def answer(page: ServedPage, asked: Mapping[str, Any]) -> Reply:
    """What a request with these headers gets: 304 where it has the page already (RFC 9110, 13.1.2)."""
    packed = takes_gzip(asked.get("accept-encoding", ""))
    tag = f'"{page.digest}-gz"' if packed else f'"{page.digest}"'
    headers = {"ETag": tag, "Vary": "Accept-Encoding"}
    known = [one.strip().removeprefix("W/") for one in asked.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        return Reply(b"", HTML, 304, headers)
    if packed:
        return Reply(page.packed, HTML, headers=headers | {"Content-Encoding": "gzip"})
    return Reply(page.plain, HTML, headers=headers)


def takes_gzip(accepted: str) -> bool:
    """Whether the header Accept-Encoding names it (RFC 9110, 12.5.3)."""
    for part in accepted.split(",")[:50]:
        name, _, rest = part.partition(";")
        if name.strip().lower() in ("gzip", "x-gzip"):
            weighed = read_range(f"any/any;{rest}") if rest else None
            return weighed is None or weighed.quality > 0
    return False
