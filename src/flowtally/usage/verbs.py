"""What a usage store can do, as protocols by who asks: each asker declares the smallest that is enough for it.

Owns the verbs and what they promise. Leaves the values to `values`, a store as a whole, with what only some stores can
do, to `store`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from flowtally.core.words import Unit
from flowtally.usage.damage import Broken
from flowtally.usage.values import (
    FLUSH_ROWS,
    MAX_BLOCK,
    MAX_SUMS,
    Block,
    BlockSum,
    Changes,
    ClaimedRow,
    Commit,
    CountedUse,
    Entry,
    EventKey,
    Extent,
    FigureStretch,
    Identity,
    Move,
    Part,
    Place,
    Row,
    Said,
    StoredEvent,
    StoreTotals,
    Sum,
    Tell,
    Unflushed,
    Where,
)


class Sums(Protocol):
    """How much was used: the one question that most answers are made of."""

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        """How much between these edges (strictly ascending, at least two), only non-empty groups, in order of span
        and group. One query, hence one moment. Group values are text (`status` in decimal, a missing label empty).
        Raises BadRange where there are more than `limit` sums.
        Up to a block it is exact whatever is written meanwhile: asked of the projection where nothing that counts came
        after the block, else of the rows."""


class Rows(Protocol):
    """The rows between two instants, one by one or as a whole."""

    def extent(self, start: int, end: int, where: Where) -> Extent:
        """How many rows with start <= time < end, and how much they are together. From rows."""

    def first_time(self, end: int, where: Where) -> int | None:
        """The instant of the first row with time < end; None: there is none. From rows."""

    def read_rows(self, start: int, end: int, where: Where, *, after: Place | None = None, limit: int) -> Any:
        """A pyarrow.Table of `ROWS`: the first `limit` rows with start <= time < end in the order of `Place`, those
        after the place `after`. With `where.until_block` the pages of one reading are one moment."""


class Breakdowns(Protocol):
    """A sum taken apart: by block, by product and kind, down to the rows that count most."""

    def block_sums(
        self, edges: Sequence[int], where: Where, *, after: tuple[int, int] | None = None, limit: int = MAX_SUMS
    ) -> list[BlockSum]:
        """The same question split by block: the first `limit` non-empty (block, span) in that order, those after the
        pair `after`. From rows."""

    def parts(self, edges: Sequence[int], where: Where, until_block: int) -> list[Part]:
        """What is between these edges, split by product and kind, of blocks up to `until_block`. `where.account` is
        one account."""

    def largest(self, start: int, end: int, where: Where, until_block: int, charge: Unit, limit: int) -> list[Row]:
        """The rows with start <= time < end that count most in `charge`, for or against, the largest first."""


class Commits(Protocol):
    """What was committed, in order, and what it did to whom."""

    def published(self) -> Commit:
        """The last commit that was published: what "now" means to every question. From memory, never from the rows: an
        index of theirs that is damaged would say less, and rows whose commit is still in doubt are there already. Of a
        store that nobody publishes to, the last its rows have."""

    def under_way(self) -> int | None:
        """When the block was dated that is being written now; None: there is none, and the next one is dated later than
        anything the clock has said before this."""

    def first_commit(self) -> Commit:
        """The earliest commit whose rows are kept: how far back `until_block` can be asked."""

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

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        """Who changed in blocks after `cursor` (0: from the beginning); at most about `limit` accounts."""


class Entries(Protocol):
    """Single events by their keys, the entries that correct them, and how far back these have rows of their own."""

    def find(self, source: str, *, id: str | None, sequence: int | None, block: int | None) -> StoredEvent | None:
        """The event of this key; the block, where known, makes it quick."""

    def entry(self, source: str, id: str, block: int) -> Row | None:
        """The correction or adjustment of this key, claimed in this block."""

    def events_of(self, keys: Sequence[EventKey]) -> dict[EventKey, StoredEvent]:
        """Those of these events that are there."""

    def corrections_of(self, events: Sequence[StoredEvent]) -> dict[str, list[Entry]]:
        """All corrections of each of these events, by its `reference`, in order of commit."""

    def sources_of(self, uses: Sequence[CountedUse], without: str) -> dict[CountedUse, list[str]]:
        """Of these uses, which are few, those that an event of another source than `without` says too, and the names
        of these sources in order. An event that corrections took to nothing says nothing, nor does a compacted row."""

    def compacted_to(self) -> int:
        """Entries of blocks up to this one have no rows of their own; 0: all have."""

    def compacted_until(self) -> int:
        """All instants of compacted rows are before this one; 0: there are none."""


class SaidFigures(Protocol):
    """What providers said: their series, by the keys of the figures. These rows are never compacted."""

    def said_in(self, stretch: FigureStretch) -> list[Said]:
        """What stands in a stretch of time, in order of key."""

    def said_under(self, series: str, account: str, keys: Sequence[str]) -> list[Said]:
        """What stands under those of these keys that have rows, whenever they are dated, in order of key."""


class UsageReader(Sums, Rows, Breakdowns, Commits, Entries, Protocol):
    """All that those may do who answer questions. Who asks declares the smallest of these that is enough.

    Old rows may be compacted by quarter hours. What then cannot be answered as the rows would have is refused: any of
    these verbs may raise RowsCompacted, whoever asks at quarter hours, of all commits, by user and product never sees
    it."""


class Blocks(Protocol):
    """How a block comes to be: for the one writer."""

    def date_block(self, date: Callable[[], int]) -> int:
        """The instant of receipt of the next block, as `date` says: it is under way until it is published or ended."""

    def take_over(self, token: str) -> None:
        """From now on this writer writes, under a name of its own. Nothing of one before it can come any more; what
        was on its way and is in no answer is dropped. Before anything else is asked at a start."""

    def append(self, block: Block) -> None:
        """Take the rows of a block that the journal has: into memory, never to the engine, so it does not fail. Readers
        see them once the block is published."""

    def unflushed(self) -> Unflushed:
        """What was taken and stands in no table yet. From memory."""

    def flushed(self, blocks: Sequence[int]) -> set[int]:
        """Those of these blocks that have rows in the table, whatever was taken since: what a start need not take."""

    def flush(self, rows: int = FLUSH_ROWS) -> int:
        """Bring the oldest blocks into the table, all at once: so many rows, one block at least. How many blocks there
        were to go, whatever became of them; 0: none. Raises what keeps it from being written now."""

    def retry_aside(self) -> None:
        """Try those again that the table did not take."""

    def settle(self) -> None:
        """All that was taken stands in the table when it returns; else it raises. For a stop, and for who copies."""

    def publish(self, commit: Commit) -> None:
        """From now on this is the last commit: its keys are committed, its rows there. Before anyone is answered."""

    def end_block(self) -> None:
        """The block under way is not there and never will be, or it had no rows."""


class Claims(Protocol):
    """What the event keys follow from: the rows as what was acknowledged."""

    def totals(self) -> StoreTotals: ...

    def blocks_after(self, block: int) -> list[int]:
        """Numbers of the blocks above this one that have rows, ascending."""

    def claims(self, block: int) -> list[ClaimedRow]:
        """Everything the keys database must know of a block's rows."""

    def positions(self, keys: Sequence[EventKey]) -> dict[EventKey, str]:
        """The positions of those of these named rows that are there, also where they are compacted."""


