"""Few events as rows of `usage_events`: what `event_rows` makes as columns, as plain values.

A block of one event, or of as many as a few senders have on their way, is made of lists: columns would cost by column.
Both answer the same questions alike; which one it is depends on how many there are. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flowtally.core.events import METERED, number_of
from flowtally.ingest.admission import Reasons, Times
from flowtally.ingest.columns import Columns
from flowtally.ingest.event_rows import Codes, EventRows, Group
from flowtally.ingest.rows import Numbers
from flowtally.keys.claims import Digests
from flowtally.keys.values import Advance
from flowtally.usage.few_rows import FewRows


class FewEvents:
    """`rows`: those of the events that are meant, all of them at first. What is at fault is never among those that are
    stored, so nothing is asked of it."""

    first = 0  # as of so few in `event_rows.numbers_of`

    def __init__(
        self, columns: Columns, times: Times, faults: Reasons, digests: Digests, rows: Sequence[int] | None = None
    ) -> None:
        self._columns = columns
        self._times = times
        self._faults = faults
        self._digests = digests
        self._rows = range(len(columns)) if rows is None else rows
        self._whole = len(self._rows) == len(columns)
        self._pairs: tuple[list[Group], Codes] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def whole(self) -> EventRows:
        """All of them as columns."""
        return EventRows.of(self._columns, self._times, self._faults, self._digests)

    @property
    def named(self) -> bool:
        """Whether none is numbered."""
        return self._columns.sequence.count(None) == len(self._columns)

    @property
    def times(self) -> Times:
        return self._times if self._whole else self._times[list(self._rows)]

    @property
    def sequence(self) -> Numbers:
        return np.array(self._numbers(), dtype=np.uint64)

    @property
    def groups(self) -> list[Group]:
        return self._users()[0]

    @property
    def codes(self) -> Codes:
        return self._users()[1]

    def only(self, rows: Sequence[int]) -> FewEvents:
        """These rows of all, in this order."""
        if len(rows) == len(self._columns):
            return self
        return FewEvents(self._columns, self._times, self._faults, self._digests, rows)

    def groups_of(self, rows: Sequence[int]) -> list[Group]:
        """The users that these rows of all have."""
        return self.only(rows).groups

    def sources(self) -> list[str]:
        """Each of them once."""
        return list(dict.fromkeys(self._values("source")))

    def accounts(self) -> list[str]:
        """Each of them once, but for those of what is at fault."""
        if not self._faults:
            return list(dict.fromkeys(self._values("account")))
        return list({self._columns.account[row] for row in self._rows if row not in self._faults})

    def products(self) -> list[str]:
        """Each of them once."""
        return list(dict.fromkeys(self._values("product")))

    def batch(self, ids: Sequence[str], codes: Codes, advances: Mapping[str, Advance]) -> FewRows:
        """As the store takes them. `ids`: of users, of which `codes` has one for each row; `advances` say, by source,
        where its mark will be."""
        count, source, numbers = len(self._rows), self._values("source"), self._numbers()
        fields: dict[str, Sequence[Any]] = {
            "series": [METERED] * count,
            "account": self._values("account"),
            "user": [ids[code] for code in codes.tolist()],
            "product": self._values("product"),
            "source": source,
            "id": self._values("id"),
            "sequence": numbers,
            "time": self.times.tolist(),
            "status": self._values("status"),
            "bytes_up": self._values("bytes_up"),
            "bytes_down": self._values("bytes_down"),
            "requests": self._values("requests"),
            "labels": self._values("labels"),
            "kind": ["use"] * count,
            "refers_to": [""] * count,
            "key_source": source,
            "digest": self._of_named(numbers),
            "mark": [
                advances[name].mark if number and name in advances else 0
                for name, number in zip(source, numbers, strict=True)
            ],
            "position": self._positions(source, numbers, advances) if advances else [""] * count,
        }
        return FewRows.of(count, fields)

    def _values(self, name: str) -> list[Any]:
        values: list[Any] = getattr(self._columns, name)
        return values if self._whole else [values[row] for row in self._rows]

    def _numbers(self) -> list[int]:
        """0 where there is none."""
        asked = self._values("sequence")
        return [0] * len(asked) if asked.count(None) == len(asked) else [number_of(one) or 0 for one in asked]

    def _users(self) -> tuple[list[Group], Codes]:
        if self._pairs is None:
            places: dict[tuple[str, str], int] = {}
            pairs = zip(self._values("account"), self._values("user"), strict=True)
            codes = [places.setdefault(pair, len(places)) for pair in pairs]
            self._pairs = [(account, [user]) for account, user in places], np.array(codes, dtype=np.int32)
        return self._pairs

    def _of_named(self, numbers: Sequence[int]) -> list[int]:
        # A numbered event's key is its number; it has no digest.
        if not len(self._digests):
            return [0] * len(numbers)
        digests: list[int] = self._digests.tolist()
        return [0 if number else digests[row] for row, number in zip(self._rows, numbers, strict=True)]

    def _positions(self, source: Sequence[str], numbers: Sequence[int], advances: Mapping[str, Advance]) -> list[str]:
        # Of each source at its last numbered row, as in `event_rows`.
        found = [""] * len(numbers)
        last = {name: row for row, (name, number) in enumerate(zip(source, numbers, strict=True)) if number}
        for name, row in last.items():
            if name in advances:
                found[row] = advances[name].position or ""
        return found
