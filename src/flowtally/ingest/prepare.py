"""What can be said of events before anything is looked up: columns, times, faults, keys, digests. Pure.

A large request is prepared on its own thread while the committer writes the block before, with its rows; small ones
together, when their block is gathered. The result is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np

from flowtally.core.events import UsageEvent
from flowtally.ingest import admission
from flowtally.ingest.admission import Reasons, Times
from flowtally.ingest.columns import Columns, SentEvents
from flowtally.ingest.event_rows import UNFIT, EventRows, Names, names_of
from flowtally.ingest.kept import keep
from flowtally.keys.key_bytes import keys_of

Key = tuple[str, bytes]  # source name, key bytes
NO_KEY: Key = ("", b"")


class Prepared:
    """Events as columns, with what never changes about them. `keys` and `digests` have an entry for every row, and are
    empty where all events are numbered."""

    def __init__(self, columns: Columns, times: Times, faults: Reasons, keys: list[Key], digests: list[int]) -> None:
        self.columns = columns
        self.times = times
        self.faults = faults
        self.keys = keys
        self.digests = digests
        self._rows: EventRows | None = None

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

    def __init__(self, parts: Sequence[Prepared], faults: Reasons, keys: list[Key], digests: list[int]) -> None:
        self._parts = parts
        self.times = np.concatenate([part.times for part in parts])
        self.faults = faults
        self.keys = keys
        self.digests = digests
        self._rows = None

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
    return _prepared(columns, *admission.faults(columns, unreadable))


def prepare_rows(
    events: Sequence[UsageEvent], unreadable: Mapping[int, str], columns: Columns | None = None
) -> Prepared:
    """The same with its rows, which for one that is small are made when its block is known."""
    columns = Columns.of(events) if columns is None else columns
    names: Names | None = None
    with suppress(*UNFIT):
        names = names_of(columns)
    distinct = {} if names is None else {name: values.dictionary.to_pylist() for name, values in names.items()}
    prepared = _prepared(columns, *admission.faults(columns, unreadable, distinct))
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


def _prepared(columns: Columns, times: Times, faults: Reasons) -> Prepared:
    if None not in columns.sequence:
        return Prepared(columns, times, faults, [], [])
    keys = list(zip(columns.source, keys_of(columns.id), strict=True))
    return Prepared(columns, times, faults, keys, admission.digests(columns))


def join(parts: Sequence[Prepared]) -> Prepared:
    """One after the other, as one."""
    if len(parts) == 1:
        return parts[0]
    faults: Reasons = {}
    keys: list[Key] = []
    digests: list[int] = []
    named = any(part.keys for part in parts)
    start = 0
    for part in parts:
        faults |= {start + row: reason for row, reason in part.faults.items()}
        count = len(part)
        if named:
            keys += part.keys or [NO_KEY] * count
            digests += part.digests or [0] * count
        start += count
    return Joined(parts, faults, keys, digests)
