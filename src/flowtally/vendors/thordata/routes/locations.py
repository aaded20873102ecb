"""Thordata's locations: the countries, states, cities and autonomous systems that a product has."""

from __future__ import annotations

from typing import Final

from flowtally.core.words import PlaceKind
from flowtally.ledger.inventory import places
from flowtally.ledger.inventory.catalogue import OfferedPlace
from flowtally.vendors.base import DialectCall, Route, declaring
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.parameters import CitiesAsked, CountriesAsked, CountryAsked, WhichPlaces
from flowtally.vendors.thordata.wire import AsnRow, CityRow, CountryRow, StateRow, ThordataError

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES, under="/api/locations/")

MOST_LISTED: Final = 100_000  # their lists have no pages; natively they have
US: Final = {"country_code": "US"}


@route(
    "GET",
    "countries",
    may="places:read",
    summary="List countries",
    takes=CountriesAsked,
    answer=list[CountryRow],
    example=[CountryRow("US", "United States")],
)
def list_countries(call: DialectCall, given: CountriesAsked) -> list[CountryRow]:
    """Those of the product, in order of their codes."""
    return [CountryRow(one.code, one.name) for one in _listed(call, "country", given.asked())]


@route(
    "GET",
    "states",
    may="places:read",
    summary="List the states of a country",
    takes=CountryAsked,
    takes_example=US,
    answer=list[StateRow],
    example=[StateRow("US", "United States", "alabama", "Alabama")],
)
def list_states(call: DialectCall, given: CountryAsked) -> list[StateRow]:
    """In order of their codes; none of a country that the product does not have."""
    asked = given.asked()
    country = _names(call, "country", asked)
    return [StateRow(one.country, country[one.country], one.code, one.name) for one in _listed(call, "state", asked)]


@route(
    "GET",
    "cities",
    may="places:read",
    summary="List the cities of a country or a state",
    takes=CitiesAsked,
    takes_example=US | {"state_code": "alabama"},
    answer=list[CityRow],
    example=[CityRow("US", "United States", "alabama", "Alabama", "alexandercity", "Alexander City")],
)
def list_cities(call: DialectCall, given: CitiesAsked) -> list[CityRow]:
    """In order of state and city. Code and name of the state are empty for a city that is in none."""
    asked = given.asked()
    country, states = _names(call, "country", asked), _names(call, "state", asked)
    return [
        CityRow(one.country, country[one.country], one.state, states.get(one.state, ""), one.code, one.name)
        for one in _listed(call, "city", asked)
    ]


@route(
    "GET",
    "asn",
    may="places:read",
    summary="List the autonomous systems of a country",
    takes=CountryAsked,
    takes_example=US,
    answer=list[AsnRow],
    example=[AsnRow("US", "AS10796", "Charter Communications Inc")],
)
def list_asns(call: DialectCall, given: CountryAsked) -> list[AsnRow]:
    """In order of their numbers as texts."""
    return [AsnRow(one.country, one.code, one.name) for one in _listed(call, "asn", given.asked())]


def _listed(call: DialectCall, kind: PlaceKind, asked: WhichPlaces) -> list[OfferedPlace]:
    state = asked.state if kind == "city" else None
    found = places.find_places(call.tx, asked.family, kind, asked.country, state, most=MOST_LISTED)
    if len(found) > MOST_LISTED:
        raise ThordataError(wire.PARAMETER, f"Parameter error: more than {MOST_LISTED} places")
    return found


def _names(call: DialectCall, kind: PlaceKind, asked: WhichPlaces) -> dict[str, str]:
    """Of the country, or of its states, by code."""
    return places.names_of(_listed(call, kind, asked))
