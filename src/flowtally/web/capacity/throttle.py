"""So many requests of one caller in any window: the rate limits that vendors have, and those of our own lists."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

import msgspec

from flowtally.core.errors import RateLimited

REMEMBERED: Final = 10_000  # callers


class Rate(msgspec.Struct, frozen=True):
    """At most so many requests of one caller in any window of so long."""

    requests: int
    window_ms: int


class Throttle:
    """At most `rate` per caller in any window of its length, counting only what was let in. Any thread."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._let_in: dict[str, deque[int]] = {}

    def let_in(self, caller: str, now: int, what: str = "requests") -> None:
        """Count it; RateLimited for one too many."""
        if wait_ms := self.wait_ms(caller, now):
            wait_s = -(-wait_ms // 1000)
            raise RateLimited(f"Too many {what}; try again in {wait_s} s", retry_after_s=wait_s)

    def wait_ms(self, caller: str, now: int) -> int:
        """0, and the request counts; or how long until one would be let in."""
        with self._lock:
            if caller not in self._let_in and len(self._let_in) >= REMEMBERED:
                self._let_in.clear()  # simple, rare, and no worse than a restart
            mine = self._let_in.setdefault(caller, deque())
            while mine and mine[0] + self._rate.window_ms <= now:
                mine.popleft()
            if len(mine) >= self._rate.requests:
                return mine[0] + self._rate.window_ms - now
            mine.append(now)
            return 0
