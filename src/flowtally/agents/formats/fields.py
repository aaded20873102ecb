"""The kinds of fields that Squid, nginx and Apache have in common: escaped texts, request lines, opaque values."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import msgspec

from flowtally.agents.formats.compiled import Field, Means
from flowtally.agents.formats.escapes import Escape

CACHED: Final = 4096  # names and addresses that are remembered: a log has the same ones again and again


def text(
    name: str,
    escape: Escape,
    *,
    means: Means = "",
    convert: Callable[[bytes], Any] | None = None,
    rank: int = 0,
    empty: bool = True,
    also: bytes = b"",
) -> Field:
    """An escaped value that may hold blanks and mostly holds none; `empty`: it may be nothing at all. `also`: another
    spelling it may have."""
    pattern, full = escape.some(blanks=False, least=1), escape.some(blanks=True, least=0 if empty else 1)
    if also:
        pattern, full = pattern + b"|" + also, full + b"|" + also
    return Field(name=name, pattern=pattern, full=full, means=means, convert=convert or escape.text, rank=rank)


def ident(name: str, escape: Escape) -> Field:
    """The name that a client's ident server gave, `-` where nobody asks: nobody is told by it."""
    full = rb"-|(?!- )" + escape.some(blanks=True, least=1)
    return Field(name=name, pattern=escape.some(blanks=False, least=1), full=full)


def addresses(name: str, convert: Callable[[bytes], str]) -> Field:
    """A list of addresses, as in `X-Forwarded-For`; the client where nothing else tells it."""
    one = rb"[^\s,\"\\]+"
    return Field(name=name, pattern=one, full=one + rb"(?:, *" + one + rb")*", means="client", convert=convert, rank=-1)


def client(name: str, escape: Escape, *, rank: int = 0) -> Field:
    pattern = escape.some(blanks=False, least=1)
    return Field(name=name, pattern=pattern, means="client", convert=name_of(escape, b"-"), rank=rank)


def opaque(name: str, pattern: bytes) -> Field:
    """A value that does not count."""
    return Field(name=name, pattern=pattern)


def padded(field: Field, *, left: bool) -> Field:
    """The same field of a least width: blanks before its value, or behind it where it is left-aligned."""

    def blanks(pattern: bytes) -> bytes:
        return b"(?:" + pattern + b") *" if left else b" *(?:" + pattern + b")"

    def stripped(raw: bytes) -> Any:
        return field.value(raw.strip(b" "))

    return msgspec.structs.replace(
        field, pattern=blanks(field.pattern), full=blanks(field.language), convert=stripped if field.means else None
    )


def name_of(escape: Escape, *nobody: bytes) -> Callable[[bytes], str]:
    """A user's name; `nobody` are the spellings of none."""

    @lru_cache(CACHED)
    def convert(raw: bytes) -> str:
        return "" if raw in nobody else escape.text(raw)

    return convert


def request_url(escape: Escape) -> Callable[[bytes], str]:
    """The URL of a request line, `GET /a HTTP/1.1`; a line that is none still was a request."""

    def convert(raw: bytes) -> str:
        parts = raw.split(b" ", 2)
        return escape.text(parts[1]) if len(parts) > 1 else ""

    return convert


def first_address(escape: Escape) -> Callable[[bytes], str]:
    """Of a list of addresses (`X-Forwarded-For`), the first: the client as the first proxy saw it."""

    def convert(raw: bytes) -> str:
        found = escape.text(raw).partition(",")[0].strip()
        return "" if found == "-" else found

    return convert
