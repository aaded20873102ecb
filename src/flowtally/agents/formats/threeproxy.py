"""3proxy's log by its `logformat`, and the defaults of its source and its sample configuration.

`%O` went out to the server, so it is the client's upload, `%I` came in from it. A format that begins with `G` writes
UTC, one with `L` local time, which needs `--zone` unless it is `%t` or has `%z`. Each record of `logdump` says what
moved since the last one, so all of them count. `%E` is 3proxy's result, no HTTP status.
See `logformat` in 3proxy.cfg(5) and src/log.c.
"""

from __future__ import annotations

import re
from typing import Final

from flowtally.agents.formats import strptime
from flowtally.agents.formats.compiled import Compiled, Field, Piece
from flowtally.agents.formats.declared import Declared, Format, gaps
from flowtally.agents.formats.times import Times
from flowtally.agents.reading import Line, Unreadable, text_of
from flowtally.core.errors import ConfigError

_REST: Final = "%E %U %C:%c %R:%r %O %I %h %T"
DEFAULTS: Final = (
    "G%y%m%d%H%M%S.%. %p " + _REST,  # without any logformat
    "L%t.%. %N.%p " + _REST,
    "L%t.%.  %N.%p " + _REST,  # as the sample configuration has it, with two blanks
    "L%d-%m-%Y %H:%M:%S.%. %N.%p " + _REST,
    "L%d-%m-%Y %H:%M:%S %z %N.%p " + _REST,
)
_FILTER: Final = re.compile(r"-(.*)\+(.)", re.DOTALL)
_DIRECTIVE: Final = re.compile(r"%(\d+-\d+T|.)", re.DOTALL)
_CLOCK: Final = {"y": "%y", "Y": "%Y", "m": "%m", "o": "%b", "d": "%d", "H": "%H", "M": "%M", "S": "%S", "z": "%z"}
_NUMBERS: Final = frozenset("bBDpEcrqLh")
_NOT_OURS: Final = Unreadable("not_this_format", "not a line of 3proxy's default log")
_RUN: Final = re.compile(r"%[yYmodHMSzt.](?:[^%]*%[yYmodHMSzt.])*")


def named(declared: Declared) -> Format:
    """Any of the defaults, known by how its time is written; with 3proxy's filter for blanks, and without it."""
    formats = [
        (re.compile(_time_pattern(_kind(text)[0])).match, _compiled(declared, kind + text, "3proxy's default log"))
        for kind in ("- +_", "")
        for text in DEFAULTS
    ]

    def read_line(line: bytes) -> Line:
        read: Line = _NOT_OURS if line.strip() else None
        for begins, one in formats:
            if begins(line):
                read = one.read_line(line)
                if not isinstance(read, Unreadable) or read.reason != "not_this_format":
                    return read
        return read

    return Format(declared, read_line, formats[0][1].means, formats[1][1].notes)


def by_string(declared: Declared) -> Format:
    """Of `--3proxy-logformat`."""
    return _compiled(declared, declared.threeproxy_logformat, "this 3proxy logformat")


def _compiled(declared: Declared, text: str, what: str) -> Format:
    text, local, filtered = _kind(text)
    zone = declared.zone if local else "UTC"
    reader = Compiled(_pieces(text, zone, filtered=filtered), what, needs_time=not declared.envelope)
    notes = ("L writes local time: declare its zone with --zone",) if local and not zone else ()
    return Format(declared, reader.read_line, reader.means, (*gaps(reader.means), *notes))


def _kind(text: str) -> tuple[str, bool, bool]:
    """The format without what stands before it, whether it writes local time, and whether blanks in names are replaced
    (`- +_`), so that a value holds none."""
    filtered = _FILTER.match(text)
    if filtered:
        text = text[filtered.end() :]
    if text[:1].upper() not in ("L", "G"):
        raise ConfigError(f"--3proxy-logformat {text[:40]!r}: it begins with L or G")
    return text[1:], text[:1].upper() == "L", filtered is not None and " " in filtered[1]


def _pieces(text: str, zone: str, *, filtered: bool) -> list[Piece]:
    pieces: list[Piece] = []
    clock = _RUN.search(text)
    if clock is None:
        raise ConfigError("--3proxy-logformat: it names no instant, so its lines cannot be dated")
    for part, is_clock in ((text[: clock.start()], False), (clock[0], True), (text[clock.end() :], False)):
        pieces += [_time(part, zone)] if is_clock else _plain(part, filtered=filtered)
    return pieces


def _plain(text: str, *, filtered: bool) -> list[Piece]:
    pieces: list[Piece] = []
    last = 0
    for match in _DIRECTIVE.finditer(text):
        if match.start() > last:
            pieces.append(text[last : match.start()].encode())
        pieces.append(b"%" if match[1] == "%" else _field(match[0], match[1], filtered=filtered))
        last = match.end()
    return [*pieces, text[last:].encode()] if last < len(text) else pieces


def _field(spelled: str, name: str, *, filtered: bool) -> Field:
    if name == "U":
        return Field(name=spelled, wide=None if filtered else b".", means="user", convert=_name)
    if name == "O":
        return Field(name=spelled, pattern=rb"\d+", means="bytes_up")
    if name == "I":
        return Field(name=spelled, pattern=rb"\d+", means="bytes_down")
    if name == "C":
        return Field(name=spelled, pattern=rb"[0-9A-Fa-f.:]+?|\[[0-9A-Fa-f.:]+\]", means="client", convert=_address)
    if name in _NUMBERS:
        return Field(name=spelled, pattern=rb"-?\d+")
    if name == "T" or name.endswith("T"):
        return Field(name=spelled, pattern=b"[^ ]*" if filtered else b".*")
    if name in _CLOCK or name in "t.":
        raise ConfigError(f"--3proxy-logformat: {spelled} stands apart from the rest of the time")
    return Field(name=spelled, pattern=rb"\S+")


def _name(raw: bytes) -> str:
    return "" if raw == b"-" else text_of(raw)


def _address(raw: bytes) -> str:
    return text_of(raw.strip(b"[]"))


def _time(text: str, zone: str) -> Field:
    times = Times(_spelled(text), zone)
    return Field(name=text, pattern=_time_pattern(text), means="time", convert=times.at_bytes)


def _time_pattern(text: str) -> bytes:
    """What the time that a format begins with looks like."""
    clock = _RUN.search(text)
    spelled = _spelled(clock[0] if clock else text)
    try:
        return re.sub(r"\(\?P<\w>", "(?:", strptime.compiled(spelled).pattern.pattern).encode()
    except ValueError as error:
        raise ConfigError(f"--3proxy-logformat: {text!r}: {error}") from None


def _spelled(text: str) -> str:
    """As for strptime."""
    return _DIRECTIVE.sub(lambda one: {"t": "%s", ".": "%f"}.get(one[1]) or _CLOCK[one[1]], text)
