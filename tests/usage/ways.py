"""The real usage store with its rows as they may lie: the tail empty, everything in it, half and half, and while a
flush runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from secrets import token_hex
from typing import Final

from tests.kinds import WAYS

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.schema import TABLE
from flowtally.usage.values import Block, Commit

EVERY_S: Final = 0.001


class FlushedAtOnce(ClickHouseStore):
    """Every block stands in the table when it is appended, or when readers may see it where somebody says so."""

    def append(self, block: Block) -> None:
        super().append(block)
        self.settle()

    def publish(self, commit: Commit) -> None:
        super().publish(commit)
        self.settle()


class EverySecondFlushed(ClickHouseStore):
    """What is there is flushed before every second block comes. So of two blocks one is in the table."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._came = count(1)

    def append(self, block: Block) -> None:
        if next(self._came) % 2 == 0:
            self.settle()
        super().append(block)


class Flushing(ClickHouseStore):
    """A thread flushes whatever is there, a block at a time, all along."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._ended = threading.Event()
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._flush, daemon=True)
        self._thread.start()

    def _flush(self) -> None:
        try:
            while not self._ended.wait(EVERY_S):
                self.flush(1)
        except Exception as error:
            self._failed = error

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        super().close()
        if self._failed is not None:
            raise AssertionError("the flush that runs all along ended") from self._failed


KINDS: Final = dict(zip(WAYS, (FlushedAtOnce, ClickHouseStore, EverySecondFlushed, Flushing), strict=True))


@contextmanager
def opened_in_a_way(way: str, url: str) -> Iterator[ClickHouseStore]:
    with closing(KINDS[way](Engine(url))) as store:
        yield store


def emptied(store: ClickHouseStore) -> None:
    """For the next random example: what is in the tail goes first."""
    store.settle()
    store.engine.command(f"TRUNCATE TABLE {TABLE}")
    store.take_over(token_hex(4))
