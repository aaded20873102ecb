"""JSON logs by the names of their members: `--json-fields time=ts,bytes_up=bytes_read,client=request.client_ip`.

A dot goes into an object, unless a member has that very name. A value may be text or a number, however it is written;
null, `-` and empty text are no value: 0 bytes, no user. A member of a quantity or of the time that is not there makes
the line unreadable: a misspelt name would count 0 for ever. Numbers are read by their digits, so none is rounded, and
one that is no whole number is no quantity. A list of one value, as Caddy writes headers, is that value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from flowtally.agents.formats.compiled import Means
from flowtally.agents.formats.declared import Declared, Format, gaps
from flowtally.agents.formats.strictjson import NotJson, object_of, text_in
from flowtally.agents.formats.times import BadTime, Times, whole
from flowtally.agents.reading import Line, LineReading, Unreadable, quantity
from flowtally.core.errors import ConfigError
from flowtally.core.texts import split_names

MEANINGS: Final = tuple(means for means in get_args(Means) if means not in ("", "fraction"))
_QUANTITIES: Final = ("bytes_up", "bytes_down", "requests", "status")
_NEEDED: Final = ("time", "bytes_up", "bytes_down", "requests")
_NOTHING: Final = (None, "", "-")
_ABSENT: Final = object()

Object = dict[str, Any]


class Member(msgspec.Struct, frozen=True):
    """Where a meaning is read from: the first of `names` that the line has. `needed`: without it it is unreadable."""

    names: tuple[str, ...]
    needed: bool = False
    convert: Callable[[str], int | str | None] | None = None


class Members:
    """Reads lines of one JSON format. `passes` says which lines are none of the log's requests, to be left out."""

    def __init__(
        self,
        members: Mapping[str, Member],
        times: Times,
        *,
        needs_time: bool = True,
        passes: Callable[[Object], bool] | None = None,
    ) -> None:
        if needs_time and "time" not in members:
            raise ConfigError("the fields name no time, so the lines cannot be dated")
        self._members = [(means, one, one.convert or _convert(means, times)) for means, one in members.items()]
        self._passes = passes
        self.means = {means: one.names[0] for means, one in members.items()}

    def read_line(self, line: bytes) -> Line:
        """One line; never raises."""
        if not line.strip():
            return None
        try:
            found = object_of(line)
        except NotJson as error:
            return Unreadable("not_this_format", str(error))
        return self.read(found)

    def read(self, found: Object) -> Line:
        if self._passes and self._passes(found):
            return None
        values: dict[str, Any] = {}
        for means, member, convert in self._members:
            value = _value(found, member.names)
            if value is _ABSENT and member.needed:
                return Unreadable("not_this_format", f"there is no member {' or '.join(member.names)}")
            if value is _ABSENT or value in _NOTHING:
                if means != "time":
                    continue
                value = ""
            if not isinstance(value, str):
                return Unreadable("not_this_format", f"{member.names[0]} is no text and no number")
            try:
                read = convert(value)
            except BadTime as error:
                return Unreadable("bad_time", f"{member.names[0]}: {error}")
            if read is None:
                return Unreadable("bad_size", f"{member.names[0]} is no {means}: {text_in(value)[:60]}")
            values[means] = read
        return LineReading(time_at=values.pop("time", None), **values)


def json_fields(declared: Declared) -> Format:
    """Of `--json-fields`."""
    needs_time = not declared.envelope
    reader = Members(_declared(declared.json_fields), Times(declared.time_format, declared.zone), needs_time=needs_time)
    return Format(declared, reader.read_line, reader.means, gaps(reader.means), takes_times=True)


def whole_number(text: str) -> int | None:
    """A quantity as JSON may write it: `2048`, `2048.0`, `2.048e3`; None where it is no whole number or too large."""
    number = quantity(text)
    if number is None and not text.isdigit() and (exact := whole(text)) is not None:
        return quantity(str(exact))
    return number


def _convert(means: str, times: Times) -> Callable[[str], int | str | None]:
    if means == "time":
        return times.at
    if means == "status":
        return lambda text: number if (number := whole_number(text)) is not None and number <= 999 else None
    return whole_number if means in _QUANTITIES else text_in


def _declared(text: str) -> dict[str, Member]:
    members: dict[str, Member] = {}
    for pair in split_names(text):
        means, equals, name = (part.strip() for part in pair.partition("="))
        if means not in MEANINGS or not equals or not name:
            raise ConfigError(f"--json-fields {pair!r}: say MEANING=MEMBER; the meanings are {', '.join(MEANINGS)}")
        if means in members:
            raise ConfigError(f"--json-fields: {means} is there twice")
        members[means] = Member((name,), means in _NEEDED)
    return members


def value_of(found: Object, *names: str) -> Any:
    """The value of the first of these members that is there; None where none is."""
    value = _value(found, names)
    return None if value is _ABSENT else value


def _value(found: Object, names: Sequence[str]) -> Any:
    for name in names:
        value = _walked(found, name)
        if value is not _ABSENT:
            return value[0] if isinstance(value, list) and len(value) == 1 else value
    return _ABSENT


def _walked(found: Object, name: str) -> Any:
    if name in found:
        return found[name]
    head, dot, rest = name.partition(".")
    while dot:
        inner = found.get(head)
        if isinstance(inner, dict) and (value := _walked(inner, rest)) is not _ABSENT:
            return value
        more, dot, rest = rest.partition(".")
        head = f"{head}.{more}"
    return _ABSENT
