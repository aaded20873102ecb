"""A real server, killed at random moments while events are held and while they come to count: each counts once.

Senders number their events; some are of accounts that appear while they send. What has a receipt, held or stored, is
never sent again by them. In the end every account is there, nothing is held, and each number is counted once.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.ingest.dying_server import MOMENTS
from tests.ingest.test_crash import TOKEN, Numbered, Server, ask, running
from tests.soak import done, rounds

ROUNDS: Final = rounds(6, 20)
LATE: Final = ("late0", "late1", "late2")


class Mixed(Numbered):
    """Of its own account first, so that its source is there; then of any."""

    def batch(self, size: int) -> list[dict[str, Any]]:
        size = min(size, 300)
        events = super().batch(size)
        for event in events[1 if self.made == size else 0 :]:
            event["account"] = self.chance.choice(["acme", "acme", *LATE])
        return events

    def send(self, http: httpx.Client, batch: list[dict[str, Any]]) -> bool:
        try:
            answer = http.post(f"{self.server.url}/v1/events", json=batch)
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        found = answer.json()
        if answer.status_code != 200 or found["stored"] + found["duplicate"] + found.get("held", 0) != len(batch):
            self.faults.append(f"{answer.status_code} {answer.text[:500]}")
            return True
        self.acknowledged |= {str(event["sequence"]): event["bytes_up"] for event in batch}
        return True


def counted(server: Server, name: str) -> tuple[int, int]:
    """Events and bytes of a sender, in all accounts."""
    day = {"from": "2026-01-01", "to": "2026-01-02", "tz": "UTC", "bucket": "total", "by": "source"}
    rows = [row for row in ask(server, "/v1/usage", **day)["rows"] if row["source"] == name]
    return sum(row["requests"] for row in rows), sum(row["bytes_up"] for row in rows)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.timeout(400)
def test_what_is_held_counts_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = Server(tmp_path / "data")
    server.start()
    headers = {"Authorization": f"Bearer {TOKEN}"}

    def appear(name: str) -> None:
        answer = httpx.post(f"{server.url}/v1/accounts", json={"id": name}, headers=headers, timeout=30)
        assert answer.status_code == 201, answer.text

    try:
        appear("acme")
        senders: list[Any] = [Mixed(server, f"sender {number}", chance.randrange(2**32)) for number in range(2)]
        late = list(LATE)
        with running(senders):
            for turn in range(ROUNDS):
                if turn % 2:
                    server.await_death()
                else:
                    time.sleep(chance.uniform(0.0, 1.5))
                if late and not turn % 2:
                    appear(late.pop(0))  # what is held of it is being stored when the server dies
                    time.sleep(chance.choice([0, 0.01, 0.05, 0.2]))
                server.kill()
                moment = "" if turn % 2 or turn == ROUNDS - 1 else chance.choice([*MOMENTS])
                server.start(moment, chance.randrange(1, 3))
                assert all(sender.is_alive() for sender in senders)
            time.sleep(0.5)
        assert any(sender.retried for sender in senders)
        until = time.monotonic() + 60
        while ask(server, "/v1/held")["items"]:
            assert time.monotonic() < until
            time.sleep(0.1)
        for _ in range(2):
            for sender in senders:
                assert sender.faults == []
                assert len(sender.acknowledged) == sender.made
                assert counted(server, sender.name) == (sender.made, sum(sender.acknowledged.values()))
                source = ask(server, "/v1/sources", source=sender.name)
                assert (source["sequence"], source["position"]) == (sender.made, f"after {sender.made}")
            server.kill()
            server.start()
        print(f"{sum(sender.made for sender in senders)} events")
        done(kills=ROUNDS + 2, events=sum(sender.made for sender in senders))
    finally:
        server.kill()
