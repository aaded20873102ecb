"""What a usage store can do: three verbs, and the values they take and give.

Owns no SQL and no protocol. `clickhouse.py` (chDB in the process or a ClickHouse server) and `memory.py` (the slow,
obvious reference) implement it; the same tests run over both. Instants are whole milliseconds since 1970 UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from flowtally.core.corrections import reference
from flowtally.core.events import METERED
from flowtally.usage.damage import Broken

BUCKET_MS = 900_000  # 15 minutes: every UTC offset in use is a multiple of it

MAX_BLOCK = 2**62  # beyond all numbers of blocks
MAX_SUMS = 1_000_000  # in one answer; whoever shows them to a person asks for fewer

# The dimensions a sum can be split by; `label:<name>` too. The first two are answered from the roll-up.
DIMENSIONS = ("user", "product", "status", "source", "account")

# The columns of `UsageReader.read_rows`: what a row says, without what only the writer needs. Instants are whole
# milliseconds, `labels` a map of text to text, `key_source` is for `Place`.
ROWS: Final = (
    *("time", "block", "received_at", "kind", "refers_to", "source", "key_source", "id", "sequence", "reason"),
    *("account", "user", "product", "status", "bytes_up", "bytes_down", "requests", "labels"),
    *("entries", "ends_at"),  # of a rolled-up row: how many it stands for, and until when; else 1 and 0
)


Charge = Literal["bytes", "requests"]
Tell = Callable[[str, int, int], None]


class Where(msgspec.Struct, frozen=True):
    """Which rows count: one series, one account (None: all), and optionally only these user ids and products,
    or all but these.

    `accounts`: only these of all. Blocks: only rows with after_block < block <= until_block; None, no bound. A bound
    makes it a question to the rows, because the roll-up does not know in which block something came.
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
    """One insert = one part. `rows` is a pyarrow.RecordBatch with the columns of `usage_events` except `block`
    and `received_at`, which are the same for all its rows."""

    number: int
    received_at: int
    rows: Any


class Totals(msgspec.Struct, frozen=True):
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


class Use(msgspec.Struct, frozen=True):
    """What an event says was used, whatever source it came in by; `user` is the immutable id."""

    account: str
    user: str
    time: int
    bytes_up: int
    bytes_down: int
    requests: int
    status: int


class Entry(msgspec.Struct, frozen=True):
    """A row that is no event: a correction of the event `refers_to` names, or a free adjustment (empty). `user` is the
    immutable id; `source` and `id` are the entry's own key; within a block entries are in order of `place`."""

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


class UsageReader(Protocol):
    """What those may do who answer questions.

    Old rows may be rolled up by quarter hours. What then cannot be answered as the rows would have is refused: any of
    these verbs may raise RolledUp, whoever asks at quarter hours, of all commits, by user and product never sees it."""

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        """How much between these edges (strictly ascending, at least two), only non-empty groups, in order of span
        and group. One query, hence one moment. Group values are text (`status` in decimal, a missing label empty).
        Raises BadRange where there are more than `limit` sums.
        Up to a block it is exact whatever is written meanwhile: asked of the roll-up where nothing that counts came
        after the block, else of the rows."""

    def block_sums(
        self, edges: Sequence[int], where: Where, *, after: tuple[int, int] | None = None, limit: int = MAX_SUMS
    ) -> list[BlockSum]:
        """The same question split by block: the first `limit` non-empty (block, span) in that order, those after the
        pair `after`. From rows."""

    def extent(self, start: int, end: int, where: Where) -> Extent:
        """How many rows with start <= time < end, and how much they are together. From rows."""

    def first_time(self, end: int, where: Where) -> int | None:
        """The instant of the first row with time < end; None: there is none. From rows."""

    def read_rows(self, start: int, end: int, where: Where, *, after: Place | None = None, limit: int) -> Any:
        """A pyarrow.Table of `ROWS`: the first `limit` rows with start <= time < end in the order of `Place`, those
        after the place `after`. With `where.until_block` the pages of one reading are one moment."""

    def first_commit(self) -> Commit:
        """The earliest commit whose rows are kept: how far back `until_block` can be asked."""

    def rolled_up_to(self) -> int:
        """Entries of blocks up to this one have no rows of their own; 0: all have."""

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        """Who changed in blocks after `cursor` (0: from the beginning); at most about `limit` accounts."""

    def find(self, source: str, *, id: str | None, sequence: int | None, block: int | None) -> StoredEvent | None:
        """The event of this key; the block, where known, makes it quick."""

    def entry(self, source: str, id: str, block: int) -> Row | None:
        """The correction or adjustment of this key, claimed in this block."""

    def events_of(self, keys: Sequence[EventKey]) -> dict[EventKey, StoredEvent]:
        """Those of these events that are there."""

    def corrections_of(self, events: Sequence[StoredEvent]) -> dict[str, list[Entry]]:
        """All corrections of each of these events, by its `reference`, in order of commit."""

    def sources_of(self, uses: Sequence[Use], without: str) -> dict[Use, list[str]]:
        """Of these uses, which are few, those that an event of another source than `without` says too, and the names
        of these sources in order. An event that corrections took to nothing says nothing, nor does a rolled-up row."""

    def rolled_up_until(self) -> int:
        """All instants of rolled-up rows are before this one; 0: there are none."""

    def published(self) -> Commit:
        """The last commit that was published: what "now" means to every question. From memory, never from the rows: an
        index of theirs that is damaged would say less, and rows whose commit is still in doubt are there already. Of a
        store that nobody publishes to, the last its rows have."""

    def under_way(self) -> int | None:
        """When the block was dated that is being written now; None: there is none, and the next one is dated later than
        anything the clock has said before this."""

    def last_commit(self, *, block: int | None = None, at: int | None = None) -> Commit:
        """The last published commit, or the latest up to this block, or received up to this instant."""

    def next_block(self, after: int, *, until_block: int = MAX_BLOCK) -> int | None:
        """The first block after this one that has rows, up to `until_block`."""

    def moves(
        self,
        first: int,
        skip: int,
        limit: int,
        *,
        account: str | None = None,
        late_before: int = 0,
        until_block: int = MAX_BLOCK,
    ) -> list[Move]:
        """What the blocks from `first` up to `until_block` did to each account, in order of block, series and account,
        without the first `skip` of these. At most `limit`; without an account it looks at the next `limit` block
        numbers only."""

    def parts(self, edges: Sequence[int], where: Where, until_block: int) -> list[Part]:
        """What is between these edges, split by product and kind, of blocks up to `until_block`. `where.account` is
        one account."""

    def largest(self, start: int, end: int, where: Where, until_block: int, charge: Charge, limit: int) -> list[Row]:
        """The rows with start <= time < end that count most in `charge`, for or against, the largest first."""


