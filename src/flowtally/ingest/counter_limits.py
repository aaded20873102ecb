"""How many counters may be known, and how many are: of a source, of an account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from flowtally.ingest.admission import Reason
from flowtally.keys.store import Keys


class CounterLimits(msgspec.Struct, frozen=True):
    """How many counters may be known, and bytes a second of one that says nothing of it."""

    per_source: int
    per_account: int
    max_rate: int


class KnownCounters:
    """How many counters are known, by source and by account: in memory, counted once."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._loaded = False

    def load(self) -> None:
        if self._loaded:
            return
        self.known: Counter[int | str] = Counter()
        for one in self._keys.counter_groups():
            self.known[one.source] += one.counters
            self.known[one.account] += one.counters
        self._loaded = True

    def forget(self) -> None:
        """Whatever happened, all is counted anew."""
        self._loaded = False

    def add(self, new: Mapping[int | str, int]) -> None:
        self.known.update(new)


def too_many(told: str, setting: str) -> Reason:
    return Reason("too_many_counters", f"{told} counters, as many as the setting {setting} allows")
