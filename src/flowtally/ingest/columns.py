"""The events of a block as columns: every later step asks for whole columns, which is what makes it fast."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Self

import msgspec

from flowtally.core.events import UsageEvent


class Columns(msgspec.Struct):
    """One list per field of UsageEvent, all of the same length."""

    source: list[str]
    account: list[str]
    id: list[str]
    sequence: list[int | str | None]
    position: list[str | None]
    time: list[str | None]
    user: list[str]
    product: list[str]
    bytes_up: list[int]
    bytes_down: list[int]
    requests: list[int]
    status: list[int]
    labels: list[dict[str, str] | None]

    @classmethod
    def of(cls, events: Sequence[UsageEvent]) -> Self:
        return cls(
            [event.source for event in events],
            [event.account for event in events],
            [event.id for event in events],
            [event.sequence for event in events],
            [event.position for event in events],
            [event.time for event in events],
            [event.user for event in events],
            [event.product for event in events],
            [event.bytes_up for event in events],
            [event.bytes_down for event in events],
            [event.requests for event in events],
            [event.status for event in events],
            [event.labels for event in events],
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        columns = zip(*(msgspec.structs.astuple(part) for part in parts), strict=True)
        return cls(*(list(chain.from_iterable(column)) for column in columns))

    def __len__(self) -> int:
        return len(self.source)

    def only(self, rows: Sequence[int]) -> Self:
        """The columns of these rows, in this order."""
        if len(rows) == len(self):
            return self
        return type(self)(*([column[row] for row in rows] for column in msgspec.structs.astuple(self)))

    def blank(self, rows: Collection[int]) -> Self:
        """The same with nothing in these rows."""
        blank = type(self).of([UsageEvent("", "")])
        kept = [[*column] for column in msgspec.structs.astuple(self)]
        for column, [nothing] in zip(kept, msgspec.structs.astuple(blank), strict=True):
            for row in rows:
                column[row] = nothing
        return type(self)(*kept)
