"""The usage stores, empty: the reference, and the real one as rows may lie in it, in this process and on a server
(docs/testing.md).

`store` is the reference and the real one with all that was appended in its tail. `written` is for the laws: the real
one after blocks were flushed at once, not at all, every second one, and while a flush runs all the time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import pytest
from tests.clickhouse import clickhouse_server, server_url  # noqa: F401
from tests.engine import chdb_directory, database_url, new_database_url  # noqa: F401
from tests.soak import SOAK

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Block

WAYS: Final = ("flushed", "in the tail", "half", "while flushing")


class FlushedAtOnce(ClickHouseStore):
    """Every block stands in the table when it is appended."""

    def append(self, block: Block) -> None:
        super().append(block)
        self.settle()


class EverySecondFlushed(ClickHouseStore):
    """What was there is flushed before every second block, which stays in the tail until then."""

    def append(self, block: Block) -> None:
        if len(self.tail.blocks()) > 1:
            self.settle()
        super().append(block)


class Flushing(ClickHouseStore):
    """A thread flushes whatever is there, a block at a time, all along."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._flush, daemon=True)
        self._thread.start()

    def _flush(self) -> None:
        while not self._ended.wait(0.001):
            self.flush(1)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        super().close()


KINDS: Final = dict(zip(WAYS, (FlushedAtOnce, ClickHouseStore, EverySecondFlushed, Flushing), strict=True))


@contextmanager
def opened_in_a_way(way: str, url: str) -> Iterator[ClickHouseStore]:
    with closing(KINDS[way](Engine(url))) as store:
        yield store


URLS: Final = {"chdb": "database_url", "server": "server_url"}
IN_PROCESS: Final = frozenset({"test_definitions"})  # they write into files of the engine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each over both engines, but where it says itself over which."""
    engines = ["chdb", "server"] if _may_be_far(metafunc) else ["chdb"]
    said = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    for fixture, stores in (("store", ["memory", *engines]), ("flushed", engines), ("clickhouse", engines)):
        if fixture in metafunc.fixturenames and fixture not in said:
            metafunc.parametrize(fixture, stores, indirect=True)
            said.append("clickhouse" if fixture == "flushed" else fixture)  # where it stands for the other


def _may_be_far(metafunc: pytest.Metafunc) -> bool:
    """The SQL is one, so what is random goes over HTTP in a soak only."""
    module = metafunc.module.__name__.rpartition(".")[2]
    return module not in IN_PROCESS and (SOAK > 0 or not hasattr(metafunc.function, "hypothesis"))


@pytest.fixture
def clickhouse(request: pytest.FixtureRequest) -> Iterator[ClickHouseStore]:
    with opened_in_a_way("in the tail", request.getfixturevalue(URLS[request.param])) as store:
        yield store


@pytest.fixture
def flushed(request: pytest.FixtureRequest) -> Iterator[ClickHouseStore]:
    """What is appended is in parts at once."""
    with opened_in_a_way("flushed", request.getfixturevalue(URLS[request.param])) as store:
        yield store


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[UsageStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with opened_in_a_way("in the tail", request.getfixturevalue(URLS[request.param])) as opened:
        yield opened


@pytest.fixture(params=["memory", *WAYS])
def written(request: pytest.FixtureRequest, database_url: str) -> Iterator[UsageStore]:  # noqa: F811
    if request.param == "memory":
        yield MemoryStore()
        return
    with opened_in_a_way(request.param, database_url) as store:
        yield store
