r"""HAProxy's logs by their own `log-format`, and its two defaults, `option httplog` and `option tcplog`.

`%U` came from the client, `%B` went to it (the defaults have only `%B`, and no user). With `option logasap` HAProxy
writes `+212` before the transfer: not its size, so unreadable. `%t` and `%tr` are local times without a zone, so they
need `--zone`; `%T`, `%Tl`, `%trg`, `%trl`, `%Ts` do not. A user is what the format calls so: `%[var(txn.user)]`,
`%[http_auth_user]` or, since HAProxy 3.0, `%(user)[...]`. What `%r` and captured headers encode (`#22`) is decoded.
See section 8.2 of HAProxy's configuration manual.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

from msgspec.structs import replace

from flowtally.agents.formats.compiled import Compiled, Field, Means, Piece
from flowtally.agents.formats.declared import Declared, Format, Wrapped, gaps
from flowtally.agents.formats.hapconfig import format_text
from flowtally.agents.formats.syslog import Syslog
from flowtally.agents.formats.times import Times
from flowtally.agents.reading import Line, quantity, text_of
from flowtally.core.errors import ConfigError

HTTP: Final = (
    "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
)
TCP: Final = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq"
_DIRECTIVE: Final = re.compile(r"%(?:(%)|(?:\(([\w-]+)(?::\w+)?\))?(?:\{([^{}]*)\})?(?:\[|([A-Za-z]+)))")
_NUMBERS: Final = frozenset([
    "Ta", "Tc", "Th", "Ti", "Tq", "Tr", "TR", "Td", "Tt", "Tu", "Tw", "ac", "bc", "bp", "bq", "cp", "fc", "fp", "lc",
    "ms", "pid", "rc", "rt", "sc", "sp", "sq", "Ts", "ST", "B", "U",
])  # fmt: skip
_NAMES: Final = frozenset(["b", "f", "ft", "s", "H", "HM", "HV", "sslc", "sslv", "bi", "fi", "si", "ID", "OG"])
_PROXIES: Final = ("b", "f", "ft", "s")  # HAProxy allows no slash in these
_ENCODED: Final = frozenset(["r", "HP", "HPO", "HQ", "HU"])
_TIMES: Final = {
    "t": rb"",
    "tr": rb"",
    "T": rb" [+-]\d{4}",
    "Tl": rb" [+-]\d{4}",
    "trg": rb" [+-]\d{4}",
    "trl": rb" [+-]\d{4}",
}
_RANKS: Final = {"trg": 6, "trl": 6, "T": 2, "Tl": 2, "Ts": 3}
_WHOLE_SECONDS: Final = (2, 3)  # the ranks of the accept date, whose milliseconds are `%ms`
_LOCAL_RANKS: Final = {"tr": (1, 7), "t": (0, 4)}  # without and with a zone
_MEANINGS: Final[dict[str, Means]] = {
    "user": "user", "username": "user", "http_auth_user": "user", "account": "account", "product": "product",
    "client": "client", "bytes_up": "bytes_up", "bytes_down": "bytes_down",
}  # fmt: skip
_VARIABLE: Final = re.compile(r"var\(\w+\.(\w+)\)|(http_auth_user|src)\b")
_HEXADECIMAL: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_HEADERS: Final = rb"(?:\"?\{[^{}\"]*\}\"?(?: |$)){0,2}"
_LISTS: Final = rb"(?:\"[^\"]*\"(?: |$))*"


def http(declared: Declared) -> Format:
    return _default(declared, HTTP, "HAProxy's HTTP log")


def tcp(declared: Declared) -> Format:
    return _default(declared, TCP, "HAProxy's TCP log")


def by_string(declared: Declared) -> Format:
    """Of `--haproxy-log-format`, as it stands in haproxy.cfg or as HAProxy understands it."""
    return _compiled(declared, format_text(declared.haproxy_log_format), "this HAProxy log-format")


def _default(declared: Declared, text: str, what: str) -> Format:
    """HAProxy logs to syslog; what its daemon writes before the line, or `log stdout format raw` does not, is part of
    the default log. Where an envelope is declared nothing else is taken off."""
    bare = _compiled(declared, text, what)
    if declared.envelope:
        return bare

    unwrap = Syslog(declared.zone).unwrap

    def read_line(line: bytes) -> Line:
        held = None if line[:1].isdigit() and line[4:5] != b"-" else unwrap(line)  # an address, or a header's year
        return bare.read_line(held.text if isinstance(held, Wrapped) else line)

    return Format(declared, read_line, bare.means, bare.notes)


def _compiled(declared: Declared, text: str, what: str) -> Format:
    reader = Compiled(_with_fraction(_pieces(text, declared)), what, needs_time=not declared.envelope)
    hints = {"user": "log one as %[var(txn.user)]", "bytes_up": "log %U"}
    notes = [*gaps(reader.means), *(hint for one, hint in hints.items() if one not in reader.means)]
    if reader.means.get("time") in ("%t", "%tr") and not declared.zone:
        notes.append(f"{reader.means['time']} is local time without its zone: declare it with --zone")
    return Format(declared, reader.read_line, reader.means, tuple(notes))


def _with_fraction(pieces: list[Piece]) -> list[Piece]:
    """`%ms` counts only beside the time whose milliseconds they are."""
    fields = [piece for piece in pieces if isinstance(piece, Field)]
    if max((field.rank for field in fields if field.means == "time"), default=0) in _WHOLE_SECONDS:
        return pieces
    return [replace(one, means="") if isinstance(one, Field) and one.means == "fraction" else one for one in pieces]


def _pieces(text: str, declared: Declared) -> list[Piece]:
    cut = _Cut(declared)
    place = 0
    while (match := _DIRECTIVE.search(text, place)) is not None:
        cut.literal(text[place : match.start()])
        place = match.end()
        if match[1]:
            cut.literal("%")
        elif match[4] is None:
            place = _end_of_sample(text, place)
            cut.sample(text[match.start() : place], match[2] or "", match[3] or "", text[match.end() : place - 1])
        else:
            cut.variable(match[0], match[4], match[2] or "", match[3] or "")
    cut.literal(text[place:])
    if "%" in re.sub(_DIRECTIVE, "", text[place:]):
        raise ConfigError(f"--haproxy-log-format: {text[place:][:40]!r} is no variable")
    return cut.pieces


def _end_of_sample(text: str, place: int) -> int:
    depth = 1
    for at in range(place, len(text)):
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        if not depth:
            return at + 1
    raise ConfigError(f"--haproxy-log-format: %[{text[place:][:40]} does not end")


class _Cut:
    """The pieces so far, and the flags that `%{+Q}o` has set for the rest."""

    def __init__(self, declared: Declared) -> None:
        self.pieces: list[Piece] = []
        self._zone = declared.zone
        self._flags: set[str] = set()
        self._merge = False  # captured headers may be nothing, and HAProxy then merges the blanks around them

    def literal(self, text: str) -> None:
        text = re.sub(r"[ \t]+", " ", text)  # as HAProxy does
        last = self.pieces[-1] if self.pieces else b" "
        if self._merge or (isinstance(last, bytes) and last.endswith(b" ")):
            text, self._merge = text.removeprefix(" "), False
        if text:
            self._add(text.encode())

    def variable(self, spelled: str, name: str, meaning: str, flags: str) -> None:
        on = self._with(flags)
        if name == "o":
            self._flags = on
        elif name in ("hr", "hs") or (name in ("hrl", "hsl") and "Q" in on):
            self._headers(spelled, _LISTS if name.endswith("l") else _HEADERS)
        elif name in _TIMES:
            self._add(self._time(spelled, name))
        elif name in _NUMBERS:
            self._add(_number(spelled, name, "X" in on))
        elif name == "ci":
            self._text(Field(name=spelled, pattern=rb"[^\s\"]+?", means="client", convert=_address("X" in on)), on)
        elif name in _ENCODED:
            url = name in ("r", "HU", "HP", "HPO")
            pattern = b'[^"]*' if "Q" in on else rb"\S+"
            wide = None if "Q" in on else b"."
            convert = _request if name == "r" else _decoded
            field = Field(name=spelled, pattern=pattern, wide=wide, means="url" if url else "", convert=convert)
            self._text(field, on)
        elif name in ("ts", "tsc"):
            self._add(Field(name=spelled, pattern=rb"\"?[^\s\"]+\"?"))
        elif name in _NAMES:
            pattern = rb"[^\s\"/]*" if name in _PROXIES else rb"[^\s\"]*"
            self._text(Field(name=spelled, pattern=pattern), on)
        elif name in ("CC", "CS"):
            self._raw(spelled, on, _MEANINGS.get(meaning, ""))
        elif name in ("hrl", "hsl"):
            raise ConfigError(
                f"--haproxy-log-format: nothing says where {spelled} ends; use %hr and %hs, or the flag Q"
            )
        else:
            raise ConfigError(f"--haproxy-log-format: {spelled} is no variable that is known here")

    def sample(self, spelled: str, meaning: str, flags: str, expression: str) -> None:
        found = _VARIABLE.match(expression)
        name = meaning or (found and (found[1] or found[2])) or ""
        means: Means = "client" if name == "src" else _MEANINGS.get(name, "")
        self._raw(spelled, self._with(flags), means)

    def _with(self, flags: str) -> set[str]:
        on = set(self._flags)
        for flag in filter(None, (flag.strip() for flag in flags.split(","))):
            if flag[1:] in ("json", "cbor", "bin"):
                raise ConfigError("--haproxy-log-format: of +json lines name the members, with --json-fields")
            on = on - {flag[1:]} if flag[0] == "-" else on | {flag[1:]}
        return on

    def _raw(self, spelled: str, on: set[str], means: Means) -> None:
        """A value that HAProxy writes as it is, unless the flag E escapes it."""
        convert: Callable[[bytes], Any] | None = None
        pattern, wide = (b'[^"]*', b".") if "Q" in on else (rb"\S*", b".")
        if "E" in on:
            pattern, wide = rb"(?:[^\"\\\]]|\\.)*" if "Q" in on else rb"(?:[^\s\"\\\]]|\\.)*", rb"(?:[^\"\\\]]|\\.)"
        if means in ("user", "client", "account", "product"):
            convert = _unescaped if "E" in on else _value
        self._text(Field(name=spelled, pattern=pattern, wide=wide, means=means, convert=convert), on)

    def _text(self, field: Field, on: set[str]) -> None:
        quote = [b'"'] if "Q" in on else []
        self._add(*quote, field, *quote)

    def _headers(self, spelled: str, pattern: bytes) -> None:
        """`%hr %hs` is `{a|b} {c}`, or nothing where nothing is captured."""
        last = self.pieces[-1] if self.pieces else None
        if not (isinstance(last, Field) and last.pattern == pattern):  # one field for both
            self._add(Field(name=spelled, pattern=pattern))
        self._merge = True

    def _add(self, *pieces: Piece) -> None:
        """Captured headers end where they end: nothing need stand after them."""
        last = self.pieces[-1] if self.pieces else None
        if isinstance(last, Field) and last.pattern in (_HEADERS, _LISTS):
            self.pieces.append(b"")
        self.pieces += pieces

    def _time(self, spelled: str, name: str) -> Field:
        bare, declared = _LOCAL_RANKS.get(name, (0, 0))
        rank = _RANKS.get(name, declared if self._zone else bare)
        pattern = rb"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d(?:\.\d{3})?" + _TIMES[name]
        return Field(name=spelled, pattern=pattern, means="time", convert=Times("clf", self._zone).at_bytes, rank=rank)


def _number(spelled: str, name: str, hexadecimal: bool) -> Field:
    if name == "B":
        return Field(name=spelled, pattern=rb"\+?\d+", means="bytes_down")
    if name == "U":
        return Field(name=spelled, pattern=rb"\+?\d+", means="bytes_up")
    if name == "ST":
        return Field(name=spelled, pattern=rb"-?\d+", means="status", convert=_status)
    if name == "Ts":
        pattern, base = (rb"[0-9A-Fa-f]{1,9}", 16) if hexadecimal else (rb"\d{1,11}", 10)
        return Field(name=spelled, pattern=pattern, means="time", convert=lambda raw: int(raw, base) * 1000, rank=3)
    if name == "ms":
        pattern, base = (rb"[0-9A-Fa-f]{1,3}", 16) if hexadecimal else (rb"\d{1,3}", 10)
        return Field(name=spelled, pattern=pattern, means="fraction", convert=lambda raw: int(raw, base))
    return Field(name=spelled, pattern=rb"[0-9A-Fa-f]+|-" if hexadecimal else rb"[+-]?\d+|-")


def _status(raw: bytes) -> int | None:
    return 0 if raw == b"-1" else quantity(raw)


def _address(hexadecimal: bool) -> Callable[[bytes], str | None]:
    def address(raw: bytes) -> str | None:
        if not hexadecimal or raw == b"-":
            return _value(raw)
        try:
            return str(ip_address(bytes.fromhex(raw.decode("ascii"))))
        except ValueError:
            return None

    return address


def _value(raw: bytes) -> str:
    return "" if raw == b"-" else text_of(raw)


def _unescaped(raw: bytes) -> str:
    return _value(re.sub(rb"\\(.)", rb"\1", raw, flags=re.DOTALL))


def _decoded(raw: bytes) -> str:
    return text_of(_HEXADECIMAL.sub(lambda one: bytes([int(one[1], 16)]), raw))


def _request(raw: bytes) -> str:
    parts = raw.split(b" ")
    return _decoded(parts[1]) if len(parts) > 1 else ""
