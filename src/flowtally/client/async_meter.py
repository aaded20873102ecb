"""AsyncMeter: Meter for asyncio, with a task instead of a thread. It belongs to one event loop and is not thread-safe.

`record` is no coroutine: a forgotten `await` must not lose an event. When the program ends without `close`, what waits
is spooled or raised, since no loop is left to deliver it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Unpack

from flowtally.client.asynchronous import AsyncClient
from flowtally.client.errors import ApiError, MeterClosed
from flowtally.client.event_maker import Use
from flowtally.client.metering import Metering, OnReceipt, checked
from flowtally.client.outbox import Batch, Limits
from flowtally.protocol import EventsAnswer

_END_S: Final = 1.0  # for a request that was cut off to close its connection
_log = logging.getLogger("flowtally.client")


class AsyncMeter(Metering):
    """As `Meter`. `record` raises BufferFull at once, `record_when_room` waits up to `full_wait_s`. `on_receipt` is an
    ordinary function, called on the event loop. Made where an event loop runs."""

    def __init__(
        self,
        client: AsyncClient,
        source: str,
        *,
        full_wait_s: float = 5.0,
        close_s: float = 10.0,
        spool: str | Path | None = None,
        on_receipt: OnReceipt | None = None,
        limits: Limits | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(source, limits, spool, on_receipt)
        self._client = client
        self._full_wait_s = full_wait_s
        self._close_s = close_s
        self._hurry_upto = 0
        self._work = asyncio.Event()  # for the sender: there is something to do
        self._moved = asyncio.Event()  # for those who wait for receipts or room; a new one after every move
        self._task = loop.create_task(self._run(), name=f"flowtally-meter-{source}")
        self._task.add_done_callback(lambda _: self._tell_moved())
        _METERS.add(self)
        atexit.register(self._at_exit)

    async def __aenter__(self) -> AsyncMeter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def record(self, **use: Unpack[Use]) -> str:
        """Write one use down and return its id. BufferFull, MeterClosed: it was not recorded."""
        id, line = self._written(use)
        self._check_open()
        if not self._outbox.fits(line):
            self._hurry()
            raise self._full()
        self._add(line)
        return id

    async def record_when_room(self, **use: Unpack[Use]) -> str:
        """As `record`, but a full buffer is waited for, up to `full_wait_s`."""
        id, line = self._written(use)
        self._check_open()
        if not self._outbox.fits(line):
            self._hurry()
        if not await self._wait_for(lambda: bool(self._closed) or self._outbox.fits(line), self._full_wait_s):
            raise self._full()
        self._check_open()
        self._add(line)
        return id

    async def flush(self, timeout_s: float | None = None) -> bool:
        """Deliver now. Whether everything recorded before has its receipt; False: time was up, and it is tried on."""
        upto = self._hurry()
        return await self._wait_for(lambda: self._leftover is None and self._outbox.settled >= upto, timeout_s)

    async def close(self, timeout_s: float | None = None) -> None:
        """Deliver what waits, for at most `timeout_s` (default `close_s`), and end. Undelivered carries what has no
        receipt then, unless there is a spool. Closing again does nothing."""
        if self._closed:
            return
        self._closed = "is closed"
        self._work.set()
        self._tell_moved()
        try:
            limit_s = self._close_s if timeout_s is None else timeout_s
            await self._wait_for(lambda: self._leftover is None and not self.counts.pending, limit_s)
        finally:
            self._task.cancel()
            atexit.unregister(self._at_exit)
            try:
                await asyncio.wait({self._task}, timeout=_END_S)
            finally:
                self._end()

    # ── waiting

    async def _wait_for(self, is_so: Callable[[], bool], timeout_s: float | None) -> bool:
        until = None if timeout_s is None else monotonic() + timeout_s
        while not is_so():
            if self._task.done():
                return False
            try:
                await asyncio.wait_for(self._moved.wait(), None if until is None else until - monotonic())
            except TimeoutError:
                return is_so()
        return True

    def _hurry(self) -> int:
        """Send now whatever was recorded until now."""
        self._hurry_upto = self._outbox.recorded
        self._work.set()
        return self._hurry_upto

    def _tell_moved(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _check_open(self) -> None:
        why = self._closed or ("has lost its event loop" if self._task.done() else "")
        if why:
            raise MeterClosed(f"the meter of source {self.source!r} {why}; the event was not recorded")

    def _add(self, line: bytes) -> None:
        if self._outbox.add(line, monotonic()):
            self._work.set()

    # ── the task

    async def _run(self) -> None:
        while True:
            batch = await self._next()
            try:
                await self._deliver(batch)
            except Exception as error:  # a bug must not end the task: nobody would notice until the buffer is full
                _log.exception("source %r: sending failed", self.source)
                self._failed(batch, ApiError("client_failed", 0, f"{type(error).__name__}: {error}"), monotonic())

    async def _next(self) -> Batch:
        while True:
            self._work.clear()
            self._take_up_leftover()
            hurry = bool(self._closed) or self._outbox.settled < self._hurry_upto
            wait_s = self._outbox.wait_s(monotonic(), hurry=hurry)
            if wait_s == 0:
                return self._outbox.take()
            self._tell_moved()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._work.wait(), wait_s)

    async def _deliver(self, batch: Batch) -> None:
        answer: EventsAnswer | None
        try:
            answer = checked(batch, await self._client.once(batch.call))
        except ApiError as error:
            answer = self._failed(batch, error, monotonic())
        if answer is not None:
            self._tell(batch, answer)
            self._settled(batch, answer)
            self._tell_moved()

    def _at_exit(self) -> None:
        self._closed = "is closed"
        self._end()

    def _after_fork(self) -> None:
        atexit.unregister(self._at_exit)
        self._forget_parent("belongs to the parent process")


_METERS: Final[weakref.WeakSet[AsyncMeter]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for meter in list(_METERS):
        meter._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
