"""Squid's `logformat` strings, compiled. Source: `logformat` in squid.conf's documentation, and Squid's own writer.

A code is `% [encoding] [-] [[0]width[.most]] [{argument}] code [{argument}]`. The encoding is the code's own, or that
of the text around it: within `"..."` and `[...]` of the format string each code without one takes it from there.
Without any, names and URLs are written raw: a name with a blank then stands beside the next field without an end of its
own. A value that is missing is `-`.

`%>st` are all bytes received from the client, tunnels included, `%<st` all bytes sent to it. The time is when Squid
wrote the line, that is when the request or tunnel ended; `%tS` is its start, and counts where nothing else is there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from flowtally.agents.formats import clock
from flowtally.agents.formats.compiled import Field, Means, Piece
from flowtally.agents.formats.escapes import LEFT, RAW, SQUID_BRACKETS, SQUID_QUOTES, SQUID_SHELL, SQUID_URL, Escape
from flowtally.agents.formats.fields import client, ident, name_of, opaque, padded, text
from flowtally.core.errors import ConfigError

_CODE: Final = re.compile(
    r"%(?P<encoding>[\"\[#'/]?)(?P<left>-?)(?P<zero>0?)(?P<width>\d*)(?:\.(?P<most>\d+))?"
    r"(?:\{(?P<before>[^}]*)\})?(?P<space>(?:http|ssl|tls|icap|adapt|proxy_protocol|transport)::)?(?P<rest>.*)",
    re.DOTALL,
)
_ENCODINGS: Final = {'"': SQUID_QUOTES, "[": SQUID_BRACKETS, "#": SQUID_URL, "/": SQUID_SHELL, "'": RAW}
_NUMBER: Final = rb"-|-?\d+"
_MILLISECONDS: Final = rb"-|-?\d+(?:\.\d+)?"
_ADDRESS: Final = rb"[^\s/]+"

# Codes whose values hold no blank and do not count.
_OPAQUE: Final = {
    **dict.fromkeys((">p", ">lp", "lp", "<p", "<lp", ">rP", "<rP", "<Hs", "MYPORT", "PORT", "SRCPORT"), _NUMBER),
    **dict.fromkeys(("sn", "st", ">sh", "<sh", "<sH", "<sS", "<bs", "request_attempts", "master_xaction"), _NUMBER),
    **dict.fromkeys((">connection_id", "busy_time"), _NUMBER),
    **dict.fromkeys(("tr", "dt", "<pt", "<tt", "tt", "tio"), _MILLISECONDS),
    **dict.fromkeys((">la", "la", "<la", "oa", "<a", "<A", "MYADDR", ">eui", "SRCEUI48", "SRCEUI64"), _ADDRESS),
    **dict.fromkeys((">qos", "<qos", ">nfmark", "<nfmark"), rb"-|0x[0-9a-f]+"),
    **dict.fromkeys(("rv", ">rv", "<rv", ">v"), rb"-|\d+\.\d+"),
    **dict.fromkeys(("Ss", "Sh", "to", "err_code"), rb"-|[A-Z0-9_]+"),
    **dict.fromkeys(("rm", ">rm", "<rm", "METHOD"), rb'[^\s"\\]+'),
    **dict.fromkeys((">sni", "err_detail", "mt"), rb"\S+"),
    "bump_mode": rb"-|[a-z_-]+",
    **dict.fromkeys(
        (">negotiated_version", "<negotiated_version", ">negotiated_cipher", "<negotiated_cipher"), rb"\S+"
    ),
    **dict.fromkeys((">received_hello_version", "<received_hello_version"), rb"\S+"),
    **dict.fromkeys((">received_supported_version", "<received_supported_version"), rb"\S+"),
    **dict.fromkeys(("all_trs", "sum_trs"), rb"-|[-\d,]+"),
    ">handshake": rb"-|[A-Za-z0-9+/=]+",
}
# Texts that a client, a server or a helper chooses. Without an encoding these are pass-through URL-encoded: every byte
# that a URL may not hold is %-encoded, a blank, too, and `%` itself is left as it is.
_ENCODED: Final = (
    ">h", "<h", ">ha", "<last_h", "note", ">ru", "<ru", ">rs", "<rs", ">rd", "<rd", "rp", ">rp", "<rp", "<cert", "rG",
    "URI", "PATH", "DST", "PROTO",
)  # fmt: skip
_LEFT_RAW: Final = (
    "ru", "un", "ul", "ue", "ui", "ea", "et", "credentials", ">cert_subject", ">cert_issuer", "<cert_subject",
    "<cert_issuer", "<cert_errors", "<service_name", "LOGIN", "EXT_USER", "IDENT", "EXT_LOG", "EXT_TAG", "TAG", "ACL",
    "DATA", "USER_CERT", "USER_CERTCHAIN",
)  # fmt: skip
_QUANTITIES: Final[dict[str, Means]] = {">st": "bytes_up", "<st": "bytes_down"}
_USERS: Final = {"un": 3, "ul": 2, "LOGIN": 2, "ue": 1, "EXT_USER": 1}
_URLS: Final = {"ru": 2, ">ru": 2, "URI": 2, "<ru": 1, "rp": 0, ">rp": 0, "PATH": 0}
_CLIENTS: Final = {">a": 1, "SRC": 1, ">A": 0}
_STATUSES: Final = (">Hs", "Hs")
_TIMES: Final = ("ts", "tu", "tl", "tg", "tS")
_ALL: Final = {*_OPAQUE, *_ENCODED, *_LEFT_RAW, *_QUANTITIES, *_CLIENTS, *_STATUSES, *_TIMES, "byte", "%"}
_LONGEST_FIRST: Final = sorted(_ALL, key=len, reverse=True)  # of codes that begin alike Squid takes the longer one


class _Code(msgspec.Struct, frozen=True):
    """One code of a format string, taken apart."""

    spelled: str
    name: str
    counts: bool  # of the HTTP request, not of an ICAP server's or a TLS connection's
    argument: str
    encoding: str
    left: bool
    zero: bool
    width: int
    most: int | None


def pieces(format_string: str, strftime: Callable[[str, str], Field]) -> list[Piece]:
    """`strftime` makes a field of a code and its time's spelling. Raises ConfigError, which names the code, for one
    that is not Squid's."""
    made: list[Piece] = []
    place, around = 0, ""
    while place < len(format_string):
        if format_string[place] == "%":
            code = _code(format_string, place, around)
            made.append(_piece(code, strftime))
            place += len(code.spelled)
        else:
            end = format_string.find("%", place)
            literal = format_string[place : end if end >= 0 else len(format_string)]
            around = _around(literal, around)
            made.append(literal.encode())
            place += len(literal)
    return list(_with_any_protocol(_without_odd_fraction(made)))


