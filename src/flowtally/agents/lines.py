"""Bytes of a log into lines with their offsets, in bounded memory. Pure.

A line ends with a newline; what follows the last one waits. Three things are no text of a line and are left out of it,
their bytes counted in the offsets: a byte order mark where two files were put together, and runs of NUL bytes, which a
file has where it was cut while a program wrote on at its old place (`copytruncate`), or where a crash lost what was
written. What stands before such a run on the same line lost its end: it is `cut`, and never read as if it were whole.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from flowtally.core.media import BOM

MAX_LINE_BYTES: Final = 64 * 1024
CHECK_BYTES: Final = 4096  # how much before an offset is compared with what was read last time
_NULS: Final = re.compile(rb"\0+")
_LONG_NULS: Final = re.compile(rb"\0{%d,}" % CHECK_BYTES)


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """`text` without its line ending, None if too long; `end` is the offset of the first byte after the line. `cut`:
    beginnings of lines whose ends were lost, on this line before NUL bytes."""

    text: bytes | None
    end: int
    cut: tuple[bytes, ...] = ()


class Lines:
    """Takes pieces, gives lines. `offset` is after the last line given, `nuls` how many NUL bytes were left out."""

    def __init__(self, offset: int = 0, window: bytes = b"") -> None:
        """`window`: up to CHECK_BYTES that stand before `offset`."""
        self.offset = offset
        self.nuls = 0
        self._data = window  # what stands before the next line, then what is there of it and of later ones
        self._at = self._searched = len(window)
        self._hidden = self._hidden_nuls = 0  # bytes of the next line that are not kept
        self._long = self._odd = False

    @property
    def waiting(self) -> int:
        """Bytes after `offset` that were fed."""
        return len(self._data) - self._at + self._hidden

    def window(self) -> bytes:
        """Up to CHECK_BYTES before `offset`."""
        return self._data[max(0, self._at - CHECK_BYTES) : self._at]

    def feed(self, piece: bytes) -> None:
        self._shorten()
        drop = max(0, self._at - CHECK_BYTES)
        self._data = self._data[drop:] + piece
        self._at -= drop
        self._searched -= drop
        self._odd = b"\0" in self._data or BOM in self._data

    def next(self) -> LogLine | None:
        """The next whole line, None until more is fed."""
        end = self._data.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._data)
            return None
        return self._take(end, end + 1)

    def rest(self) -> LogLine | None:
        """What follows the last newline, as a line; None where nothing does."""
        return self._take(len(self._data), len(self._data)) if self.waiting else None

    def beginning(self) -> bytes:
        """What is there of the next line, as far as it is kept."""
        return _text(_NULS.split(self._data[self._at :])[-1])

    def _take(self, end: int, next_at: int) -> LogLine:
        raw = self._data[self._at : end]
        self.offset += next_at - self._at + self._hidden
        self._at = self._searched = next_at
        if not (self._odd or self._long or self._hidden or len(raw) > MAX_LINE_BYTES):
            return LogLine(raw.removesuffix(b"\r"), self.offset)
        self.nuls += raw.count(b"\0") + self._hidden_nuls
        long = self._long
        self._hidden = self._hidden_nuls = 0
        self._long = False
        *cut, last = _NULS.split(raw)
        text = _text(last.removesuffix(b"\r"))
        return LogLine(None if long or len(text) > MAX_LINE_BYTES else text, self.offset, tuple(filter(None, cut)))

    def _shorten(self) -> None:
        """Of a line that grows and grows keep its beginning, and its end for the check of what comes after it."""
        if len(self._data) - self._at <= 2 * MAX_LINE_BYTES:
            return
        pending = self._data[self._at :]
        kept = _LONG_NULS.sub(bytes(CHECK_BYTES), pending)
        self._hidden_nuls += len(pending) - len(kept)
        if len(kept) > 2 * MAX_LINE_BYTES:
            self._long = True
            self._hidden_nuls += kept[MAX_LINE_BYTES:-CHECK_BYTES].count(b"\0")
            kept = kept[:MAX_LINE_BYTES] + kept[-CHECK_BYTES:]
        self._hidden += len(pending) - len(kept)
        self._data = self._data[: self._at] + kept
        self._searched = len(self._data)


def digest(data: bytes) -> str:
    """A short fingerprint of log bytes; 128 bits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]


def _text(raw: bytes) -> bytes:
    return raw.removeprefix(BOM)
