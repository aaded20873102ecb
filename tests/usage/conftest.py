"""Both usage stores, empty: the reference and the real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine import chdb_directory, database_url  # noqa: F401

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore


@pytest.fixture
def clickhouse(database_url: str) -> Iterator[ClickHouseStore]:  # noqa: F811
    opened = ClickHouseStore(Engine(database_url))
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "chdb"])
def store(request: pytest.FixtureRequest) -> UsageStore:
    if request.param == "memory":
        return MemoryStore()
    found: UsageStore = request.getfixturevalue("clickhouse")
    return found
