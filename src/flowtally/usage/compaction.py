"""Compacting old rows: a month of them becomes few, and everything that was promised stays as it is.

Owns the SQL and the order, which is all the safety there is:

1. What the month will be is made beside it (`usage_fold_staging`), in portions, and compared with it: entries and
   amounts of every group, keys, numbers, marks, positions.
2. Renamed to `usage_fold_YYYYMM` it is complete for ever: from here on only forward. It takes the month's place, is
   synced, and goes. A start that finds it (`finish`) does the same again, which changes nothing where it was done.
   A start that finds a staging table throws it away.

Rows are cut apart wherever somebody may have to ask later (`Cuts`): at the instants of the ledger, and by the blocks of
closed periods. Leaves to `care` when, and that nothing else is written meanwhile.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from flowtally.core.errors import FoldBroken
from flowtally.core.events import METERED
from flowtally.usage.compacted import TIME, Guard
from flowtally.usage.engine import Engine
from flowtally.usage.fingerprint import ENTRY_SQL
from flowtally.usage.schema import TABLE
from flowtally.usage.values import BUCKET_MS, Closed, Cuts, Kept, Month, Tell

STAGING: Final = "usage_fold_staging"
INSTANTS: Final = "usage_fold_instants"
CLOSINGS: Final = "usage_fold_closings"
READY: Final = re.compile(r"usage_fold_([0-9]{6})")
PORTION: Final = 1_000_000  # rows grouped in one statement
# What providers said stays: what stands under a key is the sum of its rows, and the vendor may say otherwise any day.
_RAW: Final = f"entries = 1 AND keys = 1 AND series = '{METERED}'"
ALONE: Final = 2**40  # a quantity from here on stays a row of its own: sums of millions of others fit 64 bits
_SETTINGS: Final = (
    "SETTINGS max_execution_time = 0, max_threads = 1, optimize_use_projections = 0,"
    " max_bytes_before_external_group_by = 100000000, max_bytes_before_external_sort = 100000000,"
    " min_insert_block_size_rows = 250000, min_insert_block_size_bytes = 64000000, max_insert_threads = 1"
)
_ASK: Final[Mapping[str, Any]] = {"max_execution_time": 0, "max_threads": 1, "optimize_use_projections": 0}


class Compaction:
    """What `care` does with one store's months. Between two blocks: `go_on` and `put_in_place`."""

    def __init__(self, engine: Engine, guard: Guard) -> None:
        self._engine = engine
        self._guard = guard

    def kept(self) -> Kept | None:
        """Since when rows are as they came in; None where nothing is compacted."""
        extents = self._guard.extents
        return Kept(extents.kept_since, extents.block) if extents.rows else None

    def surplus(self) -> int:
        """By how much the entries are more than the rows."""
        return self._guard.extents.surplus

    def go_on(self) -> None:
        """Finish what a run that failed had decided on."""
        finish(self._engine)

    def refresh(self) -> None:
        """See what is compacted now."""
        self._guard.expect()

    def months(self) -> list[Month]:
        return months(self._engine)

    def stage(self, month: Month, cuts: Cuts, tell: Tell) -> None:
        stage(self._engine, month, cuts, tell)

    def put_in_place(self, month: Month) -> None:
        """What the month will be is refused from before it is there: an answer made of half of it is never given."""
        self._guard.expect(STAGING)
        try:
            put_in_place(self._engine, month)
        except Exception:
            self._guard.expect(*decided(self._engine))
            raise
        self._guard.expect()

    def clear(self, month: Month) -> int:
        """Once a month is in its place, what it was made of goes. How many bytes it has on the disk."""
        discard(self._engine, month.month)
        text = (
            "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()"
            " AND table = {table:String} AND partition = {month:String}"
        )
        return int(self._engine.rows(text, {"table": TABLE, "month": str(month.month)})[0][0])

    def abandon(self) -> None:
        abandon(self._engine)


def finish(engine: Engine) -> list[int]:
    """Do what a process that died had decided on; throw away what it had not. The months that were put in place."""
    done = [int(name.removeprefix("usage_fold_")) for name in decided(engine)]
    for month in done:
        _replace(engine, month)
    for month in done:
        discard(engine, month)
    abandon(engine)
    return done


