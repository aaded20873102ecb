"""Apache's `LogFormat` strings, compiled. Source: mod_log_config's, mod_logio's and mod_ssl's documentation.

Every value that a client can choose is escaped by Apache (`escapes.APACHE`), so it holds no bare quote; outside of
quotes it may hold blanks. `%I` and `%O` are all bytes of the request and the answer, with their headers, and outrank
`%b` and `%B`, which are bodies only. `%S` is both in one number, which nobody can divide: it does not count.

A time may be written in parts, `%{%d/%b/%Y:%T}t.%{msec_frac}t %{%z}t`: parts with nothing but text between them are
read as one time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from flowtally.agents.formats import clock
from flowtally.agents.formats.compiled import Field, Means, Piece
from flowtally.agents.formats.escapes import APACHE, RAW
from flowtally.agents.formats.fields import addresses, client, first_address, ident, name_of, opaque, request_url, text
from flowtally.core.errors import ConfigError

_NUMBER: Final = rb"-|\d+"
_ITEM: Final = re.compile(
    r"%(?P<conditions>[!<>,0-9]*)(?:\{(?P<argument>[^}]*)\})?(?P<more>[!<>,0-9]*)(?P<name>\^..|.)"
)
_LITERAL_ESCAPES: Final = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
# What holds no blank, whatever the client does.
_OPAQUE: Final = {
    **dict.fromkeys(("H", "m", "v", "V"), APACHE.some(blanks=False, least=1)),
    **dict.fromkeys(("A", "L", "P"), rb"\S+"),
    "p": rb"\d+",
    **dict.fromkeys(("D", "k", "S", "T", "^FB", "^FU"), rb"-|-?\d+"),
    "X": rb"[-+X]",
}
_TEXTS: Final = ("i", "o", "C", "n", "e", "^ti", "^to", "f", "q", "R")
_RAW: Final = ("x", "c")  # mod_ssl's variables are not escaped
_QUANTITIES: Final[dict[str, tuple[Means, int]]] = {
    "b": ("bytes_down", 0), "B": ("bytes_down", 0), "O": ("bytes_down", 1), "I": ("bytes_up", 1),
}  # fmt: skip
_CLIENTS: Final = {"a": 2, "h": 1}


class _Time(msgspec.Struct, frozen=True):
    """A part of a time, as a strptime format; `end` of the request, not its beginning."""

    spelled: str
    spelling: str
    end: bool


def pieces(format_string: str, strftime: Callable[[str, str], Field]) -> list[Piece]:
    """`strftime` makes a field of a directive and its time's spelling. Raises ConfigError, which names the directive,
    for one that is not Apache's."""
    made: list[Piece | _Time] = []
    place = 0
    while place < len(format_string):
        if format_string[place] != "%":
            literal, place = _literal(format_string, place)
            made.append(literal)
        elif format_string.startswith("%%", place):
            made.append(b"%")
            place += 2
        else:
            match = _ITEM.match(format_string, place)
            if match is None:
                raise ConfigError(f"{format_string[place : place + 20]!r} is no directive of an Apache LogFormat")
            made.extend(_directive(match))
            place = match.end()
    return _with_whole_times(made, strftime)


def _literal(format_string: str, place: int) -> tuple[bytes, int]:
    r"""Text up to the next `%`; `\n`, `\t`, `\r` and `\\` are what they say, any other backslash is itself."""
    end = format_string.find("%", place)
    end = len(format_string) if end < 0 else end
    found = re.sub(r"\\([\\nrt])", lambda one: _LITERAL_ESCAPES[one[1]], format_string[place:end])
    return found.encode(), end


def _directive(match: re.Match[str]) -> Sequence[Piece | _Time]:
    name, argument, spelled = match["name"], match["argument"] or "", match[0]
    conditions = match["conditions"] + match["more"]
    sometimes = any(character.isdigit() for character in conditions)
    if name in _QUANTITIES:
        means, rank = _QUANTITIES[name]
        if sometimes:
            raise ConfigError(f"{spelled} writes the bytes of some answers only, so they cannot be counted")
        return [Field(name=spelled, pattern=_NUMBER, means=means, rank=rank)]
    if name == "t":
        if sometimes:
            raise ConfigError(f"{spelled} writes the time of some answers only, so the others cannot be dated")
        return _time(spelled, argument)
    return [_field(name, spelled, argument, final=">" in conditions)]


