"""Meters and a numbered source against a real server that is killed and started again while they work."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ingest.test_crash import TOKEN, Server

from flowtally.client import AsyncClient, AsyncMeter, Client, Limits, Meter, NumberedSource, Unreachable, Use
from flowtally.protocol import AccountRequest

KILLS = 2
LIMITS = Limits(batch_events=500, batch_age_s=0.02, retry_first_s=0.05, retry_max_s=0.2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    server.start()
    try:
        with Client(server.url, TOKEN) as client:
            client.create_account(AccountRequest(id="acme"))
        yield server
    finally:
        server.kill()


def restarting(server: Server, over: threading.Event) -> None:
    """Kills under load, then lets work go on for a moment and ends it."""
    try:
        for pause_s in range(KILLS):
            time.sleep(0.3 + pause_s / 5)
            server.kill()
            time.sleep(0.1)
            server.start()
        time.sleep(0.3)
    finally:
        over.set()


def record_from_threads(url: str, over: threading.Event) -> int:
    recorded = list[tuple[int, int]]()

    def work() -> None:
        made = 0
        while not over.is_set():
            meter.record(account="acme", user="threads", bytes_up=made % 7)
            made += 1
            if made % 50 == 0:
                time.sleep(0.001)
        recorded.append((made, sum(number % 7 for number in range(made))))

    with Client(url, TOKEN) as client, Meter(client, "threads", full_wait_s=60, close_s=60, limits=LIMITS) as meter:
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert meter.counts.refused == meter.counts.conflict == meter.counts.pending == 0
    assert meter.counts.recorded == sum(made for made, _ in recorded)
    return sum(size for _, size in recorded)


async def record_from_a_loop(url: str, over: threading.Event) -> int:
    made = 0
    async with AsyncClient(url, TOKEN) as client, AsyncMeter(client, "loop", close_s=60, limits=LIMITS) as meter:
        while not over.is_set():
            await meter.record_when_room(account="acme", user="loop", bytes_up=made)
            made += 1
            await asyncio.sleep(0.001)
    return sum(range(made))


def send_numbered(url: str, over: threading.Event) -> int:
    """As a reader of a log that begins again after every failure where the server says; its n-th line is n bytes."""
    with Client(url, TOKEN, retry_s=0.3) as client:
        while not over.is_set():
            with contextlib.suppress(Unreachable):
                read_on(NumberedSource(client, "log"), over)
    with Client(url, TOKEN) as client:
        source = NumberedSource(client, "log")
    assert source.position == str(source.mark)
    return sum(range(source.mark))


def read_on(source: NumberedSource, over: threading.Event) -> None:
    line = int(source.position or 0)
    while not over.is_set():
        uses = [Use(account="acme", user="log", bytes_up=number) for number in range(line, line + 20)]
        line += 20
        source.send(uses, position=str(line))


def test_a_server_killed_and_started_again_under_load_counts_every_event_once(server: Server) -> None:
    over, expected = threading.Event(), dict[str, int]()
    jobs = {
        "threads": lambda: record_from_threads(server.url, over),
        "loop": lambda: asyncio.run(record_from_a_loop(server.url, over)),
        "log": lambda: send_numbered(server.url, over),
    }
    workers = [threading.Thread(target=lambda n=name, j=job: expected.update({n: j()})) for name, job in jobs.items()]
    for worker in workers:
        worker.start()
    restarting(server, over)
    for worker in workers:
        worker.join()
    with Client(server.url, TOKEN) as client:
        rows = client.usage("acme", start="2020-01-01", end="2100-01-01", bucket="total", by=["user"]).rows
    assert {str(row["user"]): row["bytes_up"] for row in rows} == expected
    assert set(expected) == {"threads", "loop", "log"}
    assert min(expected.values()) > 0
