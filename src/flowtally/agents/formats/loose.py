"""All readings of a line, where the format alone does not say where its fields end: one, none, or more than one. Pure.

A `Span` of fields (see `certain`) is first cut out of the line as a whole, by what any of them may hold; then each way
to cut it into its fields is looked at, for as many of their separating texts as `MOST` allows. Only differences in
fields that count matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from flowtally.agents.formats import certain
from flowtally.agents.formats.certain import Span

_BACKSLASH: Final = ord("\\")
MOST: Final = 32  # separating texts in a span: with more, nobody looks at all the ways
MOST_WORK: Final = 4_000_000  # bytes looked at in one span


class Loose:
    """Reads lines by all that their fields may hold; `read` gives what those that count hold."""

    def __init__(
        self, languages: Sequence[bytes], literals: Sequence[bytes], spans: Sequence[Span], counted: set[int]
    ) -> None:
        begins = {span.first: span for span in spans}
        parts, place = [re.escape(literals[0])], 0
        self._order: list[_Cut | None] = []  # for each group: a field that counts, or a span
        while place < len(languages):
            if span := begins.get(place):
                self._order.append(_Cut(languages, literals, span, counted))
                parts.append(b"(" + _any_of(languages, literals, span) + b")")
                place = span.last
            else:
                if place in counted:
                    self._order.append(None)
                parts.append((b"(" if place in counted else b"(?:") + languages[place] + b")")
                place += 1
            parts.append(re.escape(literals[place]))
        self._whole = re.compile(b"".join(parts), re.DOTALL)

    def read(self, line: bytes) -> tuple[bytes, ...] | Span | None:
        """What the fields that count hold, in order. None: it is no such line. A span: it has more than one reading,
        and there."""
        match = self._whole.fullmatch(line)
        if match is None:
            return None
        found: list[bytes] = []
        more: Span | None = None
        for cut, text in zip(self._order, match.groups(), strict=True):
            if cut is None:
                found.append(text)
                continue
            readings = cut.readings(text)
            if readings is None or len(readings) > 1:
                more = more or cut.span  # unless a later span has none: then the line has none
            elif not readings:
                return None
            else:
                found += (text[start:end] for start, end in readings.pop())
        return more or tuple(found)


class _Cut:
    """Cuts the text of one span into its fields."""

    def __init__(self, languages: Sequence[bytes], literals: Sequence[bytes], span: Span, counted: set[int]) -> None:
        self._fields = [re.compile(language, re.DOTALL) for language in languages[span.first : span.last]]
        self._between = list(literals[span.first + 1 : span.last])
        self._counted = [place in counted for place in range(span.first, span.last)]
        self.span = span

    def readings(self, text: bytes) -> set[tuple[tuple[int, int], ...]] | None:
        """The different places of the fields that count, two at most; None where there are too many ways to look at."""
        ways: dict[int, set[tuple[tuple[int, int], ...]]] = {0: {()}}  # where a field may begin, and what came before
        for field, separator, counts in zip(self._fields, [*self._between, None], self._counted, strict=True):
            ends = [len(text)] if separator is None else list(_places(text, separator))
            if len(ends) > MOST or len(ends) * len(ways) * len(text) > MOST_WORK:
                return None
            after: dict[int, set[tuple[tuple[int, int], ...]]] = {}
            for start, before in ways.items():
                for end in ends:
                    if end >= start and field.fullmatch(text, start, end):
                        known = after.setdefault(end + len(separator or b""), set())
                        known |= {(*one, (start, end)) for one in before} if counts else before
            ways = {start: set(list(known)[:2]) for start, known in after.items()}
        return ways.get(len(text), set())


def _places(text: bytes, separator: bytes) -> Iterator[int]:
    place = text.find(separator)
    while place >= 0:
        yield place
        place = text.find(separator, place + 1)


def _any_of(languages: Sequence[bytes], literals: Sequence[bytes], span: Span) -> bytes:
    """All that the span may be, and no more than certain boundaries need: any bytes that its parts may hold."""
    alphabets = [certain.alphabet(language) for language in languages]
    inside = alphabets[span.first : span.last]
    escaped = certain.escaped(alphabets, literals)
    held = frozenset(b"".join(literals[span.first + 1 : span.last]))
    held = held.union(*(one.held(escaped=escaped) for one in inside))
    one = b"[" + b"".join(b"\\x%02x" % byte for byte in sorted(held - {_BACKSLASH})) + b"]"
    if _BACKSLASH not in held:
        return one + b"*"
    if not escaped:
        return b"(?:" + one + rb"|\\)*"
    # A backslash goes with what follows it, so there is one way to read many of them; alone it may be the last byte.
    return b"(?:" + one + rb"|\\.)*" + (b"" if all(one.escapes for one in inside) else rb"\\?")
