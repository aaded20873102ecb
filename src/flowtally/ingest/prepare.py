"""What can be said of events before anything is looked up: columns, times, faults, keys, digests. Pure.

A large request is prepared on its own thread while the committer writes the block before, with its rows; small ones
together, when their block is gathered. The result is the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np

from flowtally.core.events import UsageEvent
from flowtally.ingest import admission
from flowtally.ingest.admission import Reasons, Times
from flowtally.ingest.columns import Columns, SentEvents
from flowtally.ingest.event_rows import UNFIT, EventRows, Names, names_of
from flowtally.ingest.kept import keep
from flowtally.keys.claims import Digests, Packed, pack, together
from flowtally.keys.key_bytes import UUID_WIDTH, cut, differ, keys_of, packed_of
from flowtally.keys.values import Claim

Key = tuple[str, bytes]  # source name, key bytes
NO_KEY: Key = ("", b"")
NO_DIGESTS: Digests = np.zeros(0, dtype=np.int64)


class Prepared:
    """Events as columns, with what never changes about them. `keys` and `digests` have an entry for every row, and are
    empty where all events are numbered. `packed`: the keys one after the other where all are those of UUIDs; they
    `differ` where each is there once."""

    def __init__(self, columns: Columns, times: Times, faults: Reasons, names: Names | None = None) -> None:
        self.columns = columns
        self.times = times
        self.faults = faults
        self.packed: bytes | None = None
        self.digests = NO_DIGESTS
        self.differ = True
        self._source: str | None = None  # of all of them, where they are packed too
        self._rows: EventRows | None = None
        if None in columns.sequence:
            self.packed = packed_of(columns.id) if _are_all_named(columns) else None
            self.digests = admission.digests(columns, names)
            if self.packed is not None and _are_of_one(columns.source):
                self._source = columns.source[0]
                self.differ = differ(self.packed)
            else:
                self.differ = len(set(self.keys)) == len(times)

    @cached_property
    def keys(self) -> list[Key]:
        """One by one, for whoever asks for one."""
        if not len(self.digests):
            return []
        keys = keys_of(self.columns.id) if self.packed is None else cut(self.packed)
        return list(zip(self.columns.source, keys, strict=True))

    def claims(self, rows: Sequence[int], number: Callable[[str], int]) -> tuple[list[Packed], list[Claim]]:
        """Of these rows, in their order, as the index of keys takes them. `number`: of a source, by name."""
        if self.packed is not None and self._source is not None and len(rows) == len(self):
            return [Packed(number(self._source), UUID_WIDTH, self.packed, self.digests)], []
        keys = [self.keys[row] for row in rows]
        numbers = {source: number(source) for source, _ in keys}
        digests = self.digests[np.array(rows, dtype=np.int64)].tolist()
        return pack((numbers[source], key, digest) for (source, key), digest in zip(keys, digests, strict=True))

    def __len__(self) -> int:
        return len(self.times)

    def rows(self) -> EventRows:
        """As the table has them; made once."""
        if self._rows is None:
            self._rows = self._make_rows()
        return self._rows

    def _make_rows(self) -> EventRows:
        return EventRows.of(self.columns, self.times, self.faults, self.digests)

    def make_rows(self, names: Names | None = None) -> None:
        """Anew. Call when an event of them is another now; `names` where those columns are made."""
        self._rows = EventRows.of(self.columns, self.times, self.faults, self.digests, names)

    def made_rows(self) -> EventRows | None:
        """The same where that was done before."""
        return self._rows

    def accounts(self) -> Collection[str]:
        """Each of them once, or more."""
        return set(self.columns.account) if self._rows is None else self._rows.accounts()


class Joined(Prepared):
    """Several, one after the other. Their lists are put together when somebody asks for them, which is seldom."""

    def __init__(self, parts: Sequence[Prepared]) -> None:
        self._parts = parts
        self.times = np.concatenate([part.times for part in parts])
        self.faults = {}
        self.packed = None
        self.digests = NO_DIGESTS
        self.differ = all(part.differ for part in parts)  # from those of its part
        self._rows = None
        for part, start in self._starts():
            self.faults |= {start + row: reason for row, reason in part.faults.items()}
        if any(len(part.digests) for part in parts):
            zeros = [np.zeros(0 if len(part.digests) else len(part), dtype=np.int64) for part in parts]
            self.digests = np.concatenate(
                [each for part, none in zip(parts, zeros, strict=True) for each in (part.digests, none)]
            )

    def _starts(self) -> Iterator[tuple[Prepared, int]]:
        start = 0
        for part in self._parts:
            yield part, start
            start += len(part)

    @cached_property
    def keys(self) -> list[Key]:
        if not len(self.digests):
            return []
        return [key for part in self._parts for key in part.keys or [NO_KEY] * len(part)]

    def claims(self, rows: Sequence[int], number: Callable[[str], int]) -> tuple[list[Packed], list[Claim]]:
        packed: list[Packed] = []
        few: list[Claim] = []
        for part, start in self._starts():
            first, end = bisect_left(rows, start), bisect_left(rows, start + len(part))
            if first < end:
                mine = part.claims([row - start for row in rows[first:end]], number)
                packed += mine[0]
                few += mine[1]
        return together(packed), few

    @cached_property
    def columns(self) -> Columns:  # type: ignore[override]
        return Columns.joined([part.columns for part in self._parts])

    def _make_rows(self) -> EventRows:
        return EventRows.joined([part.rows() for part in self._parts])

    def accounts(self) -> Collection[str]:
        return set().union(*(part.accounts() for part in self._parts))


def prepare(events: Sequence[UsageEvent], unreadable: Mapping[int, str], columns: Columns | None = None) -> Prepared:
    """`unreadable` are the rows that are no usage events, with the reason; `columns` the events', where they are known.
    They are the caller's no more."""
    columns = Columns.of(events) if columns is None else columns
    return Prepared(columns, *admission.faults(columns, unreadable))


def prepare_rows(
    events: Sequence[UsageEvent], unreadable: Mapping[int, str], columns: Columns | None = None
) -> Prepared:
    """The same with its rows, which for one that is small are made when its block is known."""
    columns = Columns.of(events) if columns is None else columns
    names: Names | None = None
    with suppress(*UNFIT):
        names = names_of(columns)
    distinct = {} if names is None else {name: values.dictionary.to_pylist() for name, values in names.items()}
    prepared = Prepared(columns, *admission.faults(columns, unreadable, distinct), names)
    prepared.make_rows(names)
    return prepared


def slim(prepared: Prepared) -> SentEvents | None:
    """Its events, kept as small as its rows are, and so are its columns from now on. None where something is wrong with
    one of them, or there are no rows yet."""
    rows = prepared.made_rows()
    if rows is None or prepared.faults:
        return None
    prepared.columns = keep(prepared.columns, rows)
    return SentEvents(prepared.columns.anew())


def join(parts: Sequence[Prepared]) -> Prepared:
    """One after the other, as one."""
    return parts[0] if len(parts) == 1 else Joined(parts)


def _are_all_named(columns: Columns) -> bool:
    return columns.sequence.count(None) == len(columns)


def _are_of_one(sources: list[str]) -> bool:
    return sources.count(sources[0]) == len(sources)
