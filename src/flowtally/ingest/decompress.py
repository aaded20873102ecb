"""A body without its Content-Encoding, a piece at a time. Pure.

Owns the bounds: bytes made, members, the window a zstd frame may ask for. What is made is told while it is made, so
that whoever counts the memory of bodies can say stop.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Final

import zstandard

from flowtally.core.errors import MalformedBody, TooLarge, UnsupportedMedia
from flowtally.protocol import MAX_BODY_BYTES

Made = Callable[[int], None]  # told of bytes as they are made
MAX_MEMBERS: Final = 10_000  # of one compressed body: each takes time of its own, however little is in it
PACKED: Final = 1 << 16  # compressed bytes taken at a time
PIECE: Final = 1 << 20  # bytes made at a time
MAX_WINDOW: Final = 1 << 23  # RFC 9659: what a frame may ask for where it is a Content-Encoding


def nobody(size: int) -> None:
    """Counts nothing."""


def decompress(body: bytes, encoding: str | None, limit: int = MAX_BODY_BYTES, made: Made = nobody) -> bytes:
    """The body without its Content-Encoding; never more than `limit` bytes are made. `made` is told of each piece, and
    what it raises ends it."""
    kind = (encoding or "identity").strip().lower()
    if kind == "identity":
        return _within(body, limit)
    try:
        if kind in ("gzip", "x-gzip"):
            return _gunzip(body, limit, made)
        if kind == "zstd":
            return _unzstd(body, limit, made)
    except (zlib.error, zstandard.ZstdError) as error:
        raise MalformedBody(f"The body is not valid {kind}: {error}") from None
    raise UnsupportedMedia(f"Content-Encoding {kind!r} is not one of gzip, zstd, identity", accepted=["gzip", "zstd"])


def _within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes", limit=limit)


class _Pieces:
    """What was made so far."""

    def __init__(self, limit: int, made: Made) -> None:
        self._limit = limit
        self._made = made
        self._whole = BytesIO()  # what it holds is what it gives
        self._size = 0

    @property
    def most(self) -> int:
        """Of the next piece: one byte more than may be tells that there are too many."""
        return min(PIECE, self._limit + 1 - self._size)

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._limit:
            raise _too_large(self._limit)
        self._made(len(piece))
        self._whole.write(piece)

    def whole(self) -> bytes:
        return self._whole.getvalue()


def _gunzip(body: bytes, limit: int, made: Made) -> bytes:
    pieces = _Pieces(limit, made)
    at = 0
    for _ in range(MAX_MEMBERS):  # a gzip file may have several members
        if at == len(body):
            return pieces.whole()
        inflater = zlib.decompressobj(wbits=31)
        while not inflater.eof:
            window = body[at : at + PACKED]
            piece = inflater.decompress(window, pieces.most)
            if not (window or piece or inflater.eof):
                raise MalformedBody("The gzip body ends too early")
            pieces.add(piece)
            at += len(window) - len(inflater.unused_data if inflater.eof else inflater.unconsumed_tail)
    raise MalformedBody(f"The gzip body has more than {MAX_MEMBERS} members")


def _unzstd(body: bytes, limit: int, made: Made) -> bytes:
    pieces = _Pieces(limit, made)
    reader = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(body, read_across_frames=True)
    while piece := reader.read(pieces.most):
        pieces.add(piece)
    _check_frames(body)
    return pieces.whole()


def _check_frames(body: bytes) -> None:
    """The reader takes the end of the bytes for the end of the body; it must be the end of a frame. What it makes again
    is within the limit, as it was."""
    at = 0
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    for _ in range(MAX_MEMBERS):
        if at == len(body):
            return
        frame = unpacker.decompressobj()
        while not frame.eof:
            window = body[at : at + PACKED]
            if not window:
                raise MalformedBody("The zstd body ends too early")
            frame.decompress(window)
            at += len(window) - len(frame.unused_data)
    raise MalformedBody(f"The zstd body has more than {MAX_MEMBERS} frames")
