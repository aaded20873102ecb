"""ClientCall: one question to the server as a value, before anything travels. Both clients carry it out alike.

Every call can be repeated: reads change nothing, events count once, and every other write carries an `Idempotency-Key`
made with the call, the same in every attempt; or (`once`) one of the caller's own, the same in every run of a program.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any, Final, Generic, TypeVar, cast
from urllib.parse import quote

import msgspec
import uuid_utils
import zstandard

from flowtally.client.errors import ApiError
from flowtally.core.media import JSON

T = TypeVar("T")
Query = dict[str, str | list[str]]
_COMPRESS_FROM_BYTES: Final = 1024


class ClientCall(msgspec.Struct, Generic[T], frozen=True):
    """`answer` is the type of a good answer; `bytes` hands the body on as it came. NoneType: there is no body.
    `timeout_s`: how long to wait for it, where that is longer than for others."""

    method: str
    path: str
    answer: type[T]
    query: Query = {}
    headers: dict[str, str] = {}
    content: bytes | None = None
    timeout_s: float | None = None

    def read(self, content: bytes, status: int) -> T:
        """The body of a good answer. ApiError `unexpected_answer` if it is another shape."""
        if self.answer is bytes or (self.answer is NoneType and not content):
            return cast(T, content if self.answer is bytes else None)
        try:
            return msgspec.json.decode(content, type=self.answer)
        except msgspec.DecodeError as error:
            name = getattr(self.answer, "__name__", "message")
            detail = f"{self.method} {self.path}: the server's answer is not the expected {name}: {error}"
            raise ApiError("unexpected_answer", status, detail) from None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list, its items typed."""

    items: list[T]
    next: str | None = None


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """A list that is read page by page."""

    path: str
    answer: type[Page[T]]
    query: Query = {}

    def page(self, cursor: str | None) -> ClientCall[Page[T]]:
        return read(self.path, self.answer, {**self.query, "cursor": cursor} if cursor else self.query)


def read(path: str, answer: type[T], query: Query | None = None, accept: str = JSON) -> ClientCall[T]:
    return ClientCall("GET", path, answer, query or {}, {"Accept": accept})


def write(
    method: str, path: str, answer: type[T], request: object = None, *, query: Query | None = None,
    media_type: str = JSON, once: str | None = None,
) -> ClientCall[T]:  # fmt: skip
    """`request` bytes are sent as they are, anything else as JSON; large bodies are compressed. `once`: the key to
    repeat it by, made where the caller has none."""
    body = b"" if request is None else request if isinstance(request, bytes) else msgspec.json.encode(request)
    headers = {"Accept": JSON, "Idempotency-Key": str(uuid_utils.uuid7()) if once is None else once}
    if body:
        headers["Content-Type"] = media_type
    if len(body) >= _COMPRESS_FROM_BYTES:
        headers["Content-Encoding"] = "zstd"
        body = zstandard.ZstdCompressor(level=3).compress(body)
    return ClientCall(method, path, answer, query or {}, headers, body)


def segment(name: str) -> str:
    """One path segment. Dots are written out too, because `.` and `..` alone would name another resource."""
    return quote(name, safe="").replace(".", "%2E") if set(name) == {"."} else quote(name, safe="")


F = TypeVar("F", bound=Callable[..., Any])


def as_method(method: F, call: Callable[..., Any], returns: str) -> F:
    """`method` under the name, words and parameters of `call`, so that `help` shows them; `{}` is what is answered."""
    mine = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    shown = inspect.signature(call)
    answered = str(shown.return_annotation).partition("[")[2].removesuffix("]")
    signature = shown.replace(parameters=[mine, *shown.parameters.values()], return_annotation=returns.format(answered))
    method.__name__, method.__doc__ = call.__name__, call.__doc__
    method.__signature__ = signature  # type: ignore[attr-defined]
    return method
