"""Events that are there already under another source are found before they are sent, by whom it concerns."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.ingest.conftest import Services, named, numbered
from tests.ingest.test_rights import issue

from flowtally.core.edges import format_instant
from flowtally.core.errors import Unprocessable
from flowtally.ledger.people import managed
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import Overlap, OverlapsAnswer, OverlapsRequest, PlainEvent
from flowtally.usage.memory import MemoryStore

LATER = "2027-01-01T00:00:00Z"


def ask(
    services: Services, *events: dict[str, Any], source: str = "all", who: Credential | None = None
) -> OverlapsAnswer:
    sent = msgspec.convert([event | {"source": source} for event in events], list[PlainEvent])
    return services.door.overlaps(OverlapsRequest(source, sent), who or services.credential)


def found(services: Services, *events: dict[str, Any], who: Credential | None = None) -> dict[int, list[str]]:
    return {one.index: one.sources for one in ask(services, *events, who=who).overlaps}


def line(number: int = 1, **more: Any) -> dict[str, Any]:
    [event] = numbered(number, number, **({"source": "one", "user": "alice"} | more))
    return event


# -- What is the same -------------------------------------------------------------------------------------------------


def test_a_log_is_found_in_another_one_whatever_its_numbers_are(services: Services) -> None:
    services.send(line(1, bytes_down=7), line(2, bytes_down=8))
    services.send(*named("x", source="two", user="alice", bytes_down=8))
    assert found(services, line(9, bytes_down=8), line(10, bytes_down=9), line(11, bytes_down=7)) == {
        0: ["one", "two"],
        2: ["one"],
    }
    assert ask(services, line(9, bytes_down=8), source="one").overlaps == [Overlap(0, ["two"])]


@pytest.mark.parametrize(
    "more",
    [
        {"user": "bob"},
        {"user": ""},
        {"account": "beta"},
        {"account": "nobody"},
        {"time": "2026-03-01T00:00:00.001Z"},
        {"bytes_up": 2},
        {"bytes_down": 1},
        {"requests": 2},
        {"status": 404},
        {"time": "no time"},
    ],
)
def test_an_event_that_differs_in_anything_that_is_compared_is_another(
    services: Services, more: dict[str, Any]
) -> None:
    services.send(line())
    services.send(*named("b", user="bob", bytes_up=99))
    assert found(services, line() | more, line()) == {1: ["one"]}


def test_product_labels_position_and_the_spelling_of_the_instant_are_not_compared(services: Services) -> None:
    services.send(line(product="mobile", labels={"a": "b"}))
    assert found(services, named("", user="alice")[0]) == {0: ["one"]}  # nor an id, which there may be none of yet
    assert found(services, named("", user="alice")[0], line(time="no time")) == {0: ["one"]}  # whatever is beside it
    assert found(services, line(product="other", time="2026-03-01T01:00:00+01:00", position="elsewhere")) == {
        0: ["one"]
    }


def test_an_event_that_was_voided_may_be_sent_anew_and_one_that_was_corrected_is_there(services: Services) -> None:
    services.send(line(1), line(2, bytes_down=5), *named("e", 'q"', user="alice", bytes_up=3))
    services.correct(
        {"id": "v", "corrects": {"source": "one", "id": "1"}, "void": True},
        {"id": "c", "corrects": {"source": "one", "id": "2"}, "bytes_down": 4},
        {"id": "w", "corrects": {"source": "gw", "id": 'q"'}, "bytes_up": 0, "requests": 0},
    )
    assert found(services, line(1), line(2, bytes_down=5), line(3, bytes_up=3)) == {1: ["one"], 2: ["gw"]}
    services.correct({"id": "back", "corrects": {"source": "one", "id": "1"}, "bytes_up": 1, "requests": 1})
    assert found(services, line(1)) == {0: ["one"]}


def test_one_of_two_alike_that_was_voided_hides_not_the_other(services: Services) -> None:
    services.send(*named("a", "b"))
    services.correct({"id": "v", "corrects": {"source": "gw", "id": "a"}, "void": True})
    assert found(services, line(user="")) == {0: ["gw"]}


def test_a_name_means_whom_it_meant_at_the_instant_of_the_event(services: Services) -> None:
    services.send(line())
    with services.ledger.begin() as tx:
        managed.change_user(tx, "acme", "alice", name="alina", now=services.clock())
    services.door.forget_names("acme")
    after = format_instant(services.clock())
    services.send(line(2, user="alina", bytes_up=3, time=after))
    assert found(services, line(), line(user="alina")) == {0: ["one"], 1: ["one"]}
    assert found(services, line(bytes_up=3, time=after), line(user="alina", bytes_up=3, time=after)) == {1: ["one"]}


def test_what_is_held_under_another_source_will_be_stored_and_is_found(services: Services) -> None:
    services.send(line(1), line(2, account="nobody"), line(3, time=LATER))
    assert found(services, line(7, account="nobody"), line(8, time=LATER), line(9, account="nobody", bytes_up=5)) == {
        0: ["one"],
        1: ["one"],
    }
    assert ask(services, line(7, account="nobody"), source="one").overlaps == []


def test_only_some_of_many_sources_are_named(light: Services) -> None:
    for number in range(9):
        light.send(*named("a", source=f"s{number}"))
    assert found(light, *named("z")) == {0: ["s0", "s1", "s2", "s3", "s4"]}


def test_events_of_another_source_than_the_one_asked_about_are_refused(light: Services) -> None:
    [event] = msgspec.convert(named("a", source="b"), list[PlainEvent])
    with pytest.raises(Unprocessable, match="Event 0 is of source 'b', not of 'all'"):
        light.door.overlaps(OverlapsRequest("all", [event]), light.credential)
    assert ask(light) == OverlapsAnswer([], None)


# -- Who is told ------------------------------------------------------------------------------------------------------


def test_whoever_sends_is_told_its_own_sources_and_of_others_only_what_it_may_look_up(light: Services) -> None:
    one, other = issue(light, "ingest"), issue(light, "ingest")
    looks = issue(light, "ingest", "events:read")
    light.send(*named("a", source="of-one"), credential=one)
    event = named("z")[0]
    assert ask(light, event, who=one).overlaps == [Overlap(0, ["of-one"])]
    assert ask(light, event, who=other).overlaps == []  # by guessing it would know what was used
    assert ask(light, event, who=looks).overlaps == [Overlap(0, [], 1)]
    assert ask(light, event).overlaps == [Overlap(0, ["of-one"])]


def test_a_credential_of_an_account_is_told_of_that_account_alone(light: Services) -> None:
    acme, beta = (issue(light, "ingest", account=account) for account in ("acme", "beta"))
    mine, others = named("a")[0], named("a", account="beta")[0]
    light.send(mine, others | {"id": "b"})
    light.send(*named("c", source="of-acme"), credential=acme)
    light.send(*numbered(1, 1), *numbered(2, 2, time=LATER), *numbered(3, 3, time=LATER, account="beta"))
    told = ask(
        light, mine, others, numbered(1, 1, time=LATER)[0], numbered(1, 1, account="beta", time=LATER)[0], who=acme
    )
    assert told.overlaps == [Overlap(0, ["of-acme"], 2), Overlap(2, [], 1)]
    told = ask(
        light, mine, others, numbered(1, 1, time=LATER)[0], numbered(1, 1, account="beta", time=LATER)[0], who=beta
    )
    assert told.overlaps == [Overlap(1, [], 1), Overlap(3, [], 1)]


def test_what_is_compacted_is_not_found_and_since_when_is_told(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(light, line()).unknown_before is None
    monkeypatch.setattr(MemoryStore, "compacted_until", lambda self: 86_400_000)
    assert ask(light, line()).unknown_before == format_instant(86_400_000)
