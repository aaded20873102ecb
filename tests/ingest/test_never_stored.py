"""Requests of items that are no events: answered without a block, and just as in one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ingest.conftest import Services, named

from flowtally.core.errors import AtomicRefused, FlowtallyError
from flowtally.ingest import door
from flowtally.usage.memory import MemoryStore

NEVER: list[Any] = [{}, 7, None, "x", [], {"source": "gw"}, {"source": "\0", "id": "\ud7ff"}, {"sequence": 3}]
NEVER += [{"source": "gw", "id": "1", "bytes_up": -1}, {"source": "flowtally:x", "id": 5}, {"specversion": "1.0"}]
NUMBERED = {"source": "log", "sequence": 1, "bytes_up": -1}


@pytest.fixture
def small(make_services: Callable[[MemoryStore], Services]) -> Services:
    return make_services(MemoryStore())


def told(services: Services, items: list[Any], *, atomic: bool) -> object:
    try:
        return services.send(*items, atomic=atomic)
    except FlowtallyError as error:
        return type(error), error.detail, error.extra


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.sampled_from(NEVER), min_size=1, max_size=6), min_size=1, max_size=4),
    st.booleans(),
)
def test_the_answer_is_that_of_a_block(small: Services, requests: list[list[Any]], atomic: bool) -> None:
    for items in requests:
        before = small.door.metrics()["events_refused"]
        quick = told(small, items, atomic=atomic)
        refused = small.door.metrics()["events_refused"] - before
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(door, "is_never_stored", lambda submission: False)
            in_block = told(small, items, atomic=atomic)
        assert quick == in_block
        assert refused == (0 if atomic else len(items))
        assert small.door.metrics()["events_refused"] - before == 2 * refused


def test_no_block_is_waited_for(small: Services) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        inside.set()
        done.wait(20)

    holding = threading.Thread(target=small.door.between_blocks, args=(hold,))
    holding.start()
    try:
        assert inside.wait(20)
        assert [one.code for one in small.send({}, {"source": "gw", "id": 1}).receipts] == ["invalid_event"] * 2
        with pytest.raises(AtomicRefused):
            small.send({}, atomic=True)
    finally:
        done.set()
        holding.join()


@pytest.mark.parametrize("item", [NUMBERED, *named("1"), *named("1", time="never"), *named("")])
def test_what_has_a_number_or_a_source_goes_into_a_block(
    small: Services, monkeypatch: pytest.MonkeyPatch, item: dict[str, Any]
) -> None:
    def refuse(submission: object) -> None:
        raise AssertionError("it is the committer's")

    monkeypatch.setattr(door, "refuse", refuse)
    small.send({}, item)


def test_a_door_that_is_shut_answers_nothing(small: Services) -> None:
    small.send(*named("1"))
    small.door._committer.standing.fails(ValueError("no"))
    with suppress(FlowtallyError), pytest.MonkeyPatch.context() as patch:
        patch.setattr(door, "refuse", lambda submission: pytest.fail("it is the committer's to say"))
        small.send({})
