"""Lines of one file into the batch of its source, slice by slice; from where the server said it stands.

Knows how far was read (`place`, for the position that goes along), whether more is there, and whether the file was cut
under the reader. Not when a batch is sent, nor what becomes of the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.follow.files import QUIET_CLOSE_S, FollowedFile
from flowtally.agents.follow.server import EVENT_BYTES, Server
from flowtally.agents.follow.tail import Tail
from flowtally.agents.follow.telling import Telling
from flowtally.agents.mapping import Mapper
from flowtally.agents.position import Position
from flowtally.agents.reader import LogChanged, Remember
from flowtally.agents.sending import Sending

SLICE_LINES: Final = 1_000
SLICE_BYTES: Final = 1024 * 1024
HALF_S: Final = 60.0  # after which half a line is told

Reader = tuple[Mapper, Remember | None]


class LogReading(msgspec.Struct, frozen=True):
    """How a log is read and told of: what all its streams share. `reader` makes one for a file: a format may remember
    directives of it. `overlap`: what stands in another source counts all the same."""

    name: str
    options: str
    reader: Callable[[], Reader]
    linger_s: float
    once: bool
    server: Server
    counts: LineCounts
    telling: Telling
    overlap: bool = False


class Intake:
    """`batch`: the events of a full batch. The file is open, and stands at the position."""

    def __init__(
        self, file: FollowedFile, sending: Sending, reading: LogReading, position: Position, batch: int
    ) -> None:
        assert file.tail is not None
        self.place = (position.offset, position.check)
        self.more = True
        self.last = ""  # the instant of the last event that was read
        self.cut: LogChanged | None = None
        self._file = file
        self._tail: Tail = file.tail
        self._sending = sending
        self._reading = reading
        self._batch = batch
        self._finished = False  # whether it was read as a finished file is
        file.read_as = None

    @property
    def held_bytes(self) -> int:
        """Memory of what was read and is not sent, about."""
        return self._sending.size_bytes + self._sending.waiting * EVENT_BYTES

    def read(self, now: float) -> None:
        """The next slice, if there may be one. Raises NotALog and OSError."""
        file, sending = self._file, self._sending
        finished = file.finished(now, self._reading.linger_s, by_date=self._reading.once)
        if self.cut is not None or sending.full:
            return
        if not (self.more or file.changed or finished != self._finished):
            return
        looked = file.seen
        most = min(SLICE_LINES, self._batch - sending.waiting)
        try:
            lines, damage = self._tail.slice(most, SLICE_BYTES, finished=finished)
            if not self.place[0] and lines:
                self._check_head()
        except LogChanged as error:
            self.cut, self.more = error, False
            return
        before = sending.tally.lines, sending.tally.skipped, dict(sending.tally.reasons)
        for line in lines:
            sending.take(line)
        if sending.waiting:
            self.last = sending.events[-1].time or self.last
        self._reading.telling.lines(sending.tally, before)
        self.place = (self._tail.log.offset, self._tail.log.check())
        self.more = len(lines) >= most or sum(len(one.text or b"") for one in lines) >= SLICE_BYTES
        if self.more:
            return
        file.read_as, self._finished = looked, finished
        if damage is None:
            self._reading.telling.over("damaged", file.path)
        elif finished:  # till then it may be that it is still being written
            file.fault = True
            self._reading.telling.trouble("damaged", "log_damaged", file.path, damage)

    def half_bytes(self, now: float) -> int | None:
        """How much there is of a last line whose end does not come; None while it may. A file that was rotated is taken
        for whole in the end; under the name of one that is written it waits."""
        file = self._file
        if self.more or file.changed:
            return None
        if not (waiting := self._tail.log.waiting):
            return 0
        quiet_s = now - file.moved_at
        if self._reading.once:
            quiet_s = max(quiet_s, time.time() - file.seen[1] / 1e9)
        return None if file.superseded or quiet_s < HALF_S else waiting

    def may_leave(self, now: float) -> bool:
        """All that is there was read, and nothing will come; or nothing has for so long that the file may be closed
        until it changes."""
        file, linger_s = self._file, self._reading.linger_s
        if self.more or file.changed:
            return False
        if self._finished and file.finished(now, linger_s, by_date=self._reading.once):
            return True
        if file.finished(now, linger_s, by_date=True) and not self._tail.log.waiting:
            return True
        return now - file.moved_at >= QUIET_CLOSE_S

    def _check_head(self) -> None:
        """Of the first lines there is nothing before that could be compared: is it still the same log?"""
        offset, check = self._tail.log.offset, self._tail.log.check()
        if self._tail.head(finished=True) != self._file.head:
            raise LogChanged(f"{self._file.path} was cut, and written again")
        self._tail.start_at(offset, check)
