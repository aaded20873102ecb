"""Sorted events as the columns of `usage_events`: one record batch, hence one part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from flowtally.events import METERED, UsageEvent
from flowtally.ingest.admission import Times
from flowtally.ingest.directory import Name
from flowtally.usage.keys import Advance

_LABELS: Final = pa.map_(pa.string(), pa.string())
_DICTIONARY: Final = pa.dictionary(pa.int32(), pa.string())


def batch(
    events: Sequence[UsageEvent],
    times: Times,
    user_ids: Mapping[Name, str],
    digests: Sequence[int],
    advances: Mapping[str, Advance],
) -> Any:
    """The rows of a block. `digests` has 0 for a numbered event; `advances` say, by source, where its mark will be."""
    count = len(events)
    accounts = [event.account for event in events]
    sources = _dictionary([event.source for event in events])
    users = [user_ids[account, event.user] for account, event in zip(accounts, events, strict=True)]
    sequences = [0 if event.sequence is None else int(event.sequence) for event in events]
    marks = [advances[event.source].mark if event.sequence is not None else 0 for event in events]
    columns = {
        "series": _constant(METERED, count),
        "account": _dictionary(accounts),
        "user": _dictionary(users),
        "product": _dictionary([event.product for event in events]),
        "source": sources,
        "id": pa.array([event.id for event in events], pa.string()),
        "sequence": pa.array(sequences, pa.uint64()),
        "time": pa.array(times, pa.int64()),
        "status": pa.array([event.status for event in events], pa.uint16()),
        "bytes_up": pa.array([event.bytes_up for event in events], pa.int64()),
        "bytes_down": pa.array([event.bytes_down for event in events], pa.int64()),
        "requests": pa.array([event.requests for event in events], pa.int64()),
        "labels": _labels(events),
        "kind": _constant("use", count),
        "refers_to": _constant("", count),
        "key_source": sources,
        "digest": pa.array(digests, pa.int64()),
        "mark": pa.array(marks, pa.uint64()),
        "position": _positions(events, advances),
    }
    return pa.RecordBatch.from_pydict(columns)


def _dictionary(values: list[str]) -> Any:
    return pa.array(values, pa.string()).dictionary_encode()


def _constant(value: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([value]))


def _labels(events: Sequence[UsageEvent]) -> Any:
    if not any([event.labels for event in events]):  # noqa: C419 - a list is faster, and this is every event's path
        empty = pa.array([], pa.string())
        return pa.MapArray.from_arrays(pa.array(np.zeros(len(events) + 1, dtype=np.int32)), empty, empty)
    return pa.array([list(event.labels.items()) if event.labels else [] for event in events], _LABELS)


def _positions(events: Sequence[UsageEvent], advances: Mapping[str, Advance]) -> Any:
    # The last stored row of a source carries where the source stands after this block, so that mark and position can
    # be derived together from the rows even where the very last numbers were refused.
    positions = [""] * len(events)
    wanted = {name: one.position for name, one in advances.items() if one.position}
    for row in range(len(events) - 1, -1, -1):
        if not wanted:
            break
        event = events[row]
        if event.sequence is not None and event.source in wanted:
            positions[row] = wanted.pop(event.source) or ""
    return pa.array(positions, pa.string())
