"""Instants as logs write them: a declared spelling (`--time-format`) and the zone of times that say none (`--zone`).

One `Times` reads the times of one log, for every format that takes a declared time. Exact to the millisecond, however
long a fraction is: what is finer is cut, so an event never moves to a later bucket. A local time that its zone had
twice (clocks were set back) is no instant, nor is one that it never had; who asks is told which (decision 0082). Second
60 is a leap second and counts as the first second after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache, partial
from typing import Final

from flowtally.agents.formats.strptime import Spelling, compiled, local_time, spelling
from flowtally.core.edges import load_zone
from flowtally.core.errors import ConfigError, UnknownZone
from flowtally.core.times import END_OF_TIME, EPOCH

_FRACTION: Final = r"(?:[.,](?P<f>\d{1,40}))?"
_CLOCK: Final = rf"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d){_FRACTION}"
_OFFSET: Final = r"(?P<z>Z|[+-]\d\d(?::?\d\d)?)"
_DATE: Final = r"(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)"
_CLF: Final = spelling(rf"(?P<d>\d\d)/(?P<b>[A-Z][a-z]{{2}})/(?P<Y>\d{{4}}):{_CLOCK}(?: {_OFFSET})?")
_ISO: Final = spelling(rf"{_DATE}[Tt ]{_CLOCK}(?: ?{_OFFSET})?")
_SLASHES: Final = spelling(rf"(?P<Y>\d{{4}})/(?P<m>\d\d)/(?P<d>\d\d) {_CLOCK}")  # Caddy's `wall`
_BASIC: Final = spelling(
    rf"(?P<Y>\d{{4}})(?P<m>\d\d)(?P<d>\d\d)T(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d){_FRACTION}{_OFFSET}?"
)
_RFC3339: Final = spelling(rf"{_DATE}[Tt ]{_CLOCK.replace('[.,]', '[.]')}(?P<z>[Zz]|[+-]\d\d:\d\d)")
_CIVIL: Final = {"clf": (_CLF,), "iso8601": (_ISO, _BASIC), "rfc3339": (_RFC3339,)}
_UNITS: Final = {"epoch": 3, "epoch-ms": 0, "epoch-us": -3, "epoch-ns": -6}  # the power of ten that makes milliseconds
_DECIMAL: Final = re.compile(r"(\d{1,20})(?:\.(\d{1,40}))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)
NAMES: Final = (*_CIVIL, *_UNITS)
CACHED: Final = 4096  # seconds whose instant is remembered: a log writes the same one again and again

Reader = Callable[[str], int]


class BadTime(ValueError):
    """Why a text is no instant, for people."""


class Times:
    """Reads the instants of one log: `at` and `at_bytes` give ms since 1970 UTC and raise BadTime.

    Without a `time_format` seconds since 1970, ISO 8601 and Apache's are read: no text is an instant in two of these.
    Raises ConfigError for a format or zone of no use."""

    def __init__(self, time_format: str = "", zone: str = "") -> None:
        self.time_format = time_format
        self.zone = zone
        self.at: Final[Reader] = _reader(time_format, zone, _zone(zone) if zone else None)

    def at_bytes(self, raw: bytes) -> int:
        return self.at(raw.decode("utf-8", "backslashreplace"))


def decimal(text: str, power: int = 0) -> tuple[int, bool] | None:
    """`text` times 10**power, cut to a whole number, and whether that is exact; by digits, so that no float comes near
    it. None where it is no decimal number."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    fraction = match[2] or ""
    scale = int(match[3] or 0) - len(fraction) + power
    digits = int(match[1] + fraction)
    if scale >= 0:
        return digits * int(10**scale), True
    number, rest = divmod(digits, int(10**-scale))
    return number, rest == 0


def whole(text: str) -> int | None:
    """A whole number, however it is written (`2.0`, `2e3`)."""
    read = decimal(text)
    return read[0] if read and read[1] else None


def epoch_at(text: str, power: int = 3) -> int:
    """A count since 1970, perhaps with a fraction or an exponent, in units of 10**-power milliseconds."""
    read = decimal(text, power)
    if read is None:
        raise BadTime(f"no count since 1970: {text[:60]!r}")
    at = read[0]
    if at >= END_OF_TIME:
        raise BadTime(f"{text[:60]!r} is after the year 9999: are its units declared (--time-format)?")
    return at


