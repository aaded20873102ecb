"""A usage store as it stood at a block: whatever is asked of it, all answers are of that one moment.

Owns the bound, and nothing else. Whoever makes an answer of several questions, or of a question and the ledger, asks
through this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from flowtally.core.words import Unit
from flowtally.usage.values import (
    MAX_BLOCK,
    MAX_SUMS,
    BlockSum,
    Changes,
    Commit,
    CountedUse,
    Entry,
    EventKey,
    Extent,
    Move,
    Part,
    Place,
    Row,
    StoredEvent,
    Sum,
    Where,
)
from flowtally.usage.verbs import UsageReader


class UntilBlock:
    """A `UsageReader` of rows up to `commit`. Single events, by their key, are as they are now."""

    def __init__(self, usage: UsageReader, commit: Commit) -> None:
        self._usage = usage
        self._commit = commit

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        return self._usage.sums(edges, self._bounded(where), by, limit=limit)

    def block_sums(
        self, edges: Sequence[int], where: Where, *, after: tuple[int, int] | None = None, limit: int = MAX_SUMS
    ) -> list[BlockSum]:
        return self._usage.block_sums(edges, self._bounded(where), after=after, limit=limit)

    def extent(self, start: int, end: int, where: Where) -> Extent:
        return self._usage.extent(start, end, self._bounded(where))

    def first_time(self, end: int, where: Where) -> int | None:
        return self._usage.first_time(end, self._bounded(where))

    def read_rows(self, start: int, end: int, where: Where, *, after: Place | None = None, limit: int) -> Any:
        return self._usage.read_rows(start, end, self._bounded(where), after=after, limit=limit)

    def parts(self, edges: Sequence[int], where: Where, until_block: int) -> list[Part]:
        return self._usage.parts(edges, where, min(until_block, self._commit.block))

    def largest(self, start: int, end: int, where: Where, until_block: int, charge: Unit, limit: int) -> list[Row]:
        return self._usage.largest(start, end, where, min(until_block, self._commit.block), charge, limit)

    def published(self) -> Commit:
        return self._commit

    def last_commit(self, *, block: int | None = None, at: int | None = None) -> Commit:
        if at is None and (block is None or block >= self._commit.block):
            return self._commit
        until = self._commit.block if block is None else min(block, self._commit.block)
        return self._usage.last_commit(block=until, at=at)

    def first_commit(self) -> Commit:
        found = self._usage.first_commit()
        return found if found.block <= self._commit.block else Commit(0, 0)

    def under_way(self) -> int | None:
        return None

    def compacted_to(self) -> int:
        return self._usage.compacted_to()

    def next_block(self, after: int, *, until_block: int = MAX_BLOCK) -> int | None:
        return self._usage.next_block(after, until_block=min(until_block, self._commit.block))

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        return self._usage.changed_since(cursor, limit)

    def moves(
        self,
        first: int,
        skip: int,
        limit: int,
        *,
        account: str | None = None,
        late_before: int = 0,
        until_block: int = MAX_BLOCK,
    ) -> list[Move]:
        until = min(until_block, self._commit.block)
        return self._usage.moves(first, skip, limit, account=account, late_before=late_before, until_block=until)

    def find(self, source: str, *, id: str | None, sequence: int | None, block: int | None) -> StoredEvent | None:
        return self._usage.find(source, id=id, sequence=sequence, block=block)

    def entry(self, source: str, id: str, block: int) -> Row | None:
        return self._usage.entry(source, id, block)

    def events_of(self, keys: Sequence[EventKey]) -> dict[EventKey, StoredEvent]:
        return self._usage.events_of(keys)

    def corrections_of(self, events: Sequence[StoredEvent]) -> dict[str, list[Entry]]:
        return self._usage.corrections_of(events)

    def sources_of(self, uses: Sequence[CountedUse], without: str) -> dict[CountedUse, list[str]]:
        return self._usage.sources_of(uses, without)

    def compacted_until(self) -> int:
        return self._usage.compacted_until()

    def _bounded(self, where: Where) -> Where:
        until = self._commit.block if where.until_block is None else min(where.until_block, self._commit.block)
        return msgspec.structs.replace(where, until_block=until)


class ByRows(UntilBlock):
    """The same from the rows alone, never from a projection of them: for whoever checks the one against the other."""

    def _bounded(self, where: Where) -> Where:
        bounded = super()._bounded(where)
        return bounded if bounded.after_block is not None else msgspec.structs.replace(bounded, after_block=0)
