"""An engine that hangs: what is sent is acknowledged all the same, and everything goes on when it answers again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

import pytest
from tests.ingest.conftest import Services, named, numbered

from flowtally.core.errors import FlushBehind
from flowtally.usage import flusher
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Where

PATIENCE_S: Final = 20
EVERYTHING: Final = [0, 4_000_000_000_000]


class Hanging:
    """Inserts into staging tables and moves wait here, for as long as it is told to."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on = threading.Event()
        self.waits = threading.Event()
        insert = engine.insert

        def hang(table: str, rows: Any, query_id: str) -> None:
            if table.startswith("usage_staged"):
                self.waits.set()
                assert self.go_on.wait(PATIENCE_S)
            insert(table, rows, query_id)

        monkeypatch.setattr(engine, "insert", hang)


@pytest.fixture
def store(database_url: str) -> Iterator[ClickHouseStore]:
    with closing(ClickHouseStore(Engine(database_url))) as opened:
        yield opened


def uses(store: UsageStore) -> int:
    return sum(one.requests for one in store.sums(EVERYTHING, Where(account="acme")))


def soon(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.005)


def test_an_engine_that_hangs_delays_the_flush_alone(
    store: ClickHouseStore, make_services: Callable[[UsageStore], Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = Hanging(store.engine, monkeypatch)
    monkeypatch.setattr(flusher, "LONG_S", 0.05)
    services = make_services(store)
    services.open(flush_after_s=1, flush_rows=1000, max_unflushed_rows=6000)
    services.send(*named("a", requests=1))
    assert hanging.waits.wait(PATIENCE_S)

    assert services.statuses(*named("b", "c", requests=1)) == ["stored", "stored"]
    assert services.statuses(*numbered(1, 3, requests=1)) == ["stored"] * 3
    right = {"id": "r", "corrects": {"source": "gw", "id": "a"}, "requests": 5}
    assert services.correct(right).stored == 1
    assert services.statuses(*named("a", requests=1)) == ["duplicate"]
    assert uses(store) == 5 + 2 + 3, "no answer is older than the last receipt"

    soon(lambda: "has been under way for" in services.door.ready()[1])
    assert services.door.metrics()["tail_rows"] == 7
    hanging.go_on.set()
    soon(lambda: services.door.metrics()["tail_rows"] == 0)
    soon(lambda: services.door.ready() == (True, "ready"))  # the journal forgets what was flushed after it is published
    assert uses(store) == 10
    assert store.engine.rows("SELECT sum(requests), sum(entries) FROM usage_events") == [(10, 7)]


def test_a_tail_at_its_bound_is_told_and_empties_without_a_restart(
    store: ClickHouseStore, make_services: Callable[[UsageStore], Services], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = Hanging(store.engine, monkeypatch)
    services = make_services(store)
    services.open(flush_after_s=1, flush_rows=1000, max_unflushed_rows=1000)
    services.send(*numbered(1, 1000, requests=1))
    assert hanging.waits.wait(PATIENCE_S)
    with pytest.raises(FlushBehind, match=r"1000 rows .* wait to be flushed into the usage table"):
        services.send(*named("late"))
    with pytest.raises(FlushBehind):
        services.correct({"id": "r", "corrects": {"source": "log", "id": "1"}, "void": True})
    assert uses(store) == 1000
    hanging.go_on.set()
    soon(lambda: services.door.ready()[0])
    assert services.statuses(*named("late", requests=1)) == ["stored"]
    assert uses(store) == 1001
