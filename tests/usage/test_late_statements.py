"""What only a server can do to a flush: a statement of a writer that is gone arrives late, and a restart empties the
tables in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.clickhouse import ClickHouse
from tests.holding_proxy import HoldingProxy
from tests.usage.test_flushing import in_table, of, tables, there, write

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouse]:
    """One that a test may kill."""
    made = ClickHouse(tmp_path / "server")
    yield made
    made.kill()


@pytest.mark.parametrize("statement", [b"-insert", b"-move"])
def test_a_statement_of_a_dead_writer_that_arrives_late_neither_inserts_nor_moves(
    clickhouse_server: ClickHouse, statement: bytes
) -> None:
    """Named by its query id."""
    with HoldingProxy(clickhouse_server.port) as proxy:
        slow = clickhouse_server.new_url(proxy.port)
        quick = slow.replace(str(proxy.port), str(clickhouse_server.port))
        with closing(ClickHouseStore(Engine(slow))) as dead, closing(ClickHouseStore(Engine(quick))) as heir:
            write(dead, 1)
            late = proxy.hold(statement)

            def flush() -> None:
                with suppress(Exception):  # nobody hears what becomes of it
                    dead.flush()

            flushing = threading.Thread(target=flush, daemon=True)
            flushing.start()
            late.wait()
            heir.take_over("heir")
            assert tables(heir) == []
            assert heir.flushed([1]) == set()
            write(heir, 1, 2)  # out of the journal, and what came since
            assert there(heir) == of(1, 2)
            late.let_go()
            assert (in_table(heir), there(heir)) == ([], of(1, 2))
            heir.settle()
            assert (in_table(heir), there(heir)) == ([1, 2], of(1, 2))
            flushing.join(60)
            assert not flushing.is_alive()


def test_a_tail_that_a_restart_of_the_server_emptied_is_filled_anew(server: ClickHouse) -> None:
    with closing(ClickHouseStore(Engine(server.new_url()))) as store:
        write(store, 1)
        store.settle()
        write(store, 2, 3)
        assert there(store) == of(1, 2, 3)
        server.kill()
        server.start()
        assert there(store) == of(1, 2, 3)
        write(store, 4)
        store.settle()
        assert (in_table(store), there(store)) == ([1, 2, 3, 4], of(1, 2, 3, 4))