def _around(literal: str, around: str) -> str:
    """The encoding that the text before a code asks for: that of an open quote or bracket."""
    for character in literal:
        if character == '"' and around in ("", '"'):
            around = "" if around else '"'
        elif character == "[" and not around:
            around = "["
        elif character == "]" and around == "[":
            around = ""
    return around


def _code(format_string: str, place: int, around: str) -> _Code:
    match = _CODE.match(format_string, place)
    assert match is not None
    name = next((code for code in _LONGEST_FIRST if match["rest"].startswith(code)), "")
    if not name:
        raise ConfigError(f"{format_string[place : place + 20]!r} begins with no code of a Squid logformat known here")
    end = match.start("rest") + len(name)
    argument = match["before"]
    if argument is None and (behind := re.compile(r"\{([^}]*)\}").match(format_string, end)):
        argument, end = behind[1], behind.end()
    return _Code(
        spelled=format_string[place:end],
        name=name,
        counts=match["space"] in (None, "http::"),
        argument=argument or "",
        encoding=match["encoding"] or around,
        left=bool(match["left"]),
        zero=bool(match["zero"]),
        width=int(match["width"] or 0),
        most=None if match["most"] is None else int(match["most"]),
    )


def _piece(code: _Code, strftime: Callable[[str, str], Field]) -> Piece:
    if code.name == "%":
        return b"%"
    if code.name == "byte":
        if not (code.argument.isascii() and code.argument.isdigit() and 0 < int(code.argument) < 256):
            raise ConfigError(f"{code.spelled}: %byte takes a number from 1 to 255, as in %byte{{9}}")
        return bytes([int(code.argument)])
    field = _time(code, strftime) if code.name in _TIMES else _field(code)
    return padded(field, left=code.left) if code.width and not code.zero else field


