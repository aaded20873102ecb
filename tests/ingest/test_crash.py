"""A real server, killed at random and at the worst moments of ingest: nothing acknowledged is lost or counted twice.

Clients do what real ones do: they send, and where no answer comes they send the same again. Named clients make up an id
per event, numbered ones count theirs. What the server sums up, event by event and in all, must then be what the clients
were told. The seed is printed.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.fork_server import Program
from tests.live import clean_environment
from tests.soak import done, rounds

ROUNDS: Final = rounds(6, 20)
TOKEN: Final = "ours-Zk3vQ9xTn2Wb7Jr5Hc8Pd4Ys6Lf1Mg"
TIME: Final = "2026-01-01T00:00:00Z"
BATCHES: Final = (1, 3, 50, 2_000)


class Server:
    """One process after another over the same directory and the same port."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = 0
        self._process: Program | None = None
        self.url = ""

    def start(self, dies_with_block: int = 0) -> None:
        """One that dies of itself is waited for with `await_death`."""
        command = ("serve", "--data", str(self._data), "--port", str(self._port), "--json")
        environment = {**clean_environment(), "FLOWTALLY_ADMIN_TOKEN": TOKEN}
        with self._data.with_suffix(".log").open("a") as log:
            how, given = (
                ("tests.ingest.dying_server", (str(dies_with_block),)) if dies_with_block else ("flowtally", ())
            )
            self._process = Program(*given, *command, module=how, env=environment, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the server did not start: {self._data.with_suffix('.log').read_text()[-2000:]}"
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])

    def await_death(self) -> None:
        assert self._process is not None
        assert self._process.wait(60) == -signal.SIGKILL
        self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


class Client(threading.Thread):
    """Sends batches until told to stop; remembers what was acknowledged, by id or number and quantity."""

    def __init__(self, server: Server, name: str, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.server, self.chance, self.done = server, random.Random(seed), threading.Event()
        self.acknowledged: dict[str, int] = {}
        self.made = 0
        self.retried = 0
        self.faults: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=20, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            while not self.done.is_set():
                batch = self.batch(self.chance.choice(BATCHES))
                while not self.send(http, batch):
                    self.retried += 1
                    time.sleep(0.02)

    def batch(self, size: int) -> list[dict[str, Any]]:
        self.made += size
        return [
            {"source": self.name, "account": "acme", "user": self.name, "time": TIME, "product": "residential"}
            | {"bytes_up": self.chance.randrange(1, 1_000_000)}
            | self.key(number)
            for number in range(self.made - size + 1, self.made + 1)
        ]

    def key(self, number: int) -> dict[str, Any]:
        raise NotImplementedError

    def send(self, http: httpx.Client, batch: list[dict[str, Any]]) -> bool:
        body = "\n".join(map(json.dumps, batch)).encode()
        try:
            headers = {"Content-Type": "application/x-ndjson"}
            answer = http.post(f"{self.server.url}/v1/events", content=body, headers=headers)
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        found = answer.json()
        if answer.status_code != 200 or found["stored"] + found["duplicate"] != len(batch):
            self.faults.append(f"{answer.status_code} {answer.text[:500]}")
            return True
        self.acknowledged |= {str(event.get("id") or event["sequence"]): event["bytes_up"] for event in batch}
        return True


class Named(Client):
    def key(self, number: int) -> dict[str, Any]:
        return {"id": f"{number}-{self.chance.getrandbits(40):x}"}


class Corrected(Named):
    """Halves some of what it sent, right after it; whatever is doubtful it sends again, events and corrections."""

    def send(self, http: httpx.Client, batch: list[dict[str, Any]]) -> bool:
        return super().send(http, batch) and self.correct(http, batch[::7])

    def correct(self, http: httpx.Client, some: list[dict[str, Any]]) -> bool:
        asked = [
            {"source": f"fix {self.name}", "id": f"c {event['id']}", "bytes_up": event["bytes_up"] // 2}
            | {"corrects": {"source": self.name, "id": event["id"]}}
            for event in some
        ]
        try:
            answer = http.post(f"{self.server.url}/v1/corrections", json=asked)
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        found = answer.json()
        if answer.status_code != 200 or found["stored"] + found["duplicate"] != len(asked):
            self.faults.append(f"{answer.status_code} {answer.text[:500]}")
        self.acknowledged |= {event["id"]: event["bytes_up"] // 2 for event in some}
        return True


class Numbered(Client):
    def key(self, number: int) -> dict[str, Any]:
        return {"sequence": number, "position": f"after {number}"}


@contextmanager
def running(clients: list[Client]) -> Iterator[None]:
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.done.set()
        for client in clients:
            client.join(60)


def ask(server: Server, path: str, **parameters: str) -> Any:
    answer = httpx.get(
        f"{server.url}{path}", params=parameters, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def counted(server: Server) -> dict[str, tuple[int, int]]:
    """By client: events and bytes that are counted."""
    day = {"from": "2026-01-01", "to": "2026-01-02", "tz": "UTC", "bucket": "total", "by": "user"}
    rows = ask(server, "/v1/accounts/acme/usage", **day)["rows"]
    return {row["user"]: (row["requests"], row["bytes_up"]) for row in rows}


def check(server: Server, clients: list[Client]) -> None:
    found = counted(server)
    for client in clients:
        assert client.faults == []
        mine = client.acknowledged
        assert found.get(client.name, (0, 0)) == (len(mine), sum(mine.values())), client.name
        assert len(mine) == client.made
        for id in client.chance.sample(sorted(mine), min(20, len(mine))):
            event = ask(server, "/v1/events", source=client.name, id=id)
            assert (event["status"], event["sum"]["bytes_up"]) == ("stored", mine[id])
        if isinstance(client, Numbered):
            source = ask(server, "/v1/sources", source=client.name)
            assert (source["sequence"], source["position"]) == (client.made, f"after {client.made}")


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_and_nothing_counted_twice(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = Server(tmp_path / "data")
    server.start()
    try:
        created = httpx.post(
            f"{server.url}/v1/accounts", json={"id": "acme"}, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30
        )
        assert created.status_code in (200, 201), created.text
        clients: list[Client] = [
            kind(server, f"{kind.__name__} {number}", chance.randrange(2**32))
            for kind in (Named, Numbered, Corrected)
            for number in range(1 if kind is Corrected else 2)
        ]
        with running(clients):
            for turn in range(ROUNDS):
                if turn % 2:
                    server.await_death()
                else:
                    time.sleep(chance.uniform(0.0, 1.5))
                    server.kill()
                server.start(0 if turn % 2 or turn == ROUNDS - 1 else chance.randrange(1, 30))
                assert all(client.is_alive() for client in clients)
            time.sleep(0.5)
        check(server, clients)
        server.kill()
        server.start()
        check(server, clients)
        print(f"{sum(client.made for client in clients)} events, {sum(client.retried for client in clients)} retries")
        done(kills=ROUNDS + 1, events=sum(client.made for client in clients))
        assert all(client.retried for client in clients)
    finally:
        server.kill()