class UsageStore(UsageReader, Protocol):
    """What the one writer may do, besides."""

    def date_block(self, date: Callable[[], int]) -> int:
        """The instant of receipt of the next block, as `date` says: it is under way until it is published or ended."""

    def end_block(self) -> None:
        """The block under way is not there and never will be, or it had no rows."""

    def publish(self, commit: Commit) -> None:
        """From now on this is the last commit: its keys are committed, its rows there. Before anyone is answered."""

    def append(self, block: Block) -> None:
        """Store all rows of the block, durably, or raise; after a raise the writer settles with the verbs below."""

    def try_writing(self) -> None:
        """Raise what `append` would raise now, as far as can be found out without storing anything."""

    def end_append(self, block: int) -> None:
        """Make sure that no insert of this block is still under way."""

    def totals(self) -> Totals: ...

    def blocks_after(self, block: int) -> list[int]:
        """Numbers of the blocks above this one that have rows, ascending."""

    def positions(self, keys: Sequence[EventKey]) -> dict[EventKey, str]:
        """The positions of those of these named rows that are there, also where they are rolled up."""

    def claims(self, block: int) -> list[ClaimedRow]:
        """Everything the keys database must know of a block's rows."""

    def identity(self) -> Identity: ...

    def bind(self, identity: Identity) -> None:
        """From now on these rows belong to that installation, in that generation; durable when it returns."""

    def accounts(self) -> list[str]:
        """Every account that rows name."""

    def damage(self) -> list[str]:
        """In words, what the store itself knows to be missing; empty when whole."""

    def broken(self, since_block: int) -> list[Broken]:
        """The parts that are not what was written: by what the engine took from any of them, and by the files of those
        with blocks after `since_block`. It takes no longer the more there is."""

    def twice(self) -> str:
        """In words, which parts have rows of the same block: one of them is a copy. Empty where there are none."""

    def repair_rollups(self, since_block: int, spoilt: Collection[str] = ()) -> list[str]:
        """Compare the roll-ups of parts with blocks after `since_block` with their rows; rebuild where they differ, and
        of the parts `spoilt`. Says in words what was rebuilt; BrokenRollup where that did not help."""

    def erase_texts(self, users: Sequence[str], tell: Tell) -> None:
        """Empty the labels and the reasons of all rows of these user ids, and leave no file that still has them; all
        else stays as it is. Durable when it returns; may take minutes, `tell` hears (step, done, total) and may raise
        to stop. Doing it again is safe."""

    def with_texts(self, users: Sequence[str]) -> list[str]:
        """Those of these user ids that have rows with labels or reasons."""

    def erase_texts_of_accounts(self, accounts: Sequence[str], tell: Tell) -> None:
        """The same as `erase_texts`, of all rows of these accounts."""

    def accounts_with_texts(self, accounts: Sequence[str]) -> list[str]:
        """Those of these accounts that have rows with labels or reasons."""

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics."""

    def close(self) -> None: ...
