"""The places of a product, made of the rows of a file: all of them, or a fault for each line that is wrong. Pure.

    country,state,city,asn,asn_name
    US,alabama,Alabaster,,
    US,,,AS7922,Comcast

A row says every place it names: a city is in its state and its country, and these are there with it. Names of countries
and states come from ISO 3166 (`iso`); what is not in it, or is called otherwise, is named in the file, once. The same
place may be said as often as wanted; another name for it is a fault, and so is a place without a name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from typing import Final

import msgspec

from flowtally.core.errors import Unprocessable
from flowtally.core.texts import printable, text_fault
from flowtally.core.units import counted
from flowtally.core.words import PlaceKind
from flowtally.ledger.inventory import iso
from flowtally.ledger.inventory.place_files import Row, RowFault

MAX_PLACES: Final = 500_000  # of a product
MAX_NAME_CHARS: Final = 128
MAX_TOLD: Final = 100  # faults
KINDS: Final[tuple[PlaceKind, ...]] = ("country", "state", "city", "asn")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_CITY_CODE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ASN: Final = re.compile(r"(?:AS)?([1-9][0-9]{0,9})", re.IGNORECASE)
MAX_ASN: Final = 2**32 - 1


class OfferedPlace(msgspec.Struct, frozen=True):
    """A place that a product has. `state`: of a city, the code of its state, empty where it is in none."""

    kind: PlaceKind
    country: str
    state: str
    code: str
    name: str

    @property
    def key(self) -> str:
        """Unique among the places of its kind, and their order."""
        return key_of(self.kind, self.country, self.state, self.code)


def key_of(kind: PlaceKind, country: str, state: str, code: str) -> str:
    if kind == "country":
        return code
    return f"{country}/{state}/{code}" if kind == "city" else f"{country}/{code}"


class Catalogue(msgspec.Struct, frozen=True, dict=True):
    """All places of a product, in order of kind and key."""

    places: list[OfferedPlace]

    def reckon(self) -> None:
        """Reckon over all places what is asked of them later."""
        _ = self.counts, self.digest

    @cached_property
    def counts(self) -> Counter[PlaceKind]:
        """How many there are of each kind."""
        return Counter(one.kind for one in self.places)

    @cached_property
    def digest(self) -> str:
        return digest_of((one.kind, one.key, one.name) for one in self.places)


def digest_of(said: Iterable[tuple[str, str, str]]) -> str:
    """Of kind, key and name of all places in order: what the kept ones are compared by."""
    whole = sha256()
    for kind, key, name in said:
        whole.update(f"{kind}\t{key}\t{name}\n".encode())
    return whole.hexdigest()


def make_catalogue(rows: Iterable[Row | RowFault]) -> Catalogue:
    """Unprocessable names the lines that are wrong (`faults`, the first of them), and how many there are."""
    reading = _Reading()
    for row in rows:
        reading.take(row)
    return reading.end()


class _Seen(msgspec.Struct):
    """A place as the lines so far said it. `line`: the one that named it, or else the first."""

    country: str
    state: str
    code: str
    name: str | None
    line: int


class _Wrong(Exception):
    """What is wrong with a field of the line."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason


