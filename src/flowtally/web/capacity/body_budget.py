"""Room for bodies in work: from their first byte until their answer was read, all large ones together are bounded.

What waits for the committer is bounded by its queue; this bounds what is still being read, unpacked and decoded: a
packed body holds what it becomes, too, and then its answer: 300 bytes can ask for receipts of 13 MB. The bodies of one
account hold half of it at most, so that who lets large ones drip keeps nobody else from sending. The first body always
gets in, and the first of each account as far as the others leave room, or a large one could never be served. Bodies are
read by one event loop and unpacked by threads.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from flowtally.core.errors import QueueFull
from flowtally.core.tallies import tally


class Hold:
    """What one request of the account holds; empty: of none, which speaks for many."""

    def __init__(self, room: BodyRoom, account: str) -> None:
        self._room = room
        self._account = account
        self._ended = False
        self.size = 0

    def add(self, size: int) -> None:
        """Hold `size` more bytes; QueueFull when the others leave no room for them, or when the request has ended and
        nobody waits for what its thread still makes."""
        with self._room.counting:
            self._check("Bodies of", self._room.held, self._room.limit, size)
            if self._account:
                whose = f"Bodies of the account {self._account!r} of"
                self._check(whose, self._room.held_of[self._account], self._room.limit // 2, size)
            self._count(size)

    def become(self, size: int) -> None:
        """Hold so much instead, whatever the others hold: an answer that is there must go out, and those who come next
        wait for it."""
        with self._room.counting:
            self._count(size - self.size)

    def end(self) -> None:
        with self._room.counting:
            self._ended = True
            self._count(-self.size)

    def _check(self, what: str, held: int, limit: int, more: int) -> None:
        others = held - self.size
        if self._ended or (others and held + more > limit):
            raise QueueFull(f"{what} {others} bytes are in work already; at most {limit}", retry_after_s=1)

    def _count(self, more: int) -> None:
        self.size += more
        self._room.held += more
        if self._account:
            tally(self._room.held_of, self._account, more)


class BodyRoom:
    """All requests' bodies together hold at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.held_of: Counter[str] = Counter()  # by account
        self.counting = threading.Lock()

    @contextmanager
    def hold(self, account: str | None = None) -> Iterator[Hold]:
        """Room for one body, given back at the end."""
        hold = Hold(self, account or "")
        try:
            yield hold
        finally:
            hold.end()
