"""What came over a connection that acknowledges nothing, on disk before anybody reads it: append, fsync, read, remove.

A directory of segments, append-only files of lines with names that are never used again. The last is written to; each
is removed when the server has all of it. `append` returns when the lines would survive a power cut, and readers are
given nothing else. A start begins a new segment, so half a line that a power cut left is at the end of an old one,
where it is left out and counted. From `max_bytes` on it is `full`: who appends is asked to wait (a little more fits).

One thread appends, one reads and removes.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections import deque
from pathlib import Path
from typing import Final

SEGMENT_BYTES: Final = 4 * 1024 * 1024
_SUFFIX: Final = ".spool"
_SEGMENT: Final = re.compile(r"\d{15}-[0-9a-f]{8}\.spool")  # what else is there is not ours


class SyslogSpool:
    """Raises OSError from `append` when the disk does not take it: nothing of these lines is there then, append them
    again."""

    def __init__(self, directory: Path, max_bytes: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        found = sorted(path for path in directory.glob(f"*{_SUFFIX}") if _SEGMENT.fullmatch(path.name))
        self._segments: deque[str] = deque(path.name for path in found)
        self._sizes: dict[str, int] = {path.name: path.stat().st_size for path in found}
        self._file: int | None = None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    @property
    def used_bytes(self) -> int:
        with self._lock:
            return sum(self._sizes.values())

    @property
    def full(self) -> bool:
        return self.used_bytes >= self._max_bytes

    def append(self, lines: list[bytes]) -> None:
        """All of them, durably, or OSError and none."""
        data = b"".join(line + b"\n" for line in lines)
        if self._file is None or self._sizes[self._segments[-1]] >= self._segment_bytes:
            self._begin_segment()
        assert self._file is not None
        before = self._sizes[self._segments[-1]]
        try:
            _write(self._file, data)
            os.fdatasync(self._file)
        except OSError:
            # After a failed fsync nobody knows what is on the disk: the next lines go to another file.
            try:
                os.ftruncate(self._file, before)
            finally:
                self.close()
            raise
        with self._lock:
            self._sizes[self._segments[-1]] = before + len(data)

    def segments(self) -> list[str]:
        """Oldest first."""
        with self._lock:
            return list(self._segments)

    def path(self, segment: str) -> Path:
        return self._directory / segment

    def durable_bytes(self, segment: str) -> int:
        """How much of it may be read."""
        with self._lock:
            return self._sizes.get(segment, 0)

    def is_last(self, segment: str) -> bool:
        """It may still grow."""
        with self._lock:
            return self._file is not None and bool(self._segments) and self._segments[-1] == segment

    def remove(self, segment: str) -> None:
        """The oldest, and not the one that is written to."""
        with self._lock:
            assert self._segments[0] == segment
            self._segments.popleft()
            self._sizes.pop(segment)
        self.path(segment).unlink(missing_ok=True)

    def _begin_segment(self) -> None:
        self.close()
        newest = self._segments[-1] if self._segments else ""
        begun_at = max(time.time_ns() // 1_000_000, int(newest.partition("-")[0] or 0) + 1)
        name = f"{begun_at:015d}-{secrets.token_hex(4)}{_SUFFIX}"
        self._file = os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        _sync_directory(self._directory)
        with self._lock:
            self._segments.append(name)
            self._sizes[name] = 0


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _sync_directory(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
