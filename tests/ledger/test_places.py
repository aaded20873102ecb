"""Catalogues of places: replaced as wholes, listed in pages, and found where they are not what they were."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from flowtally.core.errors import BadRequest, NotFound, Unprocessable
from flowtally.core.words import PlaceKind
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import places
from flowtally.ledger.inventory.catalogue import KINDS, Catalogue, OfferedPlace, make_catalogue
from flowtally.ledger.inventory.place_files import read_rows
from flowtally.ledger.trail import made

NOW: Final = 1_700_000_000_000
FILE: Final = """country,state,city,asn,asn_name
US,alabama,Alabaster,,
US,alabama,Alexander City,,
US,newyork,Albany,AS7922,Comcast
US,,Nowhere,,
DE,berlin,Berlin,,
AD,,Escaldes,,
"""


def catalogue(text: str = FILE) -> Catalogue:
    return make_catalogue(read_rows(text.encode(), "csv"))


def keys(tx: Connection, kind: PlaceKind, country: str | None = None, state: str | None = None) -> list[str]:
    found = places.list_places(tx, "isp", kind, country=country, state=state).items
    assert found == places.find_places(tx, "isp", kind, country, state, most=100)
    return [one.key for one in found]


def test_places_are_listed_by_kind_country_and_state(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = places.replace_places(tx, "isp", catalogue(), now=NOW)
        assert (made.countries, made.states, made.cities, made.asns) == (3, 3, 6, 1)
        assert keys(tx, "country") == ["AD", "DE", "US"]
        assert keys(tx, "country", "DE") == ["DE"]
        assert keys(tx, "state") == ["DE/berlin", "US/alabama", "US/newyork"]
        assert keys(tx, "state", "US") == ["US/alabama", "US/newyork"]
        assert keys(tx, "city", "US") == [
            "US//nowhere", "US/alabama/alabaster", "US/alabama/alexandercity", "US/newyork/albany",
        ]  # fmt: skip
        assert keys(tx, "city", "US", "alabama") == ["US/alabama/alabaster", "US/alabama/alexandercity"]
        assert keys(tx, "city", "US", "") == ["US//nowhere"]
        assert keys(tx, "city", "US", "ala") == keys(tx, "city", "FR") == keys(tx, "city", "U") == []
        assert keys(tx, "asn", "US") == ["US/AS7922"]
        assert [one.product for one in places.list_catalogues(tx).items] == ["isp"]


def test_what_cannot_be_asked_is_told(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        with pytest.raises(NotFound):
            places.list_places(tx, "isp", "city")
        assert places.find_places(tx, "isp", "city", most=5) == []
        places.replace_places(tx, "isp", catalogue(), now=NOW)
        for kind, country in (("city", None), ("state", "US")):
            with pytest.raises(BadRequest):
                places.list_places(tx, "isp", kind, country=country, state="alabama")  # type: ignore[arg-type]
        for odd in ("\x00", "\ud800", "'", "%"):
            assert keys(tx, "city", odd) == keys(tx, "country", odd) == keys(tx, "city", "US", odd) == []
            with pytest.raises(NotFound):
                places.read_catalogue(tx, odd)
        with pytest.raises(Unprocessable):
            places.replace_places(tx, "a/b", catalogue(), now=NOW)


def test_a_replacement_leaves_nothing_of_what_was_and_other_products_alone(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for product in ("isp", "mobile"):
            places.replace_places(tx, product, catalogue(), now=NOW)
        places.replace_places(tx, "isp", catalogue("country\nFR\n"), now=NOW + 1)
        assert keys(tx, "country") == ["FR"]
        assert keys(tx, "city") == []
        assert len(places.find_places(tx, "mobile", "city", most=100)) == 6
        assert list(rules.faults(tx)) == []


def test_the_same_places_again_change_nothing(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        first = places.replace_places(tx, "isp", catalogue(), now=NOW)
    with ledger.begin() as tx:
        assert places.replace_places(tx, "isp", catalogue(), now=NOW + 1) == first
        assert made(tx) == ()
        named = FILE.replace("Escaldes", "Éscaldes")
        assert places.replace_places(tx, "isp", catalogue(named), now=NOW + 2).replaced_at == NOW + 2


def test_who_replaced_and_removed_places_is_recorded_with_their_numbers(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        places.replace_places(tx, "isp", catalogue(), now=NOW)
        places.replace_places(tx, "isp", catalogue("country\nFR\n"), now=NOW)
        places.remove_places(tx, "isp")
        assert [(one.action, one.subject) for one in made(tx)] == [
            ("places.replace", "isp"), ("places.replace", "isp"), ("places.remove", "isp"),
        ]  # fmt: skip
        assert '"cities":6' in made(tx)[1].before
        assert '"cities":0' in made(tx)[1].after
        assert places.list_catalogues(tx).items == []
        with pytest.raises(NotFound):
            places.remove_places(tx, "isp")
        assert list(rules.faults(tx)) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE places SET name = 'Berlín' WHERE code = 'berlin' AND kind = 'city'", "has other places than"),
        ("DELETE FROM places WHERE code = 'AS7922'", "has other numbers of places than it was given: 3 country"),
        ("DELETE FROM places WHERE kind = 'state' AND code = 'berlin'", "city DE/berlin/berlin: is in a place"),
        ("DELETE FROM places WHERE kind = 'country' AND code = 'AD'", "city AD//escaldes: is in a place"),
    ],
)
def test_places_that_are_not_what_was_given_are_named(ledger: Ledger, statement: str, said: str) -> None:
    with ledger.begin() as tx:
        places.replace_places(tx, "isp", catalogue(), now=NOW)
        tx.execute(text(statement))
        assert any(said in f"{one.where}: {one.detail}" for one in rules.faults(tx))


NAMES: Final = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=4)
FOUND: Final = st.lists(
    st.tuples(st.sampled_from(["AA", "AB", "B-"]), st.sampled_from(["", "a", "ab", "a-b", "a.b", "b"]), NAMES),
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=FOUND, limit=st.integers(1, 4))
def test_pages_and_ranges_are_what_is_there(ledger: Ledger, found: list[tuple[str, str, str]], limit: int) -> None:
    """Of any codes: those that begin like another one, too."""
    cities = {
        (country, state, name): OfferedPlace("city", country, state, name, name) for country, state, name in found
    }
    inside = {OfferedPlace("country", country, "", country, country) for country, _, _ in found}
    inside |= {OfferedPlace("state", country, "", state, state) for country, state, _ in found if state}
    whole = [*inside, *cities.values(), OfferedPlace("country", "ZZ", "", "ZZ", "Z")]
    whole.sort(key=lambda one: (KINDS.index(one.kind), one.key))
    with ledger.begin() as tx:
        places.replace_places(tx, "isp", Catalogue(whole), now=NOW)
        for kind in KINDS:
            listed, after = [], None
            while True:
                page = places.list_places(tx, "isp", kind, after=after, limit=limit)
                listed += page.items
                after = page.next
                if after is None:
                    break
            assert listed == [one for one in whole if one.kind == kind]
        for country, state in {(country, state) for country, state, _ in found}:
            expected = [one for one in whole if one.kind == "city" and one.country == country]
            assert places.find_places(tx, "isp", "city", country, most=99) == expected
            within = [one for one in expected if one.state == state]
            assert places.find_places(tx, "isp", "city", country, state, most=99) == within
        assert list(rules.faults(tx)) == []
