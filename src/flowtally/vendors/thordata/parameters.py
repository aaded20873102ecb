"""What a request of Thordata's clients says: texts into our values, once. Pure.

Owns the rules of names, passwords, ranges and families, and which code refuses what. On their wire every value is a
text, in the query, in a form or (as we allow too) in a JSON object. An empty text is one that was not sent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final, Literal

from msgspec import Struct

from flowtally.core.texts import split_names
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.wire import MB, ThordataError

Given = Mapping[str, str]
Family = Literal["residential", "unlimited", "mobile"]

MAX_DAYS: Final = 180
MAX_NAMES: Final = 100  # in one question for usage
MIN_LIMIT_MB: Final = 100
MAX_LIMIT_MB: Final = (2**53 - 1) // MB

# Mobile has one number for proxy users and another for whitelists; both are taken everywhere.
FAMILIES: Final[Mapping[str, Family]] = {"1": "residential", "2": "unlimited", "3": "mobile", "9": "mobile"}

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HOUR: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([01][0-9]|2[0-3])")
_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_NAME: Final = re.compile(r"[A-Za-z0-9]{6,15}")
_PASSWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{5,14}")
_YES: Final = {"true": True, "1": True, "false": False, "0": False}


class Range(Struct, frozen=True):
    """Days `first` to `last`, both included; of hours, also from which to which (`2025-07-01 09`)."""

    first: date
    last: date
    hours: tuple[str, str] | None = None

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


def wrong(name: str, why: str) -> ThordataError:
    """10000, naming the parameter."""
    return ThordataError(wire.PARAMETER, f"{wire.MESSAGES[wire.PARAMETER]}: {name} {why}")


def required(given: Given, name: str) -> str:
    text = given.get(name, "")
    if not text:
        raise wrong(name, "is missing")
    return text


def family_of(given: Given) -> Family:
    """`proxy_type`: their pages call it required and give it a default."""
    text = given.get("proxy_type") or "1"
    if text not in FAMILIES:
        raise wrong("proxy_type", "is not 1, 2, 3 or 9")
    return FAMILIES[text]


def day_range(given: Given) -> Range:
    """`from_date` to `to_date`, both included: at most 180 days."""
    return _checked(Range(_day("from_date", required(given, "from_date")), _day("to_date", required(given, "to_date"))))


def hour_range(given: Given) -> Range:
    """The same by the hour: `2025-07-01 09`."""
    start, end = (_hour(name, required(given, name)) for name in ("from_date", "to_date"))
    if start > end:
        raise wrong("from_date", "is after to_date")
    return _checked(Range(_day("from_date", start[:10]), _day("to_date", end[:10]), (start, end)))


def _checked(found: Range) -> Range:
    if found.days < 1:
        raise wrong("from_date", "is after to_date")
    if found.days > MAX_DAYS:
        raise ThordataError(wire.TOO_LONG_RANGE)
    return found


def _day(name: str, text: str) -> date:
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        next_day = None if day is None else day + timedelta(1)  # the range ends where the next day begins
    except (ValueError, OverflowError):
        day = next_day = None
    if day is None or next_day is None or day.year < 1970:
        raise wrong(name, "is no date such as 2025-07-01")
    return day


def _hour(name: str, text: str) -> str:
    if not _HOUR.fullmatch(text):
        raise wrong(name, "is no hour such as 2025-07-01 09")
    return text


def names_of(given: Given) -> tuple[str, ...]:
    """`username`: one, or several with commas between (`texts.split_names`); each once."""
    asked = split_names(required(given, "username"))
    names = tuple(dict.fromkeys(name for part in asked if (name := part.strip())))
    if not names or len(names) > MAX_NAMES:
        raise wrong("username", f"names nobody, or more than {MAX_NAMES}")
    return names


def new_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ThordataError(wire.BAD_NAME)
    return text


def new_password(text: str) -> str:
    if not _PASSWORD.fullmatch(text):
        raise ThordataError(wire.BAD_PASSWORD)
    return text


def limit_bytes(name: str, text: str, *, lenient: bool) -> int | None:
    """A cap in MB, as bytes; None for 0, which is no cap. `lenient`: an empty one is 0, and so is the `None` that a
    wrapper of their own client sends."""
    if lenient and text in ("", "None"):
        return None
    if not _NUMBER.fullmatch(text):
        raise wrong(name, "is no number of MB")
    megabytes = int(text)
    if megabytes == 0:
        return None
    if not MIN_LIMIT_MB <= megabytes <= MAX_LIMIT_MB:
        raise wrong(name, f"is neither 0 nor {MIN_LIMIT_MB} to {MAX_LIMIT_MB} MB")
    return megabytes * MB


def switch(name: str, text: str) -> bool:
    """`true` or `false`; a JSON body may say 1 and 0 as well."""
    found = _YES.get(text.lower())
    if found is None:
        raise wrong(name, "is neither true nor false")
    return found


def flow_units(given: Given) -> int:
    """How much a CDK is worth, in whole units."""
    text = required(given, "flow")
    if not _NUMBER.fullmatch(text) or int(text) == 0:
        raise wrong("flow", "is no whole number from 1")
    return int(text)


def how_many(given: Given, most: int) -> int:
    """`num`: how many CDKs to make."""
    text = required(given, "num")
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise ThordataError(wire.QUANTITY, f"{wire.MESSAGES[wire.QUANTITY]}: num is not 1 to {most}")
    return int(text)


def cdk_status(given: Given) -> Literal[1, 2, 3] | None:
    """`status`: 1 unused, 2 used, 3 revoked; None: all."""
    text = given.get("status", "")
    known: dict[str, Literal[1, 2, 3]] = {"1": 1, "2": 2, "3": 3}
    if text and text not in known:
        raise wrong("status", "is not 1, 2 or 3")
    return known.get(text)
