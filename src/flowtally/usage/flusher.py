"""The thread that flushes: from the tail into the table, and then the journal forgets.

A record may go only when its rows stand in the table, a sync of the disk that began after that has ended, and the keys
had the block when it began. So after a power cut whatever the table or the keys have lost is in the journal still.

Owns when that is done, how it is tried again, and what is told of it. Nobody who writes waits for it, but for the bound
on what may wait here (`why_full`). Others may have the journal forget too (`settle`, `erase`): one at a time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec
import structlog

from flowtally.core.errors import FlowtallyError
from flowtally.usage.records import Record
from flowtally.usage.values import Unflushed

log = structlog.get_logger(__name__)

AGE_LOOK_S: Final = 0.05  # how often the oldest block's age is looked at, while there is one
TRY_AGAIN_S: Final = (0.1, 0.5, 2.0, 10.0)  # the last one again and again
ASIDE_AGAIN_S: Final = 300
FORGET_EVERY_S: Final = 30.0
FORGET_BYTES: Final = 64 * 1024 * 1024
LONG_S: Final = 30  # a flush takes less than a second
END_S: Final = 60


class FlushSettings(msgspec.Struct, frozen=True):
    """When the oldest blocks are flushed (so many rows, or one so old), and how much may wait for that."""

    rows: int = 100_000
    after_s: float = 1.0
    max_rows: int = 1_000_000
    max_bytes: int = 192 * 1024 * 1024


class FlushedUsage(Protocol):
    """What is asked of the store."""

    def unflushed(self) -> Unflushed: ...
    def flush(self, rows: int) -> int: ...
    def retry_aside(self) -> None: ...
    def settle(self) -> None: ...
    def under_way(self) -> int | None: ...


class ForgettingJournal(Protocol):
    """What is asked of the journal."""

    def forget(self, until: int, *, erase: bool = False) -> None: ...
    def carry_over(self) -> None: ...
    def after(self, block: int) -> Iterator[Record]: ...
    def first_received_at(self) -> int | None: ...
    def measures(self) -> dict[str, float]: ...


class Flusher:
    """Begins with `start`; `stop` ends it, and leaves what is not flushed to the journal. `committed`: up to which
    block the keys are committed; it is asked on this thread."""

    def __init__(
        self,
        usage: FlushedUsage,
        journal: ForgettingJournal,
        committed: Callable[[], int],
        settings: FlushSettings,
        sync: Callable[[], None] = os.sync,
    ) -> None:
        self._usage = usage
        self._journal = journal
        self._committed = committed
        self._settings = settings
        self._sync = sync
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._idle = False
        self._forgetting = threading.Lock()  # the journal has one connection for it
        self._synced = 0
        self._forgot_at = time.monotonic()
        self._tried_aside_at = time.monotonic()
        self._began: float | None = None  # the flush that is under way
        self._failed = 0  # times in a row
        self._failure = ""
        self._counts = {"flushes": 0.0, "flush_failures": 0.0, "flush_seconds": 0.0}
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)

    @property
    def synced(self) -> int:
        """All that was written of blocks up to this one, by now, is on the disk of this machine."""
        return self._synced

    def start(self) -> None:
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Where the engine does not answer, its thread is left behind: what it was at is in the journal."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(END_S)
            if self._thread.is_alive():
                log.error("flush_hangs", seconds=END_S)

    def nudge(self) -> None:
        """There is something to flush. Costs nothing where that is known."""
        if self._idle:
            self._idle = False
            self._wake.set()

    def why_full(self) -> str | None:
        """Why nothing more may be taken until some of it is flushed."""
        found, most = self._usage.unflushed(), self._settings
        if found.rows < most.max_rows and found.bytes < most.max_bytes:
            return None
        why = f": {self._failure}" if self._failure else ""
        return (
            f"{found.rows} rows ({found.bytes} bytes) wait to be flushed into the usage table, and {most.max_rows} rows"
            f" ({most.max_bytes} bytes) may{why}"
        )

    def why_not(self) -> str | None:
        """Why what is acknowledged does not get into the table, for people: it is in the journal, and counted."""
        if aside := self._usage.unflushed().aside:
            blocks = ", ".join(str(one.block) for one in aside[:5])
            return f"the usage store refuses {len(aside)} blocks, which are set aside ({blocks}): {aside[0].why}"
        if self._began is not None and (seconds := time.monotonic() - self._began) > LONG_S:
            return f"a flush into the usage table has been under way for {seconds:.0f} s"
        if self._failed > 1:
            return f"rows cannot be flushed into the usage table: {self._failure}"
        return None

    def measures(self) -> dict[str, float]:
        """Gauges and counters for /metrics."""
        found = self._usage.unflushed()
        return {
            "tail_blocks": float(found.blocks),
            "tail_rows": float(found.rows),
            "tail_bytes": float(found.bytes),
            "tail_oldest_seconds": 0.0 if found.oldest is None else max(0.0, time.monotonic() - found.oldest),
            "flush_refused_blocks": float(len(found.aside)),
            "flush_failing": float(bool(self._failed)),
            **self._counts,
            **self._journal.measures(),
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                more = self._flush_some()
                self._forget_some()  # also where the next is due as soon as one has ended, or the journal grows
                if not more:
                    self._wait()
            except Exception as error:
                self._fails(error)

    def _flush_some(self) -> bool:
        """Whether there may be more to do at once."""
        found = self._usage.unflushed()
        if found.aside and time.monotonic() - self._tried_aside_at >= ASIDE_AGAIN_S:
            self._tried_aside_at = time.monotonic()
            self._usage.retry_aside()
        waiting = found.blocks - len(found.aside)
        if not waiting or not self._is_due(found):
            return False
        self._began = time.monotonic()
        try:
            flushed = self._usage.flush(self._settings.rows)
        finally:
            self._counts["flush_seconds"] += time.monotonic() - self._began
            self._began = None
        if not flushed:
            return False
        self._counts["flushes"] += 1
        if self._failed:
            log.info("flushing_works_again", failed=self._failed)
        self._failed, self._failure = 0, ""
        return True

    def _is_due(self, found: Unflushed) -> bool:
        if (
            found.rows >= min(self._settings.rows, self._settings.max_rows // 2)
            or found.bytes >= self._settings.max_bytes // 2
        ):
            return True
        return found.oldest is not None and time.monotonic() - found.oldest >= self._settings.after_s

    def _wait(self) -> None:
        found = self._usage.unflushed()
        if found.blocks > len(found.aside):
            self._stopping.wait(AGE_LOOK_S)
            return
        self._idle = True
        found = self._usage.unflushed()
        if found.blocks == len(found.aside):
            self._wake.wait(FORGET_EVERY_S)
        self._idle = False
        self._wake.clear()

    def _fails(self, error: Exception) -> None:
        self._failed += 1
        self._counts["flush_failures"] += 1
        self._failure = error.detail if isinstance(error, FlowtallyError) else str(error)[:500]
        wait_s = TRY_AGAIN_S[min(self._failed, len(TRY_AGAIN_S)) - 1]
        log.warning("flush_failed", error=self._failure, again_in_s=wait_s)
        self._stopping.wait(wait_s)

    def _forget_some(self) -> None:
        due = time.monotonic() - self._forgot_at >= FORGET_EVERY_S
        with self._forgetting:
            self._journal.carry_over()
        if due or self._journal.measures()["journal_record_bytes"] >= FORGET_BYTES:
            self._forgot_at = time.monotonic()
            self.forget()

    def forget(self) -> None:
        """What stands in the table goes from the journal, once it is on the disk."""
        # In this order: a block is in the keys, then in the tail, then not under way any more. Not all have rows, so
        # the last one that was published is not enough to go by.
        until = self._committed()
        if self._usage.under_way() is not None:
            until -= 1
        first = self._usage.unflushed().first
        until = until if first is None else min(until, first - 1)
        if until > self._synced:
            with self._forgetting:
                self._sync()
                self._synced = until
                self._journal.forget(until)

    def settle(self) -> None:
        """All that was published stands in the table, and the journal has forgotten it. Raises what keeps it from it;
        what could be flushed is."""
        try:
            self._usage.settle()
        finally:
            self.forget()

    def erase(self, until: int) -> None:
        """No byte of the records up to this block, which is not under way any more, is left in the journal's files: its
        rows and those before stand in the table. Unavailable names a block that the table does not take, or says that
        somebody reads the journal."""
        self._usage.settle()
        with self._forgetting:
            self._sync()
            self._synced = max(self._synced, until)
            self._journal.forget(until, erase=True)

    def records(self) -> Iterator[Record]:
        """What the journal has, in order; JournalBroken names what is damaged. What goes meanwhile is left out."""
        return self._journal.after(0)

    def first_received_at(self) -> int | None:
        """When the earliest block was received that the journal has."""
        return self._journal.first_received_at()
