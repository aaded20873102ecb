"""PostgreSQL by hand: one event a transaction, as a gateway would do it without flowtally. An actor of its own.

One statement, prepared: `INSERT ... ON CONFLICT DO NOTHING`, and what was new into hourly sums. Its client is the twin
of `load`: one process, one epoll loop, everything built before the clock starts, an event per connection at a time; and
libpq (in C) speaks for it.
"""

from __future__ import annotations

import selectors
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from psycopg import pq

from bench.events import bodies
from bench.load import Load, load_of
from bench.postgres import BY_USER, COLUMNS
from bench.process import BenchError, serve_jobs
from flowtally.core.events import UsageEvent

NAME: Final = b"store"
STATEMENT: Final = BY_USER.store(
    "SELECT $1::text, $2::uuid, $3::text, $4::text, $5::text, $6::timestamptz, $7::int, $8::bigint, $9::bigint,"
    " $10::bigint"
)
_FIELDS: Final = ("source", "id", "account", "user", "product", "time", "status", "bytes_up", "bytes_down", "requests")
_decoder: Final = msgspec.json.Decoder(UsageEvent)

assert len(COLUMNS.split(",")) == len(_FIELDS)


class Job(msgspec.Struct, frozen=True):
    """The events of these files, shared by `connections` connections to the server `conninfo` names."""

    conninfo: str
    files: list[str]
    connections: int


class _Connection:
    """One transaction at a time."""

    def __init__(self, conninfo: str, events: deque[Sequence[bytes]]) -> None:
        self.server = pq.PGconn.connect(conninfo.encode())
        _check(self.server, self.server.status == pq.ConnStatus.OK)
        done = self.server.prepare(NAME, STATEMENT)
        _check(self.server, done.status == pq.ExecStatus.COMMAND_OK)
        self.server.nonblocking = 1
        self._events = events
        self._started = 0.0
        self.times: list[float] = []  # seconds

    def begin(self) -> bool:
        """Send the next event; False when there is none."""
        if not self._events:
            return False
        event = self._events.popleft()
        self._started = time.perf_counter()
        self.server.send_query_prepared(NAME, event)
        while self.server.flush():
            pass  # a few hundred bytes into an empty socket: never seen
        return True

    def receive(self) -> bool:
        """Whether it is stored."""
        self.server.consume_input()
        if self.server.is_busy():
            return False
        while (result := self.server.get_result()) is not None:
            _check(self.server, result.status == pq.ExecStatus.COMMAND_OK)
            if self.server.is_busy():
                return False
        self.times.append(time.perf_counter() - self._started)
        return True


def run(job: Job) -> Load:
    lines = bodies([Path(path) for path in job.files], 1)
    events: deque[Sequence[bytes]] = deque(_parameters(line) for line in lines)
    connections = [_Connection(job.conninfo, events) for _ in range(job.connections)]
    cpu, started = time.process_time(), time.perf_counter()
    _drive(connections)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    for one in connections:
        one.server.finish()
    times = [taken for one in connections for taken in one.times]
    return load_of(times, len(times), [], seconds, cpu)


def _drive(connections: Sequence[_Connection]) -> None:
    with selectors.DefaultSelector() as ready:
        working = 0
        for one in connections:
            if one.begin():
                working += 1
                ready.register(one.server.socket, selectors.EVENT_READ, one)
        while working:
            for key, _ in ready.select():
                one = key.data
                if one.receive() and not one.begin():
                    ready.unregister(one.server.socket)
                    working -= 1


def _parameters(line: bytes) -> list[bytes]:
    event = _decoder.decode(line)
    return [str(getattr(event, name)).encode() for name in _FIELDS]


def _check(server: pq.abc.PGconn, fine: bool) -> None:
    if not fine:
        raise BenchError(f"PostgreSQL: {server.error_message.decode(errors='replace')}")


if __name__ == "__main__":
    serve_jobs(Job, run)
