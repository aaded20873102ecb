"""What a usage store can do: three verbs, and the values they take and give.

Owns no SQL and no protocol. `clickhouse.py` (chDB in the process or a ClickHouse server) and `memory.py` (the slow,
obvious reference) implement it; the same tests run over both. Instants are whole milliseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from flowtally.events import METERED

BUCKET_MS = 900_000  # 15 minutes: every UTC offset in use is a multiple of it

MAX_SUMS = 1_000_000  # in one answer; whoever shows them to a person asks for fewer

# The dimensions a sum can be split by; `label:<name>` too. The first two are answered from the roll-up.
DIMENSIONS = ("user", "product", "status", "source", "account")


class Where(msgspec.Struct, frozen=True):
    """Which rows count: one series, one account (None: all), and optionally only these user ids and products,
    or all users but these."""

    series: str = METERED
    account: str | None = None
    users: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None
    without_users: tuple[str, ...] = ()


class Sum(msgspec.Struct, frozen=True):
    """What was used in span `span` (edges[span] <= time < edges[span + 1]) by the group `by`, in the order asked."""

    span: int
    by: tuple[str, ...]
    bytes_up: int
    bytes_down: int
    requests: int


class Changes(msgspec.Struct, frozen=True):
    """Who has rows in the blocks after a cursor, and the cursor to ask with next time."""

    cursor: int
    accounts: tuple[tuple[str, str], ...]  # (series, account)


class Block(msgspec.Struct, frozen=True):
    """One insert = one part. `rows` is a pyarrow.RecordBatch with the columns of `usage_events` except `block`
    and `received_at`, which are the same for all its rows."""

    number: int
    received_at: int
    rows: Any


class Totals(msgspec.Struct, frozen=True):
    """All rows of the store: how many, the highest block, the latest instant of receipt (0 when empty)."""

    rows: int
    last_block: int
    last_received_at: int


class ClaimedRow(msgspec.Struct, frozen=True):
    """What the keys database must know of one row; `sequence` is 0 for a named event."""

    source: str
    id: str
    sequence: int
    digest: int
    mark: int
    position: str
    received_at: int
    product: str


class StoredEvent(msgspec.Struct, frozen=True):
    """One event as stored; `user` is the immutable id, `sequence` is 0 for a named event."""

    series: str
    account: str
    user: str
    product: str
    source: str
    id: str
    sequence: int
    time: int
    status: int
    bytes_up: int
    bytes_down: int
    requests: int
    labels: dict[str, str]
    block: int
    received_at: int


class UsageReader(Protocol):
    """What those may do who answer questions."""

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        """How much between these edges (strictly ascending, at least two), only non-empty groups, in order of span
        and group. One query, hence one moment. Group values are text (`status` in decimal, a missing label empty).
        Raises BadRange where there are more than `limit` sums."""

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        """Who changed in blocks after `cursor` (0: from the beginning); at most about `limit` accounts."""

    def find(self, source: str, *, id: str | None, sequence: int | None, block: int | None) -> StoredEvent | None:
        """The event of this key; the block, where known, makes it quick."""


class UsageStore(UsageReader, Protocol):
    """What the one writer may do, besides."""

    def append(self, block: Block) -> None:
        """Store all rows of the block, durably, or raise; after a raise the writer settles with the verbs below."""

    def end_append(self, block: int) -> None:
        """Make sure that no insert of this block is still under way."""

    def totals(self) -> Totals: ...

    def blocks_after(self, block: int) -> list[int]:
        """Numbers of the blocks above this one that have rows, ascending."""

    def claims(self, block: int) -> list[ClaimedRow]:
        """Everything the keys database must know of a block's rows."""

    def damage(self) -> list[str]:
        """In words, what the store itself knows to be missing; empty when whole."""

    def repair_rollups(self, since_block: int) -> list[str]:
        """Compare the roll-ups of parts with blocks after `since_block` with their rows; rebuild where they differ."""

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics."""

    def close(self) -> None: ...
