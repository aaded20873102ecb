"""Places: the countries, states, cities and autonomous systems that a product has."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import Instant
from flowtally.core.words import PlaceKind


class PlaceRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of a file of places: a product has every place that it names. A city is in its state and its country, and
    these are there with it.

    country: Its code of two letters (ISO 3166).
    country_name: What it is called, where that is not its name in ISO 3166.
    state: The code of a state or province (`alabama`), its ISO code (`US-AL` or `AL`), or its name.
    state_name: What it is called, where that is not its name in ISO 3166. What ISO does not have needs a name.
    city: The name of a city.
    city_code: Its code; left out, it is the name in small letters, without accents, spaces and signs.
    asn: An autonomous system, as `AS7922` or a number.
    asn_name: What it is called; left out, it is its number.
    """

    country: str
    country_name: str | None = None
    state: str | None = None
    state_name: str | None = None
    city: str | None = None
    city_code: str | None = None
    asn: str | int | None = None
    asn_name: str | None = None


class PlaceAnswer(msgspec.Struct, frozen=True):
    """A place.

    country: The code of its country.
    state: Of a city, the code of its state; null: it is in none.
    code: Its code.
    name: Its name.
    """

    kind: PlaceKind
    country: str
    state: str | None
    code: str
    name: str


class PlaceCatalogueAnswer(msgspec.Struct, frozen=True):
    """How many places of each kind a product has.

    countries: How many countries.
    states: How many states.
    cities: How many cities.
    asns: How many autonomous systems.
    replaced_at: Since when they are these.
    """

    product: str
    countries: int
    states: int
    cities: int
    asns: int
    replaced_at: Instant
