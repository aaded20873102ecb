"""The ClickHouse server that tests have is one to whoever speaks to it over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError
from tests.clickhouse import ClickHouse, clickhouse_server  # noqa: F401

from flowtally.usage.engine import Engine

SLOW: Final = "sleepEachRow(0.01) FROM numbers(100000) SETTINGS max_block_size = 10"
PATIENCE_S: Final = 60
PARENT: Final = """
import sys
from pathlib import Path
from tests.clickhouse import ClickHouse
server = ClickHouse(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.read()
"""

Connect = Callable[..., Any]


@pytest.fixture
def connect(clickhouse_server: ClickHouse) -> Iterator[Connect]:  # noqa: F811
    made: list[Any] = []

    def client(**more: Any) -> Any:
        options: dict[str, Any] = {"autogenerate_session_id": False, **more}
        made.append(clickhouse_connect.get_client(host="127.0.0.1", port=clickhouse_server.port, **options))
        return made[-1]

    yield client
    for one in made:
        one.close()


def soon(holds: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip", True])
@pytest.mark.parametrize("form", [False, True])
def test_rows_go_there_and_back_however_they_are_packed(connect: Connect, compress: Any, form: bool) -> None:
    client = connect(compress=compress, form_encode_query_params=form)
    client.command("CREATE OR REPLACE TABLE there (a String, b Int64) ENGINE = Memory")
    texts = ["", "é日本🧦", "tab\tnl\nquote'\"\\", "v\x00\x9b", "-- ;", "x" * 100_000, " FORMAT Null\n"]
    client.insert("there", [[text, index] for index, text in enumerate(texts)], column_names=["a", "b"])
    found = client.query("SELECT a FROM there WHERE a IN {some:Array(String)} ORDER BY b", {"some": texts})
    assert [row[0] for row in found.result_rows] == texts
    table = client.query_arrow("SELECT a, b FROM there ORDER BY b", use_strings=True)
    assert table.column("a").to_pylist() == texts
    client.insert_arrow("there", table)
    assert client.command("SELECT count() FROM there") == 2 * len(texts)
    assert client.raw_query("SELECT max(b) FROM there", fmt="TabSeparated") == f"{len(texts) - 1}\n".encode()
    assert client.query("SELECT a FROM there WHERE 0").result_rows == []
    assert client.ping()


def test_what_one_question_sets_the_next_has_not(connect: Connect) -> None:
    client = connect(settings={"max_threads": 1})
    assert client.command("SELECT getSetting('max_threads'), getSetting('max_rows_to_read')") == ["1", "0"]
    assert client.command("SELECT getSetting('max_rows_to_read')", settings={"max_rows_to_read": 7}) == 7
    client.command("SET max_threads = 2")
    assert client.command("SELECT getSetting('max_threads'), getSetting('max_rows_to_read')") == ["1", "0"]


def test_an_error_has_the_code_and_the_text_of_the_engine(connect: Connect) -> None:
    client = connect(query_retries=0)
    for text, code, name in (
        ("SELECT 1 FROM (", 62, "SYNTAX_ERROR"),
        ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
        ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ):
        with pytest.raises(DatabaseError, match=rf"Code: {code}\. DB::Exception: .*\({name}\)") as told:
            client.command(text)
        assert (told.value.code, told.value.name) == (code, name)
    with pytest.raises(ClickHouseError, match="UNKNOWN_DATABASE"):
        connect(database="nowhere").command("SELECT 1")
    with pytest.raises(ClickHouseError, match="sessions are not served here"):
        connect(session_id="one").command("SELECT 1")


def test_a_question_is_ended_by_its_id_and_no_other_is(connect: Connect) -> None:
    told: dict[str, str] = {}

    def ask(query_id: str) -> None:
        try:
            connect().command(f"SELECT {SLOW}", settings={"query_id": query_id})
        except DatabaseError as error:
            told[query_id] = str(error.name)

    def running() -> list[str]:
        found = client.query("SELECT query_id FROM system.processes WHERE query_id LIKE 'slow%' ORDER BY query_id")
        return [row[0] for row in found.result_rows]

    client = connect()
    asking = [threading.Thread(target=ask, args=(name,)) for name in ("slow-1", "slow-2")]
    for one in asking:
        one.start()
    soon(lambda: running() == ["slow-1", "slow-2"])
    with pytest.raises(DatabaseError, match="QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING"):
        client.command("SELECT 1", settings={"query_id": "slow-1"})
    client.query("KILL QUERY WHERE query_id = {id:String} SYNC", {"id": "slow-1"})
    assert running() == ["slow-2"]
    client.query("KILL QUERY WHERE query_id = {id:String} SYNC", {"id": "slow-2"})
    for one in asking:
        one.join(PATIENCE_S)
    assert told == {"slow-1": "QUERY_WAS_CANCELLED", "slow-2": "QUERY_WAS_CANCELLED"}


def test_after_a_kill_it_has_what_was_on_its_disk(tmp_path: Path) -> None:
    server = ClickHouse(tmp_path)
    try:
        with closing(Engine(server.new_url())) as engine:
            for name, kept in (
                ("a_disk", "MergeTree ORDER BY a SETTINGS fsync_after_insert = 1"),
                ("a_tail", "Memory"),
            ):
                engine.command(f"CREATE TABLE {name} ENGINE = {kept} AS SELECT 7 AS a")
            server.kill()
            with pytest.raises(OperationalError):
                clickhouse_connect.get_client(host="127.0.0.1", port=server.port)
            server.start()
            found = engine.rows("SELECT (SELECT count() FROM a_disk), (SELECT count() FROM a_tail)")
        assert found == [(1, 0)]
    finally:
        server.kill()


def test_it_ends_with_whoever_started_it_and_leaves_no_files(tmp_path: Path) -> None:
    place = tmp_path / "of the server"
    command = [sys.executable, "-c", PARENT, str(place)]
    root = Path(__file__).parents[1]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    assert parent.stdin is not None
    assert parent.stdout is not None
    with parent.stdin, parent.stdout:
        pid = int(parent.stdout.readline())
        assert place.is_dir()
        parent.kill()
        parent.wait(PATIENCE_S)
    soon(lambda: not place.exists())
    soon(lambda: not is_there(pid))


def is_there(pid: int) -> bool:
    """What nobody waits for may still have its number."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return ") Z " not in state
