"""What waits for the committer: bounded in events and in bytes, first come first served.

Full means `QueueFull` (503) at once: a caller that waits holds memory, one that is told can come back.
"""

from __future__ import annotations

import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from flowtally.errors import FlowtallyError, QueueFull, Unavailable
from flowtally.ingest.submission import Outcome, Swept, Waiting
from flowtally.protocol import CorrectionsAnswer

IDLE_S: Final = 1.0
LINGER_S: Final = 0.001  # at a time, LINGERS times at most, and no longer than QUIET times in which nobody came
LINGERS: Final = 16
QUIET: Final = 3

Answer = Outcome | CorrectionsAnswer | Swept | FlowtallyError


class WaitingQueue:
    """Many put, one takes. Answers go back to each caller's own event loop, once."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._waiting: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._open = True
        self._nudged = False
        self._usual = 1  # submissions in the block before
        self.events = 0
        self.bytes = 0

    def put(self, submission: Waiting) -> None:
        """Raises QueueFull; nothing was taken then."""
        with self._changed:
            if not self._open:
                raise Unavailable("The server is stopping", retry_after_s=5)
            events, size = self.events + submission.count, self.bytes + submission.size
            # An empty queue takes whatever the door let in, or a large request could never be served.
            if self._waiting and (events > self._max_events or size > self._max_bytes):
                raise QueueFull(f"{self.events} events wait already; at most {self._max_events}", retry_after_s=1)
            self._waiting.append(submission)
            self.events, self.bytes = events, size
            self._changed.notify()

    def take(self, max_events: int, max_bytes: int) -> list[Waiting] | None:
        """As many as go into one block, at least one; empty after a quiet second, or when nudged; None when closed and
        empty."""
        with self._changed:
            if not self._waiting and self._open and not self._nudged:
                self._changed.wait(IDLE_S)
            self._nudged = False
            if not self._waiting:
                return [] if self._open else None
        self._linger()
        with self._changed:
            taken: list[Waiting] = []
            events = size = 0
            while self._waiting:
                one = self._waiting[0]
                if taken and (one.alone or events + one.count > max_events or size + one.size > max_bytes):
                    break
                taken.append(self._waiting.popleft())
                events += one.count
                size += one.size
                if one.alone:
                    break
            self.events -= events
            self.bytes -= size
            self._usual = len(taken)
            return taken

    def nudge(self) -> None:
        """There is something to do besides: let who takes not wait for the next submission."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def _linger(self) -> None:
        # Those who were answered together come back together. Taking the first of them alone would make groups of
        # callers that wait for each other's blocks, each smaller than it could be: so wait while they keep coming.
        quiet, before = 0, len(self._waiting)
        for _ in range(LINGERS):
            if before >= self._usual or quiet == QUIET or not self._open:
                return
            time.sleep(LINGER_S)
            here = len(self._waiting)
            quiet, before = (quiet + 1 if here == before else 0), here

    def close(self) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()

    @staticmethod
    def answer(answers: Iterable[tuple[Waiting, Answer]]) -> None:
        """Hand answers over, one call into each event loop."""
        by_loop: dict[AbstractEventLoop, list[tuple[Future[Any], Answer]]] = {}
        for submission, answer in answers:
            if submission.loop is not None and submission.answer is not None:
                by_loop.setdefault(submission.loop, []).append((submission.answer, answer))
        for loop, pairs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: list[tuple[Future[Any], Answer]]) -> None:
    for future, answer in pairs:
        if future.done():  # the caller went away; its events are stored all the same
            continue
        if isinstance(answer, FlowtallyError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
