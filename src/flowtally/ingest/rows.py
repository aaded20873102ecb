"""What a block stores as the columns of `usage_events`: one record batch, hence one part. Pure.

Owns how every column is encoded, and the rows of all that is no event: corrections, adjustments, readings (`batch_of`).
`block` and `received_at` are the store's to add; what is left out has its default there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from flowtally.core.events import METERED
from flowtally.core.words import EntryKind

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

Numbers = np.ndarray[Any, np.dtype[np.uint64]]


class NewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is to be stored and is no event as somebody sent it. Its own key is `key_source` and `id`, never a
    number; `source` is where what it adds is counted. `place`: of entries, which of its block, from 1."""

    account: str
    user: str
    product: str
    source: str
    key_source: str
    id: str
    digest: int
    time: int
    bytes_up: int
    bytes_down: int
    requests: int
    kind: EntryKind
    series: str = METERED
    status: int = 0
    labels: Mapping[str, str] = {}
    refers_to: str = ""
    reason: str = ""
    place: int = 0
    position: str = ""


def digest_of(content: bytes) -> int:
    """64 bits, signed, as both databases have it."""
    return int(np.uint64(xxhash.xxh3_64_intdigest(content)).astype(np.int64))


def batch_of(rows: Sequence[NewRow]) -> Any:
    """These rows, in this order."""
    return record(
        {name: [getattr(row, name) for row in rows] for name in NewRow.__struct_fields__}
        | {name: np.zeros(len(rows), dtype=np.uint64) for name in ("sequence", "mark")}
    )


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
