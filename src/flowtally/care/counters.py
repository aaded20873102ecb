"""Counters against the rows of their readings: where the keys say that one stands is what its last row says.

Counters move while this looks, those whose last row is of a block after `block` are left out: they were derived anew
from rows that this run does not look at.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flowtally.care.finding import Find
from flowtally.care.job import Progress
from flowtally.core.units import counted
from flowtally.keys.checks import KeysCheck
from flowtally.keys.counter_states import decode, row_id
from flowtally.keys.key_bytes import key_of
from flowtally.keys.values import KnownCounter
from flowtally.usage.checks.rows import RowsCheck
from flowtally.usage.values import EventKey

PAGE = 1_000  # counters looked at in one question to the rows


class CounterCheck:
    """One look at all counters that are known, and their rows of blocks up to `block`."""

    def __init__(self, rows: RowsCheck, keys: KeysCheck, block: int, find: Find, say: Progress) -> None:
        self._rows = rows
        self._keys = keys
        self._block = block
        self._find = find
        self._say = say

    def check(self) -> int:
        """How many counters were looked at."""
        total, seen = self._keys.count_counters(), 0
        for page in self._keys.counters(PAGE):
            settled = [one for one in page if one.block <= self._block]
            self._check_page(settled)
            seen += len(settled)
            self._say("counters", seen, max(total, seen))
        return seen

    def _check_page(self, page: Sequence[KnownCounter]) -> None:
        rows: dict[EventKey, KnownCounter] = {}
        for one in page:
            source = self._keys.source_of(one.source)
            if source is None:
                self._find("counter_of_no_source", f"counter {one.counter!r}", f"its source {one.source} is unknown")
            else:
                rows[EventKey(source.name, row_id(one.counter, one.standing.number), block=one.block)] = one
        found = self._rows.positions(list(rows))
        for key, one in rows.items():
            where = f"counter {one.counter!r} of source {key.source!r}"
            if key not in found:
                self._find("counter_without_row", where, f"has no row {key.id!r} in block {key.block}")
            elif not _is_same(found[key], one):
                self._find("counter", where, f"the keys say {_told(one)}, its last row says otherwise")
            elif self._keys.knows(one.source, key_of(row_id(one.counter, one.standing.number + 1))):
                self._find("counter_behind", where, f"the keys say {_told(one)}, and there are later rows of it")


def _is_same(position: str, one: KnownCounter) -> bool:
    """But for the time of the latest reading, which may have told nothing new."""
    try:
        theirs = decode(position)
    except msgspec.DecodeError:
        return False
    return msgspec.structs.replace(theirs, time=one.standing.time) == one.standing


def _told(one: KnownCounter) -> str:
    up, down, requests = one.standing.run.values
    quantities = f"{counted(up, 'byte')} up, {counted(down, 'byte')} down and {counted(requests, 'request')}"
    return f"{quantities} with row {one.standing.number}"
