"""The client: sends prepared requests over kept-alive connections as fast as answers come. An actor of its own.

Raw sockets and one epoll loop, because a client library would cost more than the server it measures. Bodies are built
before the clock starts and answers are looked into after it stopped. The `client` part measures the client itself.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bench.events import bodies
from bench.process import serve_jobs

NDJSON: Final = "application/x-ndjson"
ONE: Final = "application/json"
READ_BYTES: Final = 1 << 18


class Job(msgspec.Struct, frozen=True):
    """Lanes of files whose events are sent in batches. Requests of a lane are shared by `connections` connections;
    with one connection they are sent in order, each after the answer of the one before."""

    url: str
    token: str
    lanes: list[list[str]]  # files
    batch: int
    connections: int
    path: str = "/v1/events"
    get: int = 0  # instead: ask `path` this many times
    headers: Mapping[str, str] = {}  # instead of the token


class Load(msgspec.Struct, frozen=True):
    """`stored` is what the server says; `failures` are the first answers that were not 200."""

    seconds: float
    requests: int
    stored: int
    cpu_seconds: float
    median_ms: float
    p95_ms: float
    failures: list[str]


class _Stored(msgspec.Struct):
    stored: int = 0


class _Connection:
    """One request at a time on one socket."""

    def __init__(self, address: tuple[str, int], lane: deque[tuple[bytes, bytes]]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._lane = lane
        self._unsent: list[memoryview] = []
        self._got = b""
        self._need = -1
        self._started = 0.0
        self.answers: list[tuple[float, bytes]] = []  # seconds, whole answer

    def begin(self) -> bool:
        """Send the next request of the lane; False when there is none."""
        if not self._lane:
            return False
        head, body = self._lane.popleft()
        # A small request in one write: two would cost the client twice and the server a wait.
        self._unsent = [memoryview(head + body)] if len(body) < 4096 else [memoryview(head), memoryview(body)]
        self._got, self._need, self._started = b"", -1, time.perf_counter()
        self.send()
        return True

    def send(self) -> bool:
        """Whether everything is sent."""
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent[0])
            except BlockingIOError:
                return False
            self._unsent[0] = self._unsent[0][sent:]
            if not self._unsent[0]:
                self._unsent.pop(0)
        return True

    def receive(self) -> bool:
        """Whether the answer is complete."""
        part = self.socket.recv(READ_BYTES)
        if not part:
            raise ConnectionError(f"the server closed a connection after {self._got[:200]!r}")
        self._got += part
        if self._need < 0:
            self._need = _length(self._got)
        if self._need < 0 or len(self._got) < self._need:
            return False
        self.answers.append((time.perf_counter() - self._started, self._got))
        return True

    def sending(self) -> bool:
        return bool(self._unsent)


def _length(got: bytes) -> int:
    """Bytes of the whole answer; -1 while its head is not complete."""
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return -1
    at = got[:end].lower().find(b"content-length:")
    return end + 4 + int(got[at + 15 : end].split(b"\r\n", 1)[0])


def run(job: Job) -> Load:
    parts = urlsplit(job.url)
    address = (str(parts.hostname), int(parts.port or 80))
    lanes = _lanes(job, f"{address[0]}:{address[1]}")
    connections = [_Connection(address, lane) for lane in lanes for _ in range(job.connections)]
    cpu, started = time.process_time(), time.perf_counter()
    _drive(connections)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    for one in connections:
        one.socket.close()
    return _load([answer for one in connections for answer in one.answers], seconds, cpu)


def _lanes(job: Job, host: str) -> list[deque[tuple[bytes, bytes]]]:
    headers = job.headers or {"Authorization": f"Bearer {job.token}"}
    common = "".join(f"{name}: {value}\r\n" for name, value in {"Host": host, **headers}.items())
    if job.get:
        return [deque([(f"GET {job.path} HTTP/1.1\r\n{common}\r\n".encode(), b"")] * job.get)]
    head = f"POST {job.path} HTTP/1.1\r\n{common}Content-Type: {ONE if job.batch == 1 else NDJSON}\r\nContent-Length: "
    lanes = [bodies([Path(path) for path in lane], job.batch) for lane in job.lanes]
    return [deque((f"{head}{len(body)}\r\n\r\n".encode(), body) for body in lane) for lane in lanes]


def _drive(connections: list[_Connection]) -> None:
    with selectors.DefaultSelector() as ready:
        working = 0
        for one in connections:
            if one.begin():
                working += 1
                ready.register(one.socket, _interest(one), one)
        while working:
            for key, _ in ready.select():
                one = key.data
                if not (one.send() and key.events & selectors.EVENT_READ and one.receive()) or one.begin():
                    _follow(ready, key, one)
                else:
                    ready.unregister(one.socket)
                    working -= 1


def _follow(ready: selectors.BaseSelector, key: selectors.SelectorKey, one: _Connection) -> None:
    if key.events != _interest(one):
        ready.modify(one.socket, _interest(one), one)


def _interest(one: _Connection) -> int:
    return selectors.EVENT_WRITE if one.sending() else selectors.EVENT_READ


def _load(answers: list[tuple[float, bytes]], seconds: float, cpu: float) -> Load:
    stored, failures = 0, []
    for _, answer in answers:
        head, _, body = answer.partition(b"\r\n\r\n")
        if head[9:12] == b"200":
            stored += msgspec.json.decode(body, type=_Stored).stored
        else:
            failures.append(answer[:500].decode(errors="replace"))
    return load_of([taken for taken, _ in answers], stored, failures, seconds, cpu)


def load_of(taken: Sequence[float], stored: int, failures: Sequence[str], seconds: float, cpu: float) -> Load:
    """`taken`: seconds of each request."""
    times = [1000 * one for one in taken]
    cuts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else times * 19
    return Load(seconds, len(times), stored, cpu, cuts[9], cuts[18], list(failures[:3]))


if __name__ == "__main__":
    serve_jobs(Job, run)
