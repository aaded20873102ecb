"""Members that one JSON object has twice.

RFC 8259 leaves open which of them counts; decoders take the last and say nothing. Where it decides what is stored,
nothing is made of such an object. Pure: finds them, whatever the spelling of their names; who is told what is others'.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

import msgspec

from flowtally.core.errors import MalformedBody

MAX_SHOWN_CHARS: Final = 60


class Repeated(msgspec.Struct, frozen=True):
    """The name that was found first, and all that the outermost object has more than once."""

    name: str
    outermost: frozenset[str]

    def __str__(self) -> str:
        shown = self.name if len(self.name) <= MAX_SHOWN_CHARS else self.name[:MAX_SHOWN_CHARS] + "…"
        return f"the member {shown!r} is given twice"


def find_repeated(text: bytes) -> Repeated | None:
    """In any object of it, inner ones too. The text is JSON, and is not long: it takes some microseconds a kilobyte.
    MalformedBody where it is nested too deeply to tell."""
    found: list[str] = []
    last: frozenset[str] = frozenset()

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal last
        last = frozenset()
        if len(dict(pairs)) < len(pairs):
            last = frozenset(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            found.append(next(name for name, _ in pairs if name in last))

    try:  # numbers stay text: Python refuses those of very many digits
        json.loads(text.decode(), object_pairs_hook=look, parse_int=str, parse_float=str)
    except RecursionError:
        raise MalformedBody("The body cannot be read: objects or arrays are nested too deeply.") from None
    return Repeated(found[0], last) if found else None


def find_repeated_in(text: bytes, decoded: Any) -> Repeated | None:
    """The same of a text that was decoded already: quick where there is none, as nearly always. Two counts are compared
    that are alike only then: of `":` in the text, which is in strings as well, and of what was decoded."""
    loose = (
        b" :" in text or b"\t:" in text or b"\n:" in text or b"\r:" in text
    )  # a member's colon with no quote before it
    if not loose and text.count(b'":') == count_members(decoded):
        return None
    return find_repeated(text)


def count_members(value: Any) -> int:
    """Of all objects in it, as they were decoded: each name once in each."""
    count, left = 0, [value]
    while left:
        one = left.pop()
        if type(one) is dict:
            count += len(one)
            one = one.values()
        elif type(one) is not list:
            continue
        left += [inner for inner in one if type(inner) is dict or type(inner) is list]
    return count
