"""Locations: what the operator's file of places says, as Thordata's clients read it."""

from __future__ import annotations

from typing import Any, Final

import pytest
from tests.vendors.thordata.conftest import Shop

from flowtally.vendors.thordata.routes import locations

FILE: Final = """country,state,city,city_code,asn,asn_name
US,US-AL,Alexander City,,,
US,alabama,Alabaster,,,
US,New York,Albany,,,
US,,Nowhere,,,
US,,,,AS10796,Charter Communications Inc
DE,berlin,Berlin,,AS3320,Deutsche Telekom AG
AD,,,,,
"""
STATE: Final = {
    "country_code": "US", "country_name": "United States", "state_code": "alabama", "state_name": "Alabama",
}  # fmt: skip


def load(shop: Shop, product: str = "residential", file: str = FILE) -> None:
    answer = shop.client.put(f"/v1/places/{product}", content=file, headers={"Content-Type": "text/csv"})
    assert answer.is_success, answer.text


def code_of(shop: Shop, path: str, **sent: str) -> int:
    return int(shop.get(path, **sent)["code"])


@pytest.fixture
def loaded(shop: Shop) -> Shop:
    load(shop)
    return shop


def test_countries_have_their_codes_and_names(loaded: Shop) -> None:
    assert loaded.ok("locations/countries") == [
        {"country_code": "AD", "country_name": "Andorra"},
        {"country_code": "DE", "country_name": "Germany"},
        {"country_code": "US", "country_name": "United States"},
    ]


def test_states_and_cities_have_the_codes_of_their_pages(loaded: Shop) -> None:
    new_york = STATE | {"state_code": "newyork", "state_name": "New York"}
    assert loaded.ok("locations/states", country_code="US") == [STATE, new_york]
    cities = [
        STATE | {"city_code": "alabaster", "city_name": "Alabaster"},
        STATE | {"city_code": "alexandercity", "city_name": "Alexander City"},
    ]
    assert loaded.ok("locations/cities", country_code="US", state_code="alabama") == cities
    none = {"state_code": "", "state_name": ""}
    assert loaded.ok("locations/cities", country_code="US") == [
        STATE | none | {"city_code": "nowhere", "city_name": "Nowhere"},
        *cities,
        new_york | {"city_code": "albany", "city_name": "Albany"},
    ]
    asns = [{"country_code": "US", "asn_code": "AS10796", "asn_name": "Charter Communications Inc"}]
    assert loaded.ok("locations/asn", country_code="US") == asns


@pytest.mark.parametrize(("country", "state"), [("us", "alabama"), ("Us", "ALABAMA"), ("US", " Ala bama ")])
def test_codes_are_taken_in_any_letters(loaded: Shop, country: str, state: str) -> None:
    assert len(loaded.ok("locations/cities", country_code=country, state_code=state)) == 2


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("states", {"country_code": "FR"}),
        ("states", {"country_code": "AD"}),
        ("cities", {"country_code": "US", "state_code": "texas"}),
        ("cities", {"country_code": "U"}),
        ("asn", {"country_code": "'; --"}),
        ("countries", {"proxy_type": "2"}),
    ],
)
def test_where_nothing_is_there_the_list_is_empty(loaded: Shop, path: str, sent: dict[str, str]) -> None:
    assert loaded.ok(f"locations/{path}", **sent) == []


def test_each_kind_of_proxy_has_places_of_its_own(shop: Shop) -> None:
    for number, product, code in (("1", "residential", "DE"), ("2", "unlimited", "FR"), ("3", "mobile", "US")):
        load(shop, product, f"country\n{code}\n")
        assert [one["country_code"] for one in shop.ok("locations/countries", proxy_type=number)] == [code]
    for missing in ({}, {"proxy_type": ""}):
        assert [one["country_code"] for one in shop.ok("locations/countries", **missing)] == ["DE"]


@pytest.mark.parametrize("number", ["0", "4", "5", "9", "x", "-1", "1.0"])
def test_another_kind_is_refused(loaded: Shop, number: str) -> None:
    for path in ("countries", "states", "cities", "asn"):
        assert code_of(loaded, "locations/" + path, country_code="US", proxy_type=number) == 10000


@pytest.mark.parametrize("path", ["states", "cities", "asn"])
def test_a_country_must_be_said(loaded: Shop, path: str) -> None:
    assert code_of(loaded, f"locations/{path}") == code_of(loaded, f"locations/{path}", country_code="") == 10000


def test_more_than_one_list_holds_is_refused(loaded: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "MOST_LISTED", 3)
    assert code_of(loaded, "locations/cities", country_code="US") == 10000
    assert len(loaded.ok("locations/cities", country_code="US", state_code="alabama")) == 2


def test_the_lists_are_what_the_native_api_says(loaded: Shop) -> None:
    native: dict[str, Any] = {
        kind: loaded.client.get("/v1/places/residential", params={"kind": kind}).json()["items"]
        for kind in ("country", "state", "city", "asn")
    }
    names = {"country": "country", "state": "state", "city": "city", "asn": "asn"}
    for path, kind in (("states", "state"), ("cities", "city"), ("asn", "asn")):
        said = [
            (one["country_code"], one.get("state_code"), one[f"{names[kind]}_code"], one[f"{names[kind]}_name"])
            for country in native["country"]
            for one in loaded.ok(f"locations/{path}", country_code=country["code"])
        ]
        expected = [
            (one["country"], one["state"] or "" if kind == "city" else None, one["code"], one["name"])
            for one in native[kind]
        ]
        if kind == "state":
            expected = [(country, code, code, name) for country, _, code, name in expected]
        assert said == expected
