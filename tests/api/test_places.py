"""Requests in work are bounded, whoever asks; what machines ask is answered all the same."""

from __future__ import annotations

import pytest
from tests.conftest import Client

from flowtally.api.places import Places
from flowtally.errors import Overloaded


def test_places_come_back_and_no_more_are_given_than_there_are() -> None:
    places = Places(2)
    with places.take():
        with places.take(), pytest.raises(Overloaded, match="2 requests are in work"), places.take():
            pass
        with places.take():
            pass
    with pytest.raises(ValueError, match="x"), places.take():
        raise ValueError("x")
    assert places.taken == 0


@pytest.fixture
def full(client: Client) -> Client:
    places = client.app.state.house.places
    places.taken = places.limit
    return client


def test_who_finds_no_place_is_told_when_to_come_again(full: Client) -> None:
    for method, path in (("GET", "/v1/accounts"), ("POST", "/v1/events"), ("POST", "/v1/accounts")):
        refused = full.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_machines_are_answered_all_the_same(full: Client, path: str) -> None:
    assert full.get(path).status_code == 200
