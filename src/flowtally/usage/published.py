"""Which blocks are there for readers, and which may be on their way: what the one writer tells, from any thread.

Owns three things in memory. The last block that was published, which is what "now" means. The instant of a block that
is dated and not published yet. And of the newest blocks whose rows they have: with that a store can tell that its
projection, which knows no blocks, still is an answer up to a block. Each is swapped whole, so readers never wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from flowtally.usage.shelf import Shelf
from flowtally.usage.values import Block, Commit, Where

REMEMBERED_BLOCKS: Final = 256
REMEMBERED_ACCOUNTS: Final = 1_000  # of one block; of one with more every account may be touched


class Announced(msgspec.Struct, frozen=True):
    """All blocks above `floor`, before their rows were written: number, and whose rows (None: anybody's)."""

    floor: int
    blocks: tuple[tuple[int, frozenset[str] | None], ...] = ()


class Publishing:
    """What a usage store is told of its blocks."""

    def __init__(self) -> None:
        self._published: Commit | None = None
        self._announced: Announced | None = None  # None: nobody publishes here, so nothing is known
        self._under_way: int | None = None
        self._dating = threading.Lock()
        self.shelf = Shelf()

    def date_block(self, date: Callable[[], int]) -> int:
        """The instant of the next block, which is under way from now on."""
        with self._dating:  # nobody asks between the clock and the note of what it said
            self._under_way = date()
            return self._under_way

    def end_block(self) -> None:
        """There is none any more."""
        with self._dating:
            self._under_way = None

    def under_way(self) -> int | None:
        with self._dating:
            return self._under_way

    def _publish_anew(self) -> None:
        """Another writer begins, who says what is published."""
        self._published = self._announced = None
        self.shelf.clear()
        self.end_block()

    def publish(self, commit: Commit) -> None:
        known = self._announced
        if known is None or all(number != commit.block for number, _ in known.blocks):
            last = known.blocks[-1][0] if known is not None and known.blocks else 0
            self._announced = Announced(max(commit.block, last))
        self._published = commit
        self.end_block()

    def _announce(self, block: Block) -> None:
        """Call it before the rows are written."""
        known = self._announced
        if known is not None:
            blocks = (*known.blocks, (block.number, _accounts(block.rows.column("account"))))
            dropped = blocks[:-REMEMBERED_BLOCKS]
            floor = dropped[-1][0] if dropped else known.floor
            self._announced = Announced(floor, blocks[-REMEMBERED_BLOCKS:])

    def _nothing_after(self, where: Where, flushed: int) -> bool:
        """Whether no row that counts for the question can be in a block after the one it is asked up to, of those that
        are in the table: they are not after `flushed`."""
        known, until = self._announced, where.until_block
        if known is None or until is None or where.after_block is not None:
            return False
        if until >= flushed:
            return True
        if until < known.floor:
            return False
        return not any(until < number <= flushed and _touches(accounts, where) for number, accounts in known.blocks)


def _accounts(column: Any) -> frozenset[str] | None:
    found = column.dictionary if pa.types.is_dictionary(column.type) else pc.unique(column)
    return frozenset(found.to_pylist()) if len(found) <= REMEMBERED_ACCOUNTS else None


def _touches(accounts: frozenset[str] | None, where: Where) -> bool:
    if accounts is None:
        return True
    if where.account is not None:
        return where.account in accounts
    return where.accounts is None or not accounts.isdisjoint(where.accounts)
