"""How far a check, a backup or a restore is: one changing line in a terminal, a line per step and tenth elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final

from flowtally.cli.output import note, plain
from flowtally.units import human_count

CLEAR: Final = "\r\x1b[K"


class Steps:
    """Told of every step; always on stderr."""

    def __init__(self) -> None:
        self._plain = plain(sys.stderr)
        self._shown = ("", -1)

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._plain:
            sys.stderr.write(CLEAR)

    def show(self, step: str, done: int = 0, total: int = 0) -> None:
        tenth = min(done * 10 // total, 10) if total else 0
        if not step or (self._plain and (step, tenth) == self._shown):
            return
        told = f"{step} {human_count(done)} of {human_count(total)}" if total else step
        if self._plain:
            note(told)
        elif (step, done) != self._shown:
            sys.stderr.write(CLEAR + told)
            sys.stderr.flush()
        self._shown = (step, tenth if self._plain else done)
