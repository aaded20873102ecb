"""The journal against rows: the block of every record has its rows, in the table or not flushed into it yet.

Each record is read whole, so what is damaged of it is named. Blocks that the table does not take are named too: they
count, but from memory and journal alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from flowtally.care.finding import Find
from flowtally.care.job import Progress
from flowtally.core.errors import JournalBroken
from flowtally.usage.checks.rows import RowsCheck
from flowtally.usage.records import Record
from flowtally.usage.values import Aside

AT_ONCE: Final = 10_000  # records whose rows are counted in one question


class JournalCheck:
    """One look at the records of blocks up to `block`."""

    def __init__(self, rows: RowsCheck, records: Iterable[Record], block: int, find: Find, say: Progress) -> None:
        self._rows = rows
        self._records = records
        self._block = block
        self._find = find
        self._say = say

    def check(self, aside: Sequence[Aside]) -> int:
        """How many records were looked at."""
        for one in aside:
            detail = f"is not in the usage table, which refuses it: {one.why}"
            self._find("block_set_aside", f"block {one.block}", detail)
        seen = 0
        waiting: dict[int, int] = {}
        try:
            for record in self._records:
                if record.block > self._block:
                    break
                seen += 1
                waiting[record.block] = 0 if record.rows is None else record.rows.num_rows
                if len(waiting) == AT_ONCE:
                    self._compare(waiting)
                    self._say("journal", seen)
        except JournalBroken as error:
            self._find("journal_file", "journal", str(error))
        self._compare(waiting)
        return seen

    def _compare(self, waiting: dict[int, int]) -> None:
        there = self._rows.in_blocks(list(waiting)) if waiting else {}
        for block, count in waiting.items():
            if (found := there.get(block, 0)) < count:
                detail = f"its record in the journal has {count} rows, and {found} are there"
                self._find("record_without_rows", f"block {block}", detail)
        waiting.clear()
