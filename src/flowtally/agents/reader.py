"""A log file as lines with byte offsets: plain, gzip or a pipe, from any offset, in bounded memory.

Offsets count bytes of the DEcompressed stream, so `access.log` and the `access.log.1.gz` made of it agree. A line ends
with a newline; a last one without is read too, unless the log is still being written. A line longer than
`MAX_LINE_BYTES` is given without its text and skipped in pieces. Leaves waiting for more lines to a follower.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

MAX_LINE_BYTES: Final = 64 * 1024
CHECK_BYTES: Final = 4096  # how much before an offset is compared with what was read last time
HEAD_BYTES: Final = 1024  # how much of the first line tells one log from another
_GZIP_MAGIC: Final = b"\x1f\x8b"


class LogDamaged(Exception):
    """The log cannot be read on: a cut or broken gzip stream. What came before was read."""


class LogChanged(Exception):
    """The log is not the one that was read before: shorter than the offset, or other bytes before it."""


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """`text` without its line ending, None if too long; `end` is the offset of the first byte after the line."""

    text: bytes | None
    end: int


class LogFile:
    """An open log. `done_bytes` of `total_bytes` (None for a pipe) tell progress in bytes of the file as stored."""

    def __init__(self, raw: BufferedReader, name: str) -> None:
        self.name = name
        self._raw = raw
        self.seekable = raw.seekable()
        self._data = self._decompressed()
        self.total_bytes = os.fstat(raw.fileno()).st_size if self.seekable else None
        self.offset = 0  # after the last line given
        self._recent: deque[bytes] = deque()  # the last pieces read, at least CHECK_BYTES of them
        self._recent_bytes = 0

    @classmethod
    def open(cls, path: Path) -> LogFile:
        return cls(path.open("rb"), str(path))

    def __enter__(self) -> LogFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._raw.close()

    @property
    def done_bytes(self) -> int:
        return self._raw.tell() if self.seekable else self.offset

    def head(self) -> bytes:
        """The first line, at most its first KiB, without the newline. Only for files that can be read again."""
        self._seek(0)
        head = self._read(self._data.readline, HEAD_BYTES)
        self._seek(0)
        return head.rstrip(b"\r\n")

    def start_at(self, offset: int, check: str) -> None:
        """Go to `offset`; raises LogChanged unless the bytes before it are those `check` was made of."""
        window = self._window(offset)
        if len(window) < min(offset, CHECK_BYTES):
            raise LogChanged(f"{self.name} ends before byte {offset}, up to which it was read: it was cut or replaced")
        if digest(window) != check:
            raise LogChanged(
                f"{self.name} differs before byte {offset} from what was read: it was rewritten or replaced"
            )
        self.offset = offset
        self._recent = deque([window])
        self._recent_bytes = len(window)

    def check(self) -> str:
        """The digest of up to CHECK_BYTES before `offset`, for a later `start_at`."""
        return digest(b"".join(self._recent)[-CHECK_BYTES:])

    def lines(self, *, finished: bool = True) -> Iterator[LogLine]:
        """The lines from where the log stands. Raises LogDamaged after the last line that could be read.

        Of a log that is not `finished` a last line without newline is left for the next time: it may be half a line.
        """
        while piece := self._read(self._data.readline, MAX_LINE_BYTES + 2):
            ended = piece.endswith(b"\n")
            if not (ended or finished or len(piece) > MAX_LINE_BYTES):
                return
            self._passed(piece)
            text = piece[:-1].removesuffix(b"\r") if ended else piece
            too_long = len(text) > MAX_LINE_BYTES
            if too_long and not ended:
                self._skip_line()
            yield LogLine(None if too_long else text, self.offset)

    def _skip_line(self) -> None:
        while piece := self._read(self._data.readline, MAX_LINE_BYTES):
            self._passed(piece)
            if piece.endswith(b"\n"):
                return

    def _passed(self, piece: bytes) -> None:
        self.offset += len(piece)
        self._recent.append(piece)
        self._recent_bytes += len(piece)
        while self._recent_bytes - len(self._recent[0]) >= CHECK_BYTES:
            self._recent_bytes -= len(self._recent.popleft())

    def _window(self, offset: int) -> bytes:
        """Up to CHECK_BYTES before `offset`; the stream then stands at `offset`, or at its end if it is shorter."""
        start = max(0, offset - CHECK_BYTES)
        if self.seekable:
            self._seek(start)
        else:
            self._discard(start)
        window = b""
        while len(window) < offset - start and (piece := self._read(self._data.read, offset - start - len(window))):
            window += piece
        return window

    def _discard(self, count: int) -> None:
        while count and (piece := self._read(self._data.read, min(count, 1 << 20))):
            count -= len(piece)

    def _seek(self, offset: int) -> None:
        try:
            self._data.seek(offset)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise LogDamaged(f"{self.name}: the gzip stream is broken: {error}") from None

    def _read(self, read: Callable[[int], bytes], count: int) -> bytes:
        """`read(count)`, its troubles with gzip as ours."""
        try:
            return read(count)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise LogDamaged(f"{self.name}: the gzip stream is broken at byte {self.offset}: {error}") from None

    def _decompressed(self) -> BufferedReader | gzip.GzipFile:
        if self._raw.peek(2)[:2] != _GZIP_MAGIC:  # what it is, not what it is called: pipes have no name
            return self._raw
        return gzip.GzipFile(fileobj=self._raw, mode="rb")


def digest(data: bytes) -> str:
    """A short fingerprint of log bytes; 128 bits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:32]
