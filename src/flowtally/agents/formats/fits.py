"""Where a line stops being one of its format, told to people; asked only of lines that are not read. Pure.

How much of a line fits is looked for with the pieces of the format as narrow as they mostly are, the first few first:
where so many pieces fit, fewer do, so a handful of looks is enough. Bounded in time: only the beginning of a line is
looked at, and only of the first lines of a log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from flowtally.agents.reading import text_of

MOST_BYTES: Final = 4096
MOST_LINES: Final = 20
_SHOWN: Final = 24  # bytes of a line on either side


class Fits:
    """`pieces` are what each piece is called and its regular expression, without groups."""

    def __init__(self, pieces: Sequence[tuple[str, bytes]]) -> None:
        self._names = [name for name, _ in pieces]
        self._expressions = [expression for _, expression in pieces]
        self._left = MOST_LINES

    def told(self, line: bytes) -> str:
        """As in: it fits up to `...A_PARENT/`, then %<a is expected, not ` -`. Empty where all pieces fit, or it was
        told of enough lines."""
        if not self._left:
            return ""
        self._left -= 1
        looked_at = line[:MOST_BYTES]
        fit, end = self._longest(looked_at)
        if fit == len(self._names):
            return ""
        name, rest = self._names[fit], _quoted(looked_at[end : end + _SHOWN]) or "the end of the line"
        if not end:
            return f"{name} is expected at its beginning, not {rest}"
        before = _quoted(looked_at[max(0, end - _SHOWN) : end], cut=end > _SHOWN)
        return f"it fits up to {before}, then {name} is expected, not {rest}"

    def _longest(self, line: bytes) -> tuple[int, int]:
        """How many pieces the line begins with, and where they end."""
        fit, end, more = 0, 0, len(self._names)
        while fit < more:
            middle = (fit + more + 1) // 2
            match = self._beginnings[middle - 1].match(line)
            if match is None:
                more = middle - 1
            else:
                fit, end = middle, match.end()
        return fit, end

    @cached_property
    def _beginnings(self) -> list[re.Pattern[bytes]]:
        expressions = self._expressions
        return [re.compile(b"".join(expressions[:count]), re.DOTALL) for count in range(1, len(expressions) + 1)]


def _quoted(raw: bytes, *, cut: bool = False) -> str:
    return f"`{'...' if cut else ''}{text_of(raw)}`" if raw else ""