def abandon(engine: Engine) -> None:
    """Give back the room of what was staged and will not be put in place."""
    _drop(engine, STAGING, INSTANTS, CLOSINGS)


def months(engine: Engine) -> list[Month]:
    """Months that have rows as they came in, in order."""
    raw = engine.rows(
        f"SELECT toYYYYMM(received_at) AS month, countIf({_RAW}) AS raw,"
        f" toUnixTimestamp64Milli(maxIf(time, {_RAW})) + 1 FROM {TABLE}"
        " GROUP BY month HAVING raw > 0 ORDER BY month",
        **_ASK,
    )
    sizes = dict(
        engine.rows(
            "SELECT partition, sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()"
            " AND table = {table:String} GROUP BY partition",
            {"table": TABLE},
        )
    )
    return [Month(month, rows, until, int(sizes.get(str(month), 0))) for month, rows, until in raw]


def stage(engine: Engine, month: Month, cuts: Cuts, say: Tell) -> None:
    """Make what the month will be, durably, and compare it. FoldBroken where it is not the same."""
    abandon(engine)
    engine.command(f"CREATE TABLE {STAGING} AS {TABLE}")
    _write_cuts(engine, cuts)
    portions = 1 + month.rows // PORTION
    engine.command(f"INSERT INTO {STAGING} SELECT * FROM {TABLE} WHERE {_in(month)} AND NOT ({_RAW}) {_SETTINGS}")
    for portion in range(portions):
        say("roll up", portion, portions)
        engine.command(_compact(month, portion, portions))
    for portion in range(portions):
        say("keys", portion, portions)
        engine.command(_named_keys(month, portion, portions))
        engine.command(_numbered_keys(month, portion, portions))
    for portion in range(portions):
        say("compare", portion, portions)
        _compare(engine, month, portion, portions)
    _sync(engine)


def put_in_place(engine: Engine, month: Month) -> None:
    """Replace the month by what was staged; call it while nothing else is written. Then `_sync` and `discard`.

    After an error it is `decided` still, or it is as it was: what is decided and not in place nothing guards."""
    try:
        engine.command(f"RENAME TABLE {STAGING} TO {_ready(month.month)}")
        _sync(engine)
        _replace(engine, month.month)
    except Exception:
        if _ready(month.month) in decided(engine) and _is_untouched(engine, month):
            engine.command(f"RENAME TABLE {_ready(month.month)} TO {STAGING}")
            _sync(engine)
        raise


def decided(engine: Engine) -> list[str]:
    """Tables that are to take their months' places, or have: a run or a start that finds them goes on with them."""
    return [name for (name,) in engine.rows("SHOW TABLES LIKE 'usage_fold_%'") if READY.fullmatch(name)]


def _is_untouched(engine: Engine, month: Month) -> bool:
    """Whether the month is as its rows came in, and stays so. A server that was lost touch with may yet replace it."""
    if not engine.embedded:
        begun = f"ALTER TABLE {TABLE} REPLACE PARTITION%"
        asked = "SELECT count() FROM system.processes WHERE query LIKE {q:String}"
        if engine.rows(asked, {"q": begun})[0][0]:
            return False
    return bool(engine.rows(f"SELECT count() FROM {TABLE} WHERE {_raw(month)}", **_ASK)[0][0])


def discard(engine: Engine, month: int) -> None:
    """Once the month is in its place on the disk, what it was made of may go."""
    _sync(engine)
    _drop(engine, _ready(month), INSTANTS, CLOSINGS)


def _replace(engine: Engine, month: int) -> None:
    engine.command(f"ALTER TABLE {TABLE} REPLACE PARTITION {month:d} FROM {_ready(month)}")


def _ready(month: int) -> str:
    return f"usage_fold_{month:06d}"


def _in(month: Month) -> str:
    return f"toYYYYMM(received_at) = {month.month:d}"


def _raw(month: Month) -> str:
    return f"{_in(month)} AND {_RAW}"


def _drop(engine: Engine, *tables: str) -> None:
    for table in tables:
        engine.command(f"DROP TABLE IF EXISTS {table} SYNC")


