"""A ClickHouse server dies, or its answers get lost, and the process that writes to it goes on by itself: nothing is
lost, and nothing is there twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.clickhouse import ClickHouse
from tests.holding_proxy import HoldingProxy
from tests.ingest.conftest import Services, named

from flowtally.core.errors import Unavailable
from flowtally.usage import flusher
from flowtally.usage.open import open_usage
from flowtally.usage.store import UsageStore

MOVE = b"MOVE PARTITION"
PATIENCE_S = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouse]:
    """One that a test may kill."""
    made = ClickHouse(tmp_path / "server")
    yield made
    made.kill()


@pytest.fixture
def proxy(server: ClickHouse) -> Iterator[HoldingProxy]:
    with HoldingProxy(server.port) as opened:
        yield opened


@pytest.fixture
def far(
    server: ClickHouse,
    proxy: HoldingProxy,
    make_services: Callable[[UsageStore], Services],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Services]:
    monkeypatch.setattr(flusher, "TRY_AGAIN_S", (0.1,))  # a server is away for a second
    with closing(open_usage(server.new_url(proxy.port))) as store:
        services = make_services(store)
        assert services.statuses(*named("a")) == ["stored"]
        yield services
        services.close()


def soon(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            if done():
                return
        except Unavailable:
            pass
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


def is_flushed(services: Services) -> bool:
    return bool(services.store.unflushed().blocks == 0)


def test_it_dies_before_a_flush_is_moved(server: ClickHouse, proxy: HoldingProxy, far: Services) -> None:
    held = proxy.hold(MOVE)
    assert far.statuses(*named("b")) == ["stored"], "whatever the server is at"
    held.wait()
    server.kill()
    server.start()
    assert far.statuses(*named("a", "b", "c")) == ["duplicate", "duplicate", "stored"]
    soon(lambda: is_flushed(far))
    far.whole()
    assert far.store.totals().rows == 3


def test_the_answer_to_a_move_is_lost(proxy: HoldingProxy, far: Services) -> None:
    lost = proxy.lose(MOVE)
    assert far.statuses(*named("b")) == ["stored"]
    lost.wait()
    soon(lambda: is_flushed(far))
    assert far.statuses(*named("b")) == ["duplicate"]
    far.whole()
    assert far.store.totals().rows == 2


def test_while_it_is_away_reading_is_refused_and_writing_goes_on(server: ClickHouse, far: Services) -> None:
    server.kill()
    assert far.statuses(*named("b")) == ["stored"]
    with pytest.raises(Unavailable):
        far.store.totals()
    server.start()
    soon(lambda: far.store.totals().rows == 2)
    soon(lambda: is_flushed(far))
    assert far.statuses(*named("a", "b")) == ["duplicate", "duplicate"]
    far.whole()
