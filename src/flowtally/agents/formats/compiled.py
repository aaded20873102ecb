"""A format string compiled once into an exact reader: literal text and fields in, one regular expression out. Pure.

Which dialect of format strings it was is not known here: `squid`, `nginx` ... cut their strings into pieces. A field
that counts is named by the format; nothing is found by its place or shape, and a line of another shape is unreadable.

A value may hold the text that ends it (a user name with blanks between blanks). A line is first read with every value
as narrow as its `pattern`; where that does not fit, with the `wide` patterns, as short and as long as they can be: if
the two readings differ where it counts, the line can be read in two ways, and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

import msgspec

from flowtally.agents.formats.times import BadTime
from flowtally.agents.reading import Line, Reading, Unreadable, quantity, text_of
from flowtally.errors import ConfigError

Means = Literal[
    "", "time", "fraction", "bytes_up", "bytes_down", "requests", "status", "client", "user", "url", "account",
    "product", "id",
]  # fmt: skip
_QUANTITIES: Final = ("bytes_up", "bytes_down", "requests")


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One directive. `name` as the format string spells it. `pattern` must not match what ends the field, and has no
    groups; `wide` is for values that may hold it. `convert` makes the value of the bytes (None: it is no such value).

    `time` gives ms since 1970 UTC (or raises BadTime, which says why not), `fraction` ms to add to it. Of several
    fields with one meaning the highest `rank` counts, of equal ones the first."""

    name: str
    pattern: bytes = rb"\S+"
    wide: bytes | None = None
    means: Means = ""
    convert: Callable[[bytes], Any] | None = None
    rank: int = 0


Piece = bytes | Field


class Compiled:
    """Reads lines of one format. `means` says which field each meaning is read from."""

    def __init__(self, pieces: Sequence[Piece], what: str, *, needs_time: bool = True) -> None:
        """`what` names the format in messages. Raises ConfigError for a format that no line can be read by."""
        self._what = what
        fields = _chosen(pieces)
        if needs_time and "time" not in fields:
            raise ConfigError(f"{what}: it names no instant, so its lines cannot be dated")
        _check_apart(pieces, what)
        self.means: dict[str, str] = {means: field.name for means, field in fields.items()}
        self._converts = [(means, field.convert or _DEFAULTS[means], field.name) for means, field in fields.items()]
        self._narrow = _pattern(pieces, fields, "")
        wide = any(isinstance(piece, Field) and piece.wide for piece in pieces)
        self._wide = (_pattern(pieces, fields, "?"), _pattern(pieces, fields, "+")) if wide else None

    def read_line(self, line: bytes) -> Line:
        """One line; never raises."""
        match = self._narrow.fullmatch(line)
        if match is None:
            if not line.strip():
                return None
            found = self._read_wide(line)
            if isinstance(found, Unreadable):
                return found
            match = found
        values: dict[str, Any] = {}
        for (means, convert, name), raw in zip(self._converts, match.groups(), strict=True):
            try:
                value = convert(raw)
            except BadTime as error:
                return Unreadable("bad_time", f"{name}: {error}")
            if value is None:
                reason: Literal["bad_time", "bad_size"] = "bad_time" if means in ("time", "fraction") else "bad_size"
                return Unreadable(reason, f"{name} is no {means}: {text_of(raw[:60])}")
            values[means] = value
        at = values.pop("time", None)
        if fraction := values.pop("fraction", 0):
            at += fraction
        return Reading(time_at=at, **values)

    def _read_wide(self, line: bytes) -> re.Match[bytes] | Unreadable:
        if self._wide is None:
            return Unreadable("not_this_format", f"not a line of {self._what}")
        short, long = (pattern.fullmatch(line) for pattern in self._wide)
        if short is None or long is None:
            return Unreadable("not_this_format", f"not a line of {self._what}")
        if short.groups() != long.groups():
            return Unreadable("ambiguous", f"can be read as {self._what} in more than one way")
        return short


def _chosen(pieces: Sequence[Piece]) -> dict[str, Field]:
    """The field of each meaning, in the order of their places."""
    best: dict[str, tuple[int, Field]] = {}
    for place, piece in enumerate(pieces):
        if (
            isinstance(piece, Field)
            and piece.means
            and (piece.means not in best or best[piece.means][1].rank < piece.rank)
        ):
            best[piece.means] = (place, piece)
    return {means: field for means, (_, field) in sorted(best.items(), key=lambda one: one[1][0])}


def _pattern(pieces: Sequence[Piece], fields: dict[str, Field], wide: str) -> re.Pattern[bytes]:
    """`wide`: empty for the narrow patterns, `?` for wide ones as short, `+` as long as they can be."""
    parts: list[bytes] = []
    seen: set[str] = set()
    for piece in pieces:
        if isinstance(piece, bytes):
            parts.append(re.escape(piece))
            continue
        text = piece.pattern
        if wide and piece.wide:
            text = piece.wide + (b"*?" if wide == "?" else b"*")
        counts = fields.get(piece.means) is piece and piece.means not in seen
        seen.update([piece.means] if counts else [])
        parts.append(b"(" + text + b")" if counts else b"(?:" + text + b")")
    return re.compile(b"".join(parts), re.DOTALL)


def _check_apart(pieces: Sequence[Piece], what: str) -> None:
    """Where nothing stands between two fields nobody can say where the first ends."""
    for one, next_ in pairwise(pieces):
        if isinstance(one, Field) and isinstance(next_, Field):
            raise ConfigError(f"{what}: nothing stands between {one.name} and {next_.name}: two readings are possible")


def _status(raw: bytes) -> int | None:
    number = quantity(raw)
    return number if number is not None and number <= 999 else None


_DEFAULTS: Final[dict[str, Callable[[bytes], Any]]] = {
    **dict.fromkeys(("client", "user", "url", "account", "product", "id"), text_of),
    **dict.fromkeys(_QUANTITIES, quantity),
    "status": _status,
}