def _field(name: str, spelled: str, argument: str, *, final: bool) -> Field:
    if name == "s":
        return Field(name=spelled, pattern=rb"-|\d{1,3}", means="status", rank=int(final))
    if name in _CLIENTS:
        return client(spelled, APACHE, rank=0 if argument == "c" else _CLIENTS[name])
    if name == "u":
        return text(spelled, APACHE, means="user", convert=name_of(APACHE, b"-", b'""'), empty=False, also=b'""')
    if name == "r":
        return text(spelled, APACHE, means="url", convert=request_url(APACHE), rank=1)
    if name == "U":
        return text(spelled, APACHE, means="url")
    if name == "i" and argument.lower() == "x-forwarded-for":
        return addresses(spelled, first_address(APACHE))
    if name == "l":
        return ident(spelled, APACHE)
    if name in _OPAQUE:
        return opaque(spelled, _OPAQUE[name])
    if name in _TEXTS:
        return text(spelled, APACHE)
    if name in _RAW:
        return text(spelled, RAW)
    raise ConfigError(f"{spelled} is no directive of an Apache LogFormat that is known here")


def _time(spelled: str, argument: str) -> Sequence[Piece | _Time]:
    """`%t` is written in brackets, `%{...}t` is not. Of equally fine times the end of the request counts."""
    kind, end = argument, False
    for prefix in ("begin", "end"):
        if argument == prefix or argument.startswith(prefix + ":"):
            kind, end = argument[len(prefix) + 1 :], prefix == "end"
    if not kind:
        return [b"[", clock.clf_field(spelled, rank=int(end)), b"]"]
    if kind == "sec":
        return [clock.seconds_field(spelled, rank=int(end))]
    if kind in ("msec", "usec"):
        return [clock.count_field(spelled, 3 if kind == "msec" else 6, rank=10 + end)]
    return [_Time(spelled, kind, end)]


_FRACTIONS: Final = {"msec_frac": 3, "usec_frac": 6}


def _with_whole_times(made: Iterable[Piece | _Time], strftime: Callable[[str, str], Field]) -> list[Piece]:
    whole: list[Piece] = []
    parts: list[bytes | _Time] = []
    for piece in [*made, None]:
        if isinstance(piece, _Time) or (isinstance(piece, bytes) and parts):
            parts.append(piece)
            continue
        whole += _joined(parts, strftime)
        parts = []
        if piece is not None:
            whole.append(piece)
    return whole


def _joined(parts: list[bytes | _Time], strftime: Callable[[str, str], Field]) -> list[Piece]:
    """Parts of a time and the texts between them, as one field, and the text behind."""
    behind: list[Piece] = []
    while parts and isinstance(parts[-1], bytes):
        behind.insert(0, parts.pop())  # type: ignore[arg-type]
    times = [part for part in parts if isinstance(part, _Time)]
    if not times:
        return behind
    if all(time.spelling in _FRACTIONS for time in times):
        return [*(part if isinstance(part, bytes) else _fraction(part) for part in parts), *behind]
    spelling = "".join(_spelling(part) for part in parts)
    spelled = "".join(part.spelled if isinstance(part, _Time) else part.decode() for part in parts)
    if len({time.end for time in times}) > 1:
        raise ConfigError(f"{spelled} is partly of the beginning and partly of the end of the request")
    field = strftime(spelled, spelling)
    fine = any(time.spelling in _FRACTIONS for time in times)
    return [msgspec.structs.replace(field, rank=10 * fine + times[0].end), *behind]


def _spelling(part: bytes | _Time) -> str:
    if isinstance(part, bytes):
        return part.decode().replace("%", "%%")
    return "%f" if part.spelling in _FRACTIONS else part.spelling


def _fraction(part: _Time) -> Field:
    digits = _FRACTIONS[part.spelling]
    means: Means = "" if part.end else "fraction"  # Apache's other times without one are of the beginning
    return Field(name=part.spelled, pattern=rb"\d{%d}" % digits, means=means, convert=clock.fraction(digits))
