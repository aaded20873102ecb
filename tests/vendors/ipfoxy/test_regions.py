"""get-region-list: the places of one product as IPFoxy's tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from tests.conftest import Client
from tests.vendors.asking import issue
from tests.vendors.ipfoxy.fox import Fox

from flowtally.vendors.ipfoxy.routes import regions
from flowtally.vendors.ipfoxy.settings import Settings

FILE: Final = """country,country_name,state,city
US,,illinois,Mount Prospect
US,,IL,Elgin
US,,AL,
XK,Kosovo,,Peja
AD,,,
"""


def load(client: Client, product: str = "residential", file: str = FILE) -> None:
    answer = client.put(f"/v1/places/{product}", content=file, headers={"Content-Type": "text/csv"})
    assert answer.is_success, answer.text


def fox_of(client: Client) -> Fox:
    shown = issue(client, "acme", "account")
    return Fox(client, shown.id, shown.token)


def city(name: str, spoken: str, country: str = "US") -> dict[str, Any]:
    return {"country_code": country, "proxy_val": spoken, "val": name, "mode": ["1", "2"]}


def test_countries_have_their_states_and_these_their_cities(client: Client, acme: str) -> None:
    load(client)
    andorra, usa, kosovo = fox_of(client).get("get-region-list")
    assert andorra == {
        "val_cn": "安道尔",
        "val_en": "Andorra",
        "val_ru": "Андорра",
        "val_tc": "安道爾",
        "country_code": "AD",
        "childs": [],
    }
    assert {name: usa[name] for name in usa if name != "childs"} == {
        "val_cn": "美国",
        "val_en": "United States",
        "val_ru": "Соединённые штаты",
        "val_tc": "美國",
        "country_code": "US",
    }
    assert usa["childs"] == [
        {"proxy_val": "Alabama", "val": "Alabama", "mode": ["1", "2"], "childs": []},
        {
            "proxy_val": "Illinois",
            "val": "Illinois",
            "mode": ["1", "2"],
            "childs": [city("Elgin", "Elgin"), city("Mount Prospect", "Mountprospect")],
        },
    ]
    assert {kosovo[name] for name in ("val_cn", "val_en", "val_ru", "val_tc")} == {"Kosovo"}
    nowhere = {"proxy_val": "", "val": "", "mode": ["1", "2"], "childs": [city("Peja", "Peja", "XK")]}
    assert kosovo["childs"] == [nowhere]


def test_without_places_the_list_is_empty(client: Client, acme: str) -> None:
    assert fox_of(client).get("get-region-list") == []


def test_the_product_is_a_setting(make_client: Callable[..., Client], acme: str) -> None:
    client = make_client(vendors={"ipfoxy": Settings(regions_product="mobile")})
    load(client)
    load(client, "mobile", "country\nAD\n")
    assert [one["country_code"] for one in fox_of(client).get("get-region-list")] == ["AD"]


def test_more_than_one_list_holds_is_refused(client: Client, acme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load(client)
    monkeypatch.setattr(regions, "MOST_LISTED", 2)
    assert fox_of(client).refused("GET", "get-region-list") == 60400