class _Reading:
    def __init__(self) -> None:
        self.seen: dict[PlaceKind, dict[str, _Seen]] = {kind: {} for kind in KINDS}
        self.faults: list[RowFault] = []
        self.wrong = 0
        self.states: dict[tuple[str, str], tuple[str, str | None]] = {}

    def take(self, row: Row | RowFault) -> None:
        if isinstance(row, RowFault):
            self._note(row)
            return
        line, values = row
        try:
            self._take(line, *values)
        except _Wrong as error:
            self._note(RowFault(line, error.field, error.reason))

    def _note(self, fault: RowFault) -> None:
        self.wrong += 1
        if len(self.faults) < MAX_TOLD:
            self.faults.append(fault)

    def _take(
        self, line: int, country: str, country_name: str, state: str, state_name: str, city: str, city_code: str,
        asn: str, asn_name: str,
    ) -> None:  # fmt: skip
        country = country.upper()
        if _COUNTRY.fullmatch(country) is None:
            raise _Wrong("country", f"{_shown(country)} is no country code: two letters, such as US")
        self._say("country", line, country, "", country, _name("country_name", country_name))
        within = ""
        if state or state_name:
            within, known = self._state(country, state or state_name)
            self._say("state", line, country, "", within, _name("state_name", state_name) or known)
        if city:
            self._say("city", line, country, within, _city_code(city, city_code), _name("city", city))
        elif city_code:
            raise _Wrong("city", "it is missing beside city_code")
        if asn:
            self._say("asn", line, country, "", _asn_code(asn), _name("asn_name", asn_name))
        elif asn_name:
            raise _Wrong("asn", "it is missing beside asn_name")

    def _state(self, country: str, text: str) -> tuple[str, str | None]:
        """Its code, and its name where ISO has one."""
        found = self.states.get((country, text))
        if found is None:
            found = iso.subdivision(country, text) or (iso.code_of(_name("state", text) or ""), None)
            if not found[0]:
                raise _Wrong("state", f"{_shown(text)} has no letter or digit")
            self.states[country, text] = found
        return found

    def _say(self, kind: PlaceKind, line: int, country: str, state: str, code: str, name: str | None) -> None:
        key = key_of(kind, country, state, code)
        before = self.seen[kind].get(key)
        if before is None:
            self.seen[kind][key] = _Seen(country, state, code, name, line)
        elif name is not None and before.name != name:
            if before.name is not None:
                field = kind if kind == "city" else f"{kind}_name"
                raise _Wrong(field, f"{key} is {_shown(name)} here and {_shown(before.name)} in line {before.line}")
            before.name, before.line = name, line

    def end(self) -> Catalogue:
        places = [
            OfferedPlace(kind, one.country, one.state, one.code, self._named(kind, one))
            for kind in KINDS
            for _, one in sorted(self.seen[kind].items())
        ]
        if self.wrong:
            raise self._refused()
        if not places:
            raise Unprocessable("There is no place in this file; nothing was changed", faults=[], wrong=0)
        if len(places) > MAX_PLACES:
            raise Unprocessable(f"There are {len(places)} places in this file; a product has at most {MAX_PLACES}")
        return Catalogue(places)

    def _named(self, kind: PlaceKind, one: _Seen) -> str:
        if one.name is not None:
            return one.name
        if kind == "asn":
            return one.code
        known = iso.country_name(one.code) if kind == "country" else None
        if known is None:
            told = f"ISO 3166 knows no {kind} {_shown(one.code)}"
            where = "" if kind == "country" else f" of {one.country}"
            self._note(RowFault(one.line, kind, f"{told}{where}: correct it, or name it ({kind}_name)"))
        return known or ""

    def _refused(self) -> Unprocessable:
        told = sorted(self.faults, key=lambda one: one.line)
        first = told[0]
        where = f"line {first.line}" + (f", {first.field}" if first.field else "")
        detail = f"{counted(self.wrong, 'fault')}, nothing was changed; {where}: {first.reason}"
        return Unprocessable(detail, faults=told, wrong=self.wrong)


def _name(field: str, text: str) -> str | None:
    """A name as it is kept; None where there is none."""
    if not text:
        return None
    if len(text) > MAX_NAME_CHARS:
        raise _Wrong(field, f"it has {len(text)} characters; {MAX_NAME_CHARS} are allowed")
    if fault := text_fault(text):
        raise _Wrong(field, f"it {fault}")
    return text


def _city_code(city: str, given: str) -> str:
    code = given or iso.code_of(_name("city", city) or "")
    if given and _CITY_CODE.fullmatch(given) is None:
        raise _Wrong("city_code", f"{_shown(given)} is no code: 1 to 64 of a-z, 0-9, dots, dashes and underscores")
    if not code:
        raise _Wrong("city", f"{_shown(city)} has no letter or digit: say a city_code")
    return code


def _asn_code(text: str) -> str:
    found = _ASN.fullmatch(text)
    if found is None or int(found[1]) > MAX_ASN:
        raise _Wrong("asn", f"{_shown(text)} is no autonomous system, such as AS7922")
    return f"AS{found[1]}"


def _shown(text: str) -> str:
    return repr(printable(text, 60))
