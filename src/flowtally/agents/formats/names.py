"""The known names of Squid's, nginx' and Apache's family, and e2guardian's: each is one exact format string and nothing
else.

A line of another shape is unreadable, with one more number, too: what that number is, only a declared format can say.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Final

import msgspec

from flowtally.agents.formats import strings
from flowtally.agents.formats.compiled import Field, Piece
from flowtally.agents.formats.declared import Declared, Format
from flowtally.agents.reading import LineReading


class Named(msgspec.Struct, frozen=True):
    server: str
    string: str


_SQUID: Final = "%ts.%03tu %6tr %>a %Ss/%03>Hs %<st %rm %ru %[un %Sh/%<a %mt"
COMMON: Final = '%h %l %u %t "%r" %>s %b'
_AGENT: Final = ' "%{Referer}i" "%{User-Agent}i"'
_SQUID_COMMON: Final = '%>a %[ui %[un [%tl] "%rm %\'ru HTTP/%rv" %>Hs %<st'
NAMES: Final = {
    "squid": Named("squid", _SQUID),
    "squid-io": Named("squid", _SQUID + " %>st"),
    "squid-common": Named("squid", _SQUID_COMMON + " %Ss:%Sh"),
    "squid-combined": Named("squid", _SQUID_COMMON + ' "%\'{Referer}>h" "%\'{User-Agent}>h" %Ss:%Sh'),
    "e2guardian": Named("e2guardian", "%ts.%03tu %6tr %>a %Ss/%>Hs %<st %rm %ru %un DEFAULT_PARENT/%<a %mt"),
    "common": Named("apache", COMMON),
    "combined": Named("apache", COMMON + _AGENT),
    "combinedio": Named("apache", COMMON + _AGENT + " %I %O"),
    "vhost_combined": Named("apache", "%v:%p " + COMMON + _AGENT),
    "nginx-main": Named(
        "nginx",
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
        '"$http_user_agent" "$http_x_forwarded_for"',
    ),
}
_HINTED: Final = 20  # lines of another shape that are looked at under the other names, for each log


def format_named(name: str, declared: Declared) -> Format:
    return strings.made(declared, NAMES[name].server, _pieces(name, declared), f"--format {name}", hint=_Hint(name))


def told(name: str) -> str:
    """What a name stands for, for people who choose one; empty for those of other kinds."""
    return NAMES[name].string if name in NAMES else ""


MAKERS: Final[dict[str, Callable[[Declared], Format]]] = {name: partial(format_named, name) for name in NAMES}


def _pieces(name: str, declared: Declared) -> list[Piece]:
    named = NAMES[name]
    if named.server == "squid":
        return strings.squid_pieces(named.string, declared)
    if named.server == "e2guardian":
        return [_maybe_nothing(piece) for piece in strings.squid_pieces(named.string, declared)]
    if named.server == "nginx":
        return strings.nginx_pieces(named.string)
    made = strings.apache_pieces(named.string, declared)
    return [b"-" if isinstance(piece, Field) and piece.name == "%l" else piece for piece in made]  # nobody asks ident


def _maybe_nothing(piece: Piece) -> Piece:
    """e2guardian's logfileformat 3 is Squid's, but for what it leaves out: the parent where it has none, and what it
    does not know (see FatController.cpp and AccessLogger.cpp)."""
    if not isinstance(piece, Field) or piece.name not in ("%un", "%<a", "%mt"):
        return piece
    return msgspec.structs.replace(piece, full=b"(?:" + piece.language + b")?")


class _Hint:
    """Says of lines that are not of the declared format of which known one they are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = _HINTED

    def __call__(self, line: bytes) -> str:
        if not self._left:
            return ""
        self._left -= 1
        mine = NAMES[self._name]
        option = f"--{strings.OPTIONS[mine.server]}"
        others = [name for name in NAMES if name != self._name and _reads(name, line)]
        longer = [name for name in others if NAMES[name].string.startswith(mine.string)]
        if longer:
            more = NAMES[longer[0]].string.removeprefix(mine.string).strip()
            return f"if that is {more}, say --format {longer[0]}; else declare the format, with {option}"
        if others:
            return f"it reads as {' or '.join('--format ' + name for name in others)}"
        return f"declare how the log is written, with {option} or --format-from"


def _reads(name: str, line: bytes) -> bool:
    return _silent(name)(line)


@cache
def _silent(name: str) -> Callable[[bytes], bool]:
    made = strings.made(Declared(format=name), NAMES[name].server, _pieces(name, Declared()), name)
    return lambda line: isinstance(made.read_line(line), LineReading)
