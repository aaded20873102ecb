r"""Patterns of names: regular expressions so plain that looking one up can never take long.

    customer-(.+)-zone-.*       letters stand for themselves, `\` before a sign makes it one
    acct([0-9]+)                `.`, `[a-z]`, `[^-]`, `\d`, `\w`; each may be followed by `?`, `*` or `+`

There is one group, and it is the name that is meant. A pattern matches a whole name. No alternatives, no groups within
groups: what is left means the same as in `re`, and takes time in proportion to name and pattern, whatever both are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

MAX_PATTERN: Final = 256  # characters
MAX_NAME: Final = 256

_TOKEN: Final = re.compile(r"(\\[dw]|\\[^A-Za-z0-9]|\[\^?(?:\\.|[^\]\\\[])+\]|[^\\\[\](){}|*+?^$])([*+?]?)", re.DOTALL)


class BadPattern(ValueError):
    """The text is no pattern; the message says why."""


class _Piece(msgspec.Struct, frozen=True):
    """One character that `fits`, so many times."""

    fits: Callable[[str], object]
    optional: bool
    many: bool


class NamePattern:
    """A pattern made ready. BadPattern for a text that is none."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN:
            raise BadPattern(f"a pattern has at most {MAX_PATTERN} characters")
        self.text = text
        self._pieces: list[_Piece] = []
        opened = closed = None
        at = 0
        while at < len(text):
            if text[at] == "(" and opened is None:
                opened = len(self._pieces)
            elif text[at] == ")" and opened is not None and closed is None:
                closed = len(self._pieces)
            else:
                at = self._take(text, at)
                continue
            at += 1
        if opened is None or closed is None:
            raise BadPattern(f"{text!r} needs one group in round brackets: the name that is meant")
        self._group = (opened, closed)

    def _take(self, text: str, at: int) -> int:
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadPattern(f"{text!r}: {text[at : at + 8]!r} is not understood; one group and no alternatives")
        try:
            fits = re.compile(token[1], re.ASCII | re.DOTALL).fullmatch
        except re.error as error:
            raise BadPattern(f"{text!r}: {token[1]!r} is not understood: {error}") from None
        self._pieces.append(_Piece(fits, optional=token[2] in {"?", "*"}, many=token[2] in {"*", "+"}))
        return token.end()

    def find(self, name: str) -> str | None:
        """What the group holds where the pattern matches the whole name. Each piece takes as much as it can."""
        if len(name) > MAX_NAME:
            return None
        ends = self._endings(name)
        if not ends[0][0]:
            return None
        at, bounds = 0, [0]
        for piece, after in zip(self._pieces, ends[1:], strict=True):
            at = _take_all(piece, name, at, after)
            bounds.append(at)
        start, end = self._group
        return name[bounds[start] : bounds[end]]

    def _endings(self, name: str) -> list[list[bool]]:
        """For each piece, and after the last one: from which places on the rest of the pattern matches the rest."""
        ends = [[at == len(name) for at in range(len(name) + 1)]]
        for piece in reversed(self._pieces):
            after = ends[-1]
            here = [False] * (len(name) + 1)
            again = [False] * (len(name) + 2)  # from where on more of this piece, or what follows it, matches
            for at in range(len(name), -1, -1):
                fits = at < len(name) and piece.fits(name[at]) is not None
                one = fits and (again[at + 1] if piece.many else after[at + 1])
                again[at] = after[at] or one
                here[at] = one or (piece.optional and after[at])
            ends.append(here)
        return ends[::-1]


def _take_all(piece: _Piece, name: str, at: int, after: list[bool]) -> int:
    """Where a piece ends that begins at `at`: as late as what follows still matches."""
    end = at if piece.optional and after[at] else None
    while at < len(name) and piece.fits(name[at]) is not None:
        at += 1
        if after[at]:
            end = at
        if not piece.many:
            break
    assert end is not None, "it is only asked from where it matches"
    return end
