"""Whose sources and events a right is good for: a sender's own, an account's, or everybody's."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import NOW
from tests.ingest.conftest import Services, named, numbered

from flowtally.core.errors import NotFound, SourceNotYours
from flowtally.core.rights import Right, Scope
from flowtally.ledger.people import credentials
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import HeldFilter


def issue(services: Services, scope: Scope, *more: Right, account: str | None = None) -> Credential:
    with services.ledger.begin() as tx:
        return credentials.issue(tx, scope, account, "", NOW, more=more)[0]


def sees_event(services: Services, credential: Credential, source: str, id: str) -> bool:
    try:
        return services.door.event(source, id, credential).id == id
    except NotFound:
        return False


def stands(services: Services, credential: Credential, source: str) -> bool:
    try:
        return services.door.source(source, credential).source == source
    except NotFound:
        return False


def held_of(services: Services, credential: Credential) -> list[str]:
    return [one.source for one in services.door.held(HeldFilter(), credential, None, 100).items]


@pytest.fixture
def two(light: Services) -> tuple[Services, Credential, Credential]:
    """Two gateways, each with a source of its own: an event, and one that is held."""
    gateways = issue(light, "ingest"), issue(light, "ingest")
    for name, gateway in zip(("one", "two"), gateways, strict=True):
        light.send(*named("e1", source=name), credential=gateway)
        held = numbered(1, 1, source=f"{name}-log", account="nobody")
        light.send(*numbered(1, 1, source=f"{name}-log"), credential=gateway)
        light.send(*(one | {"sequence": 2} for one in held), credential=gateway)
    return light, *gateways


def test_a_key_that_sends_sees_what_its_own_sender_sent(two: tuple[Services, Credential, Credential]) -> None:
    light, one, other = two
    for mine in (one, issue(light, "custom", "events:write"), issue(light, "custom", "corrections:write")):
        own = mine is one
        assert (sees_event(light, mine, "one", "e1"), stands(light, mine, "one")) == (own, own)
        assert held_of(light, mine) == (["one-log"] if own else [])
        assert not sees_event(light, mine, "two", "e1")
        assert not stands(light, mine, "two")
    assert held_of(light, other) == ["two-log"]


def test_a_right_to_read_events_is_good_for_all_and_of_an_account_for_its_own(
    two: tuple[Services, Credential, Credential],
) -> None:
    light, *_ = two
    everybody, acme, beta = (issue(light, "custom", "events:read", account=one) for one in (None, "acme", "beta"))
    for source in ("one", "two"):
        seen = [sees_event(light, one, source, "e1") for one in (everybody, acme, beta)]
        assert seen == [True, True, False]
        assert not stands(light, everybody, source), "that is another right"
        assert stands(light, issue(light, "custom", "sources:read"), source)
    assert [held_of(light, one) for one in (everybody, acme, beta)] == [["one-log", "two-log"], [], []]


def test_a_right_to_correct_is_good_for_its_own_senders_events_alone(
    two: tuple[Services, Credential, Credential],
) -> None:
    light, *_ = two
    trusted = issue(light, "ingest", "corrections:write")
    light.send(*named("t1", source="trusted"), credential=trusted)

    def code(who: Credential, source: str, id: str, by: str = "") -> str:
        asked: dict[str, Any] = {"source": by or f"fix-{who.id}", "id": f"{source}-{id}", "void": True}
        return light.correct(asked | {"corrects": {"source": source, "id": id}}, credential=who).receipts[0].code

    assert code(trusted, "trusted", "t1") == ""
    assert code(trusted, "one", "e1") == "unknown_event"
    with pytest.raises(SourceNotYours):
        code(trusted, "trusted", "t1", by="corrections")
    anybody = issue(light, "custom", "corrections:write", "sources:write")
    assert code(anybody, "one", "e1") == ""
    assert code(anybody, "two", "e1", by="corrections") == ""


def test_a_right_to_act_for_any_sender_sends_into_others_sources(two: tuple[Services, Credential, Credential]) -> None:
    light, *_ = two
    with pytest.raises(SourceNotYours):
        light.send(*named("e2", source="one"), credential=issue(light, "custom", "events:write"))
    assert light.send(*named("e2", source="one"), credential=issue(light, "custom", "events:write", "sources:write"))
