"""What a block of readings is to be: rows of counters, whose users may still have to be made; then the rows.

Owns the plan as a value, and its last step on the committer's thread, when it is sure that it will be stored. Leaves to
`differencing` and `silence` what is planned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec.structs import replace

from flowtally.core.corrections import Quantities
from flowtally.core.counters import Standing
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.rows import NewRow, digest_of
from flowtally.keys import counter_states
from flowtally.keys.key_bytes import key_of
from flowtally.keys.values import Claim, Due, KnownCounter, Place, Source
from flowtally.ledger.people.names import Name
from flowtally.protocol import ReadingReceipt

MISSING: Final = "missing_stop"


class PlannedRow(msgspec.Struct):
    """A row that is to be: where its counter stands with it, what it adds, why. `name`: of a user that may have to be
    made; the standing has no user's id until then."""

    source: str
    counter: str
    time: int
    standing: Standing
    added: Quantities
    reason: str
    labels: dict[str, str]
    name: Name | None = None


class ReadingsPlan(msgspec.Struct):
    """What a block of readings becomes. `latest`: of counters with rows; `seen`: that were read again, which told
    nothing new; `revived`: that had been forgotten. `new`: counters nobody knew, by source and account."""

    rows: list[PlannedRow] = []
    latest: dict[Place, Standing] = {}
    seen: dict[Place, Standing] = {}
    revived: dict[Place, KnownCounter] = {}
    new: Counter[int | str] = msgspec.field(default_factory=Counter)
    users: set[Name] = set()  # that are to be made
    forgotten: list[KnownCounter] = []
    due: list[Due] = []
    receipts: list[ReadingReceipt] = []

    def __bool__(self) -> bool:
        """Whether there is something to write."""
        return bool(self.rows or self.seen or self.revived or self.forgotten or self.due)

    def add(self, other: ReadingsPlan) -> None:
        """What a later request of the block does."""
        self.rows += other.rows
        for place, standing in other.latest.items():
            self.put(place, standing)
        self.seen |= other.seen
        self.revived |= other.revived
        self.new.update(other.new)
        self.users |= other.users

    def put(self, place: Place, standing: Standing) -> None:
        """The counter stands so from this row on."""
        self.latest[place] = standing
        self.seen.pop(place, None)

    def last(self, place: Place) -> Standing | None:
        """Where this plan leaves a counter."""
        return self.seen.get(place) or self.latest.get(place)


class Finished(msgspec.Struct):
    """The rows, the keys they claim, and where the counters stand with them."""

    rows: list[NewRow]
    claims: list[Claim]
    counters: list[KnownCounter]


def finish(plan: ReadingsPlan, block: int, sources: Mapping[str, Source], resolver: NameResolver) -> Finished:
    """Once it is sure that they will be stored: users are made now."""
    resolver.use_products({row.standing.product for row in plan.rows})
    standings = list(_owned(plan.rows, resolver))
    # Who closes many names no user: one may be erased, and what is stored about that one has no texts.
    closed = {(one.account, one.user) for row, one in zip(plan.rows, standings, strict=True) if row.reason == MISSING}
    erased = resolver.erased(closed) if closed else set()
    rows = [_row(row, one, (one.account, one.user) in erased) for row, one in zip(plan.rows, standings, strict=True)]
    claims = [(sources[row.key_source].no, key_of(row.id), row.digest) for row in rows]
    last: dict[Place, KnownCounter] = {}
    for row, standing in zip(plan.rows, standings, strict=True):
        place = (sources[row.source].no, row.counter)
        last[place] = KnownCounter(*place, standing, block)
    return Finished(rows, claims, list(last.values()))


def _owned(rows: Sequence[PlannedRow], resolver: NameResolver) -> Iterator[Standing]:
    """The standings with their users' ids; users are made for names that nobody bore at the time of the row."""
    named = [(row.name, row.time) for row in rows if row.name is not None]
    times = np.array([time for _, time in named], dtype=np.int64)
    ids = iter(resolver.user_ids([name for name, _ in named], times) if named else [])
    for row in rows:
        yield row.standing if row.name is None else replace(row.standing, user=next(ids))


def _row(one: PlannedRow, standing: Standing, erased: bool) -> NewRow:
    position = counter_states.encode(standing)
    return NewRow(
        account=standing.account,
        user=standing.user,
        product=standing.product,
        source=one.source,
        time=one.time,
        bytes_up=one.added.bytes_up,
        bytes_down=one.added.bytes_down,
        requests=one.added.requests,
        labels=one.labels,
        kind="use",
        reason="" if erased else one.reason,
        key_source=one.source,
        id=counter_states.row_id(one.counter, standing.number),
        digest=digest_of(b"reading\0" + position.encode()),
        position=position,
    )
