"""The engine by itself: the same table in a directory of its own, in a process of its own. An actor.

Two jobs. Insert: the lines of a file, `INSERT ... FORMAT JSONEachRow`, one insert per batch, durable, `async_insert=0`.
The engine does not validate, knows no duplicates and keeps no keys: what it does is the floor, not a rival. Ask: the
very SQL that a usage question becomes, decoded into rows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import clickhouse_connect
import msgspec

from bench.events import bodies
from bench.process import serve_jobs
from flowtally.answers.statement import the_range
from flowtally.core.edges import calendar_edges, load_zone
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import SETTINGS, Engine
from flowtally.usage.queries import plan_sums
from flowtally.usage.schema import TABLE
from flowtally.usage.temporary import fast_temporary_files
from flowtally.usage.values import Where


class Job(msgspec.Struct, frozen=True):
    """With `lanes`: insert their files, each lane by a thread of its own. Else: ask for the account's days."""

    lanes: list[list[str]] = []
    batch: int = 0
    account: str = ""
    start: str = ""
    end: str = ""
    zone: str = ""
    times: int = 0


class Done(msgspec.Struct, frozen=True):
    """Seconds of all inserts together, or of each question."""

    seconds: float
    each: list[float] = []


class Raw:
    """The engine opened once, on a directory that may be a copy of a server's."""

    def __init__(self, path: Path) -> None:
        self._engine = Engine(f"chdb:///{path}")
        ClickHouseStore(self._engine)  # makes the table as ours is made
        self._clients = [self._client(path) for _ in range(2)]

    def _client(self, path: Path) -> Any:
        # Set once per connection: a setting beside a statement would cost extra every time.
        settings = {**SETTINGS, "date_time_input_format": "best_effort"}
        return clickhouse_connect.get_client(database="default", settings=settings, interface="chdb", path=str(path))

    def work(self, job: Job) -> Done:
        return self._insert(job) if job.lanes else self._ask(job)

    def _insert(self, job: Job) -> Done:
        lanes = [bodies([Path(path) for path in lane], job.batch) for lane in job.lanes]
        assert len(lanes) <= len(self._clients), "a client belongs to one thread"

        def insert(client: Any, batches: list[bytes]) -> None:
            for batch in batches:
                client.raw_insert(TABLE, insert_block=batch, fmt="JSONEachRow")

        with ThreadPoolExecutor(len(lanes)) as pool:
            started = time.perf_counter()
            list(pool.map(insert, self._clients, lanes))
            return Done(time.perf_counter() - started)

    def _ask(self, job: Job) -> Done:
        zone = load_zone(job.zone)
        start, end = the_range("day", job.start, job.end, zone, 0)
        query = plan_sums(calendar_edges("day", start, end, zone), Where(account=job.account), ())
        each = [_timed(lambda: self._engine.rows(query.text, query.parameters)) for _ in range(job.times)]
        return Done(sum(each), each)


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(exist_ok=True)
    with fast_temporary_files(place):  # as the server has it
        serve_jobs(Job, Raw(place).work)