def _sync(engine: Engine) -> None:
    # Neither projections nor the directories of moved parts are synced by the engine.
    if engine.embedded:
        os.sync()


# What the rows are cut by


def _write_cuts(engine: Engine, cuts: Cuts) -> None:
    """Two small tables: per account and quarter hour its instants, per account its closings."""
    engine.command(
        f"CREATE TABLE {INSTANTS} (account String, bucket Int64, instants Array(Int64))"
        " ENGINE = MergeTree ORDER BY (account, bucket)"
    )
    inside: dict[tuple[str, int], set[int]] = defaultdict(set)
    for account, instant in cuts.instants:
        if instant % BUCKET_MS:
            inside[account, instant // BUCKET_MS].add(instant)
    _insert(engine, INSTANTS, {
        "account": pa.array([account for account, _ in inside], pa.string()),
        "bucket": pa.array([bucket for _, bucket in inside], pa.int64()),
        "instants": pa.array([sorted(some) for some in inside.values()], pa.list_(pa.int64())),
    })  # fmt: skip
    engine.command(
        f"CREATE TABLE {CLOSINGS} (account String, starts Array(Int64), ends Array(Int64), blocks Array(UInt64))"
        " ENGINE = MergeTree ORDER BY account"
    )
    closed: dict[str, list[Closed]] = defaultdict(list)
    for one in cuts.closed:
        closed[one.account].append(one)
    _insert(engine, CLOSINGS, {
        "account": pa.array(list(closed), pa.string()),
        "starts": pa.array([[one.starts_at for one in some] for some in closed.values()], pa.list_(pa.int64())),
        "ends": pa.array([[one.ends_at for one in some] for some in closed.values()], pa.list_(pa.int64())),
        "blocks": pa.array([[one.block for one in some] for some in closed.values()], pa.list_(pa.uint64())),
    })  # fmt: skip


def _insert(engine: Engine, table: str, columns: dict[str, Any]) -> None:
    rows: Any = pa.table(columns)
    if rows.num_rows:
        engine.insert(table, rows, f"flowtally-{table}")


# What they become

_BUCKET: Final = f"intDiv({TIME}, {BUCKET_MS})"


def _compact(month: Month, portion: int, portions: int) -> str:
    """Everything that may ever be asked apart is a key of the groups. `turn`: after how many closings it came; `late`:
    its block, where it is an adjustment of a closed period, which is listed by block."""
    big = " OR ".join(f"abs({name}) >= {ALONE}" for name in ("bytes_up", "bytes_down", "requests"))
    rows = (
        "SELECT e.series AS series, e.account AS account, e.user AS user, e.product AS product, e.kind AS kind,"
        f" e.at AS at, e.bucket AS bucket, e.bytes_up AS up, e.bytes_down AS down, e.requests AS hits,"
        " e.block AS number, e.received_at AS received, e.alone AS alone,"
        " arrayCount(x -> x <= e.at, i.instants) AS segment, arrayCount(b -> b < e.block, c.blocks) AS turn,"
        " if(arrayExists((s, t, b) -> s <= e.at AND e.at < t AND e.block > b, c.starts, c.ends, c.blocks),"
        " e.block, 0) AS late"
        f" FROM (SELECT *, {TIME} AS at, {_BUCKET} AS bucket,"
        f" if({big}, cityHash64(key_source, sequence, id, block, place), 0) AS alone FROM {TABLE}"
        f" WHERE {_raw(month)} AND cityHash64(toString(account), {_BUCKET}) % {portions:d} = {portion:d}) AS e"
        f" LEFT JOIN {INSTANTS} AS i ON i.account = toString(e.account) AND i.bucket = e.bucket"
        f" LEFT JOIN {CLOSINGS} AS c ON c.account = toString(e.account)"
    )
    return (
        f"INSERT INTO {STAGING} (series, account, user, product, kind, time, ends_at, bytes_up, bytes_down, requests,"
        " entries, keys, first_block, block, received_at, id)"
        " SELECT series, account, user, product, kind, fromUnixTimestamp64Milli(min(at), 'UTC'),"
        " fromUnixTimestamp64Milli(max(at) + 1, 'UTC'), sum(up), sum(down), sum(hits), count(), 0, min(number),"
        " max(number), max(received),"
        # Not a name of anything: it only keeps the rows of an account in one order.
        " concat('rolled up: ', toString(user), ' ', toString(product), if(alone = 0, '', concat(' ', hex(alone))))"
        f" FROM ({rows}) GROUP BY series, account, user, product, kind, bucket, segment, turn, late, alone {_SETTINGS}"
    )


_KEY_COLUMNS: Final = "(key_source, id, sequence, digest, mark, position, product, block, received_at, entries, keys)"


def _named_keys(month: Month, portion: int, portions: int) -> str:
    return (
        f"INSERT INTO {STAGING} {_KEY_COLUMNS}"
        " SELECT key_source, id, 0, digest, mark, position, product, block, received_at, 0, 1"
        f" FROM {TABLE} WHERE {_raw(month)} AND sequence = 0 AND block % {portions:d} = {portion:d} {_SETTINGS}"
    )


def _numbered_keys(month: Month, portion: int, portions: int) -> str:
    """Of a source's numbers in a block each unbroken run is one row. Only one row of them bears the position."""
    runs = (
        "SELECT key_source, sequence, mark, position, block, received_at,"
        " toInt64(sequence) - row_number() OVER (PARTITION BY key_source, block ORDER BY sequence) AS run"
        f" FROM {TABLE} WHERE {_raw(month)} AND sequence > 0 AND block % {portions:d} = {portion:d}"
    )
    return (
        f"INSERT INTO {STAGING} {_KEY_COLUMNS}"
        " SELECT key_source, '', max(sequence), 0, max(mark), max(position), '', block, max(received_at), 0, count()"
        f" FROM ({runs}) GROUP BY key_source, block, run {_SETTINGS}"
    )


# Whether they say the same


def _compare(engine: Engine, month: Month, portion: int, portions: int) -> None:
    for question in (_amounts, _keys, _positions):
        texts = [question(table, month, portion, portions) for table in (TABLE, STAGING)]
        before, after = (engine.rows(text, **_ASK) for text in texts)
        if before != after:
            raise FoldBroken(
                f"The rows of {month.month} compacted differ from the rows ({question.__name__[1:]}: {before[0]} and"
                f" {after[0]}); nothing was changed"
            )


def _amounts(table: str, month: Month, portion: int, portions: int) -> str:
    """Every group of the projection, and the kinds in it: how many entries, how much."""
    sums = ", ".join(f"sum(toInt128({name}))" for name in ("bytes_up", "bytes_down", "requests"))
    groups = (
        f"SELECT (toString(series), toString(account), toString(user), toString(product), kind, {_BUCKET}) AS k,"
        f" (sum(entries), {sums}) AS s FROM {table} WHERE {_in(month)} AND entries > 0"
        f" AND cityHash64(toString(account), {_BUCKET}) % {portions:d} = {portion:d} GROUP BY k"
    )
    return f"SELECT count(), sum(s.1), sum(cityHash64(k, s)) FROM ({groups})"


def _keys(table: str, month: Month, portion: int, portions: int) -> str:
    """Every key: where it counts, what it was claimed with."""
    keys = (
        f"SELECT if(sequence = 0, {ENTRY_SQL}, cityHash64(toString(key_source))) AS key,"
        " toUInt64(sequence - arrayJoin(range(keys))) AS number, if(sequence = 0, digest, 0) AS content, mark, block,"
        f" received_at FROM {table} WHERE {_in(month)} AND block % {portions:d} = {portion:d}"
    )
    return f"SELECT count(), sum(cityHash64(key, number, content, mark, block, received_at)) FROM ({keys})"


def _positions(table: str, month: Month, portion: int, portions: int) -> str:
    blocks = (
        f"SELECT toString(key_source) AS s, block AS b, max(position) AS p FROM {table}"
        f" WHERE {_in(month)} AND keys > 0 AND block % {portions:d} = {portion:d} GROUP BY s, b"
    )
    return f"SELECT count(), sum(cityHash64(s, b, p)) FROM ({blocks})"
