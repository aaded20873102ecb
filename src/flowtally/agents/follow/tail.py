"""One open file of a log that may still grow: whole lines in slices, and whether it is still what was read.

A slice counts only if the file has its last bytes after it was read: a file that was cut and written again
(copytruncate) is noticed, however long it is by then.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from pathlib import Path
from typing import Final

from flowtally.agents.reader import LogDamaged, LogFile, LogLine, Remember

Print = tuple[int, int]  # size, and the time of the last change in ns: a file that has another one is read again
Identity = tuple[int, int]  # device and inode
_KINDS: Final = (
    (modes.S_ISFIFO, "a pipe"),
    (modes.S_ISDIR, "a directory"),
    (modes.S_ISSOCK, "a socket"),
)


def identity_of(stat: os.stat_result) -> Identity:
    return stat.st_dev, stat.st_ino


def print_of(stat: os.stat_result) -> Print:
    return stat.st_size, stat.st_mtime_ns


def kind_of(mode: int) -> str:
    """What is no file of lines, in words; empty: it is a file."""
    return "" if modes.S_ISREG(mode) else next((word for is_it, word in _KINDS if is_it(mode)), "a device")


def open_log(path: Path) -> LogFile:
    """The file at this path, without waiting for anybody: OSError for a pipe, a directory, a device."""
    _refuse(os.stat(path), path)
    raw = open(  # noqa: SIM115 - the log closes it
        path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_NOCTTY)
    )
    try:
        _refuse(os.fstat(raw.fileno()), path)
    except OSError:
        raw.close()
        raise
    return LogFile(raw, str(path))


def _refuse(stat: os.stat_result, path: Path) -> None:
    if kind := kind_of(stat.st_mode):
        raise OSError(errno.EINVAL, f"it is {kind}, no file", str(path))


class Tail:
    """Opened as the path is now, and the same file from then on. OSError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.log = open_log(path)
        try:
            self.identity = identity_of(self.stat())
        except BaseException:
            self.log.close()
            raise

    def close(self) -> None:
        self.log.close()

    def stat(self) -> os.stat_result:
        return os.fstat(self.log.fileno())

    def head(self, *, finished: bool) -> bytes | None:
        """What names the log, None while that is not there, whole. The tail then stands at the beginning."""
        return self.log.head(finished=finished)

    def start_at(self, offset: int, check: str, remember: Remember | None = None) -> None:
        """As `LogFile.start_at`."""
        self.log.start_at(offset, check, remember)

    def slice(self, most: int, most_bytes: int, *, finished: bool) -> tuple[list[LogLine], LogDamaged | None]:
        """The next whole lines; fewer than `most` (and less text than `most_bytes`): there are no more now. With what
        hinders to read on, if anything does. LogChanged: the file is no longer what was read."""
        self.log.verify()
        lines: list[LogLine] = []
        damage: LogDamaged | None = None
        size_bytes = 0
        try:
            for line in self.log.lines(finished=finished):
                lines.append(line)
                size_bytes += len(line.text or b"")
                if len(lines) >= most or size_bytes >= most_bytes:
                    break
        except LogDamaged as error:
            damage = error
        self.log.verify()
        return lines, damage
