"""Blocks of rows, written as little as a test needs: what is not said is the same in every row."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import pyarrow as pa

from flowtally.usage.values import Block

USUAL: Final[dict[str, Any]] = {
    "series": "metered",
    "account": "acme",
    "user": "",
    "product": "residential",
    "source": "gw",
    "id": "",
    "sequence": 0,
    "time": 0,
    "status": 200,
    "bytes_up": 0,
    "bytes_down": 0,
    "requests": 1,
    "labels": {},
    "kind": "use",
    "refers_to": "",
    "key_source": "gw",
    "digest": 0,
    "mark": 0,
    "position": "",
    "reason": "",
    "place": 0,
}
_TYPES: Final[dict[str, Any]] = {
    "sequence": pa.uint64(),
    "time": pa.int64(),
    "status": pa.uint16(),
    "bytes_up": pa.int64(),
    "bytes_down": pa.int64(),
    "requests": pa.int64(),
    "labels": pa.map_(pa.string(), pa.string()),
    "digest": pa.int64(),
    "mark": pa.uint64(),
    "place": pa.uint32(),
}
_DICTIONARIES: Final = frozenset({"series", "account", "user", "product", "source", "kind", "refers_to", "key_source"})


def block(number: int, *rows: dict[str, Any], received_at: int | None = None) -> Block:
    """Block `number` of these rows; received at its number in seconds unless said otherwise."""
    said = {name for row in rows for name in row}
    columns = {
        name: _column(name, [row.get(name, usual) for row in rows]) if name in said else _usual(name, len(rows))
        for name, usual in USUAL.items()
    }
    return Block(number, number * 1000 if received_at is None else received_at, pa.RecordBatch.from_pydict(columns))


@lru_cache(1_000)
def _usual(name: str, count: int) -> Any:
    """Where no row says anything."""
    return _column(name, [USUAL[name]] * count)


def _column(name: str, values: list[Any]) -> Any:
    if name == "labels":
        values = [list(value.items()) for value in values]
    column = pa.array(values, _TYPES.get(name, pa.string()))
    return column.dictionary_encode() if name in _DICTIONARIES else column
