"""What only an engine behind HTTP can get wrong: connections, and what others on the same server do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pyarrow as pa
import pytest
from tests.clickhouse import ClickHouse
from tests.holding_proxy import HoldingProxy

from flowtally.core.errors import FlowtallyError
from flowtally.usage.engine import Engine

ASKERS = 20
PATIENCE_S = 60
ROWS = pa.table({"a": pa.array(range(40), pa.int64())})


@pytest.fixture
def two(clickhouse_server: ClickHouse) -> Iterator[list[Engine]]:
    """Of two installations on one server; an insert into their tables takes two seconds."""
    with ExitStack() as closing_:
        made = [closing_.enter_context(closing(Engine(clickhouse_server.new_url()))) for _ in range(2)]
        for engine in made:
            engine.command(
                "CREATE TABLE slow (a Int64, b UInt8 MATERIALIZED sleepEachRow(0.05)) ENGINE = MergeTree ORDER BY a"
            )
        yield made


def test_whoever_asked_once_asks_again_over_the_same_connection(clickhouse_server: ClickHouse) -> None:
    with (
        HoldingProxy(clickhouse_server.port) as proxy,
        closing(Engine(clickhouse_server.new_url(proxy.port))) as engine,
        ThreadPoolExecutor(ASKERS) as pool,
    ):
        together = threading.Barrier(ASKERS)

        def ask(_: int) -> None:
            with engine.client() as client:
                together.wait(PATIENCE_S)
                assert client.query("SELECT 1").result_rows

        list(pool.map(ask, range(ASKERS)))
        opened = proxy.connections
        for _ in range(3):
            list(pool.map(ask, range(ASKERS)))
        assert proxy.connections == opened


def test_two_installations_on_one_server_insert_blocks_of_one_number_at_once(two: list[Engine]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda engine: engine.insert("slow", ROWS, "block-1"), two))
    assert [engine.rows("SELECT count() FROM slow") for engine in two] == [[(40,)], [(40,)]]


def test_an_insert_of_another_installation_is_not_ended(two: list[Engine]) -> None:
    mine, other = two
    running = "SELECT count() FROM system.processes WHERE query_id LIKE '%block-1'"
    with ThreadPoolExecutor(1) as pool:
        inserting = pool.submit(other.insert, "slow", ROWS, "block-1")
        while mine.rows(running) != [(1,)]:
            assert not inserting.done()
        mine.end_query("block-1")
        inserting.result()
    assert other.rows("SELECT count() FROM slow") == [(40,)]


def test_a_statement_is_ended_by_its_name_and_that_of_another_installation_is_not(two: list[Engine]) -> None:
    """Both have given theirs the same name. A move of which no answer came is ended so, before its rows are counted."""
    copying = "INSERT INTO slow (a) SELECT number FROM numbers(40)"
    with ThreadPoolExecutor(2) as pool:
        ended, stays = (pool.submit(engine.command, copying, "usage_staged_x_1-move") for engine in two)
        running = "SELECT count() FROM system.processes WHERE query LIKE '%numbers(40)%' AND query NOT LIKE '%system.%'"
        until = time.monotonic() + PATIENCE_S
        while two[0].rows(running) != [(2,)]:
            assert time.monotonic() < until
            time.sleep(0.01)
        two[0].end_query("usage_staged_x_1-move")
        with pytest.raises(FlowtallyError):
            ended.result(PATIENCE_S)
        stays.result(PATIENCE_S)
    assert [engine.rows("SELECT count() FROM slow") for engine in two] == [[(0,)], [(40,)]]
