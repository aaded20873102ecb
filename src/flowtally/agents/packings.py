"""Compressed members one after the other: gzip, xz, bzip2 and zstd, a piece at a time, in bounded memory.

A stream may go on after its end: a log is packed piece by piece, or files were put together. Leaves to `unpack` what a
file is and what to say of it.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Final

import zstandard

PIECE: Final = 256 * 1024  # bytes made at a time
_STEP: Final = 4096  # compressed bytes taken at a time: what was made of them is lost where they turn out broken
_ZSTD_STEP: Final = 2048  # the same, and zstd may make 128 KiB of four of them
_XZ_MEMORY: Final = 1 << 29

PACKINGS: Final = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{bytes([0x50 + number, 0x2A, 0x4D, 0x18]): "zstd" for number in range(16)},  # a frame to be skipped comes first
}
MAGIC: Final = 6  # bytes of the longest of them


class PackedMembers:
    """Compressed members one after the other. `inside`: in the middle of one."""

    def __init__(self, kind: type[Unpacker]) -> None:
        self._kind = kind
        self._one: Unpacker | None = None
        self._input = b""

    @property
    def inside(self) -> bool:
        return self._one is not None

    def feed(self, packed: bytes) -> None:
        self._input += packed

    def read(self, more: Callable[[], bytes]) -> bytes:
        """The next piece, empty where `more` gives nothing."""
        while True:
            if self._one is None:
                self._input = self._input.lstrip(b"\0")  # padding between members
            if not self._input and (self._one is None or self._one.hungry):
                self._input = more()
                if not self._input:
                    return b""
                continue
            self._one = self._one or self._kind()
            piece, self._input = self._one.step(self._input)
            if self._one.eof:
                self._one = None
            if piece:
                return piece


class Unpacker:
    """One member: `step` makes a piece of some input and gives back the rest of it."""

    hungry = True

    def __init__(self) -> None:
        self._stream: Any = self._new()

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    def _new(self) -> Any:
        raise NotImplementedError

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        """As bz2 and lzma do it: they keep what they have not used."""
        piece = self._stream.decompress(packed, PIECE)
        self.hungry = self._stream.needs_input
        return piece, self._stream.unused_data if self._stream.eof else b""


class _Bzip2(Unpacker):
    def _new(self) -> Any:
        return bz2.BZ2Decompressor()

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        try:
            return super().step(packed)
        except OSError as error:  # broken data, not a broken disk
            raise ValueError(str(error)) from None


class _Xz(Unpacker):
    def _new(self) -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _Gzip(Unpacker):
    def _new(self) -> Any:
        return zlib.decompressobj(wbits=31)

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        piece = self._stream.decompress(packed[:_STEP], PIECE)
        self.hungry = len(piece) < PIECE
        left = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return piece, left + packed[_STEP:]


class _Zstd(Unpacker):
    def _new(self) -> Any:
        return zstandard.ZstdDecompressor().decompressobj()

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        piece = self._stream.decompress(packed[:_ZSTD_STEP])
        rest = packed[_ZSTD_STEP:]
        return piece, self._stream.unused_data + rest if self._stream.eof else rest


UNPACKERS: Final[dict[str, type[Unpacker]]] = {"gzip": _Gzip, "xz": _Xz, "bzip2": _Bzip2, "zstd": _Zstd}
BROKEN: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, ValueError)
