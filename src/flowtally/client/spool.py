"""Spool: a file of events a process could not deliver before it ended, sent first when the next one starts.

One event per line, as `POST /v1/events` takes them, so it can be read, and sent by hand. It is emptied when all of it
has receipts: until then it stays whole, and sending it again counts nothing twice. One meter at a time has it.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from flowtally.client.errors import SpoolBusy
from flowtally.client.event_maker import read_line
from flowtally.client.outbox import Batch, Limits
from flowtally.host.permissions import open_for_owner

_log = logging.getLogger("flowtally.client")


class Spool:
    """Opening it creates the file, for its owner alone; one that was open to others is closed to them. Raises
    SpoolBusy, and OSError where the file cannot be written, or is another user's (who could read what is used)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.fdopen(open_for_owner(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise SpoolBusy(f"another meter uses the spool {path}; each process needs one of its own") from None
        _sync_directory(path)

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def batches(self, limits: Limits) -> Iterator[Batch]:
        """What is in the file now, as requests. A line that is no event is set aside beside it, and told."""
        lines: list[bytes] = []
        size = 0
        for line in self._lines():
            if lines and (len(lines) >= limits.batch_events or size + len(line) > limits.batch_bytes):
                yield Batch(lines, resumed=True)
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        if lines:
            yield Batch(lines, resumed=True)

    def append(self, lines: list[bytes]) -> None:
        """On the disk when it returns; on an error (a full disk) the file is as it was."""
        before = self.size_bytes
        torn = before and os.pread(self._file.fileno(), 1, before - 1) != b"\n"
        content = memoryview((b"\n" if torn else b"") + b"".join(line + b"\n" for line in lines))
        try:
            while content:
                content = content[self._file.write(content) :]
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), before)
            raise

    def clear(self) -> None:
        """Everything in it has receipts."""
        self._file.truncate(0)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Also in a forked child: the lock is the parent's until the parent closes it."""
        self._file.close()

    def _lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                line = raw.strip()
                if not line:
                    continue
                try:
                    read_line(line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    self._set_aside(number, raw, error)
                else:
                    yield line

    def _set_aside(self, number: int, raw: bytes, error: Exception) -> None:
        aside = self.path.with_name(self.path.name + ".damaged")
        with os.fdopen(open_for_owner(aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as file:
            file.write(raw.rstrip(b"\n") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _log.error("line %d of the spool %s is no event and was set aside in %s: %s", number, self.path, aside, error)


def _sync_directory(path: Path) -> None:
    """The file's name survives a power cut as well."""
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
