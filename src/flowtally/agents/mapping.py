"""Whose use a line is: from a `LineReading` to account, user and product by the operator's options. Pure.

    --account NAME                     every line is this account's
    --user-from user|client|url|none   which field of the line names the user (default `user`)
    --user-from 'user:(?P<account>[^-]+)-(?P<user>.+)'
                                       a regular expression over the whole field; groups account, user, product
    --user-from user:thordata          the name in a login as this vendor's gateways take it (`core/logins`), or ipfoxy
    --pattern REGEX                    searched in the line (without its envelope); groups account, user, product,
                                       client, time, bytes_up, bytes_down, requests, status replace what the format
                                       read. With a group `time` the pattern is the format and the named one is not
                                       asked; --time-format and --zone say how that time is written.

The pattern comes first and only replaces fields; --user-from then looks at the fields. Account: --account, else what
the line or the pattern says, else the group of --user-from. Product: line or pattern, group, --product. A line that
ends without an account cannot be read (`no_account`): usage of nobody is never invented. `skip_status` leaves lines out
on purpose, e.g. 407: Squid's challenges to clients that have not said, or not proved, who they are.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from flowtally.agents.formats import Format, times_of
from flowtally.agents.formats.declared import Wrapped, gaps
from flowtally.agents.formats.times import BadTime, Times
from flowtally.agents.reading import Line, LineReading, Unreadable, quantity, text_of
from flowtally.core.errors import ConfigError
from flowtally.core.logins import KINDS, name_in
from flowtally.core.texts import text_fault

FIELDS: Final = ("user", "client", "url", "none")
NAME_GROUPS: Final = frozenset({"account", "user", "product"})
PATTERN_GROUPS: Final = NAME_GROUPS | {"client", "time", "bytes_up", "bytes_down", "requests", "status"}
_NUMBERS: Final = ("bytes_up", "bytes_down", "requests", "status")


class Mapping(msgspec.Struct, frozen=True, omit_defaults=True):
    """The options as given; kept in the source's position, so that a resumed import is mapped as it began."""

    account: str = ""
    user_from: str = "user"
    pattern: str = ""
    product: str = ""
    skip_status: tuple[int, ...] = ()


class Mapper:
    """`mapping` made ready: regular expressions compiled and checked once. Raises ConfigError for options of no use."""

    def __init__(self, mapping: Mapping, format_: Format) -> None:
        for option, name in (("--account", mapping.account), ("--product", mapping.product)):
            if fault := text_fault(name):  # every line would be refused for it, its number gone for good
                raise ConfigError(f"{option} {name!r} {fault}")
        self.mapping = mapping
        self._format = format_
        self._read_line = format_.read_line
        self._times = times_of(format_.declared)
        field, colon, expression = mapping.user_from.partition(":")
        if field not in FIELDS or (field == "none" and colon):
            raise ConfigError(f"--user-from {mapping.user_from!r}: the field must be one of {', '.join(FIELDS)}")
        self._field = field
        self._logins = next((kind for kind in KINDS if (field, expression) == ("user", kind)), None)
        plain = not colon or self._logins is not None
        self._names = None if plain else _compiled("--user-from", expression, NAME_GROUPS)
        self._pattern = _compiled("--pattern", mapping.pattern, PATTERN_GROUPS) if mapping.pattern else None
        self._skip = frozenset(mapping.skip_status)
        self._tells(format_)
        if format_.declared.time_format and not (format_.takes_times or self._finds_time):
            raise ConfigError("--time-format: this format has its own times, and the pattern finds none")

    def _tells(self, format_: Format) -> None:
        """`means`, `notes` and `doubts` of the format, or of the pattern where the format is not asked."""
        self.means, self.notes, self.doubts = format_.means, format_.notes, format_.doubts
        if self._pattern is not None and self._finds_time:
            self.means = {name: f"(?P<{name}>...)" for name in self._pattern.groupindex}
            self.notes, self.doubts = gaps(self.means), ()

    def read(self, line: bytes) -> Line:
        """The line as an entry with an account, None where it is left out on purpose, or why it cannot be read."""
        reading = self._line(line)
        if not isinstance(reading, LineReading):
            return reading
        if reading.status in self._skip:
            return None
        return self._named(reading)

    def _line(self, line: bytes) -> Line:
        """What format and pattern make of the line; names the pattern found are already in their places."""
        if self._pattern is None:
            return self._read_line(line)
        wrapped = self._unwrapped(line)
        if not isinstance(wrapped, Wrapped):
            return wrapped
        found = self._pattern.search(text_of(wrapped.text))
        if found is None:
            return Unreadable("no_match", "the pattern does not match")
        groups = {name: text for name, text in found.groupdict().items() if text is not None}
        base = LineReading(time_at=0) if self._finds_time else self._read_wrapped(wrapped)
        return _replaced(base, groups, self._times) if isinstance(base, LineReading) else base

    @property
    def _finds_time(self) -> bool:
        return self._pattern is not None and "time" in self._pattern.groupindex

    def _unwrapped(self, line: bytes) -> Wrapped | Unreadable | None:
        if self._format.envelope:
            return self._format.envelope.unwrap(line)
        return Wrapped(line) if line.strip() else None

    def _read_wrapped(self, wrapped: Wrapped) -> Line:
        envelope = self._format.envelope
        return envelope.read(wrapped) if envelope else self._read_line(wrapped.text)

    def _named(self, reading: LineReading) -> Line:
        names = self._names_in(reading)
        if isinstance(names, Unreadable):
            return names
        account = self.mapping.account or reading.account or names.get("account", "")
        if not account:
            return Unreadable("no_account", f"no account: the line's user is {reading.user[:80] or '-'}")
        product = reading.product or names.get("product", "") or self.mapping.product
        return msgspec.structs.replace(reading, account=account, user=names["user"], product=product)

    def _names_in(self, reading: LineReading) -> dict[str, str] | Unreadable:
        """Names the field gives; without a regular expression, or without its group `user`, the user is as read."""
        text = getattr(reading, self._field, "")
        if self._names is None:
            return {"user": text if self._logins is None else name_in(text, self._logins)}
        found = self._names.fullmatch(text) if text else None
        if text and found is None:
            return Unreadable("no_match", f"{self._field} {text[:80]!r} does not match --user-from")
        names = {name: part or "" for name, part in found.groupdict().items()} if found else {}
        return {"user": reading.user, **names}


def _compiled(option: str, expression: str, known: frozenset[str]) -> re.Pattern[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ConfigError(f"{option}: not a regular expression: {error}") from None
    groups = set(pattern.groupindex)
    if not groups:
        raise ConfigError(f"{option}: no named group; known are {', '.join(sorted(known))}")
    if unknown := groups - known:
        raise ConfigError(f"{option}: unknown group {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    return pattern


def _replaced(base: LineReading, groups: dict[str, str], times: Times) -> Line:
    changes: dict[str, str | int] = {
        name: text for name, text in groups.items() if name in NAME_GROUPS or name == "client"
    }
    for name in _NUMBERS:
        number = quantity(groups.get(name, ""))
        if number is None or (name == "status" and number > 999):
            return Unreadable("bad_size", f"{name} is no quantity: {groups[name][:40]!r}")
        if name in groups:
            changes[name] = number
    if "time" in groups:
        try:
            changes["time_at"] = times.at(groups["time"])
        except BadTime as error:
            return Unreadable("bad_time", str(error))
    return msgspec.structs.replace(base, **changes)
