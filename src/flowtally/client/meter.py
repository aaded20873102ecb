"""Meter: for programs with threads. `record` writes an event down and returns; one thread of its own delivers.

What is recorded is in memory until it has a receipt: `flush` says when, `close` and the end of the program see to it,
and what cannot be delivered then is spooled or raised. Only SIGKILL and a power cut lose what is in memory.

A forked child shares nothing with its parent: it starts empty, with a thread of its own; the parent delivers what was
recorded before. The spool stays the parent's.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from multiprocessing.process import parent_process as multiprocessing_parent
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Unpack

from flowtally.client.errors import ApiError, MeterClosed
from flowtally.client.event_maker import Use
from flowtally.client.metering import Metering, OnReceipt, checked
from flowtally.client.outbox import Batch, Counts, Limits
from flowtally.client.sync import Client
from flowtally.protocol import EventsAnswer

_NO_WAIT: Final = 0.0
_log = logging.getLogger("flowtally.client")


class Meter(Metering):
    """`full_wait_s`: how long `record` waits for room before it raises BufferFull; 0 raises at once. `close_s`: how
    long `close` and the end of the program wait for receipts. `spool`: a file for what has none then, sent first by the
    next meter with that file. `on_receipt` hears of every event that will not count (refused or in conflict), on the
    meter's thread; by default they are logged. The client stays the caller's to close."""

    _hurry_upto: int

    def __init__(
        self,
        client: Client,
        source: str,
        *,
        full_wait_s: float = 5.0,
        close_s: float = 10.0,
        spool: str | Path | None = None,
        on_receipt: OnReceipt | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(source, limits, spool, on_receipt)
        self._client = client
        self._full_wait_s = full_wait_s
        self._close_s = close_s
        self._prepare()
        _METERS.add(self)
        atexit.register(self.close)
        with self._lock:
            self._start()

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        with self._lock:
            return self._outbox.counts

    def record(self, **use: Unpack[Use]) -> str:
        """Write one use down and return its id. Threads may call it. BufferFull, MeterClosed: it was not recorded."""
        id, line = self._written(use)
        with self._lock:
            if not self._outbox.fits(line):
                self._wait_for_room(line)
            if self._closed:
                raise MeterClosed(f"the meter of source {self.source!r} {self._closed}; the event was not recorded")
            if self._thread is None:
                self._start()
            if self._outbox.add(line, monotonic()):
                self._work.notify()
        return id

    def flush(self, timeout_s: float | None = None) -> bool:
        """Deliver now. Whether everything recorded before has its receipt; False: time was up, and it is tried on.
        Not to be called from `on_receipt`."""
        with self._lock:
            upto = self._outbox.recorded
            self._hurry_upto = upto
            self._work.notify()
            self._moved.wait_for(lambda: self._over or self._delivered(upto), timeout_s)
            return self._delivered(upto)

    def close(self, timeout_s: float | None = None) -> None:
        """Deliver what waits, for at most `timeout_s` (default `close_s`), and end. Undelivered carries what has no
        receipt then, unless there is a spool. Closing again does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = "is closed"
            self._work.notify()
            self._moved.notify_all()
            limit_s = self._close_s if timeout_s is None else timeout_s
            try:
                self._moved.wait_for(self._idle, limit_s)
            finally:
                self._over = True
                self._work.notify()
                self._moved.notify_all()
                atexit.unregister(self.close)
                self._end()

    # ── waiting, with the lock

    def _wait_for_room(self, line: bytes) -> None:
        self._hurry_upto = self._outbox.recorded  # more is not coming, so the batch need not wait for company
        self._work.notify()
        if self._full_wait_s:
            self._moved.wait_for(lambda: self._closed or self._outbox.fits(line), self._full_wait_s)
        if not self._closed and not self._outbox.fits(line):
            raise self._full()

    def _delivered(self, upto: int) -> bool:
        return self._leftover is None and self._outbox.settled >= upto

    def _idle(self) -> bool:
        return self._leftover is None and self._outbox.counts.pending == 0

    # ── the thread

    def _prepare(self) -> None:
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)  # for the sender: there is something to do
        self._moved = threading.Condition(self._lock)  # for those who wait for receipts or room
        self._hurry_upto = 0
        self._over = False
        self._thread: threading.Thread | None = None

    def _start(self) -> None:
        # A daemon, or the interpreter would wait for it before it runs the exit handler that closes the meter.
        self._thread = threading.Thread(target=self._run, name=f"flowtally-meter-{self.source}", daemon=True)
        self._thread.start()
        # multiprocessing ends its workers without the interpreter's exit handlers, but with finalizers of its own.
        workers = sys.modules.get("multiprocessing.util")
        if workers is not None and multiprocessing_parent() is not None:
            workers.Finalize(None, self.close, exitpriority=0)

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            try:
                self._deliver(batch)
            except Exception as error:  # a bug must not end the thread: nobody would notice until the buffer is full
                _log.exception("source %r: sending failed", self.source)
                self._put_off(batch, ApiError("client_failed", 0, f"{type(error).__name__}: {error}"))

    def _next(self) -> Batch | None:
        with self._lock:
            while not self._over:
                self._take_up_leftover()
                wait_s = self._outbox.wait_s(monotonic(), hurry=self._hurries())
                if wait_s == _NO_WAIT:
                    return self._outbox.take()
                self._moved.notify_all()
                self._work.wait(wait_s)
        return None

    def _hurries(self) -> bool:
        return bool(self._closed) or self._outbox.settled < self._hurry_upto

    def _deliver(self, batch: Batch) -> None:
        try:
            answer = checked(batch, self._client.once(batch.call))
        except ApiError as error:
            refused = self._put_off(batch, error)
            if refused is None:
                return
            answer = refused
        if self._over:
            return  # the closing thread gave these events up; whoever has them may send them again
        self._tell(batch, answer)
        with self._lock:
            if not self._over:
                self._settled(batch, answer)
                self._moved.notify_all()

    def _put_off(self, batch: Batch, error: ApiError) -> EventsAnswer | None:
        with self._lock:
            return None if self._over else self._failed(batch, error, monotonic())

    def _after_fork(self) -> None:
        self._prepare()  # the parent's lock may have been held by a thread that does not exist here
        self._forget_parent("")


_METERS: Final[weakref.WeakSet[Meter]] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for meter in list(_METERS):
        meter._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
