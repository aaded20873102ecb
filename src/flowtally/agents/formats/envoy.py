"""Envoy's access log by its own format: a text format string, or a json_format given as JSON.

`%DOWNSTREAM_WIRE_BYTES_RECEIVED%` and `_SENT%` are all bytes of a client's connection or stream; `%BYTES_RECEIVED%` and
`%BYTES_SENT%`, which Envoy's default format has, are bodies. The user is the header or the metadata of a known name
(`USERS`). Lines of a stream that has not ended (`%ACCESS_LOG_TYPE%`) say sums so far: the line at its end says all of
it again, so only that one is read and the others are left out.
See https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from flowtally.agents.formats import strptime
from flowtally.agents.formats.compiled import Compiled, Field, Means, Piece
from flowtally.agents.formats.declared import Declared, Format, gaps
from flowtally.agents.formats.members import Member, Members, value_of, whole_number
from flowtally.agents.formats.strictjson import NotJson, object_of
from flowtally.agents.formats.times import Times
from flowtally.agents.reading import Line, LineReading, Unreadable, text_of
from flowtally.core.errors import ConfigError

DEFAULT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    "%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    '"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"'
)
# Headers and last keys of metadata by which recipes hand on who the client is.
USERS: Final = ("x-flowtally-user", "x-user", "x-forwarded-user", "x-auth-request-user", "x-remote-user", "user")
NAMES: Final[dict[str, Means]] = {
    **dict.fromkeys(USERS, "user"), "username": "user", "x-flowtally-account": "account", "account": "account",
    "x-flowtally-product": "product", "product": "product",
}  # fmt: skip
ENDS: Final = ("DownstreamEnd", "TcpConnectionEnd", "UdpSessionEnd", "NotSet", "-")
_OPERATOR: Final = re.compile(r"%([A-Z][A-Z0-9_]*)(?:\(((?:[^()%]|\([^()]*\)|%(?!$))*?)\))?(?::(\d+))?%")
_BYTES: Final[dict[str, tuple[Means, int]]] = {
    "DOWNSTREAM_WIRE_BYTES_RECEIVED": ("bytes_up", 1),
    "DOWNSTREAM_WIRE_BYTES_SENT": ("bytes_down", 1),
    "BYTES_RECEIVED": ("bytes_up", 0),
    "BYTES_SENT": ("bytes_down", 0),
}
_CLIENTS: Final = {
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": 3,
    "DOWNSTREAM_REMOTE_ADDRESS": 2,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": 1,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": 0,
}
_TIMES: Final = ("START_TIME", "START_TIME_LOCAL", "EMIT_TIME", "EMIT_TIME_LOCAL")
_TOKENS: Final = ("PROTOCOL", "RESPONSE_FLAGS", "DURATION", "RESPONSE_DURATION", "UPSTREAM_HOST", "STREAM_ID")
_SO_FAR: Final = "lines of streams that have not ended are left out: the line at the end says all their bytes"
_BODIES: Final = "%BYTES_RECEIVED% and %BYTES_SENT% are bodies: log %DOWNSTREAM_WIRE_BYTES_RECEIVED% and _SENT%"


class Operator(msgspec.Struct, frozen=True):
    """`%REQ(X?Y):10%` in its parts."""

    spelled: str
    name: str
    argument: str
    length: str


def named(declared: Declared) -> Format:
    """Envoy's default format: no user, and bodies only."""
    return _text(declared, DEFAULT, "Envoy's default log")


def by_string(declared: Declared) -> Format:
    """Of `--envoy-format`."""
    text = declared.envoy_format.removesuffix("\\n").rstrip("\n")
    if text.lstrip().startswith("{"):
        return _json(declared, text)
    return _text(declared, text, "this Envoy format")


def ends(log_type: str) -> bool:
    """Whether a line of this `%ACCESS_LOG_TYPE%` says all bytes of a stream, and no other line does again."""
    return log_type in ENDS


def peer(raw: bytes) -> str:
    """An address without its port: `192.0.2.1:5332`, `[2001:db8::1]:5332`."""
    text = text_of(raw)
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        text = host
    return "" if text == "-" else text.strip("[]")


