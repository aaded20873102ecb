"""One open file of a log that may still grow: whole lines in slices, and whether it is still what was read.

A slice counts only if the file has its last bytes after it was read: a file that was cut and written again
(copytruncate) is noticed, however long it is by then.
"""

from __future__ import annotations

import os
from pathlib import Path

from flowtally.agents.reader import LogDamaged, LogFile, LogLine, Remember

Print = tuple[int, int]  # size, and the time of the last change in ns: a file that has another one is read again
Identity = tuple[int, int]  # device and inode


def identity_of(stat: os.stat_result) -> Identity:
    return stat.st_dev, stat.st_ino


def print_of(stat: os.stat_result) -> Print:
    return stat.st_size, stat.st_mtime_ns


class Tail:
    """Opened as the path is now, and the same file from then on. OSError where it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.log = LogFile.open(path)
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
