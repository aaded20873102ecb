"""A real server, killed while two pollers read devices that restart: what counts is all that was ever read, once.

Both pollers read the same counters, with clocks half a second apart; each sends what it read until it is answered, and
some answers are thrown away. The seed is printed.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.care.test_backup import run
from tests.device_model import Device, Polled, stated
from tests.ingest.test_crash import TOKEN, Server, ask
from tests.live import Live, live_server
from tests.soak import done, rounds

from flowtally.core.edges import format_instant

DEVICES: Final = 12
KILLS: Final = rounds(3, 20)
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}"}


@dataclass
class Box:
    """Devices that count while they are read."""

    chance: random.Random
    lock: threading.Lock = field(default_factory=threading.Lock)
    devices: list[Device] = field(default_factory=lambda: [Device(0) for _ in range(DEVICES)])
    taken: list[list[Polled]] = field(default_factory=lambda: [[] for _ in range(DEVICES)])

    def live(self) -> None:
        """Something is used, and a device whose run was read may begin anew."""
        with self.lock:
            for device, taken in zip(self.devices, self.taken, strict=True):
                if self.chance.random() < 0.7:
                    device.use(self.chance.randrange(10**6), self.chance.randrange(10**9), self.chance.randrange(9))
                read = any(one.run == len(device.runs) - 1 for one in taken)
                if read and self.chance.random() < 0.05:
                    device.begin()

    def poll(self) -> list[Polled]:
        with self.lock:
            return [device.poll() for device in self.devices]

    def took(self, polls: list[Polled]) -> None:
        with self.lock:
            for taken, one in zip(self.taken, polls, strict=True):
                taken.append(one)

    def restarts(self) -> int:
        with self.lock:
            return sum(len(device.runs) - 1 for device in self.devices)

    def known(self) -> int:
        return sum(self.bytes_of(number) for number in range(DEVICES))

    def bytes_of(self, number: int) -> int:
        up, down, _ = self.devices[number].told(self.taken[number])
        return up + down


class Poller(threading.Thread):
    def __init__(self, server: Server, box: Box, skew_ms: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.server, self.box, self.skew_ms, self.chance = server, box, skew_ms, random.Random(seed)
        self.done = threading.Event()
        self.faults: list[str] = []
        self.retried = 0

    def run(self) -> None:
        with httpx.Client(timeout=20, headers=HEADERS) as http:
            while not self.done.is_set():
                self.box.live()
                self.round(http)

    def round(self, http: httpx.Client) -> None:
        polls = self.box.poll()
        body = [self.reading(number, one) for number, one in enumerate(polls)]
        while not self.send(http, body):
            self.retried += 1
            time.sleep(0.02)
        self.box.took(polls)

    def reading(self, number: int, one: Polled) -> dict[str, Any]:
        at = format_instant(time.time_ns() // 1_000_000 + self.skew_ms)
        whose = {"source": "box", "counter": f"c{number}", "account": "acme", "user": f"u{number}", "time": at}
        return {**whose, **stated(one.values), "epoch": self.box.devices[number].epoch(one), "from_zero": True}

    def send(self, http: httpx.Client, body: list[dict[str, Any]]) -> bool:
        try:
            answer = http.post(f"{self.server.url}/v1/readings", json=body)
        except httpx.TransportError:
            return False
        if answer.status_code == 503 or self.chance.random() < 0.1:  # an answer that never came
            return False
        if answer.status_code != 200 or answer.json()["refused"]:
            self.faults.append(answer.text[:500])
        return True


def counted(server: Server) -> dict[str, int]:
    today = {"from": format_instant(0)[:10], "tz": "UTC", "bucket": "total", "by": "user"}
    return {row["user"]: row["bytes"] for row in ask(server, "/v1/accounts/acme/usage", **today)["rows"]}


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(300)
def test_two_pollers_and_a_server_that_is_killed_come_to_what_the_devices_counted(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server, box = Server(tmp_path / "data"), Box(random.Random(seed))
    server.start()
    try:
        httpx.post(f"{server.url}/v1/accounts", json={"id": "acme"}, headers=HEADERS, timeout=30).raise_for_status()
        pollers = [Poller(server, box, skew, seed + skew) for skew in (-250, 250)]
        for one in pollers:
            one.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 1.2))
            server.kill()
            server.start()
        until = time.monotonic() + 60  # on a slow machine a server is killed after a few polls
        while not (box.restarts() and all(one.retried for one in pollers)) and time.monotonic() < until:
            time.sleep(0.1)
        for one in pollers:
            one.done.set()
        for one in pollers:
            one.join(60)
        assert [one.faults for one in pollers] == [[], []]
        expected = {f"u{number}": box.bytes_of(number) for number in range(DEVICES) if box.bytes_of(number)}
        assert counted(server) == expected
        server.kill()
        server.start()
        assert counted(server) == expected
        restarts = box.restarts()
        polls = sum(map(len, box.taken))
        print(f"{polls} polls, {restarts} restarts, {sum(one.retried for one in pollers)} retries")
        done(kills=KILLS + 1, polls=polls)
        assert restarts
        assert all(one.retried for one in pollers)
    finally:
        server.kill()


def test_a_restored_backup_knows_its_counters(tmp_path: Path) -> None:
    box = Box(random.Random(7))
    with live_server(tmp_path / "data", {"FLOWTALLY_ADMIN_TOKEN": TOKEN}) as live:
        known = Live(live.url, TOKEN, live.data)
        with httpx.Client(base_url=live.url, headers=HEADERS, timeout=30) as http:
            http.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
            poller = Poller(live, box, 0, 1)  # type: ignore[arg-type]
            for _ in range(3):
                box.live()
                poller.round(http)
            path = run("backup", live=known)["path"]
            before = http.get("/v1/counters", params={"source": "box"}).json()
            again = [poller.reading(number, one) for number, one in enumerate(box.poll())]
            assert http.post("/v1/readings", json=again).json()["stored"] == 0
        assert run("verify", live=known)["found"] == 0
    data = tmp_path / "restored"
    assert run("restore", path, "--data", str(data))["report"]["found"] == 0
    with (
        live_server(data, {"FLOWTALLY_ADMIN_TOKEN": TOKEN}) as live,
        httpx.Client(base_url=live.url, headers=HEADERS, timeout=30) as http,
    ):
        assert http.get("/v1/counters", params={"source": "box"}).json() == before
        assert http.post("/v1/readings", json=again).json()["duplicate"] == DEVICES
        box.live()
        poller = Poller(live, box, 0, 2)  # type: ignore[arg-type]
        poller.round(http)
        assert box.known() == sum(counted(live).values())  # type: ignore[arg-type]
