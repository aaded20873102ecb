"""From the tail into the table: the oldest blocks as one part, moved at once.

    staging table, made for this flush -> one insert, synced, one part -> MOVE PARTITION -> the tail has them no more

A flush is wholly there or not at all, whenever the process ends: what is staged counts nowhere, a move is one act of
the engine. Owns that order, and what becomes of blocks that the engine refuses: they are halved until the one that it
does not take is found, and that is set aside by name; all others go on. What would be more than one part is halved too,
or made one. A move whose end is not known is looked for in the rows before anything else is flushed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from typing import Final

import structlog

from flowtally.core.errors import DoubleCounted, FlowtallyError, Unavailable
from flowtally.usage.engine import Engine
from flowtally.usage.own_tables import staged_table, staging
from flowtally.usage.schema import TABLE
from flowtally.usage.tail import TailBlock, UsageTail, together

log = structlog.get_logger(__name__)

GIVE_BACK_ROWS: Final = 100_000  # flushed: so often what that took goes back to the system, and of fewer rows
GIVE_BACK_S: Final = 30.0
PART_BYTES: Final = 64 * 1024 * 1024  # of Arrow in one flush: what the staging insert holds besides


class Flushing:
    """One flush at a time, from any thread."""

    def __init__(self, engine: Engine, tail: UsageTail) -> None:
        self._engine = engine
        self._tail = tail
        self._turn = threading.Lock()
        self._numbers = count(1)
        self._staging: str | None = None
        self._doubt: tuple[str, Sequence[TailBlock]] | None = None  # a move, and whether it happened is not known
        self._kept = 0  # rows that were flushed since memory was given back
        self._gave_back_at = time.monotonic()

    def once(self, rows: int, *, until: int | None = None) -> int:
        """The oldest blocks, of `rows` rows at most where that is more than one; up to block `until`. How many blocks
        there were to go, whatever became of them; 0: none. Raises what the engine said where it cannot now."""
        with self._turn:
            self._settle()
            blocks = self._tail.oldest(rows, PART_BYTES, until=until)
            if blocks:
                self._flush(blocks)
            self._tail.sweep()
            self._give_back(sum(one.rows.num_rows for one in blocks))
            return len(blocks)

    def _give_back(self, rows: int) -> None:
        """What a flush of many rows took is more than everything else here has."""
        self._kept += rows
        due = self._kept >= GIVE_BACK_ROWS or time.monotonic() - self._gave_back_at >= GIVE_BACK_S
        if rows and due:
            self._kept, self._gave_back_at = 0, time.monotonic()
            with suppress(Exception):  # the rows stand in the table all the same
                self._engine.give_back()

    def all(self, rows: int, until: int) -> None:
        """Everything up to this block stands in the table when it returns. Unavailable names a block that does not."""
        while self.once(rows, until=until):
            pass
        self.retry_aside()
        for one in self._tail.unflushed().aside:
            if one.block <= until:
                told = f"Block {one.block} is set aside, the usage store refuses it: {one.why}"
                raise Unavailable(told, retry_after_s=60)

    def retry_aside(self) -> None:
        """One by one: those that the engine takes now are in the table."""
        for one in self._tail.unflushed().aside:
            with self._turn:
                self._settle()
                if (block := self._tail.block(one.block)) is not None:
                    self._flush([block])

    def _flush(self, blocks: Sequence[TailBlock]) -> None:
        name = staged_table(self._tail.token, next(self._numbers))
        if self._staging is None:
            self._staging = staging(self._engine)
        self._engine.command(self._staging.format(name=name))
        try:
            refused = self._stage(name, blocks)
            if refused is None:
                self._move(name, blocks)
                return
        finally:
            if self._doubt is None:
                with suppress(Exception):  # else the next start does it
                    self._engine.command(f"DROP TABLE IF EXISTS {name} SYNC")
        if len(blocks) == 1:
            log.error("block_set_aside", block=blocks[0].number, rows=blocks[0].rows.num_rows, error=refused)
            self._tail.set_aside(blocks[0], refused)
            return
        middle = len(blocks) // 2
        self._flush(blocks[:middle])
        self._flush(blocks[middle:])

    def _stage(self, name: str, blocks: Sequence[TailBlock]) -> str | None:
        """Why these cannot go together, or the one of them cannot go at all; None: they are one part."""
        try:
            self._engine.insert(name, together(blocks), f"{name}-insert")
            if self._parts(name) > 1 and len(blocks) == 1:
                self._engine.command(f"OPTIMIZE TABLE {name} FINAL")
        except FlowtallyError:
            raise  # it is full, slow, away: nothing is wrong with the rows
        except Exception as error:
            return str(error)[:500]
        parts = self._parts(name)
        return None if parts == 1 else f"it became {parts} parts"

    def _parts(self, name: str) -> int:
        text = (
            "SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}"
        )
        return int(self._engine.rows(text, {"table": name})[0][0])

    def _move(self, name: str, blocks: Sequence[TailBlock]) -> None:
        self._tail.begin_move()
        self._doubt = (name, blocks)
        try:
            move = f"ALTER TABLE {name} MOVE PARTITION {blocks[0].month:d} TO TABLE {TABLE}"
            self._engine.command(move, query_id=f"{name}-move")
        except BaseException:
            log.warning("flush_in_doubt", first=blocks[0].number, last=blocks[-1].number)
            self._settle()
            raise
        self._doubt = None
        self._tail.end_move(blocks)

    def _settle(self) -> None:
        """What became of a move that failed or was not answered. Until that is known readers ask by rows."""
        if self._doubt is None:
            return
        name, blocks = self._doubt
        self._engine.end_query(f"{name}-move")
        self._engine.command(f"DROP TABLE IF EXISTS {name} SYNC")  # from now on nothing can be moved out of it
        text = f"SELECT count() FROM {TABLE} WHERE block IN {{blocks:Array(UInt64)}}"
        [(there,)] = self._engine.rows(text, {"blocks": [one.number for one in blocks]}, optimize_use_projections=0)
        expected = sum(one.rows.num_rows for one in blocks)
        if there not in (0, expected):
            raise DoubleCounted(
                f"Blocks {blocks[0].number} to {blocks[-1].number} have {expected} rows, and {there} are in the table"
            )
        self._doubt = None
        self._tail.end_move(blocks if there else ())
        log.info("flush_settled", first=blocks[0].number, last=blocks[-1].number, present=bool(there))
