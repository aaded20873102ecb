"""Blocks of rows, written as little as a test needs: what is not said is the same in every row."""

from __future__ import annotations

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
    whole = [USUAL | row for row in rows]
    columns = {name: _column(name, [row[name] for row in whole]) for name in USUAL}
    return Block(number, number * 1000 if received_at is None else received_at, pa.RecordBatch.from_pydict(columns))


def _column(name: str, values: list[Any]) -> Any:
    if name == "labels":
        values = [list(value.items()) for value in values]
    column = pa.array(values, _TYPES.get(name, pa.string()))
    return column.dictionary_encode() if name in _DICTIONARIES else column
