"""When it is flushed, how it is tried again, what the journal forgets, and what is told of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from flowtally.core.errors import StorageFull, Unavailable
from flowtally.usage import flusher
from flowtally.usage.flusher import Flusher, FlushSettings
from flowtally.usage.records import Record
from flowtally.usage.values import Aside, Unflushed

PATIENCE_S = 20.0


class FakeUsage:
    """Blocks with their rows, flushed as many as fit."""

    def __init__(self) -> None:
        self.blocks: dict[int, int] = {}
        self.aside: tuple[Aside, ...] = ()
        self.last = 0
        self.dated: int | None = None  # of a block that is being written
        self.came: float | None = None
        self.errors: list[Exception] = []
        self.may_flush = threading.Event()
        self.may_flush.set()
        self.flushes: list[tuple[int, ...]] = []
        self.retried = 0

    def add(self, *rows: int, came: float | None = None) -> None:
        self.came = time.monotonic() if came is None else came
        for count in rows:
            self.last += 1
            self.blocks[self.last] = count

    def unflushed(self) -> Unflushed:
        if not self.blocks:
            return Unflushed()
        total = sum(self.blocks.values())
        return Unflushed(min(self.blocks), len(self.blocks), total, total * 10, self.came, self.aside)

    def flush(self, rows: int) -> int:
        assert self.may_flush.wait(PATIENCE_S)
        if self.errors:
            raise self.errors.pop(0)
        taken: list[int] = []
        aside = {one.block for one in self.aside}
        for number in sorted(self.blocks.keys() - aside):
            if taken and sum(self.blocks[one] for one in (*taken, number)) > rows:
                break
            taken.append(number)
        for number in taken:
            del self.blocks[number]
        self.flushes.append(tuple(taken))
        return len(taken)

    def retry_aside(self) -> None:
        self.retried += 1

    def settle(self) -> None:
        if self.aside:
            raise Unavailable(f"Block {self.aside[0].block} is set aside", retry_after_s=60)
        self.flush(10**9)

    def under_way(self) -> int | None:
        return self.dated


class FakeJournal:
    def __init__(self) -> None:
        self.bytes = 0.0
        self.forgotten: list[int] = []
        self.erased: list[int] = []

    def carry_over(self) -> None:
        """Nothing to carry."""

    def forget(self, until: int, *, erase: bool = False) -> None:
        (self.erased if erase else self.forgotten).append(until)

    def after(self, block: int) -> Iterator[Record]:
        return iter(())

    def first_received_at(self) -> int | None:
        return None

    def measures(self) -> dict[str, float]:
        return {"journal_bytes": self.bytes, "journal_record_bytes": self.bytes}


class Made:
    def __init__(self, settings: FlushSettings) -> None:
        self.usage, self.journal, self.synced = FakeUsage(), FakeJournal(), 0
        self.committed: int | None = None  # None: what is published
        self.on_sync: Callable[[], None] = lambda: None
        self.flusher = Flusher(self.usage, self.journal, self._committed, settings, self._sync)

    def _committed(self) -> int:
        return self.usage.last if self.committed is None else self.committed

    def _sync(self) -> None:
        self.synced += 1
        self.on_sync()


@contextmanager
def running(rows: int = 10, after_s: float = 1000.0, **more: int) -> Iterator[Made]:
    made = Made(FlushSettings(rows, after_s, **more))
    made.flusher.start()
    try:
        yield made
    finally:
        made.usage.may_flush.set()
        made.flusher.stop()
        assert not made.flusher.alive()


def soon(done: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "TRY_AGAIN_S", (0.001,))
    monkeypatch.setattr(flusher, "AGE_LOOK_S", 0.001)


def test_it_waits_for_rows_enough() -> None:
    with running(rows=10) as made:
        made.usage.add(4, 5)
        made.flusher.nudge()
        time.sleep(0.05)
        assert made.usage.flushes == []
        made.usage.add(1)
        made.flusher.nudge()
        soon(lambda: made.usage.flushes == [(1, 2, 3)])


def test_or_for_the_oldest_to_be_old_enough() -> None:
    with running(rows=10, after_s=5) as made:
        made.usage.add(1, came=time.monotonic() - 6)
        made.flusher.nudge()
        soon(lambda: made.usage.flushes == [(1,)])


def test_a_failure_is_tried_again_told_and_forgotten_when_it_works() -> None:
    with running(rows=1) as made:
        full = StorageFull("There is no room left")
        made.usage.may_flush.clear()
        made.usage.errors = [full, full, ValueError("broken")]
        made.usage.add(1)
        made.flusher.nudge()
        made.usage.may_flush.set()
        soon(lambda: bool(made.usage.flushes))
        soon(lambda: made.flusher.measures()["flush_failing"] == 0)
        found = made.flusher.measures()
        assert (found["flush_failures"], found["flushes"]) == (3, 1)
        assert made.flusher.why_not() is None


def test_it_says_why_it_is_behind() -> None:
    made = Made(FlushSettings(rows=1, max_rows=10))
    made.usage.errors = [StorageFull("There is no room left")] * 10
    made.usage.add(9)
    assert made.flusher.why_full() is None
    for _ in range(2):
        with pytest.raises(StorageFull):
            made.flusher._flush_some()
        made.flusher._fails(StorageFull("There is no room left"))
    assert made.flusher.why_not() == "rows cannot be flushed into the usage table: There is no room left"
    made.usage.add(1)
    assert made.flusher.why_full() == (
        "10 rows (100 bytes) wait to be flushed into the usage table, and 10 rows (201326592 bytes) may:"
        " There is no room left"
    )


def test_a_flush_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "LONG_S", 0.0)
    with running(rows=1) as made:
        made.usage.may_flush.clear()
        made.usage.add(1)
        made.flusher.nudge()
        soon(lambda: "a flush into the usage table has been under way for" in str(made.flusher.why_not()))
        made.usage.may_flush.set()
        soon(lambda: made.flusher.why_not() is None)


def test_blocks_set_aside_are_named_and_tried_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flusher, "ASIDE_AGAIN_S", 0.0)
    with running(rows=100) as made:
        made.usage.add(1)
        made.usage.aside = (Aside(1, "cannot parse"),)
        made.flusher.nudge()
        told = "the usage store refuses 1 blocks, which are set aside (1): cannot parse"
        assert made.flusher.why_not() == told
        assert made.flusher.measures()["flush_refused_blocks"] == 1
        made.usage.add(1)
        made.flusher.nudge()
        soon(lambda: made.usage.retried > 0)
        assert made.usage.flushes == [], "the other one is neither many nor old"


# -- what the journal forgets -----------------------------------------------------------------------------------------


def test_what_is_flushed_goes_from_the_journal_after_a_sync() -> None:
    made = Made(FlushSettings())
    made.usage.add(1, 1, 1)
    made.usage.flush(2)
    made.on_sync = lambda: (made.usage.add(1), made.usage.flush(9), None)[-1]  # type: ignore[func-returns-value]
    made.flusher.forget()
    assert (made.synced, made.journal.forgotten, made.flusher.synced) == (1, [2], 2), "as it was when the sync began"
    made.on_sync = lambda: None
    made.flusher.forget()
    assert made.journal.forgotten == [2, 4]
    made.flusher.forget()
    assert (made.synced, made.journal.forgotten) == (2, [2, 4]), "nothing new, nothing synced"


def test_blocks_without_a_row_go_too_though_nobody_publishes_them() -> None:
    made = Made(FlushSettings())
    made.committed = 3
    made.flusher.forget()
    assert made.journal.forgotten == [3]


def test_the_block_that_is_committed_and_may_not_be_in_the_tail_yet_does_not_go() -> None:
    made = Made(FlushSettings())
    made.committed, made.usage.dated = 3, 1
    made.flusher.forget()
    assert made.journal.forgotten == [2]


def test_what_is_erased_is_flushed_before_and_leaves_no_byte() -> None:
    made = Made(FlushSettings())
    made.usage.add(1, 1)
    made.flusher.erase(2)
    assert (made.usage.flushes, made.synced, made.journal.erased) == ([(1, 2)], 1, [2])
    made.flusher.erase(2)
    assert made.journal.erased == [2, 2], "what was forgotten before has left bytes"


def test_what_is_set_aside_is_not_erased() -> None:
    made = Made(FlushSettings())
    made.usage.add(1)
    made.usage.aside = (Aside(1, "cannot parse"),)
    with pytest.raises(Unavailable, match="Block 1 is set aside"):
        made.flusher.erase(1)
    assert made.journal.erased == []


def test_nothing_goes_that_the_keys_do_not_have() -> None:
    made = Made(FlushSettings())
    made.usage.add(1, 1, 1)
    made.usage.flush(9)
    made.committed = 1
    made.flusher.forget()
    assert made.journal.forgotten == [1]


def test_nothing_goes_after_a_block_that_is_set_aside() -> None:
    made = Made(FlushSettings())
    made.usage.add(1, 1, 1)
    made.usage.aside = (Aside(2, "cannot parse"),)
    made.usage.flush(9)
    made.flusher.forget()
    assert made.journal.forgotten == [1]


def test_a_sync_that_fails_forgets_nothing() -> None:
    made = Made(FlushSettings())
    made.usage.add(1)
    made.usage.flush(9)

    def fail() -> None:
        raise OSError("EIO")

    made.on_sync = fail
    with pytest.raises(OSError, match="EIO"):
        made.flusher.forget()
    assert (made.journal.forgotten, made.flusher.synced) == ([], 0)


@pytest.mark.parametrize("much", [False, True])
def test_it_forgets_now_and_then_and_at_once_where_there_is_much(monkeypatch: pytest.MonkeyPatch, much: bool) -> None:
    monkeypatch.setattr(flusher, "FORGET_EVERY_S", 1000 if much else 0.001)
    with running(rows=1) as made:
        made.journal.bytes = float(flusher.FORGET_BYTES if much else 0)
        made.usage.add(1)
        made.flusher.nudge()
        soon(lambda: made.journal.forgotten == [1])


def test_it_forgets_also_while_a_flush_is_always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a flush takes longer than blocks may wait, the next is due when it has ended."""
    monkeypatch.setattr(flusher, "FORGET_EVERY_S", 0.0)
    made = Made(FlushSettings(1))
    flush = made.usage.flush

    def flush_while_more_comes(rows: int) -> int:
        flushed = flush(rows)
        made.usage.add(1)
        return flushed

    made.usage.flush = flush_while_more_comes  # type: ignore[method-assign]
    made.usage.add(1)
    made.flusher.start()
    try:
        soon(lambda: bool(made.journal.forgotten))
    finally:
        made.flusher.stop()
    assert len(made.usage.flushes) > 1
