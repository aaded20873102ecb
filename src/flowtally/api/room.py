"""Room for bodies in work: from their first byte to their answer, all large bodies together are bounded.

What waits for the committer is bounded by its queue; this bounds what is still being read and decoded. The first body
always gets in, or a large one could never be served. One event loop reads all bodies, so plain numbers do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowtally.errors import QueueFull


class Hold:
    """What one request holds."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self.size = 0

    def add(self, size: int) -> None:
        """Hold `size` more bytes; QueueFull when the others leave no room for them."""
        others = self._room.held - self.size
        if others and others + self.size + size > self._room.limit:
            raise QueueFull(
                f"Bodies of {others} bytes are in work already; at most {self._room.limit}", retry_after_s=1
            )
        self.size += size
        self._room.held += size


class BodyRoom:
    """All requests' bodies together hold at most `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Room for one body, given back at the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.held -= hold.size
