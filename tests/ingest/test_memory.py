"""What large requests cost a real server in memory: four of 50,000 events at once, again and again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx
import numpy as np
from tests.live import live_server

from flowtally.client import Client
from flowtally.protocol import AccountRequest

EVENTS: Final = 50_000
ROUNDS: Final = 2
MOST_MB: Final = 420  # beside what it has at rest; it was 570 and more


def body(name: str, first: int, named: np.random.Generator | None) -> bytes:
    """Numbered from `first` on, or with ids that are drawn."""
    keys = (
        [f'"sequence":"{number}"' for number in range(first, first + EVENTS)]
        if named is None
        else [f'"id":"{UUID(bytes=named.bytes(16), version=4)}"' for _ in range(EVENTS)]
    )
    time = "2026-03-01T12:{minute:02}:00.{milli:03}Z"
    lines = [
        f'{{"source":"{name}","account":"acc{row % 50}","time":"{time.format(minute=row % 60, milli=row % 1000)}",'
        f'"user":"u{row * 7 % 200}","product":"residential","bytes_up":{row},"bytes_down":{row * 9},{key}}}'
        for row, key in enumerate(keys)
    ]
    return "\n".join(lines).encode()


def peak_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def test_four_large_requests_at_once_cost_bounded_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    sent = [
        [body(name, 1 + turn * EVENTS, rng if name == "named" else None) for turn in range(ROUNDS)]
        for name in ("one", "two", "named", "named")
    ]
    with live_server(tmp_path / "data") as live:
        client = Client(live.url, live.token)
        for number in range(50):
            client.create_account(AccountRequest(id=f"acc{number}"))
        head = {"Authorization": f"Bearer {live.token}", "Content-Type": "application/x-ndjson"}
        before = peak_mb(live.pid)
        together, stored = threading.Barrier(len(sent)), []

        def send(bodies: list[bytes]) -> None:
            for one in bodies:
                together.wait()
                answer = httpx.post(f"{live.url}/v1/events", content=one, headers=head, timeout=120)
                stored.append(answer.json()["stored"])

        threads = [threading.Thread(target=send, args=[bodies]) for bodies in sent]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = peak_mb(live.pid) - before
    assert stored == [EVENTS] * len(sent) * ROUNDS
    assert took < MOST_MB, f"{took} MB"
