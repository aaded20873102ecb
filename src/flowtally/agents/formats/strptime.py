"""strptime formats as regular expressions: which parts of a time a text names. What instant that is, `times` says.

Of our own because Python's reads six digits of a fraction at most, follows the process' locale and takes 10 us. Month
names are English, as every server writes them; names of week days are read over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from flowtally.agents.reading import MONTHS

_NAMES: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONG: Final = "January|February|March|April|May|June|July|August|September|October|November|December"
_DIRECTIVES: Final = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d\d)",
    "b": r"(?P<b>[A-Za-z]{3})",
    "B": rf"(?P<b>{_LONG})",
    "d": r"(?P<d>\d\d)",
    "e": r"(?P<d> \d|\d\d?)",
    "j": r"(?P<j>\d{3})",
    "H": r"(?P<H>\d\d)",
    "I": r"(?P<I>\d\d)",
    "p": r"(?P<p>[AaPp][Mm])",
    "M": r"(?P<M>\d\d)",
    "S": r"(?P<S>\d\d)",
    "f": r"(?P<f>\d{1,40})",
    "z": r"(?P<z>Z|[+-]\d\d(?::?\d\d)?)",
    "Z": r"(?P<z>UTC|GMT|Z)",
    "s": r"(?P<s>\d{1,12})",
    "a": r"[A-Za-z]{3}",
    "A": r"[A-Za-z]{6,9}",
    "%": "%",
}
_SHORT: Final = {"h": "%b", "T": "%H:%M:%S", "F": "%Y-%m-%d", "D": "%m/%d/%y", "R": "%H:%M"}
_PIECE: Final = re.compile(r"%(.?)", re.DOTALL)


class Spelling(msgspec.Struct, frozen=True):
    """`pattern` names its groups by the directives' letters; `names` are those that make the second, without `f`."""

    pattern: re.Pattern[str]
    names: tuple[str, ...]
    has_fraction: bool


def spelling(expression: str) -> Spelling:
    """Of a regular expression whose groups are named by directives."""
    pattern = re.compile(expression, re.ASCII)
    return Spelling(pattern, tuple(name for name in pattern.groupindex if name != "f"), "f" in pattern.groupindex)


def compiled(text: str) -> Spelling:
    """Of a strptime format. ValueError says why it names no instant, or what in it is not known."""
    text = _PIECE.sub(lambda piece: _SHORT.get(piece[1], piece[0]), text)
    parts, last = [], 0
    for piece in _PIECE.finditer(text):
        if piece[1] not in _DIRECTIVES:
            raise ValueError(f"%{piece[1]} is not known; known are {' '.join('%' + name for name in _known())}")
        parts += [re.escape(text[last : piece.start()]), _DIRECTIVES[piece[1]]]
        last = piece.end()
    try:
        made = spelling("".join(parts) + re.escape(text[last:]))
    except re.error:
        raise ValueError("it names one part of the time twice") from None
    _check_whole(set(made.names))
    return made


def local_time(parts: Mapping[str, str | None]) -> datetime:
    """The local time these directives say. ValueError where there is none such."""
    hour = int(parts.get("H") or 0)
    if twelve := parts.get("I"):
        if not 1 <= int(twelve) <= 12:
            raise ValueError("no such hour")
        hour = int(twelve) % 12 + (12 if (parts.get("p") or "").lower() == "pm" else 0)
    second = int(parts.get("S") or 0)
    if second > 60:
        raise ValueError("no such second")
    day = _day(parts)
    at = datetime(day.year, day.month, day.day, hour, int(parts.get("M") or 0), min(second, 59))  # noqa: DTZ001
    return at + timedelta(seconds=second // 60)


def _day(parts: Mapping[str, str | None]) -> date:
    year = int(parts.get("Y") or 0)
    if short := parts.get("y"):  # POSIX: 69 to 99 are the twentieth century's
        year = int(short) + (1900 if int(short) >= 69 else 2000)
    if of_year := parts.get("j"):
        day = date(year, 1, 1) + timedelta(days=int(of_year) - 1)
        if day.year != year:
            raise ValueError("no such day of the year")
        return day
    month = MONTHS.get((parts.get("b") or "")[:3].capitalize()) or int(parts.get("m") or 0)
    return date(year, month, int(parts.get("d") or 0))


def _check_whole(names: set[str]) -> None:
    if "s" in names:
        return
    wanted = {
        "a year (%Y or %y)": names & {"Y", "y"},
        "a day (%m or %b and %d or %e, or %j)": "j" in names or ("d" in names and names & {"m", "b"}),
        "an hour (%H, or %I and %p)": "H" in names or {"I", "p"} <= names,
    }
    if missing := [what for what, there in wanted.items() if not there]:
        raise ValueError(f"it names no instant: {' and '.join(missing)} is missing")


def _known() -> list[str]:
    return sorted([*_DIRECTIVES, *_SHORT])
