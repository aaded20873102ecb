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
from flowtally.agents.formats.declared import Declared, Format
from flowtally.agents.formats.times import Times
from flowtally.agents.reading import Line, Unreadable, text_of
from flowtally.errors import ConfigError

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
_RUN: Final = re.compile(r"%[yYmodHMSzt.](?:[^%]*%[yYmodHMSzt.])*")


def named(declared: Declared) -> Format:
    """Any of the defaults: no line is one of two of them."""
    formats = [_compiled(declared, text, "3proxy's default log") for text in DEFAULTS]

    def read_line(line: bytes) -> Line:
        read: Line = None
        for one in formats:
            read = one.read_line(line)
            if not isinstance(read, Unreadable) or read.reason != "not_this_format":
                return read
        return read

    return Format(declared, read_line, formats[0].means, formats[0].notes)


def by_string(declared: Declared) -> Format:
    """Of `--3proxy-logformat`."""
    return _compiled(declared, declared.threeproxy_logformat, "this 3proxy logformat")


def _compiled(declared: Declared, text: str, what: str) -> Format:
    text, local = _kind(text)
    zone = declared.zone if local else "UTC"
    reader = Compiled(_pieces(text, zone), what, needs_time=not declared.envelope)
    notes = ("L writes local time: declare its zone with --zone",) if local and not zone else ()
    return Format(declared, reader.read_line, reader.means, notes)


def _kind(text: str) -> tuple[str, bool]:
    """Without what stands before the format itself, and whether it writes local time."""
    if found := _FILTER.match(text):
        text = text[found.end() :]
    if text[:1].upper() not in ("L", "G"):
        raise ConfigError(f"--3proxy-logformat {text[:40]!r}: it begins with L or G")
    return text[1:], text[:1].upper() == "L"


def _pieces(text: str, zone: str) -> list[Piece]:
    pieces: list[Piece] = []
    clock = _RUN.search(text)
    if clock is None:
        raise ConfigError("--3proxy-logformat: it names no instant, so its lines cannot be dated")
    for part, is_clock in ((text[: clock.start()], False), (clock[0], True), (text[clock.end() :], False)):
        pieces += [_time(part, zone)] if is_clock else _plain(part)
    return pieces


def _plain(text: str) -> list[Piece]:
    pieces: list[Piece] = []
    last = 0
    for match in _DIRECTIVE.finditer(text):
        if match.start() > last:
            pieces.append(text[last : match.start()].encode())
        pieces.append(b"%" if match[1] == "%" else _field(match[0], match[1]))
        last = match.end()
    return [*pieces, text[last:].encode()] if last < len(text) else pieces


def _field(spelled: str, name: str) -> Field:
    if name == "U":
        return Field(name=spelled, wide=b".", means="user", convert=lambda raw: "" if raw == b"-" else text_of(raw))
    if name == "O":
        return Field(name=spelled, pattern=rb"\d+", means="bytes_up")
    if name == "I":
        return Field(name=spelled, pattern=rb"\d+", means="bytes_down")
    if name == "C":
        return Field(name=spelled, pattern=rb"[0-9A-Fa-f.:]+?|\[[0-9A-Fa-f.:]+\]", means="client", convert=_address)
    if name in _NUMBERS:
        return Field(name=spelled, pattern=rb"-?\d+")
    if name == "T" or name.endswith("T"):
        return Field(name=spelled, pattern=rb".*?")
    if name in _CLOCK or name in "t.":
        raise ConfigError(f"--3proxy-logformat: {spelled} stands apart from the rest of the time")
    return Field(name=spelled, pattern=rb"\S+")


def _address(raw: bytes) -> str:
    return text_of(raw.strip(b"[]"))


def _time(text: str, zone: str) -> Field:
    spelled = _DIRECTIVE.sub(lambda one: {"t": "%s", ".": "%f"}.get(one[1]) or _CLOCK[one[1]], text)
    try:
        pattern = re.sub(r"\(\?P<\w>", "(?:", strptime.compiled(spelled).pattern.pattern)
    except ValueError as error:
        raise ConfigError(f"--3proxy-logformat: {text!r}: {error}") from None
    times = Times(spelled, zone)
    return Field(name=text, pattern=pattern.encode(), means="time", convert=times.at_bytes)
