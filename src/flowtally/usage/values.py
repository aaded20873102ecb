"""The values that a usage store takes and gives. Pure.

Owns their shape and meaning: what may be asked, what rows, sums and commits look like. Leaves the verbs to `store`, SQL
to `clickhouse`. Instants are whole milliseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Final

import msgspec

from flowtally.core.corrections import reference
from flowtally.core.events import METERED
from flowtally.core.times import DAY_MS

BUCKET_MS = 900_000  # 15 minutes: every UTC offset in use is a multiple of it

MAX_BLOCK = 2**62  # beyond all numbers of blocks
FLUSH_ROWS = 100_000  # of one part, where nobody says
MAX_SUMS = 1_000_000  # in one answer; whoever shows them to a person asks for fewer

# The dimensions a sum can be split by; `label:<name>` too. `queries.PROJECTED` are answered from the projection.
DIMENSIONS = ("user", "product", "status", "source", "account")

# The columns of `UsageReader.read_rows`: what a row says, without what only the writer needs. Instants are whole
# milliseconds, `labels` a map of text to text, `key_source` is for `Place`.
ROWS: Final = (
    *("time", "block", "received_at", "kind", "refers_to", "source", "key_source", "id", "sequence", "reason"),
    *("account", "user", "product", "status", "bytes_up", "bytes_down", "requests", "labels"),
    *("entries", "ends_at"),  # of a compacted row: how many it stands for, and until when; else 1 and 0
)


Tell = Callable[[str, int, int], None]


_EPOCH: Final = date(1970, 1, 1)


class Where(msgspec.Struct, frozen=True):
    """Which rows count: one series, one account (None: all), and optionally only these user ids and products,
    or all but these.

    `accounts`: only these of all. Blocks: only rows with after_block < block <= until_block; None, no bound. A bound
    makes it a question to the rows, because the projection does not know in which block something came.
    `changes_only`: only corrections and adjustments; it goes with a bound.
    """

    series: str = METERED
    account: str | None = None
    users: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None
    without_users: tuple[str, ...] = ()
    without_products: tuple[str, ...] = ()
    accounts: tuple[str, ...] | None = None
    after_block: int | None = None
    until_block: int | None = None
    changes_only: bool = False


class Sum(msgspec.Struct, frozen=True, gc=False):
    """What was used in span `span` (edges[span] <= time < edges[span + 1]) by the group `by`, in the order asked."""

    span: int
    by: tuple[str, ...]
    bytes_up: int
    bytes_down: int
    requests: int


class BlockSum(msgspec.Struct, frozen=True):
    """What one block brought to one span: how many rows, and their sums."""

    block: int
    received_at: int
    span: int
    rows: int
    bytes_up: int
    bytes_down: int
    requests: int


class Extent(msgspec.Struct, frozen=True):
    """How many entries rows stand for, and their sums."""

    rows: int
    bytes_up: int
    bytes_down: int
    requests: int


class Commit(msgspec.Struct, frozen=True):
    """A block that is there, and when it was received. Block 0: before the first."""

    block: int
    received_at: int


Place = tuple[
    int, int, str, int, str, str
]  # (time, block, key_source, sequence, id, kind): the order of `read_rows`, total


class Changes(msgspec.Struct, frozen=True):
    """Who has rows in the blocks after a cursor, and the cursor to ask with next time."""

    cursor: int
    accounts: tuple[tuple[str, str], ...]  # (series, account)


class Block(msgspec.Struct, frozen=True):
    """What is acknowledged at once. `rows` is a pyarrow.RecordBatch with the columns of `usage_events` except `block`
    and `received_at`, which are the same for all its rows."""

    number: int
    received_at: int
    rows: Any


class Aside(msgspec.Struct, frozen=True):
    """A block that the engine refuses for its content, and what it said."""

    block: int
    why: str


class Unflushed(msgspec.Struct, frozen=True):
    """Blocks that are acknowledged and not in the table yet: how many, and the `first`; `oldest`: when the
    first came that is not set `aside`, on the monotonic clock. `aside`: those that the table does not take."""

    first: int | None = None
    blocks: int = 0
    rows: int = 0
    bytes: int = 0
    oldest: float | None = None
    aside: tuple[Aside, ...] = ()


class StoreTotals(msgspec.Struct, frozen=True):
    """All rows of the store: how many entries they stand for, the highest block, the latest receipt (0 when empty)."""

    rows: int
    last_block: int
    last_received_at: int


class Identity(msgspec.Struct, frozen=True):
    """Which installation a store belongs to, and since which restore or rebuild; empty until it is bound."""

    installation: str = ""
    generation: str = ""


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
    """One event as stored; `user` is the immutable id, `sequence` is 0 for a named event. `reason`: of a reading of a
    counter, by which rule it counts."""

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
    reason: str = ""

    @property
    def reference(self) -> str:
        """How its corrections name it."""
        return reference(self.source, id=self.id, sequence=self.sequence)


class EventKey(msgspec.Struct, frozen=True):
    """An event by its key: `sequence` where the source is numbered, else `id` and the block its key was claimed in."""

    source: str
    id: str = ""
    sequence: int = 0
    block: int = 0


class CountedUse(msgspec.Struct, frozen=True):
    """What an event says was used, whatever source it came in by; `user` is the immutable id."""

    account: str
    user: str
    time: int
    bytes_up: int
    bytes_down: int
    requests: int
    status: int


class FigureStretch(msgspec.Struct, frozen=True):
    """Figures that a provider said: of a series of an account, dated start <= time < end, of keys that begin with
    `prefix`; `user`: of this name alone."""

    series: str
    account: str
    start: int
    end: int
    prefix: str
    user: str | None = None


class Said(msgspec.Struct, frozen=True):
    """How many rows of a series there are under a key, and what they add up to: what was said last. `time`, `user` and
    `product` are those of the first of them."""

    key: str
    time: int
    user: str
    product: str
    rows: int
    bytes_down: int
    requests: int


class Entry(msgspec.Struct, frozen=True):
    """A row that is no event: a correction of the event `refers_to` names (of a provider's series: of what was said
    under that key), or a free adjustment (empty). `user` is the immutable id; `source` and `id` are the entry's own
    key; within a block entries are in order of `place`."""

    kind: str
    source: str
    id: str
    refers_to: str
    bytes_up: int
    bytes_down: int
    requests: int
    reason: str
    place: int
    block: int
    received_at: int


class Move(msgspec.Struct, frozen=True):
    """What one block did to one account: rows by kind (`late`: use dated before an instant), the first and the last
    instant its rows are dated at, and what they add. `flags`: rows of readings by the rule they count by."""

    block: int
    received_at: int
    series: str
    account: str
    use: int
    late: int
    corrections: int
    adjustments: int
    earliest: int
    latest: int
    bytes_up: int
    bytes_down: int
    requests: int
    flags: dict[str, int] = {}


class Kept(msgspec.Struct, frozen=True):
    """Rows received since this instant are as they came in; those up to this block are compacted."""

    since: int
    block: int


class Closed(msgspec.Struct, frozen=True):
    """A closed period of an account: what is dated in it and of a later block is an adjustment."""

    account: str
    starts_at: int
    ends_at: int
    block: int


class Cuts(msgspec.Struct, frozen=True):
    """Where rows must stay apart: (account, instant) within quarter hours, and the closed periods."""

    instants: tuple[tuple[str, int], ...]
    closed: tuple[Closed, ...]


class Month(msgspec.Struct, frozen=True):
    """A month of receipt: metered rows as they came in, all dated before `until`; bytes on the disk of all its rows."""

    month: int
    rows: int
    until: int
    bytes: int


class Part(msgspec.Struct, frozen=True):
    """What the rows of one product and one kind add to span `span`."""

    span: int
    product: str
    kind: str
    rows: int
    bytes_up: int
    bytes_down: int
    requests: int


class Row(msgspec.Struct, frozen=True):
    """One row as it is: what it says (`event`, whose source and id are those it counts under) and its own key."""

    event: StoredEvent
    entry: Entry


def month_of(instant: int) -> int:
    """YYYYMM, as the engine names the part of the rows that were received in it."""
    day = _EPOCH + timedelta(days=instant // DAY_MS)
    return day.year * 100 + day.month


def month_end(month: int) -> int:
    """The first instant after a month."""
    year, number = divmod(month, 100)
    first = date(year + number // 12, number % 12 + 1, 1)
    return (first - _EPOCH).days * DAY_MS
