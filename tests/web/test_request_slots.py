"""Requests in work are bounded, whoever asks; what machines ask is answered all the same."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from tests.conftest import Client

from flowtally.core.errors import Overloaded
from flowtally.web.capacity.request_slots import RequestSlots


def test_places_come_back_and_no_more_are_given_than_there_are() -> None:
    slots = RequestSlots(2)
    with slots.take():
        with slots.take(), pytest.raises(Overloaded, match="2 requests are in work"), slots.take():
            pass
        with slots.take():
            pass
    with pytest.raises(ValueError, match="x"), slots.take():
        raise ValueError("x")
    assert slots.taken == 0


def test_callers_of_one_address_leave_places_to_others_who_are_not_known_yet() -> None:
    slots = RequestSlots(128)
    with ExitStack() as open_:
        for _ in range(2):
            open_.enter_context(slots.take_unknown("192.0.2.1"))
        with pytest.raises(Overloaded, match="The bodies of 2 callers without a token"):
            open_.enter_context(slots.take_unknown("192.0.2.1"))
        for number in range(2, 8):
            open_.enter_context(slots.take_unknown(f"192.0.2.{number}"))
        with pytest.raises(Overloaded, match="The bodies of 8 callers without a token"):
            open_.enter_context(slots.take_unknown("192.0.2.9"))
    assert slots.unknown == {}
    with RequestSlots(1).take_unknown(""):
        pass


@pytest.fixture
def full(client: Client) -> Client:
    slots = client.app.state.services.request_slots
    slots.taken = slots.limit
    return client


def test_who_finds_no_place_is_told_when_to_come_again(full: Client) -> None:
    for method, path in (("GET", "/v1/accounts"), ("POST", "/v1/events"), ("POST", "/v1/accounts")):
        refused = full.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_machines_are_answered_all_the_same(full: Client, path: str) -> None:
    assert full.get(path).status_code == 200
