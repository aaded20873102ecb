"""What this engine does unless it is told otherwise, and that it was told. Each test names a trap met in trials."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest
from tests.usage.blocks import USUAL, block

import flowtally
from flowtally.core.errors import ConfigError, Unavailable
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine, _read_url
from flowtally.usage.open import open_usage
from flowtally.usage.schema import migrations
from flowtally.usage.values import BUCKET_MS, Block, Sum, Where

MONTH_MS: Final = 32 * 86_400_000


def parts(store: ClickHouseStore) -> list[tuple[int, str]]:
    """(rows, partition) of each insert's part, merged since or not: level 0 in the log of parts is an insert."""
    return store.engine.rows(
        "SELECT rows, partition FROM system.parts WHERE database = currentDatabase() AND table = 'usage_events'"
        " AND level = 0 ORDER BY min_block_number"
    )


def many(number: int, count: int) -> Block:
    """A block of `count` rows over a year of events, so that times alone would spread it."""
    one = block(number, {"user": "u"}).rows
    columns: dict[str, Any] = {
        name: pa.repeat(pa.scalar(USUAL[name] or "", pa.string()), count) if pa.types.is_dictionary(kind) else None
        for name, kind in zip(one.schema.names, one.schema.types, strict=True)
    }
    for name in one.schema.names:
        if columns[name] is None:
            columns[name] = pa.repeat(one.column(name)[0], count)
    columns["time"] = pa.array([index * 157_000 for index in range(count)], pa.int64())
    columns["id"] = pa.array([f"{number}-{index}" for index in range(count)])
    return Block(number, 1_700_000_000_000, pa.RecordBatch.from_pydict(columns))


@pytest.mark.parametrize("count", [1, 10_000, 65_537, 200_000])
def test_one_block_is_one_part(flushed: ClickHouseStore, count: int) -> None:
    flushed.engine.command("SYSTEM STOP MERGES usage_events")
    flushed.append(many(1, count))
    flushed.append(many(2, count))
    assert [rows for rows, _ in parts(flushed)] == [count, count]
    assert flushed.totals().rows == 2 * count


def test_the_instant_of_receipt_chooses_the_partition_whatever_the_events_say(flushed: ClickHouseStore) -> None:
    flushed.engine.command("SYSTEM STOP MERGES usage_events")
    flushed.append(block(1, {"time": 0}, {"time": 1_800_000_000_000}, received_at=1_700_000_000_000))
    flushed.append(block(2, {"time": 0}, received_at=1_700_000_000_000 + MONTH_MS))
    assert parts(flushed) == [(2, "202311"), (1, "202312")]


def test_inserts_are_synchronous_though_the_engine_would_buffer_them(clickhouse: ClickHouseStore) -> None:
    assert clickhouse.engine.rows("SELECT toString(getSetting('async_insert'))") in ([("0",)], [("false",)])
    clickhouse.append(block(1, {}))
    assert clickhouse.totals().rows == 1


def test_dictionary_encoded_columns_arrive_as_they_are(clickhouse: ClickHouseStore) -> None:
    names = ["b", "a", "b", "", "c", "b"]
    clickhouse.append(block(1, *({"user": name, "account": name, "requests": 1} for name in names)))
    found = clickhouse.sums([0, 1], Where(), ("user", "account"))
    assert [(one.by, one.requests) for one in found] == [
        (("", ""), 1),
        (("a", "a"), 1),
        (("b", "b"), 3),
        (("c", "c"), 1),
    ]


def test_a_dictionary_with_values_that_no_row_uses_adds_nothing(clickhouse: ClickHouseStore) -> None:
    one = block(1, {"user": "x"}, {"user": "y"})
    index = one.rows.schema.get_field_index("user")
    column = pa.DictionaryArray.from_arrays(pa.array([2, 2], pa.int32()), pa.array(["unused", "also", "used"]))
    clickhouse.append(Block(1, 1000, one.rows.set_column(index, "user", column)))
    assert clickhouse.sums([0, 1], Where(), ("user",)) == [Sum(0, ("used",), 0, 0, 2)]


def test_the_largest_quantities_are_kept_to_the_last_unit(clickhouse: ClickHouseStore) -> None:
    most = 2**53 - 1
    clickhouse.append(
        block(1, {"id": "x", "bytes_up": most, "bytes_down": most - 1, "requests": most, "status": 65535})
    )
    found = clickhouse.find("gw", id="x", sequence=None, block=1)
    assert found is not None
    assert (found.bytes_up, found.bytes_down, found.requests, found.status) == (most, most - 1, most, 65535)


