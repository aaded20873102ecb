"""What can be said of events before anything is looked up: columns, times, faults, keys, digests. Pure.

A large request is prepared on its own thread while the committer writes the block before; small ones together, when
their block is gathered. The result is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from flowtally.core.events import UsageEvent
from flowtally.ingest import admission
from flowtally.ingest.admission import Reasons, Times
from flowtally.ingest.columns import Columns
from flowtally.keys.key_bytes import keys_of

Key = tuple[str, bytes]  # source name, key bytes
NO_KEY: Key = ("", b"")


class Prepared(msgspec.Struct):
    """Events as columns, with what never changes about them. `keys` and `digests` have an entry for every row, and are
    empty where all events are numbered."""

    columns: Columns
    times: Times
    faults: Reasons
    keys: list[Key]
    digests: list[int]


def prepare(events: Sequence[UsageEvent], unreadable: Mapping[int, str], columns: Columns | None = None) -> Prepared:
    """`unreadable` are the rows that are no usage events, with the reason; `columns` the events', where they are known.
    They are the caller's no more."""
    columns = Columns.of(events) if columns is None else columns
    times, faults = admission.faults(columns, unreadable)
    if None not in columns.sequence:
        return Prepared(columns, times, faults, [], [])
    keys = list(zip(columns.source, keys_of(columns.id), strict=True))
    return Prepared(columns, times, faults, keys, admission.digests(columns))


def join(parts: Sequence[Prepared]) -> Prepared:
    """One after the other, as one."""
    if len(parts) == 1:
        return parts[0]
    faults: Reasons = {}
    keys: list[Key] = []
    digests: list[int] = []
    named = any(part.keys for part in parts)
    start = 0
    for part in parts:
        faults |= {start + row: reason for row, reason in part.faults.items()}
        count = len(part.columns)
        if named:
            keys += part.keys or [NO_KEY] * count
            digests += part.digests or [0] * count
        start += count
    columns = Columns.joined([part.columns for part in parts])
    return Prepared(columns, np.concatenate([part.times for part in parts]), faults, keys, digests)
