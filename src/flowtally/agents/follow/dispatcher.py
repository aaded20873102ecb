"""Who waits for the server, so that nothing else does: a few threads that carry work out, and the pause after a server
that did not answer.

The agent's one thread reads logs and decides; a request may take as long as it takes. A job belongs to its thread until
it is `done`: who handed it over touches nothing of it before. Threads are daemons: an end of the process does not wait.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

T = TypeVar("T")

FIRST_S: Final = 0.5
MOST_S: Final = 15.0


class Delivery(Generic[T]):
    """Work handed over. `result` raises what the work raised."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T | None = None
        self._error: Exception | None = None
        self.done = False

    def run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # told by who handed it over
            self._error = error
        self.done = True

    def result(self) -> T:
        assert self.done
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Carrier(Protocol):
    def submit(self, work: Callable[[], T]) -> Delivery[T]: ...


class Dispatcher:
    """`wake` is called after each job, from its thread."""

    def __init__(self, threads: int, wake: Callable[[], None]) -> None:
        self._jobs: queue.SimpleQueue[Delivery[Any]] = queue.SimpleQueue()
        self._wake = wake
        for number in range(threads):
            threading.Thread(target=self._run, name=f"dispatcher-{number}", daemon=True).start()

    def submit(self, work: Callable[[], T]) -> Delivery[T]:
        job = Delivery(work)
        self._jobs.put(job)
        return job

    def _run(self) -> None:
        while True:
            self._jobs.get().run()
            self._wake()


class AtOnce:
    """Carries work out when it is handed over: for tests, and for who has time."""

    def submit(self, work: Callable[[], T]) -> Delivery[T]:
        job = Delivery(work)
        job.run()
        return job


class Backoff:
    """How long to wait after a failure: twice as long each time, up to `most_s`, less a random part, so that many who
    failed together do not come back together."""

    def __init__(
        self, first_s: float = FIRST_S, most_s: float = MOST_S, chance: Callable[[], float] = random.random
    ) -> None:
        self._first_s, self._most_s, self._chance = first_s, most_s, chance
        self._failures = 0
        self.until = float("-inf")

    def failed(self, now: float, at_least_s: float = 0) -> None:
        wait_s = min(self._most_s, self._first_s * 2 ** min(self._failures, 16))
        self.until = now + max(at_least_s, wait_s * (1 - self._chance() / 2))
        self._failures += 1

    def passed(self) -> None:
        self._failures = 0
        self.until = float("-inf")

    @property
    def failures(self) -> int:
        return self._failures
