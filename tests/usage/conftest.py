"""Both usage stores, empty: the reference and the real one, in this process and on a server (docs/testing.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest
from tests.clickhouse import clickhouse_server, server_url  # noqa: F401
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.soak import SOAK

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore

URLS: Final = {"chdb": "database_url", "server": "server_url"}
IN_PROCESS: Final = frozenset({"test_definitions"})  # they write into files of the engine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each over both engines, but where it says itself over which."""
    engines = ["chdb", "server"] if _may_be_far(metafunc) else ["chdb"]
    said = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    for fixture, stores in (("store", ["memory", *engines]), ("clickhouse", engines)):
        if fixture in metafunc.fixturenames and fixture not in said:
            metafunc.parametrize(fixture, stores, indirect=True)


def _may_be_far(metafunc: pytest.Metafunc) -> bool:
    """The SQL is one, so what is random goes over HTTP in a soak only."""
    module = metafunc.module.__name__.rpartition(".")[2]
    return module not in IN_PROCESS and (SOAK > 0 or not hasattr(metafunc.function, "hypothesis"))


@pytest.fixture
def clickhouse(request: pytest.FixtureRequest) -> Iterator[ClickHouseStore]:
    url = request.getfixturevalue(URLS[request.param])
    with closing(ClickHouseStore(Engine(url))) as opened:
        yield opened


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Iterator[UsageStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    with closing(ClickHouseStore(Engine(request.getfixturevalue(URLS[request.param])))) as opened:
        yield opened
