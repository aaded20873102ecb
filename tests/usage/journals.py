"""Records for the journal, and what can be read of one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from flowtally.usage.journal import Journal
from flowtally.usage.records import Record
from flowtally.usage.values import Identity

Read = tuple[list[Record], list[tuple[int, int]], Identity, int]


def record(block: int, rows: int | None = 1, decided: bytes | None = None) -> Record:
    """`rows`: how many, or None for a block without any."""
    named = pa.array(["acme"] * (rows or 0), pa.dictionary(pa.int32(), pa.string()))
    columns = {"id": pa.array([f"{block}-{row}" for row in range(rows or 0)], pa.string()), "account": named}
    told = b"decided %d" % block if decided is None else decided
    return Record(block, 1000 + block, told, None if rows is None else pa.record_batch(columns))


def read(place: Path) -> Read:
    """Everything that the journal at this place says."""
    journal = Journal(place)
    try:
        return list(journal.after(0)), journal.blocks(), journal.identity(), journal.burnt()
    finally:
        journal.close()
