"""What readers may take of the engine: never the writer's connection, bounded memory, no more groups than asked for."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.usage.blocks import block

from flowtally.core.errors import BadRange, Unavailable
from flowtally.usage import queries, readers
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import READERS_PART
from flowtally.usage.values import BUCKET_MS, Where

READERS = 20
PATIENCE_S = 30
TOO_LARGE = "SELECT groupArray(number) FROM numbers(200000000)"


@contextmanager
def all_asking(store: ClickHouseStore) -> Iterator[None]:
    """More readers than any pool had connections, each keeping its own."""
    there, go_on = threading.Barrier(READERS + 1), threading.Event()

    def keep() -> None:
        with store.engine.client() as client:
            assert client.query("SELECT 1").result_rows
            there.wait(PATIENCE_S)
            assert go_on.wait(PATIENCE_S)

    with ThreadPoolExecutor(READERS, initializer=readers.mark) as pool:
        kept = [pool.submit(keep) for _ in range(READERS)]
        there.wait(PATIENCE_S)
        try:
            yield
        finally:
            go_on.set()
    assert [one.result() for one in kept] == [None] * READERS


def in_thread_of_a_reader(work: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1, initializer=readers.mark) as pool:
        return pool.submit(work).result(PATIENCE_S)


def test_whatever_readers_keep_the_writer_writes_and_a_check_reads(clickhouse: ClickHouseStore) -> None:
    with all_asking(clickhouse):
        clickhouse.append(block(1, {"bytes_up": 1}))
        clickhouse.settle()
        assert clickhouse.flushed([1, 2]) == {1}
        assert clickhouse.totals().rows == 1
        assert not clickhouse.broken(0)


def test_connections_are_used_again(clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    connect = clickhouse.engine._connect

    def counted(*given: Any) -> Any:
        opened.append(given)
        return connect(*given)

    monkeypatch.setattr(clickhouse.engine, "_connect", counted)
    for _ in range(5):
        in_thread_of_a_reader(lambda: clickhouse.engine.rows("SELECT 1"))
        clickhouse.engine.rows("SELECT 1")
    assert len(opened) == 1, "one for readers; the writer's was there"


def test_a_question_of_a_reader_that_needs_too_much_memory_is_unavailable(clickhouse: ClickHouseStore) -> None:
    with pytest.raises(Unavailable, match="memory"):
        in_thread_of_a_reader(lambda: clickhouse.engine.rows(TOO_LARGE))
    assert in_thread_of_a_reader(lambda: clickhouse.engine.rows("SELECT 7")) == [(7,)]


def test_what_is_no_readers_has_no_bound_of_theirs(clickhouse: ClickHouseStore) -> None:
    asked = "SELECT value FROM system.settings WHERE name = 'max_memory_usage'"
    own, theirs = (
        int(rows[0][0])
        for rows in (clickhouse.engine.rows(asked), in_thread_of_a_reader(lambda: clickhouse.engine.rows(asked)))
    )
    assert own == 0 < theirs


@pytest.mark.parametrize("clickhouse", ["chdb"], indirect=True)
def test_readers_who_ask_at_once_share_the_processors_and_one_alone_has_all(clickhouse: ClickHouseStore) -> None:
    asked = "SELECT value FROM system.settings WHERE name = 'max_threads'"
    alone = in_thread_of_a_reader(lambda: clickhouse.engine.rows(asked))
    with all_asking(clickhouse):
        beside = in_thread_of_a_reader(lambda: clickhouse.engine.rows(asked))
        assert clickhouse.engine.rows(asked) == alone, "the writer's question keeps all"
    assert alone != beside == [("1",)]


def test_the_memory_of_the_engine_is_the_setting(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom flowtally.usage.open import open_usage\nstore = open_usage(sys.argv[1], 700_000_000)\n"
        "print(*store.engine.rows(\"SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'\"))"
        f"\nprint(store.engine._readers.settings['max_memory_usage'] * {READERS_PART})\nstore.close()"
    )
    command = [sys.executable, "-c", code, f"chdb://{tmp_path}/usage"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said == "('700000000',)\n700000000\n"


ALONE = """
import sys
from flowtally.usage.open import open_usage
store = open_usage(sys.argv[1], 700_000_000)
store.engine.command("CREATE TABLE kept (x UInt8) ENGINE = Memory")
store.engine.command("INSERT INTO kept VALUES (1)")
for _ in range(3):
    try:
        store.engine.rows("SELECT throwIf(1)")
    except Exception as error:
        print(type(error).__name__)
print(store.engine.rows("SELECT count() FROM kept"))
store.close()
"""


def test_an_error_of_the_only_one_who_asks_does_not_end_the_engine(tmp_path: Path) -> None:
    """A client is closed after an error; the engine in the process ends with its last one, and what is in memory."""
    command = [sys.executable, "-c", ALONE, f"chdb://{tmp_path}/usage"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split("\n")[-2] == "[(1,)]", said


@pytest.mark.parametrize("edges", [[0, 4 * BUCKET_MS], [1, 4 * BUCKET_MS], [0, 5, 4 * BUCKET_MS]])
@pytest.mark.parametrize("by", [("user",), ("user", "status"), ("label:n",)])
def test_as_many_groups_as_may_be_are_answered_and_one_more_is_refused(
    clickhouse: ClickHouseStore, edges: list[int], by: tuple[str, ...]
) -> None:
    rows = [{"time": 10 + n, "user": f"u{n}", "labels": {"n": str(n)}, "bytes_up": n} for n in range(300)]
    clickhouse.append(block(1, *rows))
    found = clickhouse.sums(edges, Where(account="acme"), by, limit=300)
    assert len(found) == 300
    assert sum(one.bytes_up for one in found) == sum(range(300))
    with pytest.raises(BadRange, match="more than 299 sums") as caught:
        clickhouse.sums(edges, Where(account="acme"), by, limit=299)
    assert caught.value.extra == {"limit": 299}


def test_too_many_groups_are_given_up_while_they_are_met_not_when_they_are_sorted(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clickhouse.append(block(1, *({"time": n % 50, "user": f"u{n}"} for n in range(5000))))
    monkeypatch.setattr(queries, "check_limit", lambda found, limit: pytest.fail(f"{found} sums were made"))
    with pytest.raises(BadRange, match="more than 100 sums"):
        clickhouse.sums([0, BUCKET_MS], Where(account="acme"), ("user",), limit=100)
