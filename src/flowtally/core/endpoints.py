"""Endpoints: which ports of which gateways a customer is told, and how a list of them is written. Pure.

Owns the spreading: the same number from every gateway, each port as often as any other over many lists, none twice in
one. Chance comes in as a number (`start`). Leaves to `ledger.inventory.gateways` which gateways there are, to the doors
who may ask.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

from flowtally.core.errors import Unprocessable

Session = Literal["sticky", "rotating"]
Separator = Literal["lf", "crlf", "space", "tab", "comma", "semicolon", "pipe"]

SEPARATORS: Final[Mapping[Separator, str]] = MappingProxyType(
    {"lf": "\n", "crlf": "\r\n", "space": " ", "tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
)
MAX_PLACE_CHARS: Final = 64
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_PLACE: Final = re.compile(rf"[^\W_][\w.'-]{{0,{MAX_PLACE_CHARS - 1}}}")


class OfferedPort(Struct, frozen=True):
    """Where a customer's program connects to. `sticky`: it keeps the address it goes out from, for `hold_s` seconds
    where that is said; `rotating`: each connection may go out from another. Places are empty where any will do."""

    host: str
    port: int
    session: Session
    hold_s: int | None
    country: str
    state: str
    city: str


def spread(sizes: Sequence[int], number: int, start: int) -> list[tuple[int, int]]:
    """Which of so many things (`sizes[i]` of kind i) make up a list of `number`: (kind, which one of it), none twice.

    One of each kind in turn, so that two kinds are told equally often until one has no more; all there are where
    there are fewer than asked for. `start` from 0 on: over all of them, every thing of a kind is told equally often.
    """
    kinds = [kind for kind, size in enumerate(sizes) if size > 0]
    if not kinds:
        return []
    begin, turn = divmod(start, len(kinds))
    open_kinds = kinds[turn:] + kinds[:turn]
    found: list[tuple[int, int]] = []
    told = 0
    while open_kinds and len(found) < number:
        found += [(kind, (begin + told) % sizes[kind]) for kind in open_kinds[: number - len(found)]]
        told += 1
        open_kinds = [kind for kind in open_kinds if sizes[kind] > told]
    return found


def country_of(text: str) -> str:
    """A country as it is kept: two letters of ISO 3166-1, in capitals; Unprocessable for anything else. Empty: any."""
    country = text.upper()
    if country and not _COUNTRY.fullmatch(country):
        raise Unprocessable(f"country {text[:MAX_PLACE_CHARS]!r} is no code of two letters such as DE", field="country")
    return country


def place_of(field: str, text: str) -> str:
    """The code of a state or a city as it is kept: small letters without blanks, so that `New York` is `newyork`.
    Unprocessable for what no code can be. Empty: any."""
    place = text.replace(" ", "").lower()
    if place and not _PLACE.fullmatch(place):
        shown = repr(text[:MAX_PLACE_CHARS])
        raise Unprocessable(f"{field} {shown} is no code of a place such as newyork", field=field)
    return place


def address(host: str, port: int | None) -> str:
    """`host:port`, an IPv6 address in brackets; without a port as it is."""
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def as_text(endpoints: Iterable[OfferedPort], separator: str) -> str:
    """One after the other, with the separator between them; where that ends a line, after the last one, too."""
    text = separator.join(address(one.host, one.port) for one in endpoints)
    return text + separator if text and separator.endswith("\n") else text


def as_csv(endpoints: Iterable[OfferedPort]) -> str:
    """A line for each, under a header."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(OfferedPort.__struct_fields__)
    writer.writerows(tuple(getattr(one, name) for name in OfferedPort.__struct_fields__) for one in endpoints)
    return text.getvalue()
