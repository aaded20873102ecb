"""The usage stores, empty: the reference, and the real one as rows may lie in it, in this process and on a server
(docs/testing.md).

`store` is the reference and the real one, `written` the real one alone, each with its rows in all ways in which they
may lie (`ways.py`). `clickhouse` has all that was appended in its tail, `flushed` nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final

import pytest
from tests.clickhouse import clickhouse_server, server_url  # noqa: F401
from tests.engine import chdb_directory, database_url, new_database_url  # noqa: F401
from tests.kinds import WAYS
from tests.soak import SOAK
from tests.usage.ways import opened_in_a_way

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore

URLS: Final = {"chdb": "database_url", "server": "server_url"}
IN_PROCESS: Final = frozenset({"test_definitions"})  # they write into files of the engine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each over both engines, but where it says itself over which; what is said of rows in all ways they may lie."""
    far = ["server"] if _may_be_far(metafunc) else []
    said = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    engines, ways = ["chdb", *far], [*WAYS, *far]
    for fixture, stores in (
        ("store", ["memory", *ways]), ("written", ways), ("flushed", engines), ("clickhouse", engines),
    ):  # fmt: skip
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
    with _in_a_way(request) as opened:
        yield opened


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[ClickHouseStore]:
    with _in_a_way(request) as opened:
        yield opened


def _in_a_way(request: pytest.FixtureRequest) -> AbstractContextManager[ClickHouseStore]:
    """On a server all of it is in the tail: the SQL of the ways is one, and the tail's statements are the most."""
    way, engine = ("in the tail", "server") if request.param == "server" else (request.param, "chdb")
    return opened_in_a_way(way, request.getfixturevalue(URLS[engine]))
