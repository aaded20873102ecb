"""Where IPFoxy's rotating lines are: get-region-list, the places of one product as a tree."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from flowtally.core.errors import Unprocessable
from flowtally.core.words import PlaceKind
from flowtally.ledger.inventory import iso, places
from flowtally.ledger.inventory.catalogue import OfferedPlace
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.ipfoxy import wire
from flowtally.vendors.ipfoxy.wire import CityRegion, CountryRegion, StateRegion

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES, under=wire.PATH)

MOST_LISTED: Final = 100_000  # of a kind: their list has no pages; natively it has
BOTH: Final = ["1", "2"]
EXAMPLE: Final = CountryRegion(
    "美国",
    "United States",
    "Соединенные Штаты",
    "美國",
    "US",
    [StateRegion("Illinois", "Illinois", BOTH, [CityRegion("US", "Elgin", "Elgin", BOTH)])],
)


@route(
    "GET",
    "get-region-list",
    may="places:read",
    takes=Nothing,
    answer=list[CountryRegion],
    summary="List regions",
    example=[EXAMPLE],
)
def list_regions(call: DialectCall, given: Nothing) -> list[CountryRegion]:
    """The countries of the product, each with its states, each with its cities; in order of their codes. Cities in no
    state stand under one without a name."""
    cities, states = defaultdict(list), defaultdict(list)
    for city in _listed(call, "city"):
        region = CityRegion(city.country, _spoken(city), city.name, BOTH)
        cities[city.country, city.state].append(region)
    for state in _listed(call, "state"):
        inside = cities[state.country, state.code]
        states[state.country].append(StateRegion(_spoken(state), state.name, BOTH, inside))
    for country, within in list(cities):
        if not within:
            states[country].append(StateRegion("", "", BOTH, cities[country, ""]))
    return [_country(one, states[one.code]) for one in _listed(call, "country")]


def _country(one: OfferedPlace, states: list[StateRegion]) -> CountryRegion:
    """In a language in which its name is not known it is called as in English."""
    chinese, russian, traditional = (iso.country_name_in(one.code, each) or one.name for each in iso.LANGUAGES)
    return CountryRegion(chinese, one.name, russian, traditional, one.code, states)


def _spoken(one: OfferedPlace) -> str:
    """As logins have it, whose letters are large or small as people like: `Mountprospect`."""
    return one.code.capitalize()


def _listed(call: DialectCall, kind: PlaceKind) -> list[OfferedPlace]:
    found = places.find_places(call.tx, call.settings.regions_product, kind, most=MOST_LISTED)
    if len(found) > MOST_LISTED:
        raise Unprocessable(f"More than {MOST_LISTED} places of a kind are in no list of this dialect")
    return found
