"""The engine's own text of a table, changed by a byte: no start over it, and it is said what differs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from tests.usage.blocks import block

from flowtally.core.errors import FlowtallyError, TableChanged
from flowtally.usage import definitions
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.compaction import STAGING
from flowtally.usage.definitions import check, find_changed
from flowtally.usage.engine import Engine
from flowtally.usage.schema import MADE, Made, latest_migration

NOW = latest_migration()
HEAD = "ATTACH TABLE _ UUID '00000000-0000-0000-0000-000000000000'"


def file_of(engine: Engine, table: str) -> Path:
    [(path,)] = engine.rows(
        "SELECT metadata_path FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    assert engine.path is not None
    return Path(engine.path / path)


@contextmanager
def written(engine: Engine, table: str, content: bytes) -> Iterator[None]:
    """The engine loads the table anew from this text, as at a start."""
    file = file_of(engine, table)
    old = file.read_bytes()
    engine.command(f"DETACH TABLE {table} SYNC")
    try:
        file.write_bytes(content)
        engine.command(f"ATTACH TABLE {table}")
        yield
        engine.command(f"DETACH TABLE {table} SYNC")
    finally:
        file.write_bytes(old)
        engine.command(f"ATTACH TABLE {table}")


def test_what_migrations_make_is_what_is_pinned(clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> str:
        raise AssertionError("src/flowtally/usage/schema/made is not what the engine tells of the migrations' tables")

    assert {one.table for one in MADE} == {row[0] for row in clickhouse.engine.rows("SHOW TABLES")}
    monkeypatch.setattr(definitions, "_made_anew", never)
    check(clickhouse.engine, NOW)


@pytest.mark.parametrize(
    ("table", "old", "new", "said"),
    [
        ("usage_events", "`entries` UInt64 DEFAULT 1", "`entries` UInt64 DEFAULT 0", "DEFAULT 0"),
        ("usage_events", "'correction' = 2", "'correction' = 4", "'correction' = 4"),
        ("usage_events", "900000) AS bucket", "900001) AS bucket", "900001"),
        ("usage_events", "`digest` Int64", "`digesu` Int64", "digesu"),
        ("usage_events", "`status` UInt16", "`status` UInt32", "UInt32"),
        ("usage_events", "DateTime64(3, 'UTC')", "DateTime64(2, 'UTC')", "DateTime64(2"),
        ("usage_events", "sum(toInt128(bytes_down))", "sum(toInt128(bytes_up))", "bytes_up"),
        ("usage_events", "max_suspicious_broken_parts = 0", "max_suspicious_broken_parts = 9", "parts = 9"),
        ("usage_events", "fsync_after_insert = 1", "fsync_after_insert = 0", "fsync_after_insert = 0"),
        ("usage_events", "fsync_part_directory = 1, ", "", "fsync_part_directory = 1"),
        ("usage_events", "TYPE minmax GRANULARITY 1", "TYPE minmax GRANULARITY 3", "GRANULARITY 3"),
        ("usage_events", "index_granularity = 8192", "index_granularity = 8192, ttl_only_drop_parts = 1", "ttl_only"),
        ("usage_events", "account, time)\n", "account, time)\nTTL toDateTime(time)\n", "TTL"),
        ("installation", "`generation` String", "`generatioo` String", "generatioo"),
        ("installation", "ORDER BY bound_at", "ORDER BY generation", "ORDER BY generation"),
        ("schema_migrations", "`number` UInt32", "`number` UInt64", "UInt64"),
        ("schema_migrations", "fsync_after_insert = 1", "fsync_after_insert = 0", "fsync_after_insert = 0"),
    ],
)  # fmt: skip
def test_a_changed_definition_is_refused_with_what_differs(
    clickhouse: ClickHouseStore, table: str, old: str, new: str, said: str
) -> None:
    engine = clickhouse.engine
    content = file_of(engine, table).read_text()
    assert old in content
    with written(engine, table, content.replace(old, new, 1).encode()):
        with pytest.raises(TableChanged) as caught:
            ClickHouseStore(Engine(engine.url))
        assert f"table {table} " in str(caught.value)
        assert said in str(caught.value)
        assert f"/{table}.sql): " in str(caught.value)
        assert engine.rows("SHOW TABLES LIKE 'made%'") == []
    check(engine, NOW)


@pytest.mark.parametrize("table", [one.table for one in MADE])
@pytest.mark.parametrize("mask", [0x01, 0x12])
def test_any_byte_is_told_or_means_nothing(clickhouse: ClickHouseStore, table: str, mask: int) -> None:
    engine = clickhouse.engine
    content = file_of(engine, table).read_bytes()
    silent = []
    for at in range(content.index(b"("), len(content), 17 if table == "usage_events" else 5):
        changed = content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]
        try:
            with written(engine, table, changed):
                check(engine, NOW)
                silent.append(changed)
        except (TableChanged, ClickHouseError, FlowtallyError):
            continue
    # What is left differs from ours only in what no text of SQL heeds.
    assert [one for one in silent if b"".join(one.split()) != b"".join(content.split())] == []


def test_what_another_engine_tells_otherwise_is_compared_with_what_it_makes(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = clickhouse.engine
    others = [Made(one.since, one.table, one.text.replace("index_granularity = 8192", "any = 1")) for one in MADE]
    monkeypatch.setattr(definitions, "MADE", others)
    check(engine, NOW)
    assert engine.rows("SHOW TABLES LIKE 'made%'") == []
    content = file_of(engine, "usage_events").read_bytes()
    with written(engine, "usage_events", content.replace(b"DEFAULT 1", b"DEFAULT 0", 1)):
        with pytest.raises(TableChanged, match="DEFAULT 0"):
            check(engine, NOW)
        assert engine.rows("SHOW TABLES LIKE 'made%'") == []


def test_a_month_on_its_way_is_looked_at_too(clickhouse: ClickHouseStore) -> None:
    engine = clickhouse.engine
    clickhouse.append(block(1, {"bytes_up": 7}))
    engine.command(f"CREATE TABLE {STAGING} AS usage_events")
    engine.command(f"RENAME TABLE {STAGING} TO usage_fold_202603")
    check(engine, NOW)
    content = file_of(engine, "usage_fold_202603").read_bytes()
    with (
        written(engine, "usage_fold_202603", content.replace(b"DEFAULT 1", b"DEFAULT 2", 1)),
        pytest.raises(TableChanged, match=r"usage_fold_202603 .*DEFAULT 2"),
    ):
        ClickHouseStore(Engine(engine.url))
    assert clickhouse.totals().rows == 1


def test_what_an_older_program_left_is_looked_at_before_it_is_brought_up_to_date(clickhouse: ClickHouseStore) -> None:
    engine = clickhouse.engine
    engine.command("DROP TABLE installation SYNC")
    engine.command("ALTER TABLE schema_migrations DELETE WHERE number > 3 SETTINGS mutations_sync = 2")
    content = file_of(engine, "usage_events").read_bytes()
    with written(engine, "usage_events", content.replace(b"DEFAULT 1", b"DEFAULT 0", 1)):
        with pytest.raises(TableChanged, match="DEFAULT 0"):
            ClickHouseStore(Engine(engine.url))
        assert engine.rows("SHOW TABLES LIKE 'installation'") == []
    ClickHouseStore(Engine(engine.url)).close()
    check(engine, NOW)


def test_a_table_that_is_gone_is_named(clickhouse: ClickHouseStore) -> None:
    clickhouse.engine.command("DROP TABLE installation SYNC")
    with pytest.raises(TableChanged, match="no table installation"):
        ClickHouseStore(Engine(clickhouse.engine.url))


def test_files_say_which_of_them_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "metadata" / "default").mkdir(parents=True)
    for one in MADE:
        file = tmp_path / "metadata" / "default" / f"{one.table}.sql"
        file.write_text(one.text.replace(f"CREATE TABLE {one.table}", HEAD))
    assert find_changed(tmp_path) == []
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"0-0000", b"0-00!0", 1))
    assert "first line" in find_changed(tmp_path)[0]
    for content in (b"", b"\xff\x00", whole[:-40], whole.replace(b"MergeTree", b"MergeTrde")):
        file.write_bytes(content)
        [told] = find_changed(tmp_path)
        assert told.startswith(f"{file}: ")
        assert "belongs" in told
