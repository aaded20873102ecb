"""How far a check, a backup or a restore is: one changing line in a terminal; elsewhere a line when a step begins, then
one per tenth and at most one every few seconds, so that a log of a short run is short."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from flowtally.cli.show.output import note, plain
from flowtally.core.texts import printable
from flowtally.core.units import human_count

CLEAR: Final = "\r\x1b[K"
PAUSE_S: Final = 3.0  # between two lines of the same step in a log


class Steps:
    """Told of every step; always on stderr."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._plain = plain(sys.stderr)
        self._clock = clock
        self._begun: set[str] = set()
        self._told_at = 0.0
        self._shown = ("", -1)

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._plain:
            sys.stderr.write(CLEAR)

    def show(self, step: str, done: int = 0, total: int = 0) -> None:
        if not step:
            return
        told = f"{step} {human_count(done)} of {human_count(total)}" if total else step
        if self._plain:
            self._line(step, min(done * 10 // total, 10) if total else 0, told)
        elif (step, done) != self._shown:
            sys.stderr.write(CLEAR + printable(told))
            sys.stderr.flush()
            self._shown = (step, done)

    def _line(self, step: str, tenth: int, told: str) -> None:
        now = self._clock()
        again = (step, tenth) == self._shown or now - self._told_at < PAUSE_S
        if step in self._begun and again:
            return
        note(told)
        self._begun.add(step)
        self._shown, self._told_at = (step, tenth), now
