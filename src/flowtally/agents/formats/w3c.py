"""W3C extended logs (IIS, CloudFront, Blue Coat ...): `#Fields:` names the columns, and may name others further down.

`sc-bytes` went to the client, `cs-bytes` came from it. `date` and `time` are UTC as the specification says; a declared
zone is for programs that write local time. A line before any `#Fields:` is unreadable, as is one with more or fewer
values than columns, and one under columns that tell neither direction's bytes: 0 would be a guess.

`iis` is the same with IIS's own spelling of a blank within a value, `+` (a `+` is written so, too, and cannot be told
from it). Strings in double quotes are read as the specification has them, `""` for a quote. See
https://www.w3.org/TR/WD-logfile.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from flowtally.agents.formats.declared import Declared, Format
from flowtally.agents.formats.times import BadTime, Times
from flowtally.agents.reading import Line, LineReading, Unreadable, quantity, text_of
from flowtally.core.errors import ConfigError

MEANS: Final = {
    "time": "date time",
    "bytes_down": "sc-bytes",
    "bytes_up": "cs-bytes",
    "user": "cs-username",
    "client": "c-ip",
    "status": "sc-status",
    "url": "cs-uri-stem",
}
_FIELDS: Final = b"#fields:"
_VALUE: Final = re.compile(rb'"((?:[^"]|"")*)"(?:[ \t]+|$)|([^\s"][^\s]*)(?:[ \t]+|$)')


class W3cColumns(msgspec.Struct, frozen=True):
    """Places of the columns that count, -1 where there is none; `fault` where no line can be read by them."""

    count: int
    date: int = -1
    time: int = -1
    down: int = -1
    up: int = -1
    user: int = -1
    client: int = -1
    status: int = -1
    url: int = -1
    fault: str = ""


def w3c(declared: Declared) -> Format:
    return _format(declared, text_of)


def iis(declared: Declared) -> Format:
    return _format(declared, lambda raw: text_of(raw.replace(b"+", b" ")))


def columns_of(directive: bytes) -> W3cColumns:
    """What a `#Fields:` line says."""
    names = [name.decode("ascii", "replace").lower() for name in directive[len(_FIELDS) :].split()]
    twice = sorted({name for name in names if names.count(name) > 1})
    place = {name: number for number, name in enumerate(names)}
    fault = ""
    if twice:
        fault = f"#Fields names {', '.join(twice)[:80]} twice"
    elif "date" not in place or "time" not in place:
        fault = "#Fields names no date and time"
    elif "sc-bytes" not in place and "cs-bytes" not in place:
        fault = "#Fields names neither sc-bytes nor cs-bytes: switch them on where the log is written"
    return W3cColumns(
        count=len(names),
        date=place.get("date", -1),
        time=place.get("time", -1),
        down=place.get("sc-bytes", -1),
        up=place.get("cs-bytes", -1),
        user=place.get("cs-username", -1),
        client=place.get("c-ip", -1),
        status=place.get("sc-status", -1),
        url=place.get("cs-uri-stem", place.get("cs-uri", -1)),
        fault=fault,
    )


def _format(declared: Declared, name_of: Callable[[bytes], str]) -> Format:
    if declared.time_format:
        raise ConfigError("--time-format: a W3C log has its own, with date and time in two columns")
    reader = _Reader(Times("iso8601", declared.zone or "UTC"), name_of)
    notes = () if declared.zone else ("times are UTC, as the W3C's specification says",)
    return Format(declared, reader.read_line, MEANS, notes, reader.remember)


class _Reader:
    """Remembers the `#Fields:` of the lines before; one for each log."""

    def __init__(self, times: Times, name_of: Callable[[bytes], str]) -> None:
        self._times = times
        self._name_of = name_of
        self._columns: W3cColumns | None = None

    def remember(self, lines: Iterable[bytes]) -> None:
        self._columns = None
        for line in lines:
            if line.startswith(b"#"):
                self._direct(line)

    def _direct(self, line: bytes) -> None:
        if line[: len(_FIELDS)].lower() == _FIELDS:
            self._columns = columns_of(line)

    def read_line(self, line: bytes) -> Line:
        if line.startswith(b"#"):
            self._direct(line)
            return None
        values = _values(line)
        if not values:
            return None if not line.strip() else Unreadable("not_this_format", "a string in quotes does not end")
        columns = self._columns
        if columns is None:
            return Unreadable("not_this_format", "no #Fields before this line, so nothing says what its values are")
        if columns.fault:
            return Unreadable("not_this_format", columns.fault)
        if len(values) != columns.count:
            return Unreadable("not_this_format", f"{len(values)} values, where #Fields names {columns.count}")
        return self._reading(values, columns)

    def _reading(self, values: list[bytes], columns: W3cColumns) -> Line:
        date, clock = text_of(values[columns.date]), text_of(values[columns.time])
        try:
            time_at = self._times.at(f"{date} {clock}")
        except BadTime as error:
            return Unreadable("bad_time", str(error))
        up, down = _quantity(values, columns.up), _quantity(values, columns.down)
        status = _quantity(values, columns.status)
        if up is None or down is None or status is None or status > 999:
            raw = values[columns.down if down is None else columns.up if up is None else columns.status]
            return Unreadable("bad_size", f"no quantity: {text_of(raw[:40])}")
        return LineReading(
            time_at=time_at,
            bytes_up=up,
            bytes_down=down,
            status=status,
            client=self._text(values, columns.client, text_of),
            user=self._text(values, columns.user, self._name_of),
            url=self._text(values, columns.url, text_of),
        )

    def _text(self, values: list[bytes], place: int, name_of: Callable[[bytes], str]) -> str:
        return "" if place < 0 or values[place] == b"-" else name_of(values[place])


def _quantity(values: list[bytes], place: int) -> int | None:
    return 0 if place < 0 else quantity(values[place])


def _values(line: bytes) -> list[bytes]:
    """The values of a line; none where a quoted string has no end. Between tabs a value may hold blanks."""
    if b"\t" in line:
        return [value.strip() for value in line.split(b"\t")]
    if b'"' not in line:
        return line.split()
    values, at = [], 0
    line = line.strip()
    while at < len(line):
        match = _VALUE.match(line, at)
        if match is None:
            return []
        values.append(match[2] if match[1] is None else match[1].replace(b'""', b'"'))
        at = match.end()
    return values
