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

# The dimensions a sum can be split by; `label:<name>` too. The first two are answered from the roll-up.
DIMENSIONS = ("user", "product", "status", "source", "account")


class Where(msgspec.Struct, frozen=True):
    """Which rows count: one series, one account (None: all), and optionally only these user ids and products."""

    series: str = METERED
    account: str | None = None
    users: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None


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


class UsageStore(Protocol):
    def append(self, block: Block) -> None:
        """Store all rows of the block, durably, or raise; after a raise the caller settles with `block_rows`."""

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = ()) -> list[Sum]:
        """How much between these edges (strictly ascending, at least two), only non-empty groups, in order of span
        and group. One query, hence one moment. Group values are text (`status` in decimal, a missing label empty)."""

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        """Who changed in blocks after `cursor` (0: from the beginning); at most about `limit` accounts."""
