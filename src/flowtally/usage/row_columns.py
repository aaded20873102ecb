"""Rows of `usage_events` as columns of Arrow: the type of each, and how plain values become it. Pure.

Owns how every column is encoded. `block` and `received_at` are the tail's to add; what is left out has its default in
the table. Leaves to who writes what the values are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa

_LABELS: Final = pa.map_(pa.string(), pa.string())
_NAME: Final = pa.dictionary(pa.int32(), pa.string())  # few of them: each is kept once
TYPES: Final = {
    **dict.fromkeys(("series", "account", "user", "product", "source"), _NAME),
    "id": pa.string(),
    "sequence": pa.uint64(),
    "time": pa.int64(),
    "status": pa.uint16(),
    **dict.fromkeys(("bytes_up", "bytes_down", "requests"), pa.int64()),
    "labels": _LABELS,
    "kind": _NAME,
    "refers_to": pa.string(),
    "key_source": _NAME,
    "digest": pa.int64(),
    "mark": pa.uint64(),
    "position": pa.string(),
    "reason": pa.string(),
    "place": pa.uint32(),
}

SMALL: Final = 256  # rows
KEPT: Final = 3 * SMALL


def record(fields: Mapping[str, Any]) -> Any:
    """Columns by name, in the order of the table."""
    return pa.RecordBatch.from_pydict({name: column(name, fields[name]) for name in TYPES if name in fields})


def column(name: str, values: Any) -> Any:
    """Values as the table has this column; what is a column already stays."""
    if isinstance(values, pa.Array):
        return values
    if name == "labels":
        return _labels(values)
    return pa.array(values, TYPES[name])


def constant(value: str, count: int) -> Any:
    """A name that is the same everywhere."""
    return _small_constant(value, count) if count <= SMALL else _constant(value, count)


def no_text(count: int) -> Any:
    """A column of texts that are all empty."""
    return _small_no_text(count) if count <= SMALL else _no_text(count)


def _constant(value: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([value]))


def _no_text(count: int) -> Any:
    return pa.StringArray.from_buffers(count, pa.py_buffer(np.zeros(count + 1, dtype=np.int32)), pa.py_buffer(b""))


def _no_labels(count: int) -> Any:
    empty = pa.array([], pa.string())
    return pa.MapArray.from_arrays(pa.array(np.zeros(count + 1, dtype=np.int32)), empty, empty)


# Nobody changes a column, so those of small blocks, which are by far the most, are made once.
_small_constant: Final = lru_cache(KEPT)(_constant)
_small_no_text: Final = lru_cache(KEPT)(_no_text)
_small_no_labels: Final = lru_cache(KEPT)(_no_labels)


def _labels(labels: Sequence[Mapping[str, str] | None]) -> Any:
    if not any(labels):
        return _small_no_labels(len(labels)) if len(labels) <= SMALL else _no_labels(len(labels))
    return pa.array([list(one.items()) if one else [] for one in labels], _LABELS)
