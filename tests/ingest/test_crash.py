"""A real server, killed at random and at the worst moments of ingest: nothing acknowledged is lost or counted twice.

Clients do what real ones do: they send, and where no answer comes they send the same again. Named clients make up an id
per event, numbered ones count theirs, one sends an event at a time. Readers ask for usage, balance and receipts all
along: no answer has less than was acknowledged before the question, or more than was sent before the answer, or less
than an answer before it. What the server sums up in the end, event by event and in all, must then be what the clients
were told. The seed is printed.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.fork_server import Program
from tests.ingest.dying_server import AT_A_START, MOMENTS
from tests.live import clean_environment
from tests.soak import done, rounds

ROUNDS: Final = rounds(6, 20)
LOOK_EVERY_S: Final = 0.05  # at each figure; what it costs to look goes from what is tried meanwhile
TOKEN: Final = "ours-Zk3vQ9xTn2Wb7Jr5Hc8Pd4Ys6Lf1Mg"
TIME: Final = "2026-01-01T00:00:00Z"
DAY: Final = {"from": "2026-01-01", "to": "2026-01-02", "tz": "UTC", "bucket": "total", "by": "user"}
GRANTED: Final = 10**15
HEADERS: Final = {"Authorization": f"Bearer {TOKEN}"}
BATCHES: Final = (1, 3, 50, 2_000)
PAUSE_S: Final = 0.05  # of each client between two requests: there is always one under way, and time for kills
WORST: Final = (*MOMENTS, *AT_A_START)


class Server:
    """One process after another over the same directory and the same port."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._port = 0
        self._process: Program | None = None
        self.url = ""

    def start(self, moment: str = "", number: int = 1) -> None:
        """One that dies of itself in that `moment` is waited for with `await_death`; it may do so before it listens."""
        command = ("serve", "--data", str(self._data), "--port", str(self._port), "--json")
        environment = {**clean_environment(), "FLOWTALLY_ADMIN_TOKEN": TOKEN}
        given = (moment, str(number))
        self._moment = moment
        with self._data.with_suffix(".log").open("a") as log:
            self._process = Program(
                *given, *command,
                module="tests.ingest.dying_server", env=environment, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line and moment:  # it came there before it could say where it listens
            return
        assert line, f"the server did not start: {self._data.with_suffix('.log').read_text()[-2000:]}"
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])

    def await_death(self) -> None:
        assert self._process is not None
        try:
            assert self._process.wait(60) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it never came to the moment {self._moment!r}") from None
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
        self.made_bytes = 0
        self.told = (0, 0)  # events and bytes that are acknowledged
        self.retried = 0
        self.faults: list[str] = []

    def run(self) -> None:
        with httpx.Client(timeout=20, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            while not self.done.is_set():
                batch = self.batch(self.chance.choice(BATCHES))
                while not self.send(http, batch):
                    self.retried += 1
                    time.sleep(0.02)
                self.told = (len(self.acknowledged), sum(self.acknowledged.values()))
                self.done.wait(PAUSE_S)

    def batch(self, size: int) -> list[dict[str, Any]]:
        self.made += size
        made = [
            {"source": self.name, "account": "acme", "user": self.name, "time": TIME, "product": "residential"}
            | {"bytes_up": self.chance.randrange(1, 1_000_000)}
            | self.key(number)
            for number in range(self.made - size + 1, self.made + 1)
        ]
        self.made_bytes += sum(event["bytes_up"] for event in made)
        return made

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


class Single(Named):
    """One event a request."""

    def batch(self, size: int) -> list[dict[str, Any]]:
        return super().batch(1)


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


class Reader(threading.Thread):
    """Asks until told to stop. A server that is not there is no fault, a figure that cannot be is one."""

    def __init__(self, server: Server, clients: list[Client]) -> None:
        super().__init__(name="reader", daemon=True)
        self.server, self.clients, self.done = server, clients, threading.Event()
        self.faults: list[str] = []
        self.answers = 0
        self._least: dict[str, int] = {}  # of every figure that only grows

    def run(self) -> None:
        with httpx.Client(timeout=20, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
            while not self.done.is_set():
                for look in (self.usage, self.balance, self.receipt):
                    try:
                        look(http)
                        self.answers += 1
                    except httpx.TransportError:
                        time.sleep(0.02)
                    except Exception as error:
                        self.faults.append(f"{look.__name__}: {error!r}"[:500])
                self.done.wait(LOOK_EVERY_S)

    def wait_for(self, answers: int) -> None:
        until, most = self.answers + answers, time.monotonic() + 30
        while self.answers < until and not self.faults and time.monotonic() < most:
            time.sleep(0.02)

    def get(self, http: httpx.Client, path: str, **parameters: str) -> Any:
        answer = http.get(f"{self.server.url}{path}", params=parameters)
        if answer.status_code == 503:
            raise httpx.NetworkError("not now")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def usage(self, http: httpx.Client) -> None:
        least = {one.name: one.told for one in self.clients}
        rows = {row["user"]: row for row in self.get(http, "/v1/accounts/acme/usage", **DAY)["rows"]}
        for one in self.clients:
            row = rows.get(one.name, {"requests": 0, "bytes_up": 0})
            self.between(one.name, least[one.name][0], row["requests"], one.made)
            if not isinstance(one, Corrected):
                self.between(f"bytes of {one.name}", least[one.name][1], row["bytes_up"], one.made_bytes)

    def balance(self, http: httpx.Client) -> None:
        least = sum(one.told[1] for one in self.clients)  # of those that are corrected: the halves
        pool = self.get(http, "/v1/accounts/acme/balance")["pools"]["traffic"]
        assert pool["granted"] == GRANTED == pool["spent"] + pool["left"], pool
        assert least <= pool["spent"] <= sum(one.made_bytes for one in self.clients), pool

    def receipt(self, http: httpx.Client) -> None:
        for one in self.clients:
            if one.told[0]:
                id = next(islice(iter(one.acknowledged), random.randrange(one.told[0]), None))
                event = self.get(http, "/v1/events", source=one.name, id=id)
                assert event["status"] == "stored", event

    def between(self, name: str, least: int, found: int, most: int) -> None:
        assert max(least, self._least.get(name, 0)) <= found <= most, (name, least, self._least.get(name), found, most)
        self._least[name] = found


@contextmanager
def running(clients: Sequence[Client | Reader]) -> Iterator[None]:
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
    rows = ask(server, "/v1/accounts/acme/usage", **DAY)["rows"]
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
        created = httpx.post(f"{server.url}/v1/accounts", json={"id": "acme"}, headers=HEADERS, timeout=30)
        assert created.status_code in (200, 201), created.text
        given = {"amount": GRANTED, "source": "order", "pool": "traffic", "starts_at": TIME}
        granted = httpx.post(f"{server.url}/v1/accounts/acme/grants", json=given, headers=HEADERS, timeout=30)
        assert granted.status_code == 201, granted.text
        clients: list[Client] = [
            kind(server, f"{kind.__name__} {number}", chance.randrange(2**32))
            for kind in (Named, Numbered, Single, Corrected)
            for number in range(1 if kind in (Single, Corrected) else 2)
        ]
        reader = Reader(server, clients)
        moments = [*WORST]
        chance.shuffle(moments)
        with running([*clients, reader]):
            for turn in range(ROUNDS):
                if turn % 3 == 0:
                    reader.wait_for(3)  # right after a start, while clients send again
                    time.sleep(chance.uniform(0.0, 1.5))
                    server.kill()
                else:
                    server.await_death()
                moment = "" if turn % 3 == 2 or turn == ROUNDS - 1 else moments[turn % len(moments)]
                server.start(moment, 1 if moment in AT_A_START else chance.randrange(1, 3))
                assert all(client.is_alive() for client in clients)
            time.sleep(0.5)
        assert reader.faults == []
        check(server, clients)
        server.kill()
        server.start()
        check(server, clients)
        made = sum(client.made for client in clients)
        print(f"{made} events, {sum(client.retried for client in clients)} retries, {reader.answers} answers")
        done(kills=ROUNDS + 1, events=made, answers=reader.answers)
        assert all(client.retried for client in clients)
        assert reader.answers
    finally:
        server.kill()