class Owned(Protocol):
    """Whose rows these are."""

    def identity(self) -> Identity: ...

    def bind(self, identity: Identity) -> None:
        """From now on these rows belong to that installation, in that generation; durable when it returns."""

    def accounts(self) -> list[str]:
        """Every account that rows name."""


class Wholeness(Protocol):
    """Whether all is there and as it was written."""

    def damage(self) -> list[str]:
        """In words, what the store itself knows to be missing; empty when whole."""

    def broken(self, since_block: int) -> list[Broken]:
        """The parts that are not what was written: by what the engine took from any of them, and by the files of those
        with blocks after `since_block`. It takes no longer the more there is."""

    def twice(self) -> str:
        """In words, which parts have rows of the same block: one of them is a copy. Empty where there are none."""

    def repair_projections(self, since_block: int, spoilt: Collection[str] = ()) -> list[str]:
        """Compare the projections of parts with blocks after `since_block` with their rows; rebuild where they differ,
        and of the parts `spoilt`. Says in words what was rebuilt; BrokenRollup where that did not help."""


class Texts(Protocol):
    """The texts of people that rows bear, and their erasure."""

    def with_texts(self, users: Sequence[str]) -> list[str]:
        """Those of these user ids that have rows with labels or reasons."""

    def erase_texts(self, users: Sequence[str], tell: Tell) -> None:
        """Empty the labels and the reasons of all rows of these user ids, and leave no file that still has them; all
        else stays as it is. Durable when it returns; may take minutes, `tell` hears (step, done, total) and may raise
        to stop. Doing it again is safe."""

    def accounts_with_texts(self, accounts: Sequence[str]) -> list[str]:
        """Those of these accounts that have rows with labels or reasons."""

    def erase_texts_of_accounts(self, accounts: Sequence[str], tell: Tell) -> None:
        """The same as `erase_texts`, of all rows of these accounts."""
