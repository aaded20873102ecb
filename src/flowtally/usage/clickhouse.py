"""The usage store over ClickHouse SQL: the three verbs of `store.py`, and what recovery needs to know of the rows.

One block is one insert is one part, so a block is wholly there or not at all. Nothing here decides whether a row may be
stored: duplicates are stopped before (`ingest`), which is why there is no FINAL and no repair job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from flowtally.usage import queries, rollup
from flowtally.usage.engine import Engine
from flowtally.usage.schema import migrations
from flowtally.usage.store import MAX_SUMS, Block, Changes, ClaimedRow, StoredEvent, Sum, Totals, Where

TABLE = "usage_events"
_MS = pa.timestamp("ms", "UTC")


class ClickHouseStore:
    """Usage in chDB (`chdb:///path`) or on a ClickHouse server (`clickhouse://host/database`)."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        _migrate(engine)

    def append(self, block: Block) -> None:
        rows = block.rows
        count = rows.num_rows
        time = rows.column("time").cast(_MS)
        table = pa.Table.from_batches([rows.set_column(rows.schema.get_field_index("time"), "time", time)])
        table = table.append_column("block", pa.repeat(pa.scalar(block.number, pa.uint64()), count))
        table = table.append_column("received_at", pa.repeat(pa.scalar(block.received_at, _MS), count))
        self.engine.insert(TABLE, table, _query_id(block.number))

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        query = queries.plan_sums(edges, where, by, limit)
        span_of = {edge: index for index, edge in enumerate(edges)}
        rows = self.engine.rows(query.text, query.parameters)
        queries.check_limit(len(rows), limit)
        return [Sum(span_of[row[0]], tuple(row[1:-3]), *row[-3:]) for row in rows]

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        query = queries.changed_since(cursor, limit)
        accounts: dict[tuple[str, str], None] = {}
        for block, changed in self.engine.rows(query.text, query.parameters):
            if len(accounts) >= limit:
                break
            cursor = block
            accounts |= dict.fromkeys(tuple(one) for one in sorted(changed))
        return Changes(cursor, tuple(accounts))

    # What recovery asks

    def end_append(self, block: int) -> None:
        """Make sure that no insert of this block is still under way."""
        self.engine.end_insert(_query_id(block))

    def totals(self) -> Totals:
        [(rows, block, received)] = self.engine.rows(
            f"SELECT count(), max(block), toUnixTimestamp64Milli(max(received_at)) FROM {TABLE}"
        )
        return Totals(rows, block, max(received, 0))

    def blocks_after(self, block: int) -> list[int]:
        """Numbers of the blocks above this one that have rows, ascending."""
        text = f"SELECT DISTINCT block FROM {TABLE} WHERE block > {{block:UInt64}} ORDER BY block"
        return [row[0] for row in self.engine.rows(text, {"block": block})]

    def claims(self, block: int) -> list[ClaimedRow]:
        """Everything the keys database must know of a block's rows."""
        text = (
            "SELECT toString(key_source), id, sequence, digest, mark, position,"
            f" toUnixTimestamp64Milli(received_at), toString(product) FROM {TABLE} WHERE block = {{block:UInt64}}"
        )
        return [ClaimedRow(*row) for row in self.engine.rows(text, {"block": block})]

    def damage(self) -> list[str]:
        """What the engine itself put aside: a detached part holds rows that no answer counts."""
        where = "WHERE database = currentDatabase() AND table = {table:String}"
        text = f"SELECT name, reason FROM system.detached_parts {where}"
        rows = self.engine.rows(text, {"table": TABLE})
        return [f"part {name} is detached ({reason or 'by hand'})" for name, reason in rows]

    def repair_rollups(self, since_block: int) -> list[str]:
        """Compare the roll-ups of parts with blocks after `since_block` with their rows; rebuild where they differ.

        Returns what was rebuilt, in words. Raises `errors.BrokenRollup` where a rebuild did not help."""
        return rollup.repair(self.engine, TABLE, since_block)

    def find(self, source: str, *, id: str | None, sequence: int | None, block: int | None) -> StoredEvent | None:
        """The event of this key; the block, where known, makes it quick."""
        conditions = ["key_source = {source:String}", "kind = 'use'"]
        for name, kind, value in (("id", "String", id), ("sequence", "UInt64", sequence), ("block", "UInt64", block)):
            if value is not None:
                conditions.append(f"{name} = {{{name}:{kind}}}")
        text = (
            "SELECT toString(series), toString(account), toString(user), toString(product), toString(source), id,"
            " sequence, toUnixTimestamp64Milli(time), status, bytes_up, bytes_down, requests, labels, block,"
            f" toUnixTimestamp64Milli(received_at) FROM {TABLE} WHERE {' AND '.join(conditions)} LIMIT 1"
        )
        rows = self.engine.rows(text, {"source": source, "id": id, "sequence": sequence, "block": block})
        return StoredEvent(*rows[0]) if rows else None

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics: many active parts are what makes queries slow."""
        text = (
            "SELECT count(), sum(rows), sum(bytes_on_disk) FROM system.parts"
            " WHERE active AND database = currentDatabase() AND table = {table:String}"
        )
        [(parts, rows, size)] = self.engine.rows(text, {"table": TABLE})
        return {"usage_parts": parts, "usage_rows": rows, "usage_bytes_on_disk": size}

    def close(self) -> None:
        self.engine.close()


def _query_id(block: int) -> str:
    return f"flowtally-block-{block}"


def _migrate(engine: Engine) -> None:
    engine.command(
        "CREATE TABLE IF NOT EXISTS schema_migrations (number UInt32, name String) ENGINE = MergeTree ORDER BY number"
        " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )
    applied = {row[0] for row in engine.rows("SELECT number FROM schema_migrations")}
    tables = {row[0] for row in engine.rows("SHOW TABLES")}
    for migration in migrations():
        if migration.number in applied:
            continue
        # A crash between the one CREATE and its record: the table is there and whole, only the record is missing.
        if not (migration.number == 1 and TABLE in tables):
            for statement in migration.statements:
                engine.command(statement)
        record: Any = pa.table({"number": pa.array([migration.number], pa.uint32()), "name": [migration.name]})
        engine.insert("schema_migrations", record, f"flowtally-migration-{migration.number}")
