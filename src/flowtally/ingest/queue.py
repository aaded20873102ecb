"""What waits for the committer: bounded in events and in bytes. Accounts take turns, and in each the first comes first.

Full means `QueueFull` (503) at once: a caller that waits holds memory, one that is told can come back. What the senders
of one account wait with is half of all at most: however much one sends, the others' events find room, and are in one of
the next blocks. What is small is not kept by what is large: a block of small requests ends before a large one of
somebody else, which begins the next. Senders of no account speak for many: each has turns of its own, and only the
bound of all.
"""

from __future__ import annotations

import threading
import time
from asyncio import AbstractEventLoop, Future
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from flowtally.core.errors import FlowtallyError, QueueFull, Unavailable
from flowtally.core.tallies import tally
from flowtally.ingest.report_plan import ReportAnswer
from flowtally.ingest.submission import Again, Outcome, Swept, Waiting
from flowtally.protocol import CorrectionsAnswer, ReadingsAnswer

IDLE_S: Final = 1.0
LINGER_S: Final = 0.001  # at a time, LINGERS times at most, and no longer than QUIET times in which nobody came;
LINGERS: Final = 16  # of very many up to MOST_LINGERS times
MOST_LINGERS: Final = 48
QUIET: Final = 3
ENOUGH: Final = 1_000  # events that are worth a block, whoever else may come
TOGETHER_S: Final = LINGERS * LINGER_S  # by then those who were answered together have come back, or do not come
LARGE: Final = 10_000  # events of a request beyond which it takes long enough for others to feel it

Answer = Outcome | CorrectionsAnswer | ReadingsAnswer | ReportAnswer | Swept | Again | FlowtallyError


class WaitingQueue:
    """Many put, one takes. Answers go back to each caller's own event loop, once."""

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._waiting: dict[str, deque[Waiting]] = {}  # by whose turn it is, the next one first
        self._events_of: Counter[str] = Counter()
        self._bytes_of: Counter[str] = Counter()
        self._count = 0
        self._changed = threading.Condition()
        self._open = True
        self._nudged = False
        self._answered = 1  # submissions in the block before
        self.events = 0
        self.bytes = 0

    def put(self, submission: Waiting) -> None:
        """Raises QueueFull; nothing was taken then."""
        with self._changed:
            if not self._open:
                raise Unavailable("The server is stopping", retry_after_s=5)
            self._check("", self.events, self.bytes, submission)
            whose, account = submission.queue_key, submission.account
            if account:
                self._check(
                    f" of the account {account!r}", self._events_of[whose], self._bytes_of[whose], submission, 2
                )
            self._waiting.setdefault(whose, deque()).append(submission)
            self._add(submission, 1)
            self._changed.notify()

    def _check(self, whose: str, events: int, size: int, submission: Waiting, part: int = 1) -> None:
        # An empty queue takes whatever the door let in, or a large request could never be served.
        most = self._max_events // part
        if events and (events + submission.count > most or size + submission.size > self._max_bytes // part):
            raise QueueFull(f"{events} events{whose} wait already; at most {most}", retry_after_s=1)

    def _add(self, submission: Waiting, sign: int) -> None:
        events, size, whose = sign * submission.count, sign * submission.size, submission.queue_key
        self._count += sign
        self.events += events
        self.bytes += size
        tally(self._events_of, whose, events)
        tally(self._bytes_of, whose, size)

    def take(self, max_events: int, max_bytes: int) -> list[Waiting] | None:
        """As many as go into one block, at least one; empty after a quiet second, or when nudged; None when closed and
        empty."""
        with self._changed:
            back = self._answered + self._count  # with those that came while the others' block was written
            if not self._waiting and self._open and not self._nudged:
                began = time.monotonic()
                self._changed.wait(IDLE_S)
                if time.monotonic() - began >= max(TOGETHER_S, back * LINGER_S):
                    back = 1  # whoever comes now comes alone
            self._nudged = False
            if not self._waiting:
                return [] if self._open else None
        self._linger(back)
        with self._changed:
            taken: list[Waiting] = []
            events = size = 0
            while self._waiting:
                whose, own = next(iter(self._waiting.items()))
                one = own[0]
                if taken and (
                    one.alone
                    or type(one) is not type(taken[0])
                    or events + one.count > max_events
                    or size + one.size > max_bytes
                ):
                    break
                if _would_keep(one, taken):
                    break
                taken.append(own.popleft())
                del self._waiting[whose]
                if own:
                    self._waiting[whose] = own  # behind all others
                self._add(one, -1)
                events += one.count
                size += one.size
                if one.alone:
                    break
            self._answered = len(taken)
            return taken

    def put_back(self, submissions: Iterable[Waiting]) -> None:
        """Those that were taken and did not go into the block, in the order they came: the next ones of their turns,
        before everybody else. Also when closed: they are written before the end."""
        with self._changed:
            first: dict[str, deque[Waiting]] = {}
            for one in submissions:
                first.setdefault(one.queue_key, deque()).append(one)
                self._add(one, 1)
            for whose, own in first.items():
                own.extend(self._waiting.pop(whose, ()))
            self._waiting = first | self._waiting
            self._changed.notify()

    def nudge(self) -> None:
        """There is something to do besides: let who takes not wait for the next submission."""
        with self._changed:
            self._nudged = True
            self._changed.notify_all()

    def _linger(self, back: int) -> None:
        # Those who were answered together come back together. Taking the first of them alone would make groups of
        # callers that wait for each other's blocks, each smaller than it could be: so wait while they keep coming. The
        # more they are the longer it takes, for each is answered and read one after the other.
        most, patience = max(LINGERS, min(back // 2, MOST_LINGERS)), max(QUIET, back // 6)
        quiet, before = 0, self._count
        for _ in range(most):
            if before >= back or quiet >= patience or self.events >= ENOUGH or not self._open:
                return
            time.sleep(LINGER_S)
            here = self._count
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


def _would_keep(one: Waiting, taken: Sequence[Waiting]) -> bool:
    """Whether this one is large, and others' small ones are all there is so far: they would wait for its rows. Large
    ones are written together, which costs less; and this one is the first of the next block, so it waits for one."""
    if one.count <= LARGE or any(before.count > LARGE for before in taken):
        return False
    return any(before.queue_key != one.queue_key for before in taken)


def _resolve(pairs: list[tuple[Future[Any], Answer]]) -> None:
    for future, answer in pairs:
        if future.done():  # the caller went away; its events are stored all the same
            continue
        if isinstance(answer, FlowtallyError):
            future.set_exception(answer)
        else:
            future.set_result(answer)
