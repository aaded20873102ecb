"""Memory for bodies in work: from their first byte until their answer was read, all large ones together are bounded.

What waits for the committer is bounded by its queue; this bounds what is still being read, unpacked and decoded: a
packed body holds what it becomes, too, and then its answer: 300 bytes can ask for receipts of 13 MB. The bodies of one
account hold half of it at most, so that who lets large ones drip keeps nobody else from sending. The first body always
gets in, and the first of each account as far as the others leave memory, or a large one could never be served. Bodies
are read by one event loop and unpacked by threads.
"""

from __future__ import annotations

import threading
from collections import Counter

from flowtally.core.errors import QueueFull
from flowtally.core.tallies import tally
from flowtally.web.capacity.lent import Lent


class Hold:
    """What one request of the account holds; empty: of none, which speaks for many."""

    def __init__(self, budget: BodyBudget, account: str) -> None:
        self._budget = budget
        self._account = account
        self._ended = False
        self.size = 0

    def add(self, size: int) -> None:
        """Hold `size` more bytes; QueueFull when the others leave no memory for them, or when the request has ended and
        nobody waits for what its thread still makes."""
        with self._budget.counting:
            self._check("Bodies of", self._budget.held, self._budget.limit, size)
            if self._account:
                whose = f"Bodies of the account {self._account!r} of"
                self._check(whose, self._budget.held_of[self._account], self._budget.limit // 2, size)
            self._count(size)

    def become(self, size: int) -> None:
        """Hold so much instead, whatever the others hold: an answer that is there must go out, and those who come next
        wait for it."""
        with self._budget.counting:
            self._count(size - self.size)

    def end(self) -> None:
        with self._budget.counting:
            self._ended = True
            self._count(-self.size)

    def _check(self, what: str, held: int, limit: int, more: int) -> None:
        others = held - self.size
        if self._ended or (others and held + more > limit):
            raise QueueFull(f"{what} {others} bytes are in work already; at most {limit}", retry_after_s=1)

    def _count(self, more: int) -> None:
        self.size += more
        self._budget.held += more
        if self._account:
            tally(self._budget.held_of, self._account, more)


class BodyBudget:
    """All requests' bodies together hold at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.held_of: Counter[str] = Counter()  # by account
        self.counting = threading.Lock()

    def hold(self, account: str | None = None) -> Lent[Hold]:
        """What one body takes of it, given back at the end."""
        hold = Hold(self, account or "")
        return Lent(lambda: hold, hold.end)
