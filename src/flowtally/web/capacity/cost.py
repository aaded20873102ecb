"""What a piece of work cost: its part of the processors while it was at it. One per work, in the thread that does it.

Where more works are at it than there are processors, each has only its part of them: all together never cost more than
the machine has. What waits for its turn to write is not at it: of that only the processor's time of its thread counts.
"""

from __future__ import annotations

import os
import time

from flowtally.web.capacity.lanes import Lanes


def processors() -> int:
    """Of this process: a container may have fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Cost:
    """Begins when it is made."""

    def __init__(self, lanes: Lanes, *, waits: bool = False) -> None:
        self._lanes = lanes
        self._clock = time.thread_time if waits else time.perf_counter
        self._beside = lanes.running
        self._began = self._clock()

    def busy(self) -> float:
        """Seconds it was at it until now."""
        return self._clock() - self._began

    def seconds(self) -> float:
        """Seconds of a processor until now."""
        beside = (self._beside + self._lanes.running) / 2
        return self.busy() * min(1.0, processors() / max(1.0, beside))
