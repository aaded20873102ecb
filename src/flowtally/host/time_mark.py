"""The latest instant that an answer was asked as of, in a file: nothing may be dated before it, also after a restart.

Owns one small file in the data directory. What was stored or promised carries its own instant; such an answer writes
nothing else that would tell the next process.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

from flowtally.core.errors import Unavailable

FILE: Final = "last_instant"
_DIGITS: Final = 20  # always as long: written over itself, in one sector, on a full disk too


class TimeMark:
    """Of one data directory. From any thread."""

    def __init__(self, data_dir: Path) -> None:
        self._file = data_dir / FILE
        self._lock = threading.Lock()
        self.kept = _read(self._file)

    def keep(self, at: int) -> None:
        """Durable when it returns; nothing is done where a later instant is kept already. Unavailable."""
        with self._lock:
            if at > self.kept:
                try:
                    _write(self._file, at)
                except OSError as error:
                    raise Unavailable(f"The instant cannot be kept in {FILE}: {error.strerror}") from error
                self.kept = at


def _read(file: Path) -> int:
    """0 where there is none, or nothing that can be one: it was never finished, so nobody was told it."""
    try:
        text = file.read_bytes()[:_DIGITS]
    except OSError:
        return 0
    return int(text) if text.isdigit() and len(text) == _DIGITS else 0


def _write(file: Path, at: int) -> None:
    new = not file.exists()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(handle, f"{at:0{_DIGITS}}\n".encode(), 0)
        os.fsync(handle)
    finally:
        os.close(handle)
    if new:
        _sync_directory(file.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
