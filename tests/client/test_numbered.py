"""NumberedSource: goes on where the server stands, and notices who else does."""

from __future__ import annotations

import asyncio

import pytest
from tests.client.model import ModelServer

from flowtally.client import ApiError, AsyncNumberedSource, InDoubt, NumberedSource, TwoWriters, Unreachable, Use
from flowtally.protocol import EventsAnswer

USES = [Use(account="acme", bytes_up=number) for number in range(10)]


def test_numbers_and_position_go_on_where_the_server_stands() -> None:
    server = ModelServer()
    first = NumberedSource(server.client(), "log")
    assert (first.mark, first.position) == (0, None)
    first.send(USES[:3], position="byte 300")
    again = NumberedSource(server.client(), "log")
    assert (again.mark, again.position) == (3, "byte 300")
    assert again.send(USES[3:5]).stored == 2
    assert (again.mark, again.position) == (5, None)
    assert [event.sequence for event in server.numbered["log"]] == [1, 2, 3, 4, 5]
    assert [event.id for event in server.numbered["log"]] == [""] * 5


def test_a_lost_answer_is_found_again_by_retrying() -> None:
    server = ModelServer()
    source = NumberedSource(server.client(retry_s=5), "log")
    server.faults = ["answer lost"]
    assert source.send(USES, position="10").duplicate == 10
    assert (source.mark, len(server.numbered["log"])) == (10, 10)


def test_a_batch_in_doubt_is_settled_before_anything_else() -> None:
    server = ModelServer()
    source = NumberedSource(server.client(), "log")
    server.faults = ["answer lost", "request lost"]
    with pytest.raises(Unreachable):
        source.send(USES[:2])
    with pytest.raises(InDoubt, match="2 events of 'log' are in doubt"):
        source.send(USES[:2])
    with pytest.raises(Unreachable):
        source.settle()
    assert source.settle().duplicate == 2
    assert source.send(USES[2:4]).stored == 2
    assert len(server.numbered["log"]) == 4


def test_two_senders_of_one_source_are_noticed_and_nothing_is_taken_for_counted() -> None:
    server = ModelServer()
    one, other = NumberedSource(server.client(), "log"), NumberedSource(server.client(), "log")
    one.send(USES[:3])
    with pytest.raises(TwoWriters, match="numbers up to 2 of 'log'"):
        other.send(USES[5:7])
    with pytest.raises(TwoWriters, match="numbers up to 3 of 'log'"):
        other.send(USES[5:8])  # as many as the other sent: mark and position would be the same
    other.resume()
    assert other.send(USES[5:7]).stored == 2


def test_a_request_given_up_that_is_heard_after_resuming_changes_nothing() -> None:
    server = ModelServer()
    source = NumberedSource(server.client(), "log")
    server.faults = ["timed out"]
    with pytest.raises(Unreachable):
        source.send(USES[:3], position="3")
    late = server.requests[-1]
    assert source.resume() == 0
    server.handle(late)
    assert source.send(USES[:5], position="5").duplicate == 3
    assert [event.bytes_up for event in server.numbered["log"]] == [0, 1, 2, 3, 4]


def test_it_works_the_same_on_an_event_loop() -> None:
    async def live() -> None:
        source = await AsyncNumberedSource.open(server.async_client(), "log")
        assert (await source.send(USES[:3], position="3")).stored == 3
        server.faults = ["answer lost"]
        with pytest.raises(Unreachable):
            await source.send(USES[3:5], position="5")
        with pytest.raises(InDoubt):
            await source.send(USES[3:5])
        assert (await source.settle()).duplicate == 2
        other = await AsyncNumberedSource.open(server.async_client(), "log")
        assert (other.mark, other.position) == (5, "5")
        await other.send(USES[5:7])
        with pytest.raises(TwoWriters):
            await source.send(USES[5:7])
        assert (await source.resume(), await source.settle()) == (7, EventsAnswer(0, 0, 0, 0, []))

    server = ModelServer()
    asyncio.run(live())
    assert [event.bytes_up for event in server.numbered["log"]] == list(range(7))


def test_two_senders_are_noticed_after_a_lost_answer_too() -> None:
    server = ModelServer()
    one, other = NumberedSource(server.client(), "log"), NumberedSource(server.client(), "log")
    server.faults = ["request lost"]
    with pytest.raises(Unreachable):
        other.send(USES[5:7], position="7")
    one.send(USES[:2], position="2")
    with pytest.raises(TwoWriters):
        other.settle()


def test_a_server_restored_to_an_earlier_state_makes_it_resume() -> None:
    server = ModelServer()
    source = NumberedSource(server.client(), "log")
    source.send(USES[:3], position="3")
    source.send(USES[3:6], position="6")
    del server.numbered["log"][3:]
    with pytest.raises(ApiError) as caught:
        source.send(USES[6:8], position="8")
    assert (caught.value.code, caught.value.problem["sequence"]) == ("sequence_gap", 3)
    assert (source.resume(), source.position) == (3, "3")
    source.send(USES[3:8], position="8")
    assert [event.bytes_up for event in server.numbered["log"]] == list(range(8))


def test_sending_nothing_asks_nothing_and_too_much_is_refused_here() -> None:
    server = ModelServer()
    source = NumberedSource(server.client(), "log")
    asked = len(server.requests)
    assert source.send([]).stored == source.settle().stored == 0
    with pytest.raises(ValueError, match="100001 uses in one request"):
        source.send(USES[0] for _ in range(100_001))
    with pytest.raises(TypeError):
        source.send([Use(account="acme", bytes_up=1.5)])  # type: ignore[typeddict-item]
    assert (len(server.requests), source.pending) == (asked, [])
