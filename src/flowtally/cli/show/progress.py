"""How far an import is: a moving bar in a terminal, a line per tenth elsewhere. Always on stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from flowtally.agents.ship import ImportProgress as Step
from flowtally.cli.show.output import note, plain
from flowtally.core.texts import printable
from flowtally.core.units import counted

PIPE_STEP_LINES: Final = 100_000  # a pipe has no end to take a tenth of


class ProgressMeter(Protocol):
    """Shows steps while it is entered."""

    def __enter__(self) -> ProgressMeter: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, step: Step) -> None: ...


def meter(name: str) -> ProgressMeter:
    return LineProgress(name) if plain(sys.stderr) else MovingBar(name)


class MovingBar:
    """A Rich bar that knows bytes, events and the time left."""

    def __init__(self, name: str) -> None:
        named = TextColumn("{task.description}", markup=False)
        columns = (named, BarColumn(), DownloadColumn(), TextColumn("{task.fields[events]}"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(printable(name), total=None, events="")

    def __enter__(self) -> MovingBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, step: Step) -> None:
        events = counted(step.events, "event")
        self._bar.update(self._task, total=step.total_bytes, completed=step.done_bytes, events=events)


class LineProgress:
    """`access.log 40%, 12,345 events`, at most one line per tenth."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = 0

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def show(self, step: Step) -> None:
        tenth = step.done_bytes * 10 // step.total_bytes if step.total_bytes else step.lines // PIPE_STEP_LINES
        if tenth <= self._shown:
            return
        self._shown = tenth
        far = f"{tenth * 10}%" if step.total_bytes else counted(step.lines, "line")
        note(f"{self._name} {far}, {counted(step.events, 'event')}")
