"""Threads that answer requests, in lanes: large questions never take those of the small ones, exports neither's, and
bodies are read in a lane of their own.

Owns who is next. In each lane the accounts take turns, whoever asked how much, and no account has all threads. Leaves
what is large to `weights`, what an account may use up to `shares`. All of it happens on the one event loop; only the
work itself is in threads.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from flowtally.core.tallies import tally
from flowtally.usage import readers

T = TypeVar("T")

LARGE_PART: Final = 4  # of the threads, that work on large questions
STREAMED: Final = 2  # threads beside them, that make what is made while it is read
READ: Final = 8  # threads beside them, that unpack and decode large bodies


class Lane:
    """At most `width` works at a time, at most `each` of them of one account; the accounts that wait take turns."""

    def __init__(self, name: str, width: int, each: int) -> None:
        self.width = width
        self.running = 0
        self._each = each
        self._pool = ThreadPoolExecutor(width, name, initializer=readers.mark)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by account, the next one first
        self._running: Counter[str] = Counter()  # by account

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def run(self, account: str, work: Callable[[], T]) -> T:
        """What the work gives, in a thread, when it is the account's turn. Who gives up waiting was never there; work
        that has begun ends, and holds its thread until then."""
        loop = asyncio.get_running_loop()
        await self._turn(loop, account)
        try:
            begun = self._pool.submit(work)
        except BaseException:
            self._ended(account)
            raise
        begun.add_done_callback(lambda _: self._tell(loop, account))
        return await asyncio.wrap_future(begun)

    async def _turn(self, loop: asyncio.AbstractEventLoop, account: str) -> None:
        turn = loop.create_future()
        self._waiting.setdefault(account, deque()).append(turn)
        self._begin()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._ended(account)  # its turn came at the same moment
            else:
                self._forget(account, turn)
            raise

    def _begin(self) -> None:
        """Give turns away as long as there are any."""
        while self.running < self.width and (account := self._next()) is not None:
            waiting = self._waiting.pop(account)
            turn = waiting.popleft()
            if waiting:
                self._waiting[account] = waiting  # behind all others
            if not turn.done():
                tally(self._running, account, 1)
                self.running += 1
                turn.set_result(None)

    def _next(self) -> str | None:
        return next((account for account in self._waiting if self._running[account] < self._each), None)

    def _tell(self, loop: asyncio.AbstractEventLoop, account: str) -> None:
        """From the thread, when the work has ended: also work that nobody waits for any more."""
        with suppress(RuntimeError):  # the loop is closed: the server has ended
            loop.call_soon_threadsafe(self._ended, account)

    def _ended(self, account: str) -> None:
        self.running -= 1
        tally(self._running, account, -1)
        self._begin()

    def _forget(self, account: str, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(account, deque())
        with suppress(ValueError):
            waiting.remove(turn)
        if not waiting:
            self._waiting.pop(account, None)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Lanes:
    """The threads of one server: a quarter of them, at least one, for large questions, the others for small ones. One
    account has at most half of those for large ones, and leaves one of the others free."""

    def __init__(self, threads: int) -> None:
        large = max(1, threads // LARGE_PART)
        small = max(1, threads - large)
        self.small = Lane("ask", small, max(1, small - 1))
        self.large = Lane("large", large, max(1, large // 2))
        self.streamed = Lane("export", STREAMED, 1)
        self.read = Lane("read", READ, READ // 2)

    @property
    def running(self) -> int:
        """How many questions are at it; from any thread."""
        return self.small.running + self.large.running + self.streamed.running

    async def run(self, account: str, work: Callable[[], T], *, large: bool = False, streamed: bool = False) -> T:
        lane = self.streamed if streamed else self.large if large else self.small
        return await lane.run(account, work)

    def measures(self) -> dict[str, Any]:
        """Gauges for /metrics."""
        lanes = {"small": self.small, "large": self.large, "streamed": self.streamed, "read": self.read}
        return {
            f"{name}_{what}": getattr(lane, what) for name, lane in lanes.items() for what in ("running", "waiting")
        }

    def close(self) -> None:
        self.small.close()
        self.large.close()
        self.streamed.close()
        self.read.close()
