"""Reading a body: bounded in size, in time and in how slowly it may come.

A body keeps a place among the requests in work and its bytes in memory, so who sends one must be known, and must send.
Of callers that showed no token little is read, and only briefly: see `read_unknown`.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from io import BytesIO
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.datastructures import Headers

from flowtally.config import Config
from flowtally.core.errors import (
    ClientGone,
    MalformedBody,
    NewTooOften,
    QueueFull,
    Settling,
    SlowBody,
    SourceKindMismatch,
    SourceNotYours,
    StorageFull,
    TooLarge,
    TooManyNew,
    Unprocessable,
    UnsupportedMedia,
)
from flowtally.web.capacity.body_budget import Hold

AnyRequest = Request[Any, Any, Any]


class HeadersOnce(Request[Any, Any, Any]):
    """A request of the framework that reads its headers once: each step of an operation looks at one of them."""

    @cached_property
    def headers(self) -> Headers:
        return Headers.from_scope(self.scope)


UNKNOWN_BYTES: Final = 16 * 1024
UNKNOWN_S: Final = 5
MAX_SHOWN_DIGITS: Final = 30
# What may come of any body that goes to the one writer.
WRITER_ERRORS: Final = (
    MalformedBody,
    SourceNotYours,
    SlowBody,
    SourceKindMismatch,
    TooLarge,
    TooManyNew,
    NewTooOften,
    UnsupportedMedia,
    Unprocessable,
    QueueFull,
    StorageFull,
    Settling,
)


class BodyPatience(msgspec.Struct, frozen=True):
    """How long is waited for a body: for its next piece, for all of it, and for `least` bytes a second on average, not
    counting the first `idle_s`."""

    idle_s: int
    total_s: int
    least: int

    def until(self, began: float, size: int, now: float) -> float:
        """When a body of which so much came is given up, unless more comes."""
        return min(now + self.idle_s, began + self.total_s, began + self.idle_s + size / self.least)

    def __str__(self) -> str:
        return (
            f"The body stood still for {self.idle_s} s, came at less than {self.least} bytes a second, or took more "
            f"than {self.total_s} s."
        )


async def read_body(request: AnyRequest, limit: int, config: Config, hold: Hold | None = None) -> bytes:
    """The body of somebody known, given up as soon as it is larger than `limit` (413), arrives too slowly (408), or
    there is no memory to `hold` it (503)."""
    patience = BodyPatience(config.body_idle_s, config.body_total_s, config.body_min_bytes_s)
    return await _read(request, limit, patience, hold)


async def read_unknown(request: AnyRequest, limit: int, config: Config) -> bytes:
    """The body of somebody who may show in it who it is."""
    idle, total = min(config.body_idle_s, UNKNOWN_S), min(config.body_total_s, UNKNOWN_S)
    return await _read(request, min(limit, UNKNOWN_BYTES), BodyPatience(idle, total, config.body_min_bytes_s), None)


def has_body(request: AnyRequest) -> bool:
    """Whether there is anything to wait for."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


async def _read(request: AnyRequest, limit: int, patience: BodyPatience, hold: Hold | None) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise TooLarge(f"The body has {announced[:MAX_SHOWN_DIGITS]} bytes; {limit} are allowed.", limit=limit)
    try:
        return await _collect(request, limit, patience, hold)
    except TimeoutError:
        raise SlowBody(str(patience)) from None


async def _collect(request: AnyRequest, limit: int, patience: BodyPatience, hold: Hold | None) -> bytes:
    whole = BytesIO()  # what it holds is what it gives: chunks and their sum would be the body twice
    size = 0
    now = asyncio.get_running_loop().time
    began = now()
    async with asyncio.timeout_at(patience.until(began, 0, began)) as waiting:
        while True:
            message = await request.receive()
            if message["type"] != "http.request":
                raise ClientGone("The caller hung up before the body was whole.")
            chunk = message["body"]
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The body has more than {limit} bytes.", limit=limit)
            if hold is not None:
                hold.add(len(chunk))
            whole.write(chunk)
            if not message.get("more_body", False):
                break
            waiting.reschedule(patience.until(began, size, now()))
    return whole.getvalue()
