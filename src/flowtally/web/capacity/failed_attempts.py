"""Wrong guesses at a secret, counted by who guesses, so that guessing is hopeless even for who has centuries.

Every guess is counted before it is looked up and given back when it was right: guesses at once count, too. In memory
and bounded: a restart forgets, and whoever has more credentials than are remembered gains nothing that matters against
95 bits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from flowtally.core.errors import RateLimited
from flowtally.core.times import HOUR_MS

WRONG: Final = 30  # guesses a credential may have
WINDOW_MS: Final = HOUR_MS  # in
REMEMBERED: Final = 10_000  # credentials


class FailedAttempts:
    """Safe to use from any thread. `clock` gives milliseconds."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: dict[str, deque[int]] = {}  # by credential, the longest silent first

    def count(self, credential_id: str) -> None:
        """Count a guess; RateLimited, not counted, after too many wrong ones."""
        now = self._clock()
        with self._lock:
            mine = self._wrong.pop(credential_id, deque())
            while mine and mine[0] <= now - WINDOW_MS:
                mine.popleft()
            self._wrong[credential_id] = mine
            if len(mine) >= WRONG:
                wait_s = -(-(mine[0] + WINDOW_MS - now) // 1000)
                detail = f"{WRONG} codes were wrong within {WINDOW_MS // 60_000} minutes; again in {wait_s} s"
                raise RateLimited(detail, retry_after_s=wait_s)
            mine.append(now)
            if len(self._wrong) > REMEMBERED:
                del self._wrong[next(iter(self._wrong))]

    def was_right(self, credential_id: str) -> None:
        """Give the guess just counted back."""
        with self._lock:
            if mine := self._wrong.get(credential_id):
                mine.pop()
