"""A chunk: the samples of one series in six hours, as the bytes that are kept of them. Pure.

    width of a value | which six hours | the least value | a unit | steps of time | units of each value above the least

The unit is the largest that all values are whole numbers of, counted from the least: of whole numbers, which are kept
in thousandths, it takes the thousand out. Steps and values lie bytewise (all first bytes, then all second ones): so
equal bytes are neighbours, and zstd, which also keeps a checksum over all, has least left. A minute's sample takes some
1 to 4 bytes.
"""

from __future__ import annotations

import struct
from math import gcd
from typing import Final

import numpy as np
import zstandard

from flowtally.core.errors import StoreDamaged

SPAN_S: Final = 21_600  # of a chunk
MAX_IN_CHUNK: Final = 2_160  # one every ten seconds
_STEP: Final = 2  # bytes of a step of time: within a chunk it is below 2**16
_HEAD: Final = struct.Struct("<BIqQ")
_LEVEL: Final = 3

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]
_Unsigned = np.ndarray[tuple[int], np.dtype[np.uint64]]


def span_of(at: int) -> int:
    """The number of the chunk that a second belongs to."""
    return at // SPAN_S


def pack(span: int, times: list[int], values: list[int]) -> bytes:
    """Times are ascending, each once, all in the span; at most `MAX_IN_CHUNK`."""
    least = min(values)
    unit = gcd(*(value - least for value in values)) or 1
    above = [(value - least) // unit for value in values]
    width = max(1, (max(above).bit_length() + 7) // 8)
    steps = np.diff(np.array(times, dtype=np.int64), prepend=span * SPAN_S)
    head = _HEAD.pack(width, span, least, unit)
    packed = head + _split(steps.astype("<u8"), _STEP) + _split(np.array(above, dtype="<u8"), width)
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(packed)


def unpack(span: int, count: int, packed: bytes) -> tuple[Numbers, Numbers]:
    """What `pack` was given. StoreDamaged where these are not such bytes."""
    try:
        told = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_HEAD.size + MAX_IN_CHUNK * 10)
        width, of_span, least, unit = _HEAD.unpack_from(told)
    except (zstandard.ZstdError, struct.error) as error:
        raise StoreDamaged(f"a chunk of samples cannot be read: {error}") from None
    if not 1 <= width <= 8 or len(told) != _HEAD.size + count * (_STEP + width):
        raise StoreDamaged(f"a chunk of {count} samples has another length than they have")
    if of_span != span:
        raise StoreDamaged("a chunk of samples is of another time")
    between = _HEAD.size + count * _STEP
    times = np.cumsum(_joined(told[_HEAD.size : between], _STEP, count)) + np.uint64(span * SPAN_S)
    above = _joined(told[between:], width, count) * np.uint64(unit)
    return times.view(np.int64), (above + np.uint64(least % 2**64)).view(np.int64)


def _split(numbers: _Unsigned, width: int) -> bytes:
    return numbers.view(np.uint8).reshape(len(numbers), 8)[:, :width].T.tobytes()


def _joined(text: bytes, width: int, count: int) -> _Unsigned:
    wide = np.zeros((count, 8), dtype=np.uint8)
    wide[:, :width] = np.frombuffer(text, dtype=np.uint8).reshape(width, count).T
    return wide.reshape(-1).view("<u8")
