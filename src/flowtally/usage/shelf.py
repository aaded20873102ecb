"""The newest blocks as they came, for who follows them: no question, no engine, nobody called.

Owns what a block did to whom, as sums (`UseOf`), and how many blocks lie here. The one writer puts a block here before
it publishes it, so whoever was told of a block finds it here, or that it is gone. What a block did is added up by the
first who asks: the writer only puts it down. What does not fit is dropped, oldest first: who comes too late asks the
store instead.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flowtally.core.events import METERED
from flowtally.usage.values import Block

MOST_BLOCKS: Final = 4_096
MOST_BYTES: Final = 64 * 1024 * 1024
SMALL_ROWS: Final = 64  # row by row is quicker than to set up a grouping
_KEYS: Final = ("account", "user", "product")
_AMOUNTS: Final = ("bytes_more", "bytes_less", "requests_more", "requests_less")


class UseOf(msgspec.Struct, frozen=True):
    """What a block added to one (account, user id, product), and what it took away (0 or less), of use dated from
    `first` to `last`, both included."""

    bytes_more: int
    bytes_less: int
    requests_more: int
    requests_less: int
    first: int
    last: int


Uses = Mapping[tuple[str, str, str], UseOf]


class ShelfBlock(msgspec.Struct):
    """A block: its rows until somebody asked what they come to, then that."""

    number: int
    bytes: int
    rows: Any = None
    uses: Uses | None = None


class Shelf:
    """Any thread may call anything here; blocks come in the order of their numbers."""

    def __init__(self, most_blocks: int = MOST_BLOCKS, most_bytes: int = MOST_BYTES) -> None:
        self._most_blocks = most_blocks
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._adding = threading.Lock()
        self._blocks: deque[ShelfBlock] = deque()
        self._bytes = 0
        self._floor: int | None = None  # blocks up to this one are not here; None: nothing ever was

    def put(self, block: Block) -> None:
        """Takes the block as it is."""
        one = ShelfBlock(block.number, block.rows.get_total_buffer_size(), block.rows)
        with self._lock:
            if self._floor is None:
                self._floor = block.number - 1
            self._blocks.append(one)
            self._bytes += one.bytes
            while len(self._blocks) > self._most_blocks or (self._bytes > self._most_bytes and self._blocks):
                self._drop()

    def clear(self) -> None:
        """Another writer begins: what lies here is of the one before."""
        with self._lock:
            self._blocks.clear()
            self._bytes, self._floor = 0, None

    def since(self, after: int, until: int) -> list[tuple[int, Uses]] | None:
        """What each block after `after` up to `until` did, in their order; None: some of them are not here."""
        with self._lock:
            if after >= until:
                return []
            if self._floor is None or after < self._floor:
                return None
            mine = [one for one in self._blocks if after < one.number <= until]
        return [(one.number, self._uses(one)) for one in mine]

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics."""
        with self._lock:
            return {"blocks": float(len(self._blocks)), "bytes": float(self._bytes)}

    def _drop(self) -> None:
        gone = self._blocks.popleft()
        self._bytes -= gone.bytes
        self._floor = gone.number

    def _uses(self, one: ShelfBlock) -> Uses:
        with self._adding:
            if one.uses is None:
                one.uses = add_up(one.rows)
                with self._lock:
                    if any(one is other for other in self._blocks):
                        self._bytes -= one.bytes
                    one.rows, one.bytes = None, 0
            return one.uses


def add_up(rows: Any) -> Uses:
    """What these rows of a block (a RecordBatch) add and take away, of what was measured."""
    table = pa.Table.from_batches([rows.select([*_KEYS, "series", "time", "bytes_up", "bytes_down", "requests"])])
    metered = table.filter(pc.equal(table["series"].cast(pa.string()), METERED))
    if not metered.num_rows:
        return {}
    largest = pc.max(pc.abs(pc.add(metered["bytes_up"], metered["bytes_down"]))).as_py()
    largest = max(largest, pc.max(pc.abs(metered["requests"])).as_py())
    fits = largest * metered.num_rows < 2**63  # a sum beyond it would begin anew, and nobody would say so
    return _many(metered) if fits and metered.num_rows > SMALL_ROWS else _few(metered)


def _few(table: Any) -> Uses:
    """Row by row, in whole numbers of any size."""
    found: dict[tuple[str, str, str], UseOf] = {}
    columns: Sequence[list[Any]] = [
        table[name].cast(pa.int64()).to_pylist() if name == "time" else table[name].to_pylist()
        for name in (*_KEYS, "time", "bytes_up", "bytes_down", "requests")
    ]
    for account, user, product, time, up, down, requests in zip(*columns, strict=True):
        size, key = up + down, (account, user, product)
        use = UseOf(max(size, 0), min(size, 0), max(requests, 0), min(requests, 0), time, time)
        known = found.get(key)
        found[key] = use if known is None else _together(known, use)
    return found


def _together(one: UseOf, other: UseOf) -> UseOf:
    return UseOf(
        one.bytes_more + other.bytes_more,
        one.bytes_less + other.bytes_less,
        one.requests_more + other.requests_more,
        one.requests_less + other.requests_less,
        min(one.first, other.first),
        max(one.last, other.last),
    )


def _many(table: Any) -> Uses:
    size = pc.add(table["bytes_up"], table["bytes_down"])
    columns = {name: table[name].cast(pa.string()) for name in _KEYS} | {
        "bytes_more": pc.max_element_wise(size, 0),
        "bytes_less": pc.min_element_wise(size, 0),
        "requests_more": pc.max_element_wise(table["requests"], 0),
        "requests_less": pc.min_element_wise(table["requests"], 0),
        "time": table["time"].cast(pa.int64()),
    }
    asked = [*((name, "sum") for name in _AMOUNTS), ("time", "min"), ("time", "max")]
    sums = pa.table(columns).group_by(list(_KEYS), use_threads=False).aggregate(asked)
    values = [sums[name].to_pylist() for name in (*(f"{name}_sum" for name in _AMOUNTS), "time_min", "time_max")]
    keys = zip(*(sums[name].to_pylist() for name in _KEYS), strict=True)
    return {key: UseOf(*each) for key, each in zip(keys, zip(*values, strict=True), strict=True)}
