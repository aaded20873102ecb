"""Opaque texts that callers keep and hand back: cursors of lists, and the moment an answer is of. Pure.

Owns the encoding: what it is for, the values, and a check sum, so that a text that was cut off or made by hand is told
from one that was made here. No secret and no promise: whoever reads one checks what is in it like any other input.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, TypeVar

import msgspec

MAX_CHARS: Final = 4_096
_SUM_BYTES: Final = 4

T = TypeVar("T")


def encode(kind: str, value: object) -> str:
    """Letters, digits, `-` and `_`. `kind` says what it is for ("as_of", "grants", ...)."""
    raw = msgspec.msgpack.encode((kind, value))
    return _text(raw + _sum(raw))


def decode(kind: str, token: str, type: type[T]) -> T:
    """The value; ValueError where it was not made here, or for something else (its text says which)."""
    if len(token) > MAX_CHARS:
        raise ValueError("was not made here")
    try:
        packed = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        raw, check = packed[:-_SUM_BYTES], packed[-_SUM_BYTES:]
        made_for, value = msgspec.msgpack.decode(raw, type=tuple[str, msgspec.Raw])
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise ValueError("was not made here") from None
    if check != _sum(raw) or _text(packed) != token:
        raise ValueError("was not made here")
    if made_for != kind:
        raise ValueError(f"is of {made_for[:40]!r}, not of {kind!r}")
    try:
        return msgspec.msgpack.decode(value, type=type)
    except msgspec.MsgspecError:
        raise ValueError("was not made here") from None


def _text(packed: bytes) -> str:
    return urlsafe_b64encode(packed).rstrip(b"=").decode()


def _sum(raw: bytes) -> bytes:
    return binascii.crc32(raw).to_bytes(_SUM_BYTES, "big")
