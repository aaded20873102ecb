"""How much is held, of which source and account, and whether more may be: in memory, beside the table that has it.

Counts follow what was committed; a block that is being sorted takes from an `Allowance` of its own, which is forgotten
with it. Only the committer's thread comes here, or who has the moment between two blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from flowtally.core.tallies import tally
from flowtally.keys.store import Keys
from flowtally.keys.values import Held


class HoldLimits(msgspec.Struct, frozen=True):
    """How many events may be held at most, and how many bytes of them."""

    per_source: int
    per_account: int
    events: int
    bytes: int


class Full(msgspec.Struct, frozen=True):
    """Which bound leaves no room for another: `source`, `account`, `events` or `bytes`, and what it is."""

    bound: str
    limit: int


class Holds:
    """What is held now. `next_time`: of the first that waits for its time alone."""

    def __init__(self, keys: Keys, limits: HoldLimits) -> None:
        self._keys = keys
        self.limits = limits
        self.load()

    def load(self) -> None:
        """Count anew what the table has."""
        self.sources: Counter[int] = Counter()
        self.accounts: Counter[str] = Counter()
        self.events = self.bytes = 0
        for group in self._keys.held_groups():
            self.sources[group.source] += group.events
            self.accounts[group.account] += group.events
            self.events += group.events
            self.bytes += group.bytes
        self.next_time = self._keys.next_held_time() if self.events else None

    def changed(self, came: Iterable[Held], went: Iterable[Held]) -> None:
        """A commit took these in, and ended those."""
        for one, sign in (*((one, 1) for one in came), *((one, -1) for one in went)):
            self.events += sign
            self.bytes += sign * len(one.event)
            tally(self.sources, one.source, sign)
            tally(self.accounts, one.account, sign)
        self.next_time = self._keys.next_held_time() if self.events else None

    def allowance(self) -> Allowance:
        return Allowance(self)


class Allowance:
    """What may still be held, while one block is sorted."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._taken: Counter[tuple[str, object]] = Counter()

    def take(self, one: Held) -> Full | None:
        """None, and one more is held; or why it may not be."""
        holds, limits, taken = self._holds, self._holds.limits, self._taken
        size = len(one.event)
        for bound, held, limit in (
            ("source", holds.sources[one.source] + taken["source", one.source] + 1, limits.per_source),
            ("account", holds.accounts[one.account] + taken["account", one.account] + 1, limits.per_account),
            ("events", holds.events + taken["events", ""] + 1, limits.events),
            ("bytes", holds.bytes + taken["bytes", ""] + size, limits.bytes),
        ):
            if held > limit:
                return Full(bound, limit)
        self._add(one, 1)
        return None

    def give_back(self, some: Iterable[Held]) -> None:
        for one in some:
            self._add(one, -1)

    def _add(self, one: Held, sign: int) -> None:
        self._taken["source", one.source] += sign
        self._taken["account", one.account] += sign
        self._taken["events", ""] += sign
        self._taken["bytes", ""] += sign * len(one.event)
