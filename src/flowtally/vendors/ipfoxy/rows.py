"""The rows of IPFoxy's usage lists, its buckets: hours and days of a fixed offset from UTC (pure).

A bucket that overlaps the range is told whole, so an answer does not depend on where in a bucket the range begins or
ends; both ends belong to the range. The vendor's documented example begins one second after its day does.
"""

from __future__ import annotations

from typing import Final, Literal

from flowtally.core.times import HOUR_MS

Unit = Literal["hour", "day"]

UTC_PLUS_8: Final = 8 * HOUR_MS
_SIZE: Final[dict[Unit, int]] = {"hour": HOUR_MS, "day": 24 * HOUR_MS}


def bucket_edges(unit: Unit, start: int, end: int, offset: int = UTC_PLUS_8) -> list[int]:
    """Where the buckets that overlap [start, end] begin, and where the last one ends."""
    size = _SIZE[unit]
    first = start - (start + offset) % size
    last = end - (end + offset) % size
    return list(range(first, last + size + 1, size))
