"""Two answers to one question, compared as JSON: which fields differ, and by how much. Pure.

What says the same is the same: numbers by their value, also where one of them is a text; members in any order; rows of
a list by the member that names them (a date, a name), wherever they stand. Nothing is added up and nothing guessed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from decimal import Context, Decimal
from itertools import islice, zip_longest
from typing import Any, Final

import msgspec

from flowtally.core.texts import printable

MOST_DIFFERING: Final = 10_000  # differences of two answers
MAX_VALUE: Final = 200  # characters of a value that is shown
MAX_PLACE: Final = 200
HIDDEN: Final = "[secret]"  # what stands in the place of a value that nobody may see
_ABSENT: Final = object()
_NUMBER: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?", re.ASCII)
_EXACT: Final = Context(prec=100)
_MOST_DIGITS: Final = 40
_JSON: Final = msgspec.json.Encoder(decimal_format="number")


class Differs(msgspec.Struct, frozen=True):
    """One field that differs, as JSON.

    place: Where it stands, such as `data.list[2026-03-01].flow`.
    ours: What stands in our answer; null: nothing.
    theirs: What stands in the vendor's answer; null: nothing.
    by: How much more the vendor says, as a decimal; null: it is no number on both sides.
    """

    place: str
    ours: str | None
    theirs: str | None
    by: str | None = None


class Contrast(msgspec.Struct, frozen=True):
    """The first fields that differ, and how many there are; no more than MOST_DIFFERING are counted."""

    fields: tuple[Differs, ...]
    count: int


def compare(
    ours: Any, theirs: Any, *, keys: Sequence[str] = (), ignored: Set[str] = frozenset(), most: int = 50
) -> Contrast:
    """`keys`: members that name a row of a list; the first that each row has, and no two share, is taken. `ignored`:
    members that say nothing, such as the time of the question. `most`: how many fields are told.

    >>> compare({"mb": "5.0", "at": 1}, {"mb": 5, "at": 2}, ignored={"at"}).count
    0
    >>> compare([{"date": "1"}, {"date": "2", "n": 3}], [{"date": "2", "n": "4"}, {"date": "1"}], keys=["date"]).fields
    (Differs(place='[2].n', ours='3', theirs='"4"', by='1'),)
    """
    found = _differ("", ours, theirs, keys, ignored)
    told = tuple(islice(found, most))
    return Contrast(told, len(told) + sum(1 for _ in islice(found, MOST_DIFFERING - len(told))))


def hide(value: Any, names: Set[str], clean: Callable[[str], str] = str) -> Any:
    """The same without the values of members of these names, wherever they stand, and with every text as `clean` has
    it."""
    if isinstance(value, dict):
        return {clean(name): HIDDEN if name in names else hide(one, names, clean) for name, one in value.items()}
    if isinstance(value, list):
        return [hide(one, names, clean) for one in value]
    return clean(value) if isinstance(value, str) else value


def as_text(value: Any) -> str:
    """JSON on one line, for people: decimals as they were written."""
    with suppress(ValueError, OverflowError, RecursionError, TypeError):
        return _JSON.encode(value).decode()
    with suppress(ValueError, RecursionError):  # numbers of more than 64 bits, halves of surrogate pairs
        return json.dumps(value, default=str)
    return "[...]"  # a number or a nesting beyond everything


def _differ(at: str, ours: Any, theirs: Any, keys: Sequence[str], ignored: Set[str]) -> Iterator[Differs]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in {**ours, **theirs}:
            if name not in ignored:
                yield from _parts(
                    f"{at}.{name}" if at else name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT), keys, ignored
                )
    elif isinstance(ours, list) and isinstance(theirs, list):
        yield from _lists(at, ours, theirs, keys, ignored)
    elif not _same(ours, theirs):
        yield _shown(at, ours, theirs)


def _lists(at: str, ours: list[Any], theirs: list[Any], keys: Sequence[str], ignored: Set[str]) -> Iterator[Differs]:
    both = [*ours, *theirs]
    if not any(isinstance(one, (dict, list)) for one in both):
        yield from _values(at, ours, theirs)
        return
    key = next((one for one in keys if _names(one, ours) and _names(one, theirs)), None)
    if key is None:
        for number, (one, other) in enumerate(zip_longest(ours, theirs, fillvalue=_ABSENT)):
            yield from _parts(f"{at}[{number}]", one, other, keys, ignored)
        return
    mine, others = ({str(row[key]): row for row in rows} for rows in (ours, theirs))
    for name in {**mine, **others}:
        yield from _parts(f"{at}[{name}]", mine.get(name, _ABSENT), others.get(name, _ABSENT), keys, ignored)


def _values(at: str, ours: list[Any], theirs: list[Any]) -> Iterator[Differs]:
    """Of a list of texts and numbers: what only one of the two has, in any order."""
    mine, others = Counter(map(_value, ours)), Counter(map(_value, theirs))
    for one in (mine - others).elements():
        yield _shown(f"{at}[]", one, _ABSENT)
    for one in (others - mine).elements():
        yield _shown(f"{at}[]", _ABSENT, one)


def _value(value: Any) -> Any:
    number = _number(value)
    return value if number is None else number


def _names(key: str, rows: list[Any]) -> bool:
    """Whether each row has it, and no two the same."""
    if not all(isinstance(row, Mapping) and isinstance(row.get(key), (str, int, Decimal)) for row in rows):
        return False
    return len({str(row[key]) for row in rows}) == len(rows)


def _parts(at: str, ours: Any, theirs: Any, keys: Sequence[str], ignored: Set[str]) -> Iterator[Differs]:
    """Of a member or a row that one of the two may not have."""
    if ours is _ABSENT or theirs is _ABSENT:
        yield _shown(at, ours, theirs)
    else:
        yield from _differ(at, ours, theirs, keys, ignored)


def _same(ours: Any, theirs: Any) -> bool:
    one, other = _number(ours), _number(theirs)
    if one is not None and other is not None:
        return one == other
    return type(ours) is type(theirs) and bool(ours == theirs)


def _number(value: Any) -> Decimal | None:
    """The number that it is, also as a text; None where it is none, or one beyond every figure."""
    if isinstance(value, str):
        return Decimal(value.strip()) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    if isinstance(value, int) and value.bit_length() > 4 * _MOST_DIGITS:
        return None
    found = Decimal(value)
    return found if found.is_finite() and (not found or abs(found.adjusted()) <= _MOST_DIGITS) else None


def _shown(at: str, ours: Any, theirs: Any) -> Differs:
    one, other = (None if value is _ABSENT else _number(value) for value in (ours, theirs))
    by = None if one is None or other is None else f"{_EXACT.normalize(_EXACT.subtract(other, one)):f}"
    return Differs(printable(at, MAX_PLACE), _text(ours), _text(theirs), by)


def _text(value: Any) -> str | None:
    return None if value is _ABSENT else printable(as_text(value), MAX_VALUE)
