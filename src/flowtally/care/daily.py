"""Something to be begun soon after the start and then once a day, while the server runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

from flowtally.core.errors import FlowtallyError
from flowtally.core.times import DAY_S

FIRST_S: Final = 60

log = structlog.get_logger(__name__)


class Daily:
    """A thread that waits. `begin` must return at once; what it raises is told and tried again the next day."""

    def __init__(self, name: str, begin: Callable[[], object], *, first_s: float = FIRST_S) -> None:
        self._begin = begin
        self._stop = threading.Event()
        self._first_s = first_s
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._stop.wait(wait_s):
            wait_s = DAY_S
            try:
                self._begin()
            except FlowtallyError as error:  # a store that is away, or no room: tomorrow again
                log.warning("daily_failed", what=self._thread.name, error=error.detail)
            except Exception as error:
                log.exception("daily_failed", what=self._thread.name, error=str(error))
