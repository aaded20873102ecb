"""Work of minutes, one at a time, that a request begins and later requests ask about.

Owns the thread, the progress and the last outcome. It survives the request that began it: a proxy's time-out, a closed
laptop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec
import structlog

from flowtally.core.errors import Damage, FlowtallyError
from flowtally.core.words import JobState

R = TypeVar("R")

STOP_S: Final = 60

log = structlog.get_logger(__name__)


class Stopped(Exception):
    """The server is stopping; what was begun is given up."""


class Status(msgspec.Struct, Generic[R], frozen=True):
    """How far a job is. `done` of `total` within `step`; `result` once it is done, `detail` once it failed."""

    state: JobState = "never"
    started_at: int | None = None
    ended_at: int | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    result: R | None = None
    detail: str = ""


class Progress:
    """What the work says of itself. Every word of it is a chance to be stopped."""

    def __init__(self, tell: Callable[[str, int, int], None] = lambda *_: None) -> None:
        self._tell = tell
        self.stop = threading.Event()

    def __call__(self, step: str, done: int = 0, total: int = 0) -> None:
        if self.stop.is_set():
            raise Stopped
        self._tell(step, done, total)


class Job(Generic[R]):
    """At most one run at a time."""

    def __init__(self, name: str, clock: Callable[[], int]) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._progress = Progress()
        self._again = False
        self.status: Status[R] = Status()

    def start(self, work: Callable[[Progress], R], *, again: bool = False) -> Status[R]:
        """Begin, unless one is running: then that one's status. `again`: what is running may have looked past what this
        is about, so it shall be done once more when it is done."""
        with self._lock:
            if self.status.state == "running":
                self._again = self._again or again
                return self.status
            self._again = False
            self._progress = Progress(self._told)
            self.status = Status("running", started_at=self._clock())
            self._thread = threading.Thread(target=self._run, args=(work,), name=self._name, daemon=True)
            self._thread.start()
            return self.status

    def close(self) -> None:
        """Stop what is running and wait for it."""
        self._progress.stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _told(self, step: str, done: int, total: int) -> None:
        self.status = msgspec.structs.replace(self.status, step=step, done=done, total=total)

    def _run(self, work: Callable[[Progress], R]) -> None:
        try:
            while not self._done(work(self._progress)):
                pass
        except Stopped:
            self._end(state="failed", detail="The server stopped; start it again.")
        except FlowtallyError as error:
            self._end(state="failed", detail=error.detail)
        except (Damage, OSError) as error:
            self._end(state="failed", detail=str(error))
        except Exception as error:
            log.exception("job_failed", job=self._name)
            self._end(state="failed", detail=f"It failed inside ({type(error).__name__}); the server's log says how.")

    def _done(self, result: R) -> bool:
        """Whether that was all; nobody asks for more between the look and the end."""
        with self._lock:
            if self._again:
                self._again = False
                return False
            self._end(state="done", result=result)
            return True

    def _end(self, **last: object) -> None:
        self.status = msgspec.structs.replace(self.status, ended_at=self._clock(), **last)
        log.info("job_ended", job=self._name, state=self.status.state, detail=self.status.detail)