def _text(declared: Declared, text: str, what: str) -> Format:
    operators = [_operator(match) for match in _OPERATOR.finditer(text)]
    dated = not declared.envelope
    if not any(one.name == "ACCESS_LOG_TYPE" for one in operators):
        only = Compiled(_pieces(text, declared, b"\\S+"), what, needs_time=dated)
        return Format(declared, only.read_line, only.means, _notes(operators, only.means))
    end = Compiled(_pieces(text, declared, b"|".join(re.escape(one.encode()) for one in ENDS)), what, needs_time=dated)
    other = Compiled(_pieces(text, declared, rb"[A-Z]\w+"), what, needs_time=dated)

    def read_line(line: bytes) -> Line:
        read = end.read_line(line)
        if isinstance(read, Unreadable) and isinstance(other.read_line(line), LineReading):
            return None
        return read

    return Format(declared, read_line, end.means, (*_notes(operators, end.means), _SO_FAR))


def _notes(operators: list[Operator], means: dict[str, str]) -> tuple[str, ...]:
    notes = [_BODIES] if {"%BYTES_RECEIVED%", "%BYTES_SENT%"} & {means.get("bytes_up"), means.get("bytes_down")} else []
    if "user" not in means:
        notes.append("a user is a header or metadata called " + ", ".join(sorted(NAMES)))
    cut = [one for one in operators if one.length and one.spelled == means.get("user")]
    return (*gaps(means), *notes, *(f"{one.spelled} cuts names: two that begin alike are one" for one in cut))


def _operator(match: re.Match[str]) -> Operator:
    return Operator(match[0], match[1], match[2] or "", match[3] or "")


def _pieces(text: str, declared: Declared, log_types: bytes) -> list[Piece]:
    pieces: list[Piece] = []
    last = 0
    for match in _OPERATOR.finditer(text):
        literal = _literal(text[last : match.start()])
        pieces += [literal] if literal else []
        pieces.append(_field(_operator(match), declared, log_types, quoted=literal.endswith(b'"')))
        last = match.end()
    return _with_one_rest([*pieces, _literal(text[last:])])


def _with_one_rest(pieces: list[Piece]) -> list[Piece]:
    """Behind the last field that may count headers stand as the client sent them, with quotes and all: nobody need know
    where the one ends and the next begins."""
    fields = [(place, one) for place, one in enumerate(pieces) if isinstance(one, Field)]
    last_counts = max((place for place, one in fields if one.means or "LOG_TYPE" in one.name), default=0)
    raw = [place for place, one in fields if one.wide and place > last_counts]
    if not raw:
        return pieces
    return [*pieces[: raw[0]], Field(name="the rest", pattern=b".*"), *pieces[fields[-1][0] + 1 :]]


def _literal(text: str) -> bytes:
    if "\n" in text or "\\n" in text:
        raise ConfigError("--envoy-format: it writes several lines for one request")
    if "%" in (left := text.replace("%%", "")):
        raise ConfigError(f"--envoy-format: {left[left.index('%') :][:40]!r} is no operator")
    return text.replace("%%", "%").encode()


def _field(one: Operator, declared: Declared, log_types: bytes, *, quoted: bool) -> Field:
    spelled = one.spelled
    if one.name in _TIMES:
        return _time(one, declared)
    if one.name in _BYTES:
        means, rank = _BYTES[one.name]
        return Field(name=spelled, pattern=rb"\d+|-", means=means, rank=rank)
    if one.name == "RESPONSE_CODE":
        return Field(name=spelled, pattern=rb"\d{1,3}|-", means="status")
    if one.name == "ACCESS_LOG_TYPE":
        return Field(name=spelled, pattern=log_types)
    if one.name in _CLIENTS:
        return Field(name=spelled, pattern=rb"[^\s\"]+", means="client", convert=peer, rank=_CLIENTS[one.name])
    if one.name == "REQ" and one.argument.lower().split("?")[-1] in (":path", ":method", ":scheme"):
        url = one.argument.lower().endswith(":path")
        return Field(name=spelled, pattern=rb"\S+", means="url" if url else "", rank=int("?" in one.argument))
    if one.name in _TOKENS:
        return Field(name=spelled, pattern=rb"[^\s\"]+")
    return _named_value(one, b'[^"]*' if quoted else rb"\S+")


