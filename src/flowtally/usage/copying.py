"""All rows of one store copied into another, empty one: how usage moves from this process to a ClickHouse server.

A month at a time, in the order of blocks, in inserts of bounded size, in the engine's own form (Native), so that no
value passes through another type. Rows of a block that bear keys are never split over two inserts (`twice` tells a
copied part by that); compacted rows of one block may be many, and are. Nothing is resumed: what was begun is taken
away, and begun anew.

Owns the copy and its comparison, row by row as a digest, and sums. Leaves to `care.restore` when both are asked, and to
`care.verify` whether the copy is what keys and ledger say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from flowtally.core.errors import ConfigError, CopyDiffers, Unavailable
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.schema import TABLE
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Tell

ROWS: Final = 100_000  # in one insert, some tens of megabytes
BLOCKS: Final = 20_000  # looked at in one question
NAMED: Final = 5  # differences in an error
MARKER: Final = "flowtally_restoring"  # made by who restores into a database, so that two never do
_READ: Final[Mapping[str, Any]] = {"optimize_use_projections": 0, "max_execution_time": 0}
_WRITE: Final[Mapping[str, Any]] = {  # one insert, one part
    "async_insert": 0,
    "max_insert_threads": 1,
    "max_insert_block_size": 10_000_000,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 0,
    "max_execution_time": 0,
}
_SPLIT: Final = "cityHash64(id, account, user, product, toUnixTimestamp64Milli(time), block)"


class _Portion(msgspec.Struct, frozen=True):
    """Rows of the blocks from `first` to `last`; `only`: of these."""

    month: int
    first: int
    last: int
    rows: int
    only: str = "1"

    @property
    def where(self) -> str:
        return (
            f"toYYYYMM(received_at) = {self.month:d} AND block >= {self.first:d} AND block <= {self.last:d}"
            f" AND {self.only}"
        )


class MonthTotals(msgspec.Struct, frozen=True):
    """Of an account's rows of a month: how many, what they stand for and add up to, and the sum of their hashes."""

    rows: int
    entries: int
    keys: int
    bytes_up: int
    bytes_down: int
    requests: int
    digest: int


def check_empty(url: str) -> None:
    """ConfigError unless this is a ClickHouse database without tables, that can be reached. It is made where it is not
    there."""
    engine = _engine(url)
    try:
        _refuse_tables(engine, set())
    finally:
        engine.close()


def open_empty(url: str) -> ClickHouseStore:
    """A store in an empty database. Of several who try at once one gets it; ConfigError for the others."""
    engine = _engine(url)
    try:
        engine.command(f"CREATE TABLE {MARKER} (holder String) ENGINE = MergeTree ORDER BY holder")
    except ClickHouseError as error:
        engine.close()
        raise ConfigError(f"usage_url {engine.shown}: no table can be made there: {str(error)[:300]}") from error
    try:
        _refuse_tables(engine, {MARKER})
    except BaseException:
        engine.command(f"DROP TABLE IF EXISTS {MARKER} SYNC")
        engine.close()
        raise
    try:
        store = ClickHouseStore(engine)
    except BaseException:
        take_away(url)
        raise
    engine.command(f"DROP TABLE {MARKER} SYNC")
    return store


def take_away(url: str) -> None:
    """Empty the database again, when the restore it was part of failed."""
    engine = _engine(url)
    try:
        for (table,) in engine.rows("SHOW TABLES"):
            engine.command(f"DROP TABLE IF EXISTS `{table}` SYNC")
    finally:
        engine.close()


def copy(source: UsageStore, target: ClickHouseStore, tell: Tell) -> None:
    """Every row of `source`, which nobody writes. CopyDiffers where the copy is not what was copied."""
    assert isinstance(source, ClickHouseStore)
    source.settle()
    columns = [name for name, _ in _columns(source.engine)]
    [(total,)] = source.engine.rows(f"SELECT count() FROM {TABLE}")
    done = 0
    for portion in _portions(source.engine):
        tell("rows to the server", done, total)
        _copy(source.engine, target.engine, columns, portion)
        done += portion.rows
    if found := differences(source.engine, target.engine, tell):
        raise CopyDiffers(f"The rows that were copied to {target.engine.shown} are not those of the backup: {found}")


