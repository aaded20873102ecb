"""How servers escape a value in a log line, and how it is read back: one person is one name whatever wrote the line.

An `Escape` has what a value may hold, as regular expressions: one `plain` byte, or one `escaped` one; and `text`, the
value of the bytes. Every writer here escapes its own escape character, so what was written is
read back exactly and two names never become one. What a server writes raw (`RAW`, `LEFT`) is taken as it is.

Sources: Apache `ap_escape_logitem` (server/util.c, since 2.0.49); nginx `log_format`'s `escape` parameter; Squid's
`logformat` encodings and `Format::QuoteMimeBlob` (`\\\\`, `\\r`, `\\n` and lower-case `%xx`, whatever squid.conf says).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.agents.reading import text_of


class Escape(msgspec.Struct, frozen=True):
    plain: bytes
    escaped: bytes
    text: Callable[[bytes], str]

    def some(self, *, blanks: bool, least: int) -> bytes:
        """Values of at least this many (0 or 1) bytes. Unrolled, for a regular expression is slow at alternatives."""
        plain = self.plain if blanks else self.plain.replace(b"[^", rb"[^ \t", 1)
        if not self.escaped:
            return plain + (b"+" if least else b"*")
        more = plain + b"*(?:(?:" + self.escaped + b")" + plain + b"*)*"
        return b"(?:" + plain + b"|" + self.escaped + b")" + more if least else more


_LETTERS: Final = {b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v", b"f": b"\f"}
_BACKSLASHED: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)
_JSON: Final = re.compile(rb'\\(?:u([0-9A-Fa-f]{4})|(["\\/bfnrt]))')


def _backslashed(raw: bytes) -> str:
    r"""`\xc3\xb6`, `\"`, `\\`, `\n` ..."""
    return text_of(_BACKSLASHED.sub(_one, raw) if b"\\" in raw else raw)


def _one(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)]) if match[1] else _LETTERS.get(match[2], match[2])


def _percent(raw: bytes) -> str:
    r"""`%c3%b6`, and `\\`, `\r`, `\n`."""
    return text_of(_PERCENT.sub(_one, raw) if b"%" in raw or b"\\" in raw else raw)


def _json(raw: bytes) -> str:
    return text_of(_JSON.sub(_one_of_json, raw) if b"\\" in raw else raw)


def _one_of_json(match: re.Match[bytes]) -> bytes:
    return chr(int(match[1], 16)).encode("utf-8", "surrogatepass") if match[1] else _one(match)


def _shell(raw: bytes) -> str:
    return _backslashed(raw[1:-1] if raw[:1] == b'"' else raw)


# Bytes from 0x80 on are escaped by each of these; where they are not, another program wrote them, and they are taken.
APACHE: Final = Escape(rb'[^"\\\x00-\x1f\x7f]', rb'\\(?:x[0-9a-fA-F]{2}|[bnrtv"\\])', _backslashed)
NGINX: Final = Escape(rb'[^"\\\x00-\x1f\x7f]', rb"\\x[0-9A-Fa-f]{2}", _backslashed)
NGINX_JSON: Final = Escape(rb'[^"\\\x00-\x1f]', rb'\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})', _json)
SQUID_QUOTES: Final = Escape(rb'[^"\\\r\n\t]', rb'\\["\\rnt]', _backslashed)
SQUID_BRACKETS: Final = Escape(rb"[^\[\]%\\\x00-\x1f\x7f]", rb"%[0-9A-Fa-f]{2}|\\[\\rn]", _percent)
SQUID_URL: Final = Escape(rb"[^\x00-\x20\x7f<>\"#%{}|\\^~\[\]`']", rb"%[0-9A-Fa-f]{2}", _percent)
SQUID_SHELL: Final = Escape(rb'[^"\\\r\n ]', rb'\\["\\rn]', _shell)
LEFT: Final = Escape(rb"[^\x00-\x20\x7f<>\"#{}|\\^~\[\]`']", b"", text_of)  # Squid's pass-through: `%` is left as it is
RAW: Final = Escape(rb"[^\n]", b"", text_of)
