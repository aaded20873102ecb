"""Requests that wait until something is there: woken by what happened, bounded in time and number, and let go at once
when the server stops.

Nothing is asked again by the clock: whoever writes says so (`wake`), from any thread, after the commit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

T = TypeVar("T")

MOST: Final = 64  # requests that wait at once; one more is answered without waiting


class Waiters:
    """For one kind of thing."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._events: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._stopped = False

    async def until(self, look: Callable[[], Awaitable[T]], found: Callable[[T], bool], wait_s: float) -> T:
        """What `look` gives, as soon as it is something, or after `wait_s`, or when the server stops."""
        event = asyncio.Event()
        if wait_s <= 0 or not self._enter(event):
            return await look()
        end = time.monotonic() + wait_s
        try:
            while True:
                event.clear()  # before the look: what happens after it is heard
                seen = await look()
                left = end - time.monotonic()
                if found(seen) or left <= 0 or self._stopped:
                    return seen
                with suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), left)
        finally:
            self._leave(event)

    def wake(self) -> None:
        """Something may be there now."""
        with self._lock:
            for event, loop in self._events.items():
                with suppress(RuntimeError):  # a loop that was closed: nobody waits in it
                    loop.call_soon_threadsafe(event.set)

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped = True
        self.wake()

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._events)

    def _enter(self, event: asyncio.Event) -> bool:
        with self._lock:
            if self._stopped or len(self._events) >= self._most:
                return False
            self._events[event] = asyncio.get_running_loop()
            return True

    def _leave(self, event: asyncio.Event) -> None:
        with self._lock:
            self._events.pop(event, None)
