"""The spool read as one long log: lines in the order they came, a place in it for the server to keep, and what may go.

A place is a segment's name (`check`) and an offset in it. Every segment before it was read and has its events at the
server, so it is removed; a segment of that name that is not there any more was removed for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flowtally.agents.reader import MAX_LINE_BYTES, LogLine
from flowtally.agents.syslog.spool import SyslogSpool

_PIECE_BYTES: Final = 256 * 1024


class SpoolFeed:
    """`offset` and `check()` are the place after the last line given. `torn` counts halves of lines that a power cut
    left, which nobody can read."""

    def __init__(self, spool: SyslogSpool) -> None:
        self._spool = spool
        self._segment = ""
        self.offset = 0
        self.torn = 0

    def check(self) -> str:
        return self._segment

    def start_at(self, offset: int, check: str) -> None:
        """Go on there, or at the beginning of what is left where that place is no more."""
        known = check in self._spool.segments()
        self._segment, self.offset = (check, offset) if known else ("", 0)

    def lines(self) -> Iterator[LogLine]:
        """What is there now."""
        while self._enter():
            data = self._read()
            for text in data.split(b"\n")[:-1]:
                self.offset += len(text) + 1
                yield LogLine(None if len(text) > MAX_LINE_BYTES else text, self.offset)
            if not data and not self._leave():
                return

    def release(self) -> None:
        """All lines given so far are the server's now: segments before this place are not needed any more."""
        for segment in self._spool.segments():
            if segment == self._segment or not self._segment:
                return
            self._spool.remove(segment)

    @property
    def behind_bytes(self) -> int:
        """What is spooled and was not given yet."""
        segments = self._spool.segments()
        after = segments[segments.index(self._segment) :] if self._segment in segments else segments
        return max(0, sum(self._spool.durable_bytes(one) for one in after) - self.offset)

    def _enter(self) -> bool:
        if not self._segment:
            segments = self._spool.segments()
            self._segment, self.offset = (segments[0] if segments else ""), 0
        return bool(self._segment)

    def _read(self) -> bytes:
        """Whole lines from here, none where the segment has no more of them."""
        left = self._spool.durable_bytes(self._segment) - self.offset
        if left <= 0:
            return b""
        with self._spool.path(self._segment).open("rb") as file:
            file.seek(self.offset)
            data = file.read(min(left, _PIECE_BYTES))
        return data[: data.rfind(b"\n") + 1]

    def _leave(self) -> bool:
        """To the next segment, if there is one."""
        segments = self._spool.segments()
        at = segments.index(self._segment)
        if at + 1 == len(segments):
            return False
        if self._spool.durable_bytes(self._segment) > self.offset:
            self.torn += 1
        self._segment, self.offset = segments[at + 1], 0
        return True
