"""A statement that is held arrives late, and nobody can tell before; one whose answer is lost is not said again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import OperationalError
from tests.clickhouse import ClickHouse, clickhouse_server  # noqa: F401
from tests.holding_proxy import HoldingProxy

from flowtally.core.errors import Unavailable
from flowtally.usage.engine import Engine

ROWS = pa.table({"a": pa.array([7], pa.int64())})
LATE = "late-insert"  # a query id: it is in the address, however the rows are packed


@pytest.fixture
def proxy(clickhouse_server: ClickHouse) -> Iterator[HoldingProxy]:  # noqa: F811
    with HoldingProxy(clickhouse_server.port) as opened:
        yield opened


@pytest.fixture
def engine(proxy: HoldingProxy, clickhouse_server: ClickHouse) -> Iterator[Engine]:  # noqa: F811
    """Behind the proxy."""
    with closing(Engine(clickhouse_server.new_url(proxy.port))) as opened:
        opened.command("CREATE TABLE kept (a Int64) ENGINE = MergeTree ORDER BY a")
        yield opened


def test_what_a_writer_sent_before_it_died_arrives_after_it_was_ended(proxy: HoldingProxy, engine: Engine) -> None:
    dead: Any = clickhouse_connect.get_client(
        host="127.0.0.1",
        port=proxy.port,
        database=engine.database,
        send_receive_timeout=1,
        autogenerate_session_id=False,
    )
    late = proxy.hold(LATE.encode())
    with pytest.raises(OperationalError):
        dead.insert_arrow("kept", ROWS, settings={"query_id": LATE})
    dead.close()
    late.wait()
    engine.end_query(LATE)
    assert engine.rows("SELECT * FROM kept") == [], "who looks finds nothing, and nothing to end"
    late.let_go()
    assert engine.rows("SELECT * FROM kept") == [(7,)]


def test_what_is_held_is_answered_when_it_was_let_go_and_keeps_no_other(proxy: HoldingProxy, engine: Engine) -> None:
    late = proxy.hold(LATE.encode())
    inserting = threading.Thread(target=engine.insert, args=("kept", ROWS, LATE))
    inserting.start()
    late.wait()
    engine.insert("kept", ROWS, "in time")
    assert engine.rows("SELECT count() FROM kept") == [(1,)]
    late.let_go()
    inserting.join()
    assert engine.rows("SELECT count() FROM kept") == [(2,)]


def test_what_is_never_let_go_never_arrives(clickhouse_server: ClickHouse) -> None:  # noqa: F811
    with (
        HoldingProxy(clickhouse_server.port) as proxy,
        closing(Engine(clickhouse_server.new_url(proxy.port))) as engine,
    ):
        late = proxy.hold(b"CREATE TABLE late")
        asking = threading.Thread(target=_failing, args=(engine,))
        asking.start()
        late.wait()
    asking.join()
    with closing(Engine(engine.url.replace(str(proxy.port), str(clickhouse_server.port)))) as straight:
        assert straight.rows("SHOW TABLES") == []


def _failing(engine: Engine) -> None:
    with pytest.raises(Unavailable):
        engine.command("CREATE TABLE late (a Int64) ENGINE = Memory")


def test_an_insert_whose_answer_is_lost_is_told_as_a_failure_and_not_sent_again(
    proxy: HoldingProxy, engine: Engine
) -> None:
    lost = proxy.lose(LATE.encode())
    with pytest.raises(Unavailable, match="cannot be reached"):
        engine.insert("kept", ROWS, LATE)
    lost.wait()
    assert engine.rows("SELECT count() FROM kept") == [(1,)]


def test_a_command_neither(proxy: HoldingProxy, engine: Engine) -> None:
    for statement in ("INSERT INTO kept SELECT 8", "ALTER TABLE kept DELETE WHERE a = 9"):
        lost = proxy.lose(statement.encode())
        with pytest.raises(Unavailable, match="cannot be reached"):
            engine.command(statement)
        lost.wait()
    mutations = "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
    assert engine.rows(f"SELECT (SELECT count() FROM kept), ({mutations})") == [(1, 1)]


def test_what_was_said_before_is_not_caught(proxy: HoldingProxy, engine: Engine) -> None:
    engine.command("INSERT INTO kept SELECT 1")
    late = proxy.hold(b"INSERT INTO kept SELECT 1")
    assert engine.rows("SELECT count() FROM kept") == [(1,)]
    assert not late.came.is_set()


def test_where_no_server_is_nobody_waits(clickhouse_server: ClickHouse) -> None:  # noqa: F811
    with socket.create_server(("127.0.0.1", 0)) as listening:
        nobody = listening.getsockname()[1]
    with HoldingProxy(nobody) as proxy:
        for _ in range(2):
            with pytest.raises(Unavailable):
                Engine(clickhouse_server.new_url(proxy.port))