def differences(source: Engine, target: Engine, tell: Tell) -> str:
    """The first months and accounts whose rows differ, in words; empty where every row is the same."""
    told: list[str] = []
    months = _months(source)
    if (others := _months(target)) != months:
        told.append(f"months {others} instead of {months}")
    for number, month in enumerate(months):
        tell("compare", number, len(months))
        ours, theirs = (_totals(engine, month) for engine in (source, target))
        for account in sorted(ours.keys() | theirs.keys()):
            if ours.get(account) != theirs.get(account):
                told.append(f"{month}, account {account!r}: {theirs.get(account)} instead of {ours.get(account)}")
    return "; ".join(told[:NAMED])


def _engine(url: str) -> Engine:
    try:
        return Engine(url)
    except Unavailable as error:
        raise ConfigError(f"usage_url: {error.detail}") from error


def _copy(source: Engine, target: Engine, columns: list[str], portion: _Portion) -> None:
    text = f"SELECT {', '.join(columns)} FROM {TABLE} WHERE {portion.where}"
    with source.client() as client:
        rows = client.raw_query(text, settings=dict(_READ), fmt="Native")
    with target.client() as client:
        client.raw_insert(TABLE, column_names=columns, insert_block=rows, settings=dict(_WRITE), fmt="Native")


def _portions(engine: Engine) -> Iterator[_Portion]:
    for month in _months(engine):
        first = last = rows = 0  # of the portion that is being put together
        for block, keyed, without in _blocks(engine, month):
            alone = keyed + without > ROWS
            if rows and (alone or rows + keyed + without > ROWS):
                yield _Portion(month, first, last, rows)
                rows = 0
            if alone:
                yield from _alone(month, block, keyed, without)
                continue
            first, last, rows = (first if rows else block), block, rows + keyed + without
        if rows:
            yield _Portion(month, first, last, rows)


def _alone(month: int, block: int, keyed: int, without: int) -> Iterator[_Portion]:
    if keyed:
        yield _Portion(month, block, block, keyed, "keys > 0")
    parts = -(-without // ROWS)
    for part in range(parts):
        yield _Portion(month, block, block, without // parts, f"keys = 0 AND {_SPLIT} % {parts:d} = {part:d}")


def _blocks(engine: Engine, month: int) -> Iterator[tuple[Any, ...]]:
    """Blocks of a month in order: number, rows that bear keys, rows that do not."""
    after = 0
    while True:
        text = (
            f"SELECT block, countIf(keys > 0), countIf(keys = 0) FROM {TABLE} WHERE toYYYYMM(received_at) = {month:d}"
            f" AND block > {after:d} GROUP BY block ORDER BY block LIMIT {BLOCKS}"
        )
        found = engine.rows(text, **_READ)
        yield from found
        if len(found) < BLOCKS:
            return
        after = found[-1][0]


def _months(engine: Engine) -> list[int]:
    text = f"SELECT DISTINCT toYYYYMM(received_at) AS month FROM {TABLE} ORDER BY month"
    return [int(month) for (month,) in engine.rows(text, **_READ)]


def _totals(engine: Engine, month: int) -> dict[str, MonthTotals]:
    sums = ", ".join(f"sum(toInt128({name}))" for name in ("bytes_up", "bytes_down", "requests"))
    values = (
        f"mapKeys({name}), mapValues({name})" if kind.startswith("Map") else name for name, kind in _columns(engine)
    )
    text = (
        f"SELECT toString(account) AS a, count(), sum(entries), sum(keys), {sums}, sum(cityHash64({', '.join(values)}))"
        f" FROM {TABLE} WHERE toYYYYMM(received_at) = {month:d} GROUP BY a"
    )
    return {account: MonthTotals(*map(int, rest)) for account, *rest in engine.rows(text, **_READ)}


def _columns(engine: Engine) -> list[tuple[str, str]]:
    """Name and type, in the order of the names: a column that was added later may stand elsewhere."""
    text = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
    return [(name, kind) for name, kind in engine.rows(f"{text} ORDER BY name", {"table": TABLE})]


def _refuse_tables(engine: Engine, but: set[str]) -> None:
    there: list[Any] = sorted({table for (table,) in engine.rows("SHOW TABLES")} - but)
    if there:
        shown = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        raise ConfigError(
            f"usage_url {engine.shown}: this database is not empty, it has {shown}. Usage is restored into a new"
            f" database: name another one. What a restore that was killed has left goes with DROP DATABASE"
            f" {engine.database}"
        )
