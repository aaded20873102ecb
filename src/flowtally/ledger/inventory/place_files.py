"""A file of places, line by line: CSV with a header, a JSON array of objects, or an object a line. Pure.

Owns the columns and where each row stands. Every row is its line and its values in the order of `COLUMNS`, all of them
text; what cannot be read as one is a fault of its line, and reading goes on wherever that can be. What a row means is
`catalogue`'s.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any, Final, TypeAlias

import msgspec

from flowtally.core.media import BOM
from flowtally.core.words import PlaceFormat

COLUMNS: Final = ("country", "country_name", "state", "state_name", "city", "city_code", "asn", "asn_name")
_KNOWN: Final = frozenset(COLUMNS)
_SPACE: Final = " \t\r\n"


class RowFault(msgspec.Struct, frozen=True):
    """What is wrong with a line of the file. `field`: its column; empty: the line as a whole."""

    line: int
    field: str
    reason: str


Row: TypeAlias = tuple[int, Sequence[str]]


class _Object(list[tuple[str, Any]]):
    """An object of JSON as it stands: a member may be in it twice."""


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_Object, parse_float=float, parse_constant=str)


def read_rows(body: bytes, form: PlaceFormat) -> Iterator[Row | RowFault]:
    """The rows of the file in order, and what is wrong in between."""
    try:
        text = body.removeprefix(BOM).decode()
    except UnicodeDecodeError as error:
        yield RowFault(1 + body.count(b"\n", 0, error.start), "", "this is no UTF-8")
        return
    yield from _csv(text) if form == "csv" else _json(text)


def _csv(text: str) -> Iterator[Row | RowFault]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    places: list[int] | None = None
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield RowFault(line, "", f"this is no CSV: {error}")
            return
        if values is None:
            return
        if not values:
            continue
        if places is None:
            header = [one.strip().lower() for one in values]
            if fault := _header_fault(header):
                yield RowFault(line, "", fault)
                return
            places = [header.index(name) if name in header else len(header) for name in COLUMNS]
            width = len(header)
        elif len(values) != width:
            yield RowFault(line, "", f"it has {len(values)} values, the header has {width} columns")
        else:
            values.append("")  # what a column says that is not there
            yield line, [values[place].strip() for place in places]


def _header_fault(header: Sequence[str]) -> str:
    """Why this is no header; empty where it is one."""
    for name in header:
        if name not in _KNOWN:
            return f"there is no column {name[:60]!r}; known: {', '.join(COLUMNS)}"
        if header.count(name) > 1:
            return f"the column {name} is there twice"
    return "" if "country" in header else "the header has no column country"


def _json(text: str) -> Iterator[Row | RowFault]:
    at = _skip(text, 0)
    listed = text.startswith("[", at)
    line, counted = 1, 0
    at = _skip(text, at + 1) if listed else at
    if listed and text.startswith("]", at):
        yield from _nothing_after(text, at + 1)
        return
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        try:
            found, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            yield RowFault(line + text.count("\n", counted, error.pos), "", f"this is no JSON: {error.msg}")
            return
        except (RecursionError, ValueError):  # a number of more digits than are read
            yield RowFault(line, "", "this is no object of texts")
            return
        yield _row(line, found)
        at = _skip(text, end)
        if not listed:
            if at < len(text) and "\n" not in text[end:at]:
                yield RowFault(line, "", "something stands behind the object")
                return
        elif text.startswith(",", at):
            at = _skip(text, at + 1)
            if at == len(text):
                break
        elif text.startswith("]", at):
            yield from _nothing_after(text, at + 1)
            return
        else:
            break
    if listed:
        yield RowFault(1 + text.count("\n", 0, at), "", "this is no JSON: the array does not end")


def _skip(text: str, at: int) -> int:
    """Where the next sign stands that is no space."""
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _nothing_after(text: str, at: int) -> Iterator[RowFault]:
    at = _skip(text, at)
    if at < len(text):
        yield RowFault(1 + text.count("\n", 0, at), "", "something stands behind the array")


def _row(line: int, found: Any) -> Row | RowFault:
    if not isinstance(found, _Object):
        return RowFault(line, "", "this is no object")
    members = dict(found)
    if len(members) < len(found):
        return RowFault(line, "", "a member stands in it twice")
    for name, value in members.items():
        if name not in _KNOWN:
            return RowFault(line, "", f"there is no member {name[:60]!r}; known: {', '.join(COLUMNS)}")
        if value is None:
            members[name] = ""
        elif type(value) is int and name == "asn":
            members[name] = str(value)
        elif type(value) is not str:
            return RowFault(line, name, "a text is expected")
    return line, [members[name].strip() if name in members else "" for name in COLUMNS]