def _named_value(one: Operator, pattern: bytes) -> Field:
    """A value that may hold anything: a header, metadata. Envoy escapes nothing in a text format."""
    means = _means(one)
    convert = _name if means else None
    return Field(name=one.spelled, pattern=pattern, wide=b".", means=means, convert=convert, rank=-_place(one))


def _means(one: Operator) -> Means:
    if one.name == "REQ":
        return next((NAMES[name] for name in one.argument.lower().split("?") if name in NAMES and name[1:2] == "-"), "")
    if one.name in ("DYNAMIC_METADATA", "FILTER_STATE"):
        return NAMES.get(one.argument.lower().split(":")[-1], "")
    return ""


def _place(one: Operator) -> int:
    key = one.argument.lower().split("?")[0]
    return USERS.index(key) if key in USERS else 0


def _name(raw: bytes) -> str:
    return "" if raw == b"-" else text_of(raw)


def _time(one: Operator, declared: Declared) -> Field:
    """`%START_TIME(%s.%3f)%`: Envoy's own digits of a fraction (`%3f`) are read as `%f`."""
    zone = declared.zone if one.name.endswith("_LOCAL") else "UTC"
    if not one.argument:
        return Field(name=one.spelled, pattern=rb"[^\s\"\]]+", means="time", convert=Times("iso8601", zone).at_bytes)
    text = re.sub(r"%E?[1-9*]?f", "%f", one.argument).replace("%E3S", "%S.%f").replace("%E*S", "%S.%f")
    try:
        pattern = re.sub(r"\(\?P<\w>", "(?:", strptime.compiled(text).pattern.pattern)
    except ValueError as error:
        raise ConfigError(f"--envoy-format: {one.spelled}: {error}") from None
    return Field(name=one.spelled, pattern=pattern.encode(), means="time", convert=Times(text, zone).at_bytes)


def _json(declared: Declared, text: str) -> Format:
    try:
        wanted = _flat(object_of(text.encode()))
    except NotJson as error:
        raise ConfigError(f"--envoy-format: {error}") from None
    members, log_type = _members(wanted, declared)
    passes = (lambda line: not ends(str(value_of(line, log_type) or "-"))) if log_type else None
    reader = Members(
        members, Times(declared.time_format, declared.zone), needs_time=not declared.envelope, passes=passes
    )
    operators = {means: wanted[member.names[0]] for means, member in members.items()}
    return Format(declared, reader.read_line, reader.means, (*_notes([], operators), *([_SO_FAR] if log_type else [])))


def _flat(wanted: dict[str, Any], within: str = "") -> dict[str, str]:
    """The json_format's texts by the dotted names of their members."""
    found: dict[str, str] = {}
    for name, value in wanted.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{within}{name}.")
        elif isinstance(value, str):
            found[within + name] = value
    return found


def _members(wanted: dict[str, str], declared: Declared) -> tuple[dict[str, Member], str]:
    """The members whose whole value is one operator that counts, and the one that says which kind of line it is."""
    best: dict[str, tuple[int, Member]] = {}
    log_type = ""
    for name, value in wanted.items():
        match = _OPERATOR.fullmatch(value)
        if match is None:
            continue
        one = _operator(match)
        if one.name == "ACCESS_LOG_TYPE":
            log_type = name
        field = _field(one, declared, rb"\w+", quoted=True)
        if field.means and (field.means not in best or best[field.means][0] < field.rank):
            needed = field.means in ("time", "bytes_up", "bytes_down")
            best[field.means] = (field.rank, Member((name,), needed, _of_text(field)))
    return {means: member for means, (_, member) in best.items()}, log_type


def _of_text(field: Field) -> Callable[[str], int | str | None] | None:
    if field.means in ("bytes_up", "bytes_down"):
        return whole_number
    convert = field.convert
    return None if convert is None else lambda text: convert(text.encode("utf-8", "surrogateescape"))
