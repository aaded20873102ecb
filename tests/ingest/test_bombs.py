"""Small packed bodies of very many parts, at a real server: what they cost it in memory, and whether others get in."""

from __future__ import annotations

import gzip
import threading
import time
from pathlib import Path
from typing import Final

import httpx
import zstandard
from tests.live import live_server

from flowtally.client import Client
from flowtally.protocol import MAX_BODY_BYTES, AccountRequest

SIZE: Final = MAX_BODY_BYTES - 64
MOST_BYTES: Final = 800 * 1024 * 1024  # one of them took 1,600 MB; four are unpacked at once, each 64 MiB twice
EVENT: Final = {"source": "honest", "account": "acme", "time": "2026-03-01T12:00:00Z", "bytes_up": 1}


def filled(start: bytes, item: bytes, end: bytes) -> bytes:
    return start + item * ((SIZE - len(start) - len(end)) // len(item) - 1) + item.rstrip(b",") + end


def labels() -> bytes:
    """As many as are decoded before they are counted one by one."""
    members = ",".join(f'"{number}":""' for number in range(400_000))
    return f'[{{"source":"a","account":"b","labels":{{{members}}}}}]'.encode()


def bombs() -> list[tuple[str, str, bytes]]:
    bodies = [
        ("application/json", filled(b"[", b"[],", b"]")),
        ("application/json", filled(b'{"source":"a","account":"b","labels":{', b'"a":"",', b"}}")),
        ("application/cloudevents-batch+json", filled(b'[{"data_base64":[', b"{},", b"]}]")),
        ("application/x-ndjson", filled(b"", b"[]\n", b"")),
    ]
    packed = [(kind, "gzip", gzip.compress(body, 9)) for kind, body in bodies[:2]]
    packed += [(kind, "zstd", zstandard.compress(body)) for kind, body in bodies[2:]]
    packed += [("application/json", "gzip", gzip.compress(labels()))] * 8
    assert max(len(body) for _, _, body in packed) < 1_500_000
    return packed


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def test_bombs_at_once_cost_bounded_memory_and_others_are_answered(tmp_path: Path) -> None:
    sent = bombs()
    with live_server(tmp_path / "data") as live:
        Client(live.url, live.token).create_account(AccountRequest(id="acme"))
        head = {"Authorization": f"Bearer {live.token}"}
        ask = httpx.Client(base_url=live.url, headers=head, timeout=60)
        ask.post("/v1/events", json=[EVENT | {"id": "first"}]).raise_for_status()
        while "\nflowtally_tail_rows 0.0" not in ask.get("/metrics").text:  # what a flush takes is no bomb's
            time.sleep(0.05)
        before = peak_bytes(live.pid)
        answers: list[int] = []

        def send(kind: str, encoding: str, body: bytes) -> None:
            headers = head | {"Content-Type": kind, "Content-Encoding": encoding}
            answers.append(httpx.post(f"{live.url}/v1/events", content=body, headers=headers, timeout=120).status_code)

        threads = [threading.Thread(target=send, args=one) for one in sent]
        for thread in threads:
            thread.start()
        told = [ask.post("/v1/events", json=[EVENT | {"id": "between"}]).json()]
        while any(thread.is_alive() for thread in threads):
            told.append(ask.post("/v1/events", json=[EVENT | {"id": f"between {len(told)}"}]).json())
            time.sleep(0.05)
        for thread in threads:
            thread.join()
        took = peak_bytes(live.pid) - before
    assert len(answers) == len(sent)
    assert set(answers) <= {413, 503}  # too large, or no room for it beside the others
    assert answers.count(413) >= 8
    assert all(one["stored"] == 1 for one in told)
    assert took < MOST_BYTES, f"{took / 1e6:.0f} MB"
