"""What time it is: the one place that asks the machine. Everything inside is handed an instant, or a clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def now_ms() -> int:
    """Whole milliseconds since 1970 UTC, by this machine's clock."""
    return time.time_ns() // 1_000_000


class SteadyClock:
    """A clock that never goes back, whatever the one behind it does: what comes later is never dated earlier. From any
    thread."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._latest = 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            self._latest = max(self._latest, self._clock())
            return self._latest

    def not_before(self, instant: int) -> None:
        """From now on it says this instant or a later one."""
        with self._lock:
            self._latest = max(self._latest, instant)
