"""An event's id as the bytes of its key.

A canonical (lower case) UUID takes 16 bytes, anything else what it has; the two never meet. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

UUID_WIDTH: Final = 17  # bytes of its key
FEW: Final = 16  # to look at one after the other takes no longer
_DASHES: Final = [8, 13, 18, 23]
_DIGITS: Final = [place for place in range(36) if place not in _DASHES]
_HEX: Final = np.full(256, 255, dtype=np.uint8)
_HEX[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16, dtype=np.uint8)


def key_of(id: str) -> bytes:
    """The key's bytes: a canonical (lower case) UUID in 16 bytes, anything else as it is; the two never meet."""
    if len(id) == 36 and id[8] == "-" and id[13] == "-" and id[18] == "-" and id[23] == "-":
        digits = id.replace("-", "")
        if len(digits) == 32 and digits == digits.lower():
            try:
                packed = bytes.fromhex(digits)
            except ValueError:
                packed = b""
            if len(packed) == 16:  # fewer where blanks stood among the digits: fromhex passes over them
                return b"\x00" + packed
    return b"\x01" + id.encode()


def keys_of(ids: Sequence[str]) -> list[bytes]:
    """`key_of` of each, much faster where all are canonical UUIDs, which is the usual case."""
    packed = packed_of(ids)
    return list(map(key_of, ids)) if packed is None else cut(packed)


def packed_of(ids: Sequence[str]) -> bytes | None:
    """The keys one after the other, `UUID_WIDTH` bytes each, where all are canonical UUIDs, and not few."""
    if len(ids) < FEW:
        return None
    text = "".join(ids).encode("utf-8", "surrogatepass")
    if len(text) != 36 * len(ids) or set(map(len, ids)) != {36}:
        return None
    chars = np.frombuffer(text, dtype=np.uint8).reshape(len(ids), 36)
    digits = _HEX[chars[:, _DIGITS]]
    if (chars[:, _DASHES] != ord("-")).any() or (digits > 15).any():
        return None
    raw = np.zeros((len(ids), UUID_WIDTH), dtype=np.uint8)
    raw[:, 1:] = digits[:, 0::2] << 4 | digits[:, 1::2]
    return raw.tobytes()


def cut(packed: bytes) -> list[bytes]:
    """What `packed_of` put together."""
    return [packed[start : start + UUID_WIDTH] for start in range(0, len(packed), UUID_WIDTH)]


def differ(packed: bytes) -> bool:
    """Whether each of them is there once."""
    raw = np.frombuffer(packed, dtype=np.uint8).reshape(-1, UUID_WIDTH)
    last = np.sort(raw[:, -8:].copy().view(np.uint64).ravel())  # the random part of a UUID
    return not (last[1:] == last[:-1]).any() or len(set(cut(packed))) == len(raw)