def _field(code: _Code) -> Field:
    name = code.name
    if name in _QUANTITIES:
        return Field(name=code.spelled, pattern=_NUMBER, means=_QUANTITIES[name] if code.counts else "", rank=1)
    if name in _STATUSES:
        pattern = rb"-|\d{3}" if code.zero and code.width == 3 else rb"-|\d{1,3}"
        return Field(name=code.spelled, pattern=pattern, means="status" if code.counts else "")
    if name in _CLIENTS:
        found = client(code.spelled, RAW, rank=_CLIENTS[name])
        return found if code.counts else opaque(code.spelled, found.pattern)
    if name in _OPAQUE:
        return opaque(code.spelled, _OPAQUE[name])
    return _text(code)


def _text(code: _Code) -> Field:
    escape = _escape(code)
    also = rb'"(?:[^"\\\r\n]|\\["\\rn])*"' if escape is SQUID_SHELL else b""
    if code.name in ("ui", "IDENT"):
        return ident(code.spelled, escape)
    if code.name in _USERS and code.counts:
        if code.most is not None:
            raise ConfigError(f"{code.spelled} cuts names after {code.most} characters: two may become one")
        convert, rank = name_of(escape, b"-"), _USERS[code.name]
        return text(code.spelled, escape, means="user", convert=convert, rank=rank, empty=False, also=also)
    if code.name in _URLS and code.counts:
        return text(code.spelled, escape, means="url", rank=_URLS[code.name], empty=False, also=also)
    return text(code.spelled, escape, empty=False, also=also)


def _escape(code: _Code) -> Escape:
    if code.encoding:
        return _ENCODINGS[code.encoding]
    return LEFT if code.name in _ENCODED else RAW


def _time(code: _Code, strftime: Callable[[str, str], Field]) -> Field:
    if code.name == "ts":
        return clock.seconds_field(code.spelled, rank=2)
    if code.name == "tS":
        digits = 3 if code.most is None else code.most
        return clock.seconds_field(code.spelled, rb"\.\d{%d}" % digits, rank=0)
    if code.name == "tu":
        digits = min(code.most or 3, 6)
        pattern = rb"\d{%d}" % digits if code.zero and code.width == digits else rb" *\d{1,%d}" % digits
        return Field(name=code.spelled, pattern=pattern, means="fraction", convert=clock.fraction(digits))
    if code.argument:
        return msgspec.structs.replace(strftime(code.spelled, code.argument), rank=1)
    if code.name == "tl":
        return clock.clf_field(code.spelled, rank=1)
    return clock.clf_field(code.spelled, rank=1, gmt=True)


def _without_odd_fraction(made: list[Piece]) -> list[Piece]:
    """`%tu` is of the moment the line was written, so it says nothing about `%tS`, where that is the time."""
    ends = any(isinstance(one, Field) and one.means == "time" and one.rank for one in made)
    if ends:
        return made
    return [
        msgspec.structs.replace(one, means="") if isinstance(one, Field) and one.means == "fraction" else one
        for one in made
    ]


def _with_any_protocol(made: Iterable[Piece]) -> Iterator[Piece]:
    """Squid's own common and combined write `NONE/0.0` of a connection that ended before its headers, where their
    strings say `HTTP/%rv`."""
    for piece in made:
        if isinstance(piece, bytes) and piece.endswith(b" HTTP/"):
            yield piece.removesuffix(b"HTTP/")
            yield opaque("HTTP", rb"[A-Z_]+")
            yield b"/"
        else:
            yield piece