def test_the_table_is_made_as_designed(clickhouse: ClickHouseStore) -> None:
    [(text,)] = clickhouse.engine.rows("SHOW CREATE TABLE usage_events")
    for wanted in (
        "ENGINE = MergeTree",
        "PARTITION BY toYYYYMM(received_at)",
        "ORDER BY (series, account, time)",
        "fsync_after_insert = 1",
        "fsync_part_directory = 1",
        "min_rows_to_fsync_after_merge = 1",
        "min_compressed_bytes_to_fsync_after_merge = 1",
        "max_suspicious_broken_parts = 0",
        "min_age_to_force_merge_seconds = 3600",
        "min_age_to_force_merge_on_partition_only = 1",
        "PROJECTION buckets",
        "PROJECTION account_buckets",
        "`time` DateTime64(3, 'UTC')",
        "`received_at` DateTime64(3, 'UTC')",
        f"intDiv(toUnixTimestamp64Milli(time), {BUCKET_MS}) AS bucket",
    ):
        assert wanted in text
    quantities = [text.split(f"`{name}` ")[1].split(",")[0] for name in ("bytes_up", "bytes_down", "requests")]
    assert quantities == ["Int64"] * 3


def test_opening_again_migrates_nothing_and_keeps_everything(new_database_url: str) -> None:
    for number in (1, 2, 3):
        store = open_usage(new_database_url)
        assert isinstance(store, ClickHouseStore)
        store.append(block(number, {"bytes_up": number}))
        applied = store.engine.rows("SELECT number, count() FROM schema_migrations GROUP BY number ORDER BY number")
        assert applied == [(migration.number, 1) for migration in migrations()]
        assert store.totals().rows == number
        store.settle()
        store.close()


def test_a_crash_between_the_table_and_its_record_is_made_good(database_url: str) -> None:
    engine = Engine(database_url)
    ClickHouseStore(engine)
    engine.command("TRUNCATE TABLE schema_migrations SYNC")
    again = ClickHouseStore(engine)
    numbers = [migration.number for migration in migrations()]
    assert again.engine.rows("SELECT number FROM schema_migrations ORDER BY number") == [(one,) for one in numbers]
    again.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [one.number for one in migrations()] == list(range(1, len(migrations()) + 1))
    assert all(one.statements and "{engine}" not in "".join(one.statements) for one in migrations())


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://host/db",
        "",
        "/just/a/path",
        "chdb:///tmp/x?database=a-b",
        "chdb:///tmp/x?database=1a",
        "clickhouse://host/a`b",
        "chdb:///tmp/x?database=a%20b",
    ],
)
def test_a_url_that_cannot_be_used_is_named_before_anything_is_opened(url: str) -> None:
    with pytest.raises(ConfigError):
        open_usage(url)


def test_an_absent_server_is_unavailable_and_its_password_is_not_told() -> None:
    with pytest.raises(Unavailable) as caught:
        open_usage("clickhouse://someone:secret@127.0.0.1:1/flowtally")
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "clickhouse://u:secret/s@127.0.0.1/d",
        "clickhouse://u:12/secret@127.0.0.1/d",
        "clickhouse://u:secret@127.0.0.1:port/d",
        "clickhouse://u:secret@[::1/d",
        "//u:secret@127.0.0.1/d",
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="usage_url") as caught:
        open_usage(url)
    assert "secret" not in str(caught.value)


def test_what_cannot_stand_in_a_url_is_written_with_percent_signs() -> None:
    _, _, told = _read_url("clickhouse://so%40me:a%2Fb%3Ac%25@h:1/d")
    assert (told["username"], told["password"], told["host"]) == ("so@me", "a/b:c%", "h")
    assert _read_url("clickhouse://me:50%@h/d")[2]["password"] == "50%"


def test_words_values_and_pure_parts_do_not_load_the_engine() -> None:
    """After a mere `import chdb` a forked child hangs, so only the process that serves may import it."""
    modules = "flowtally.usage.open, flowtally.usage.memory, flowtally.keys.store, flowtally.ingest.door"
    code = f"import {modules}, sys; sys.exit(any(name.split('.')[0] == 'chdb' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_second_process_cannot_open_the_same_directory(tmp_path: Path) -> None:
    """The engine itself locks its directory; the lease beside the keys is what people will usually meet first."""
    code = (
        "import sys\nfrom flowtally.usage.open import open_usage\n"
        "store = open_usage(sys.argv[1])\nprint('open', flush=True)\nsys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, f"chdb://{tmp_path}/usage"]
    first = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        second = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=60)
        assert second.returncode != 0
        assert "open" not in second.stdout
    finally:
        first.kill()
        first.wait()


@pytest.mark.parametrize("gone", [True, False])
def test_it_opens_where_the_working_directory_is_gone_or_closed(tmp_path: Path, gone: bool) -> None:
    """As root says `runuser -u flowtally` in its own home."""
    here, code = tmp_path / "here", "import os, sys\n"
    here.mkdir()
    if gone:
        code += "os.rmdir(os.getcwd())\n"
    else:
        code += "os.chmod('.', 0)\nos.access = lambda *_: False\n" if os.geteuid() == 0 else "os.chmod('.', 0)\n"
    code += "from flowtally.usage.open import open_usage\nopen_usage(sys.argv[1]).close()\nprint(os.getcwd())"
    command = [sys.executable, "-c", code, f"chdb:///{tmp_path}/usage"]
    path = {"PYTHONPATH": str(Path(flowtally.__file__).parents[1])}
    done = subprocess.run(command, cwd=here, env={**os.environ, **path}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "/\n"), done.stderr
