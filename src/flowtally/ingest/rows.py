"""What a block stores as the columns of `usage_events`: one record batch, hence one part. Pure.

Owns the rows of all that is no event: corrections, adjustments, readings (`batch_of`). How a column is encoded is
`usage.row_columns`' to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import xxhash

from flowtally.core.events import METERED
from flowtally.core.words import EntryKind
from flowtally.usage.row_columns import record

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
