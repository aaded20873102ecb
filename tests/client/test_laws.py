"""Whatever the network and the server do: when they stop, every recorded event is counted exactly once."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.model import FAULTS, Fault, ModelServer
from tests.logged import Logged

from flowtally.client import AsyncMeter, Counts, InDoubt, Limits, Meter, NumberedSource, Undelivered, Use
from flowtally.client.errors import ApiError

QUICK = Limits(batch_events=3, batch_age_s=0.001, retry_first_s=0.0002, retry_max_s=0.001)
MANY_FAULTS = st.lists(st.sampled_from(FAULTS), max_size=12)
SIZES = st.lists(st.integers(1, 1000), max_size=20)  # bytes of the events of one life


@pytest.fixture(autouse=True)
def quiet(logged: Logged) -> None:
    logged.set_level(logging.CRITICAL, "flowtally.client")


def adds_up(counts: Counts) -> bool:
    told = counts.stored + counts.duplicate + counts.conflict + counts.refused
    return counts.recorded + counts.resumed == told + counts.pending + counts.given_up


@settings(deadline=None, max_examples=150)
@given(SIZES, MANY_FAULTS)
def test_whatever_fails_every_recorded_event_counts_once(sizes: list[int], faults: list[Fault]) -> None:
    server = ModelServer()
    server.faults = list(faults)
    with Meter(server.client(), "gw", limits=QUICK) as meter:
        ids = [meter.record(account="acme", bytes_up=size) for size in sizes]
    assert [event.bytes_up for event in server.named.values()] == sizes
    assert [id for _, id in server.named] == ids
    counts = meter.counts
    assert adds_up(counts)
    assert (counts.pending, counts.stored + counts.duplicate) == (0, len(sizes))


@settings(deadline=None, max_examples=100)
@given(SIZES, MANY_FAULTS)
def test_whatever_fails_every_event_recorded_on_an_event_loop_counts_once(
    sizes: list[int], faults: list[Fault]
) -> None:
    server = ModelServer()
    server.faults = list(faults)

    async def live() -> None:
        async with AsyncMeter(server.async_client(), "gw", limits=QUICK) as meter:
            for size in sizes:
                meter.record(account="acme", bytes_up=size)
        assert adds_up(meter.counts)

    asyncio.run(live())
    assert [event.bytes_up for event in server.named.values()] == sizes


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(SIZES, MANY_FAULTS, st.booleans()), max_size=4))
def test_lives_that_end_in_an_outage_leave_everything_to_the_next_one(
    lives: list[tuple[list[int], list[Fault], bool]],
) -> None:
    server = ModelServer()
    with tempfile.TemporaryDirectory() as directory:
        spool = Path(directory) / "spool"
        for sizes, faults, outage in [*lives, ([], [], False)]:
            server.faults = list(faults)
            with Meter(server.client(), "gw", limits=QUICK, spool=spool, close_s=0.01 if outage else 10) as meter:
                for size in sizes:
                    meter.record(account="acme", bytes_up=size)
                server.down = outage
            server.down = False
            assert adds_up(meter.counts)
        assert spool.read_bytes() == b""
    assert sorted(event.bytes_up for event in server.named.values()) == sorted(
        s for sizes, _, _ in lives for s in sizes
    )


@settings(deadline=None, max_examples=60)
@given(SIZES, MANY_FAULTS)
def test_without_a_spool_what_close_hands_back_and_what_is_counted_are_all(
    sizes: list[int], faults: list[Fault]
) -> None:
    server = ModelServer()
    server.faults = list(faults)
    meter = Meter(server.client(), "gw", limits=QUICK)
    for size in sizes:
        meter.record(account="acme", bytes_up=size)
    server.down = True
    try:
        meter.close(0)
    except Undelivered as error:
        server.down, server.faults = False, []
        server.client().send_events(error.events)
    assert sorted(event.bytes_up for event in server.named.values()) == sorted(sizes)


def test_many_threads_record_and_every_event_counts_once() -> None:
    server = ModelServer()
    server.faults = [*FAULTS] * 4
    ids: list[str] = []
    with Meter(server.client(), "gw", limits=Limits(100, batch_events=20, batch_age_s=0, retry_max_s=0.001)) as meter:

        def work() -> None:
            ids.extend([meter.record(account="acme", bytes_up=7) for _ in range(500)])

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(ids) == len(set(ids)) == len(server.named) == 4000
    assert server.bytes_up == 7 * 4000


LOG = [Use(account="acme", bytes_up=number, time="2026-03-01T00:00:00Z") for number in range(1, 31)]


@settings(deadline=None, max_examples=200)
@given(MANY_FAULTS, st.lists(st.integers(1, 5), min_size=30, max_size=30), st.lists(st.booleans(), min_size=30))
def test_whatever_fails_a_numbered_log_is_counted_once_in_its_order(
    faults: list[Fault], batches: list[int], settling: list[bool]
) -> None:
    """After every failure, chance says whether the batch is settled or the log read again from the position."""
    server = ModelServer()
    server.faults = list(faults)
    source, read = NumberedSource(server.client(), "log"), 0
    for step in range(200):
        if read == len(LOG) and not source.pending:
            break
        try:
            if not source.pending:
                size = batches[step % len(batches)]
                uses, read = LOG[read : read + size], min(read + size, len(LOG))
                source.send(uses, position=str(read))
            elif settling[step % len(settling)]:
                source.settle()
            else:
                source.resume()
                read = int(source.position or 0)
        except ApiError:
            with pytest.raises(InDoubt):
                source.send(LOG[:1])
    assert [event.bytes_up for event in server.numbered["log"]] == list(range(1, 31))
    assert (source.mark, source.position) == (30, "30")