def _reader(time_format: str, name: str, zone: tzinfo | None) -> Reader:
    if time_format in _UNITS:
        return partial(epoch_at, power=_UNITS[time_format])
    if time_format in _CIVIL:
        return _civil(_CIVIL[time_format], name, zone, time_format)
    if not time_format:
        return _any(
            _civil((_ISO, _CLF, _BASIC, _SLASHES), name, zone, "a time that is read undeclared (--time-format)")
        )
    if "%" not in time_format:
        raise ConfigError(f"--time-format {time_format!r}: known are {', '.join(NAMES)}, or one such as %Y-%m-%d %T")
    try:
        return _civil((compiled(time_format),), name, zone, f"--time-format {time_format!r}")
    except ValueError as error:
        raise ConfigError(f"--time-format {time_format!r}: {error}") from None


def _any(civil: Reader) -> Reader:
    def at(text: str) -> int:
        return epoch_at(text) if _DECIMAL.fullmatch(text) else civil(text)

    return at


def _civil(spellings: Iterable[Spelling], name: str, zone: tzinfo | None, what: str) -> Reader:
    """Reads any of these spellings of a local time or of one with its offset."""
    readers = [(one.pattern.fullmatch, one.names, one.has_fraction, _seconds(one, name, zone)) for one in spellings]

    def at(text: str) -> int:
        for fullmatch, names, has_fraction, seconds_at in readers:
            if match := fullmatch(text):
                second_at = seconds_at(match.group(*names))
                if isinstance(second_at, str):
                    raise BadTime(f"{text[:60]!r} {second_at}")
                fraction = match["f"] if has_fraction else None
                return second_at if fraction is None else second_at + int(fraction[:3].ljust(3, "0"))
        raise BadTime(f"{text[:60]!r} is not {what}")

    return at


def _seconds(one: Spelling, name: str, zone: tzinfo | None) -> Callable[[str | tuple[str, ...]], int | str]:
    """The whole second that the parts of a time say, or why there is none."""

    @lru_cache(CACHED)
    def at(values: str | tuple[str, ...]) -> int | str:
        parts = dict(zip(one.names, (values,) if isinstance(values, str) else values, strict=True))
        try:
            found = _second_at(parts, name, zone)
        except (ValueError, OverflowError):
            return "is no time of any calendar"
        return found if isinstance(found, str) or 0 <= found < END_OF_TIME else "is not within 1970 to 9999"

    return at


def _second_at(parts: Mapping[str, str | None], name: str, zone: tzinfo | None) -> int | str:
    if seconds := parts.get("s"):
        return int(seconds) * 1000
    local = local_time(parts)
    if offset := parts.get("z"):
        return _ms(local.replace(tzinfo=_fixed(offset)))
    if zone is None:
        return "says no zone; declare it with --zone"
    first, second = local.replace(tzinfo=zone), local.replace(tzinfo=zone, fold=1)
    before, after = first.utcoffset(), second.utcoffset()
    assert before is not None
    assert after is not None
    if before < after:
        return f"is a time that {name} never had: its clocks were set forward"
    if before > after:
        return f"is a time that {name} had twice: its clocks were set back; an offset as --zone (+01:00) tells which"
    return _ms(first)


def _ms(at: datetime) -> int:
    return (at - EPOCH) // timedelta(milliseconds=1)


def _zone(text: str) -> tzinfo:
    """An IANA zone by its name, or an offset as logs write it."""
    if re.fullmatch(_OFFSET, text, re.ASCII):
        try:
            return _fixed(text)
        except ValueError:
            raise ConfigError(f"--zone {text!r}: no such offset") from None
    try:
        return load_zone(text)
    except UnknownZone as error:
        raise ConfigError(f"--zone {error}") from None


def _fixed(text: str) -> tzinfo:
    if text in ("Z", "z", "UTC", "GMT"):
        return timezone.utc  # noqa: UP017
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes > 59:
        raise ValueError(text)
    east = timedelta(hours=hours, minutes=minutes)
    return timezone(-east if text[0] == "-" else east)
