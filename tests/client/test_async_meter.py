"""AsyncMeter: what differs from Meter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from tests.client.model import ModelServer

from flowtally.client import AsyncMeter, BufferFull, Limits, MeterClosed, Undelivered

QUICK = Limits(batch_age_s=0, retry_first_s=0.001, retry_max_s=0.002)
ONE = msgspec.structs.replace(QUICK, max_events=1)


def on_a_loop(live: Callable[[ModelServer], Awaitable[None]]) -> ModelServer:
    async def run() -> None:
        await live(server)

    server = ModelServer()
    asyncio.run(run())
    return server


def test_batches_go_when_full_old_or_asked_for() -> None:
    async def live(server: ModelServer) -> None:
        async with AsyncMeter(server.async_client(), "gw", limits=Limits(batch_events=10, batch_age_s=60)) as meter:
            for _ in range(25):
                meter.record(account="acme")
            await asyncio.sleep(0.05)
            assert len(server.named) == 20
            assert await meter.flush(5)
            assert len(server.named) == 25
        async with AsyncMeter(server.async_client(), "gw", limits=Limits(batch_age_s=0.02)) as meter:
            meter.record(account="acme")
            await asyncio.sleep(0.2)
            assert len(server.named) == 26

    on_a_loop(live)


def test_a_full_buffer_raises_at_once_or_is_waited_for() -> None:
    async def live(server: ModelServer) -> None:
        server.down = True
        async with AsyncMeter(server.async_client(), "gw", full_wait_s=5, limits=ONE) as meter:
            meter.record(account="acme")
            with pytest.raises(BufferFull):
                meter.record(account="acme")
            asyncio.get_running_loop().call_later(0.05, setattr, server, "down", False)
            await meter.record_when_room(account="acme")

    assert len(on_a_loop(live).named) == 2


def test_waiting_for_room_ends_and_many_may_wait() -> None:
    async def live(server: ModelServer) -> None:
        server.down = True
        meter = AsyncMeter(server.async_client(), "gw", full_wait_s=0.05, limits=ONE)
        meter.record(account="acme")
        with pytest.raises(BufferFull):
            await meter.record_when_room(account="acme")
        server.down = False
        await asyncio.gather(*[meter.record_when_room(account="acme") for _ in range(20)])
        await meter.close()

    assert len(on_a_loop(live).named) == 21


def test_refusals_are_told() -> None:
    told: list[str] = []

    async def live(server: ModelServer) -> None:
        note = lambda event, receipt: told.append(f"{event.id} {receipt.code}")  # noqa: E731
        async with AsyncMeter(server.async_client(), "gw", on_receipt=note) as meter:
            meter.record(account="amce", id="1")

    on_a_loop(live)
    assert told == ["1 unknown_account"]


def test_close_hands_back_what_it_cannot_deliver() -> None:
    async def live(server: ModelServer) -> None:
        server.down = True
        meter = AsyncMeter(server.async_client(), "gw", limits=QUICK)
        meter.record(account="acme", id="1")
        assert not await meter.flush(0.02)
        with pytest.raises(Undelivered, match="ConnectError") as caught:
            await meter.close(0.02)
        server.down = False
        assert (await server.async_client().send_events(caught.value.events)).stored == 1
        with pytest.raises(MeterClosed):
            meter.record(account="acme")
        await meter.close()

    on_a_loop(live)


def test_the_next_one_sends_what_was_spooled(tmp_path: Path) -> None:
    async def live(server: ModelServer) -> None:
        server.down = True
        async with AsyncMeter(server.async_client(), "gw", close_s=0, spool=tmp_path / "spool") as meter:
            meter.record(account="acme", id="1")
        server.down = False
        async with AsyncMeter(server.async_client(), "gw", spool=tmp_path / "spool") as meter:
            assert await meter.flush(5)
            assert meter.counts.resumed == 1

    assert list(on_a_loop(live).named) == [("gw", "1")]
    assert (tmp_path / "spool").read_bytes() == b""


def test_a_meter_whose_loop_ended_says_so() -> None:
    async def make() -> AsyncMeter:
        return AsyncMeter(ModelServer().async_client(), "gw")

    meter = asyncio.run(make())
    with pytest.raises(MeterClosed, match="has lost its event loop"):
        meter.record(account="acme")
