"""Where the log goes: standard error, in whole lines, from any thread, and never a reason for anything to fail.

Lines of requests are many, so those of one turn of the event loop are written together. Every other line goes at once,
after all that came before it. What a full disk or a slow reader does not take is kept for the next try; beyond a bound
lines are left out and counted, and a line says how many as soon as writing works again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import BinaryIO, Final

import structlog

MAX_KEPT: Final = 1 << 20  # bytes that wait for the next try

log = structlog.get_logger(__name__)


def _told_by_log(lines: int) -> None:
    log.warning("log_lines_lost", lines=lines)


class LogOutput:
    """A text stream for those who write lines to it, from any thread; `later` for those who need not wait. `out` takes
    bytes and says how many it took; None: there is no standard error. `told`: how many lines were left out."""

    def __init__(self, out: BinaryIO | None, told: Callable[[int], None] = _told_by_log) -> None:
        self._out = out
        self._told = told
        self._adding = threading.Lock()
        self._writing = threading.Lock()  # taken before the other one
        self._lines: list[str] = []
        self._rest = b""  # of what was to be written; it begins where the last try ended
        self._lost = 0
        self._awaited_by: asyncio.AbstractEventLoop | None = None

    def write(self, text: str) -> int:
        """Whole lines, which `flush` writes."""
        with self._adding:
            self._lines.append(text)
        return len(text)

    def later(self, line: str) -> None:
        """Write it with all others of this turn of the event loop."""
        with self._adding:
            self._lines.append(line)
        loop = asyncio.get_running_loop()
        if self._awaited_by is not loop:
            self._awaited_by = loop
            loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what waits. Raises nothing: nobody who logs is to fail over it."""
        with self._writing:
            with self._adding:
                self._awaited_by, lines, self._lines = None, self._lines, []
            lost = self._write(lines)
        if lost:
            self._told(lost)

    def isatty(self) -> bool:
        return self._out is not None and self._out.isatty()

    def _write(self, lines: list[str]) -> int:
        """How many lines before these were lost, where it is time to tell."""
        more = "".join(lines).encode(errors="backslashreplace")
        if len(self._rest) + len(more) > MAX_KEPT and self._rest and not self._tried(self._rest):
            self._lost += len(lines)
            return 0
        done = self._tried(self._rest + more)
        lost, self._lost = (self._lost, 0) if done else (0, self._lost)
        return lost

    def _tried(self, waiting: bytes) -> bool:
        """Whether all of it was written."""
        try:
            while waiting and self._out is not None:
                if not (taken := self._out.write(waiting)):  # a pipe that is full and does not wait
                    break
                waiting = waiting[taken:]
        except (OSError, ValueError):  # a full disk, a reader that has gone, a file that was closed
            pass
        self._rest = b"" if self._out is None else waiting
        return not self._rest
