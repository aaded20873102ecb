"""Counters that were forgotten and come again: where they stand, out of their rows.

Owns finding the last row: the rows of a counter are numbered, and the key of each is claimed for ever, so a few looks
into the keys tell the last one's number and block; the row has the rest. Only the committer's thread comes here, and
asks the usage store nothing: rows that a request did not bring are told to it (`RowsWanted`), and it comes again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from flowtally.core.errors import MissingRows
from flowtally.keys.counter_states import decode, row_id
from flowtally.keys.key_bytes import key_of
from flowtally.keys.store import Keys
from flowtally.keys.values import KnownCounter, Source
from flowtally.usage.values import EventKey


class RowsWanted(Exception):
    """The positions of these rows have to be read first."""

    def __init__(self, keys: frozenset[EventKey]) -> None:
        super().__init__(f"{len(keys)} rows")
        self.keys = keys


def revive(
    keys: Keys, positions: Mapping[EventKey, str | None], source: Source, counters: Collection[str]
) -> list[KnownCounter]:
    """Those of these counters, of which the keys know nothing, that have rows. `positions` of rows, where they were
    read; None: there is no such row. Raises RowsWanted."""
    last = _last_rows(keys, source.no, counters)
    wanted = {EventKey(source.name, row_id(name, number), block=block): name for name, (number, block) in last.items()}
    if unread := frozenset(wanted) - positions.keys():
        raise RowsWanted(unread)
    return [
        KnownCounter(source.no, name, decode(_there(key, positions[key])), key.block) for key, name in wanted.items()
    ]


def _there(key: EventKey, position: str | None) -> str:
    if position is None:
        raise MissingRows(f"The row {key.id!r} of source {key.source!r} in block {key.block} is not there")
    return position


def _last_rows(keys: Keys, source: int, counters: Collection[str]) -> dict[str, tuple[int, int]]:
    """Number and block of the last row of each of these that has any."""
    last = _claimed(keys, source, ((name, 1) for name in counters))
    # Twice as far, until there is none; then halving what is between.
    open_, none = dict(last), dict[str, int]()
    while open_:
        found = _claimed(keys, source, ((name, 2 * number) for name, (number, _) in open_.items()))
        none |= {name: 2 * number for name, (number, _) in open_.items() if name not in found}
        last |= found
        open_ = found
    while between := {name: (last[name][0] + end) // 2 for name, end in none.items() if end - last[name][0] > 1}:
        found = _claimed(keys, source, between.items())
        none |= {name: number for name, number in between.items() if name not in found}
        last |= found
    return last


def _claimed(keys: Keys, source: int, rows: Iterable[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """Of these rows those that are there, with their blocks."""
    by_key = {key_of(row_id(name, number)): (name, number) for name, number in rows}
    found = keys.claimed(source, list(by_key))
    return {name: (number, found[key][1]) for key, (name, number) in by_key.items() if key in found}
