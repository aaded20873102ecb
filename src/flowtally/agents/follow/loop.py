"""The agent's one thread: every input is turned when it is due, until somebody says stop.

An input that raises is told and turned again after a pause: one log's trouble is no other's.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Final

from flowtally.agents.follow.dispatcher import Backoff
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Input

MOST_WAIT_S: Final = 1.0
ROUND_S: Final = 0.02  # at least between two rounds: hundreds of answers a second are no rounds each
FINISH_S: Final = 20.0  # at the end for what is on its way


class Loop:
    """`wake` may be called from other threads and signal handlers: something is due now."""

    def __init__(self, event_log: EventLog, clock: Callable[[], float] = time.monotonic) -> None:
        self.inputs: list[Input] = []
        self._event_log = event_log
        self._clock = clock
        self._woken = threading.Event()
        self._pauses: dict[int, Backoff] = {}
        self._stop = False

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stop = True
        self._woken.set()

    def run(self, between: Callable[[], None], *, until: Callable[[Sequence[Input], float], bool]) -> None:
        """Until `stop`, or `until` says so. `between` is called before each round: the configuration may have to be
        read again."""
        while not self._stop:
            between()
            now = self._clock()
            for one in self.inputs:
                if one.due(now) <= now:
                    self._turn(one, now)
            now = self._clock()
            if until(self.inputs, now):
                return
            wait_s = min([MOST_WAIT_S, *(self._due(one, now) - now for one in self.inputs)])
            if wait_s > 0 and not self._stop:
                time.sleep(min(ROUND_S, wait_s))
                self._woken.wait(wait_s - ROUND_S)
            self._woken.clear()

    def finish(self, inputs: Sequence[Input]) -> None:
        """Send what waits, and let go."""
        end = self._clock() + FINISH_S
        left = list(inputs)
        while left and self._clock() < end:
            left = [one for one in left if not self._finished(one)]
            if left:
                self._woken.wait(0.05)
                self._woken.clear()
        for one in inputs:
            one.close()

    def _due(self, one: Input, now: float) -> float:
        pause = self._pauses.get(id(one))
        return max(one.due(now), pause.until if pause is not None else now)

    def _turn(self, one: Input, now: float) -> None:
        pause = self._pauses.setdefault(id(one), Backoff())
        if now < pause.until:
            return
        try:
            one.turn(now)
        except Exception as error:
            pause.failed(now)
            self._event_log.once(
                ("turn", one.name), "failed", level="error", input=one.name, detail=f"{type(error).__name__}: {error}",
                trace="".join(traceback.format_exception(error)[-3:]),
            )  # fmt: skip
        else:
            if pause.failures:
                pause.passed()
                self._event_log.over(("turn", one.name), "going_on", input=one.name)

    def _finished(self, one: Input) -> bool:
        try:
            return one.finish(self._clock())
        except Exception as error:
            self._event_log.warn("failed", input=one.name, detail=f"{type(error).__name__}: {error}")
            return True
