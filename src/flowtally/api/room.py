"""Room for bodies in work: from their first byte to their answer, all large bodies together are bounded.

What waits for the committer is bounded by its queue; this bounds what is still being read, unpacked and decoded: a
packed body holds what it becomes, too. The first body always gets in, or a large one could never be served. Bodies are
read by one event loop and unpacked by threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flowtally.errors import QueueFull


class Hold:
    """What one request holds."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._ended = False
        self.size = 0

    def add(self, size: int) -> None:
        """Hold `size` more bytes; QueueFull when the others leave no room for them, or when the request has ended and
        nobody waits for what its thread still makes."""
        with self._room.counting:
            others = self._room.held - self.size
            if self._ended or (others and others + self.size + size > self._room.limit):
                raise QueueFull(
                    f"Bodies of {others} bytes are in work already; at most {self._room.limit}", retry_after_s=1
                )
            self.size += size
            self._room.held += size

    def end(self) -> None:
        with self._room.counting:
            self._ended = True
            self._room.held -= self.size


class BodyRoom:
    """All requests' bodies together hold at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.counting = threading.Lock()

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Room for one body, given back at the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            hold.end()
