"""Sorted events as the columns of `usage_events`: one record batch, hence one part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from flowtally.core.events import METERED
from flowtally.ingest.admission import Times
from flowtally.ingest.columns import Columns
from flowtally.keys.store import Advance

_LABELS: Final = pa.map_(pa.string(), pa.string())

Numbers = np.ndarray[Any, np.dtype[np.uint64]]


def batch(
    columns: Columns,
    times: Times,
    users: list[str],
    digests: Sequence[int],
    advances: Mapping[str, Advance],
) -> Any:
    """The rows of a block. `users` are ids; `digests` may be empty where all are numbered; `advances` say, by source,
    where its mark will be."""
    count = len(columns)
    source = _dictionary(columns.source)
    sequence = np.array([0 if one is None else int(one) for one in columns.sequence], dtype=np.uint64)
    fields = {
        "series": _constant(METERED, count),
        "account": _dictionary(columns.account),
        "user": _dictionary(users),
        "product": _dictionary(columns.product),
        "source": source,
        "id": pa.array(columns.id, pa.string()),
        "sequence": pa.array(sequence),
        "time": pa.array(times, pa.int64()),
        "status": pa.array(columns.status, pa.uint16()),
        "bytes_up": pa.array(columns.bytes_up, pa.int64()),
        "bytes_down": pa.array(columns.bytes_down, pa.int64()),
        "requests": pa.array(columns.requests, pa.int64()),
        "labels": _labels(columns.labels),
        "kind": _constant("use", count),
        "refers_to": _constant("", count),
        "key_source": source,
        "digest": pa.array(_of_named(digests, sequence)),
        "mark": pa.array(_marks(columns, sequence, advances)),
        "position": _positions(columns, sequence, advances),
    }
    return pa.RecordBatch.from_pydict(fields)


def _of_named(digests: Sequence[int], sequence: Numbers) -> Any:
    # A numbered event's key is its number; it has no digest.
    values = np.array(digests, dtype=np.int64) if digests else np.zeros(len(sequence), dtype=np.int64)
    values[sequence != 0] = 0
    return values


def _marks(columns: Columns, sequence: Numbers, advances: Mapping[str, Advance]) -> Any:
    if len(advances) == 1 and sequence.all():
        [advance] = advances.values()
        return np.full(len(sequence), advance.mark, dtype=np.uint64)
    pairs = zip(columns.source, sequence.tolist(), strict=True)
    return np.array([advances[name].mark if number else 0 for name, number in pairs], dtype=np.uint64)


def _dictionary(values: list[str]) -> Any:
    return pa.array(values, pa.string()).dictionary_encode()


def _constant(value: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([value]))


def _labels(labels: list[dict[str, str] | None]) -> Any:
    if not any(labels):
        empty = pa.array([], pa.string())
        return pa.MapArray.from_arrays(pa.array(np.zeros(len(labels) + 1, dtype=np.int32)), empty, empty)
    return pa.array([list(one.items()) if one else [] for one in labels], _LABELS)


def _positions(columns: Columns, sequence: Numbers, advances: Mapping[str, Advance]) -> Any:
    # The last stored row of a source carries where the source stands after this block, so that mark and position can
    # be derived together from the rows even where the very last numbers were refused.
    wanted = {name: one.position for name, one in advances.items() if one.position}
    if not wanted:
        return _constant("", len(columns))
    positions = [""] * len(columns)
    for row in range(len(columns) - 1, -1, -1):
        if sequence[row] and columns.source[row] in wanted:
            positions[row] = wanted.pop(columns.source[row]) or ""
            if not wanted:
                break
    return pa.array(positions, pa.string())
