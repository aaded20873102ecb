"""Instants as Squid, nginx and Apache write them, as fields: epoch seconds, Apache's time, ISO 8601, strftime's."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from flowtally.agents.formats import strptime
from flowtally.agents.formats.compiled import Field
from flowtally.agents.formats.times import Times
from flowtally.agents.reading import clf_at, epoch_at, rfc3339_at
from flowtally.core.errors import ConfigError
from flowtally.core.times import END_OF_TIME

_CLF: Final = rb"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d"
_ISO: Final = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d|Z)"
_CACHED: Final = 64  # a log writes the same second again and again


@lru_cache(_CACHED)
def clf(raw: bytes) -> int | None:
    """`17/May/2015:10:05:03 +0200` -> ms; without a zone it is UTC."""
    text = raw.decode("ascii", "replace")
    clock = (int(text[12:14]), int(text[15:17]), int(text[18:20]))
    return clf_at(text[:2], text[3:6], text[7:11], clock, text[21:] or "+0000")


@lru_cache(_CACHED)
def iso(raw: bytes) -> int | None:
    return rfc3339_at(raw.decode("ascii", "replace"))


@lru_cache(_CACHED)
def seconds(raw: bytes) -> int | None:
    """`1773133200` or `1773133200.123` -> ms."""
    whole, _, digits = raw.partition(b".")
    return epoch_at(whole, digits or b"0")


def fraction(digits: int) -> Callable[[bytes], int]:
    """A count of 10**-digits seconds as ms. Cut, never rounded: an event never moves to a later bucket."""
    return int if digits == 3 else lambda raw: int(raw) * 1000 // 10**digits


def clf_field(name: str, *, rank: int = 0, gmt: bool = False) -> Field:
    """`gmt`: its zone may be left out."""
    zone = rb"(?: [+-]\d{4})?" if gmt else rb" [+-]\d{4}"
    return Field(name=name, pattern=_CLF + zone, means="time", convert=clf, rank=rank)


def iso_field(name: str, *, rank: int = 0) -> Field:
    return Field(name=name, pattern=_ISO, means="time", convert=iso, rank=rank)


def seconds_field(name: str, digits: bytes = b"", *, rank: int = 0) -> Field:
    return Field(name=name, pattern=rb"\d{1,20}" + digits, means="time", convert=seconds, rank=rank)


def count_field(name: str, digits: int, *, rank: int = 0) -> Field:
    """A count of 10**-digits seconds since 1970."""

    def convert(raw: bytes) -> int | None:
        at = int(raw) * 1000 // 10**digits
        return at if at < END_OF_TIME else None

    return Field(name=name, pattern=rb"\d{1,20}", means="time", convert=convert, rank=rank)


def strftime_field(zone: str) -> Callable[[str, str], Field]:
    """Makes fields of times in strftime's spelling; `zone` is the declared one, for those that say none."""

    def field(name: str, spelling: str) -> Field:
        try:
            pattern = strptime.compiled(spelling)
            times = Times(spelling, zone)
        except (ValueError, ConfigError) as error:
            raise ConfigError(f"{name}: {error}") from None
        if not zone and not {"z", "s"} & set(pattern.names):
            raise ConfigError(f"{name} says no zone: declare it with --zone")
        ungrouped = re.sub(r"\(\?P<\w+>", "(?:", pattern.pattern.pattern).encode()
        return Field(name=name, pattern=ungrouped, means="time", convert=times.at_bytes)

    return field
