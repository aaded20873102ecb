"""A ClickHouse server dies, or its answers get lost, and the process that writes to it goes on by itself: nothing is
lost, and nothing is there twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.clickhouse import ClickHouse
from tests.holding_proxy import HoldingProxy
from tests.ingest.conftest import Services, named

from flowtally.core.errors import Unavailable
from flowtally.ingest import committer
from flowtally.usage.open import open_usage
from flowtally.usage.store import UsageStore

SECOND = b"flowtally-block-2"  # the name of its insert
SENT = (["stored"], ["duplicate"])  # duplicate: the first time its sender was told to try again
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
    monkeypatch.setattr(committer, "SETTLE_AGAIN_S", (0.05, 0.1))  # a server is away for a second
    with closing(open_usage(server.new_url(proxy.port))) as store:
        services = make_services(store)
        assert services.statuses(*named("a")) == ["stored"]
        yield services
        services.close()


def sent_at_last(services: Services, *events: dict[str, Any]) -> list[str]:
    """As a client does it: again, while it is told to."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return services.statuses(*events)
        except Unavailable:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_it_dies_before_a_block_arrives(server: ClickHouse, proxy: HoldingProxy, far: Services) -> None:
    held = proxy.hold(SECOND)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(sent_at_last, far, *named("b"))
        held.wait()
        server.kill()
        server.start()
        assert asked.result() in SENT
    assert far.statuses(*named("a", "b", "c")) == ["duplicate", "duplicate", "stored"]
    far.whole()
    assert far.store.totals().rows == 3


def test_it_dies_after_a_block_arrived_and_before_anybody_heard(
    server: ClickHouse, proxy: HoldingProxy, far: Services
) -> None:
    lost, settling = proxy.lose(SECOND), proxy.hold(b"KILL QUERY")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(sent_at_last, far, *named("b"))
        lost.wait()
        settling.wait()
        server.kill()
        server.start()
        assert asked.result() in SENT
    assert far.statuses(*named("b")) == ["duplicate"]
    far.whole()
    assert far.store.totals().rows == 2


def test_while_it_is_away_writing_and_reading_are_refused_and_then_go_on(server: ClickHouse, far: Services) -> None:
    server.kill()
    with pytest.raises(Unavailable):
        far.statuses(*named("b"))
    with pytest.raises(Unavailable):
        far.store.totals()
    server.start()
    assert sent_at_last(far, *named("b")) in SENT
    far.whole()
    assert far.store.totals().rows == 2
