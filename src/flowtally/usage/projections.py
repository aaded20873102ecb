"""Are the projections (`buckets` and `account_buckets`) what their rows say?

An insert syncs its rows but not its projection's files, so after an unclean stop a projection may be torn while its
rows are whole. A merge does sync both (seen in a trace, under our settings), so only parts that no merge has made need
a look: a start stays quick whatever the size. Owns the comparison and the rebuild; leaves to `recovery` when to ask.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from flowtally.core.corrections import QUANTITIES
from flowtally.core.errors import BrokenRollup, StoreDamaged
from flowtally.usage.engine import Engine

PROJECTIONS: Final[Mapping[str, tuple[str, ...]]] = {  # name -> what it keeps apart, besides the bucket
    "buckets": ("series", "account", "product", "user"),
    "account_buckets": ("series", "account", "product"),
}
_BUCKET: Final = "intDiv(toUnixTimestamp64Milli(time), 900000)"


def repair(engine: Engine, table: str, since_block: int, spoilt: Collection[str] = ()) -> list[str]:
    """Compare the projection of each part with rows after `since_block`, rebuild those that differ, and those of the
    parts `spoilt`; compare again."""
    parts = _parts_since(engine, table, since_block)
    broken = sorted({part for part in parts if not _agrees(engine, table, part)} | set(spoilt))
    if not broken:
        return []
    for partition in sorted({part.split("_")[0] for part in broken}):
        rebuild(engine, table, partition)
    # A rebuild makes parts of other names: look at all of them again.
    still = [part for part in _parts_since(engine, table, since_block) if not _agrees(engine, table, part)]
    if still:
        raise BrokenRollup(f"The projection of part {', '.join(still)} differs from its rows and could not be rebuilt")
    # A rebuild is not synced either (seen in a trace; a merge is), and it rewrote older parts of the month too, which
    # the next start would not look at.
    if engine.embedded:
        os.sync()
    return [f"rebuilt the projection of part {part}" for part in broken]


def _parts_since(engine: Engine, table: str, since_block: int) -> list[str]:
    text = f"SELECT DISTINCT _part FROM {table} WHERE block > {{block:UInt64}} ORDER BY _part"
    parts = engine.rows(text, {"block": since_block}, optimize_use_projections=0)
    return [part for (part,) in parts if not is_merged(part)]


def is_merged(part: str) -> bool:
    """Whether a merge wrote it: PARTITION_FIRST_LAST_LEVEL, and a fifth number where a rebuild has rewritten it."""
    fields = part.split("_")
    return len(fields) == 4 and fields[3] != "0"


def _agrees(engine: Engine, table: str, part: str) -> bool:
    return agrees(engine, table, part)


def agrees(engine: Engine, table: str, part: str, portion: tuple[int, int] = (0, 1), **settings: Any) -> bool:
    """Whether the projections of a part say what its rows say. Of a large part a portion (which, of how many) at a
    time: the engine holds all groups it compares."""
    return all(_one_agrees(engine, table, part, projection, portion, settings) for projection in PROJECTIONS)


def _one_agrees(
    engine: Engine, table: str, part: str, projection: str, portion: tuple[int, int], settings: Mapping[str, Any]
) -> bool:
    merged = ", ".join(f"sumMerge(`sum(toInt128({name}))`)" for name in QUANTITIES)
    summed = ", ".join(f"sum(toInt128({name}))" for name in QUANTITIES)
    names = ", ".join(f"toString({name})" for name in PROJECTIONS[projection])
    # Every group must agree, not only the grand total: a hash over all groups is one number to compare.
    groups = "SELECT ({keys}) AS k, ({sums}) AS s FROM {source} WHERE _part = {{part:String}}{portion} GROUP BY {keys}"
    shape = f"SELECT count(), groupBitXor(cityHash64(k, s)) FROM ({groups})"
    projected = f"mergeTreeProjection(currentDatabase(), {table}, {projection})"
    kept = {
        "keys": f"{names}, `{_BUCKET}`",
        "sums": merged,
        "source": projected,
        "portion": _of(f"`{_BUCKET}`", portion),
    }
    rows = {"keys": f"{names}, {_BUCKET}", "sums": summed, "source": table, "portion": _of(_BUCKET, portion)}
    try:
        ours = _one(engine, shape.format(**kept), part, settings)
    except (ClickHouseError, StoreDamaged):
        return False  # unreadable: torn, zero-filled or missing
    return ours == _one(engine, shape.format(**rows), part, settings)


def by_account(
    engine: Engine, table: str, part: str, *, projection: str | None, **settings: Any
) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Sums of a part by (series, account), from one of its projections or (None) from its rows."""
    sums = (f"sumMerge(`sum(toInt128({name}))`)" if projection else f"sum(toInt128({name}))" for name in QUANTITIES)
    source = f"mergeTreeProjection(currentDatabase(), {table}, {projection})" if projection else table
    keys = "toString(series), toString(account)"
    text = f"SELECT {keys}, {', '.join(sums)} FROM {source} WHERE _part = {{part:String}} GROUP BY {keys}"
    rows = engine.rows(text, {"part": part}, **{"optimize_use_projections": 0, **settings})
    return {(row[0], row[1]): (int(row[2]), int(row[3]), int(row[4])) for row in rows}


def _of(bucket: str, portion: tuple[int, int]) -> str:
    which, of = portion
    return "" if of == 1 else f" AND cityHash64(toString(account), {bucket}) % {of:d} = {which:d}"


def _one(engine: Engine, text: str, part: str, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    return engine.rows(text, {"part": part}, **{"optimize_use_projections": 0, **settings})[0]


def rebuild(engine: Engine, table: str, partition: str) -> None:
    """All projections of a month, from its rows. Not synced."""
    if not partition.isdigit():
        raise AssertionError(f"partition {partition!r} is not a month")
    wait = "SETTINGS mutations_sync = 2"
    for projection in PROJECTIONS:
        engine.command(f"ALTER TABLE {table} CLEAR PROJECTION {projection} IN PARTITION {partition} {wait}")
        engine.command(f"ALTER TABLE {table} MATERIALIZE PROJECTION {projection} IN PARTITION {partition} {wait}")
