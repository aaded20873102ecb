"""The items of a JSON body, one at a time: lines, elements of an array, or the whole. Pure.

Each is decoded when it is asked for, so that no more is made of a body than its reader takes. What is no JSON is
MalformedBody, with the place, and with what often makes such a body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from flowtally.core.errors import MalformedBody, TooLarge, UnsupportedMedia
from flowtally.core.media import BOM, NDJSON
from flowtally.core.members import Repeated, count_members, find_repeated
from flowtally.ingest.counting import check_parts, count_names, is_array, items_of, may_be_long
from flowtally.protocol import MAX_EVENTS

EXCERPT: Final = 200
NO_JSON: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

_any = msgspec.json.Decoder()
_unmade = msgspec.json.Decoder(msgspec.Raw)
_LINE: Final = re.compile(rb"\S[^\n]*")  # but for space before it, of which there may be any amount
MAX_FAULT_CHARS: Final = 500  # of what is wrong with an item


class Item(msgspec.Struct, frozen=True):
    """Not yet read; `line` where each has one of its own."""

    text: bytes
    where: str
    line: int | None = None

    def value(self) -> Any:
        """MalformedBody, TooLarge."""
        if may_be_long(self.text):
            self.check()
            check_parts(self.text)
        return self._decoded(_any)

    def check(self) -> None:
        """MalformedBody where it is no JSON at all."""
        self._decoded(_unmade)

    def _decoded(self, decoder: msgspec.json.Decoder[Any]) -> Any:
        try:
            return decoder.decode(self.text)
        except NO_JSON as error:
            excerpt = self.text[:EXCERPT].decode("utf-8", "replace")
            extra = {} if self.line is None else {"line": self.line}
            told = f"{self.where} is not JSON: {error}{_hint(self.text)}"
            raise MalformedBody(told, excerpt=excerpt, **extra) from None


Items = Callable[[bytes], Iterator[Item]]


def lines_of(body: bytes) -> Iterator[Item]:
    """Those that are not empty."""
    number, counted = 1, 0
    for found in _LINE.finditer(body):
        number += body.count(b"\n", counted, found.start())
        counted = found.start()
        yield Item(found.group(), f"line {number}", number)


def elements_of(body: bytes) -> Iterator[Item]:
    """Of an array. MalformedBody, TooLarge."""
    next(whole(body)).check()
    for start, end in items_of(body, MAX_EVENTS):
        yield Item(body[start:end], f"the item from byte {start} on")


def whole(body: bytes) -> Iterator[Item]:
    yield Item(body, "the body")


def values_of(body: bytes, most: int, *, lines: bool) -> Iterator[tuple[Any, Repeated | None]]:
    """What each item is, and the member that it has twice. `lines`: where it is not an array or one object. TooLarge
    where there are more than `most`."""
    items = lines_of if lines or is_lines(body) else elements_of if is_array(body) else whole
    members = 0
    for index, item in enumerate(items(body)):
        if index >= most:
            raise TooLarge(f"More than {most} items in one request", limit=most)
        members += count_members(item.value())
    find = find_repeated if members != count_names(body) else _find_none
    for item in items(body):
        yield item.value(), find(item.text)


def unsupported(kind: str, accepted: Sequence[str]) -> UnsupportedMedia:
    """Of a body whose media type, without its parameters, is none of these."""
    told = f"Content-Type {kind or 'missing'} is not one of {', '.join(accepted)}"
    return UnsupportedMedia(f"{told}. With curl: -H 'Content-Type: {accepted[-1]}'", accepted=list(accepted))


def is_lines(body: bytes) -> bool:
    """Whether it is objects on lines of their own, whatever its media type says: its first line is one, and others
    follow."""
    first, _, rest = body.lstrip().partition(b"\n")
    if not first.startswith(b"{") or not rest.strip():
        return False
    try:
        _unmade.decode(first)
    except NO_JSON:
        return False
    return True


def without_mark(body: bytes) -> bytes:
    """Without the byte order mark that some editors begin a file with."""
    return body.removeprefix(BOM)


def _find_none(text: bytes) -> Repeated | None:
    return None


def _hint(text: bytes) -> str:
    """What often makes such a text."""
    if not text.strip():
        return " (it is empty)"
    if text[:2] in (b"\xff\xfe", b"\xfe\xff") or text[1:2] == b"\0":
        return ". It looks like UTF-16; JSON is sent as UTF-8"
    if b"}{" in text:
        return f". Several events are an array, or lines of {NDJSON} (curl sends a file as it is with --data-binary)"
    return ""
