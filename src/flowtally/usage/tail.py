"""The tail: blocks that are acknowledged and not flushed yet, where readers see them beside the table.

Owns them in memory, as they came (Arrow), and as tables of the engine (`Memory`) that one SQL statement can ask
together with the table. Nobody who writes asks the engine: `append` keeps a block, the first reader who needs it pushes
it. What a reader sees is a `View`, one moment: tables are never changed but by more blocks, which its bound leaves out,
and are dropped when the last view that names them has ended.

`version` guards the table's side. It is odd while rows may be on their way from the tail into the table, and another
one afterwards; whoever asked meanwhile asks again, the third time by rows, which is right whether or not they have
come. Leaves to `flush` how blocks get into the table, to the store which questions there are.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Final

import msgspec
import pyarrow as pa

from flowtally.core.errors import FlowtallyError, Unavailable
from flowtally.usage.engine import Engine
from flowtally.usage.own_tables import tail_table
from flowtally.usage.relation import View
from flowtally.usage.schema import TABLE
from flowtally.usage.values import Aside, Block, Unflushed, month_of

# A move takes some ten milliseconds: whoever comes meanwhile waits that long, then asks by rows.
MOVE_WAIT_S: Final = 0.2
_MS: Final = pa.timestamp("ms", "UTC")


class TailBlock(msgspec.Struct, eq=False):
    """A block of the tail: its rows as the table takes them. `came` is on the monotonic clock."""

    number: int
    month: int
    rows: Any  # pyarrow.Table
    bytes: int
    came: float
    table: MemoryTable | None = None
    why: str = ""  # the engine refused it for its content: it is set aside


class MemoryTable(msgspec.Struct, eq=False):
    """A table of the engine with some blocks of the tail. `closed`: it takes no more."""

    name: str
    rows: int = 0
    readers: int = 0
    closed: bool = False


class SeenView(msgspec.Struct, frozen=True):
    """A view, and the version it is of."""

    view: View
    version: int
    tables: tuple[MemoryTable, ...]


class UsageTail:
    """`until`: the last block that readers may see, None where nobody says. Any thread may call anything here; that one
    flush is under way at a time is the caller's to see to."""

    def __init__(self, engine: Engine, token: str, until: Callable[[], int | None]) -> None:
        self.token = token
        self._engine = engine
        self._until = until
        self._changed = threading.Condition()
        self._pushing = threading.Lock()
        self._blocks: dict[int, TailBlock] = {}  # in the order of their numbers
        self._aside: set[int] = set()
        self._tables: list[MemoryTable] = []
        self._dead: list[MemoryTable] = []
        self._numbers = count(1)
        self._columns = ""
        self._unpushed = False  # whether there is something to push: readers look at this alone
        self._flushed: int | None = None
        self._version = 0
        self._rows = 0
        self._bytes = 0

    @property
    def flushed(self) -> int:
        """Blocks up to this one are in the table, but for those the tail still has."""
        return self._flushed or 0

    # For the one writer

    def append(self, block: Block) -> None:
        """From memory alone."""
        rows = as_table(block)
        one = TailBlock(block.number, month_of(block.received_at), rows, rows.get_total_buffer_size(), time.monotonic())
        with self._changed:
            if self._flushed is None:
                self._flushed = block.number - 1
            self._blocks[block.number] = one
            self._rows += rows.num_rows
            self._bytes += one.bytes
            self._unpushed = True

    def start_after(self, block: int) -> None:
        """The table has blocks up to this one."""
        with self._changed:
            self._flushed = max(self.flushed, block)

    def unflushed(self) -> Unflushed:
        with self._changed:
            if not self._blocks:
                return Unflushed()
            first = next(iter(self._blocks.values()))
            waits = next((one.came for one in self._blocks.values() if not one.why), None)
            aside = tuple(Aside(number, self._blocks[number].why) for number in sorted(self._aside))
            return Unflushed(first.number, len(self._blocks), self._rows, self._bytes, waits, aside)

    def blocks(self) -> list[TailBlock]:
        """All, in the order of their numbers."""
        with self._changed:
            return sorted(self._blocks.values(), key=lambda one: one.number)

    def block(self, number: int) -> TailBlock | None:
        with self._changed:
            return self._blocks.get(number)

    # For readers

    @contextmanager
    def view(self, *, by_rows: bool = False) -> Iterator[SeenView]:
        """What is there now, never older than the last block published before the call. Unavailable where a block
        cannot be shown: no answer is given without it."""
        until = self._bound()
        seen = None
        while seen is None:
            if self._unpushed:
                self._push(until)
            with self._changed:
                if not by_rows and self._version % 2:
                    self._changed.wait_for(lambda: not self._version % 2, MOVE_WAIT_S)
                seen = self._see(until, by_rows=by_rows or bool(self._version % 2))
        try:
            yield seen
        finally:
            with self._changed:
                for table in seen.tables:
                    table.readers -= 1

    def _bound(self) -> int:
        until = self._until()
        with self._changed:
            return max(self._blocks, default=self.flushed) if until is None else until

    def _see(self, until: int, *, by_rows: bool) -> SeenView | None:
        """None: some of it has to be pushed first."""
        shown = [one for one in self._blocks.values() if one.number <= until]
        named = {id(one.table): one.table for one in shown}
        tables = tuple(table for table in named.values() if table is not None)
        if len(tables) < len(named):
            return None
        for table in tables:
            table.readers += 1
        aside = tuple(sorted(one.number for one in shown if one.number <= self.flushed))
        names = tuple(table.name for table in tables)
        return SeenView(View(self.flushed, until, names, aside, by_rows), self._version, tables)

    def holds(self, seen: SeenView) -> bool:
        """Whether the answer to a question of this view is one moment."""
        if not self._engine.embedded and not self._still_full(seen):
            return False
        return seen.view.by_rows or seen.version == self._version

    def _still_full(self, seen: SeenView) -> bool:
        """A table in the memory of a server is empty after its restart, and nobody says so: it is filled anew."""
        emptied = []
        for table in seen.tables:
            rows = table.rows  # more may come while it is counted, never less
            [(there,)] = self._engine.rows(f"SELECT count() FROM {table.name}")
            if there < rows:
                emptied.append(table)
        with self._changed:
            for table in emptied:
                self._give_up(table)
        return not emptied

    # Pushing

    def _push(self, until: int) -> None:
        """Blocks up to this one are in tables of the engine when it returns: whole ones, in their order."""
        with self._pushing:
            with self._changed:
                mine = [one for one in self._blocks.values() if one.table is None and one.number <= until]
                if not mine:
                    return
                table = next((one for one in self._tables if not one.closed), None)
                if table is not None:
                    table.readers += 1  # it is not dropped while it is filled
            if table is None:
                table = self._make()
            try:
                self._insert(table, mine)
            except BaseException:
                with self._changed:
                    self._give_up(table)  # what of it came in is not known
                raise
            else:
                with self._changed:
                    if table in self._tables:  # a flush may have done with it meanwhile: then there is another push
                        table.rows += sum(one.rows.num_rows for one in mine)
                        for one in mine:
                            one.table = table
                    self._unpushed = any(one.table is None for one in self._blocks.values())
            finally:
                with self._changed:
                    table.readers -= 1
            self.sweep()

    def _make(self) -> MemoryTable:
        table = MemoryTable(tail_table(self.token, next(self._numbers)), readers=1)  # who fills it
        if not self._columns:
            self._columns = columns(self._engine)
        make(self._engine, table.name, self._columns)
        with self._changed:
            self._tables.append(table)
        return table

    def _insert(self, table: MemoryTable, blocks: Sequence[TailBlock]) -> None:
        try:
            self._engine.insert(table.name, together(blocks), f"{table.name}_{blocks[-1].number}")
        except FlowtallyError:
            raise
        except Exception as error:  # refused for its content: one of them is named
            if len(blocks) > 1:
                for one in blocks:
                    self._insert(table, [one])
                return
            raise Unavailable(
                f"Block {blocks[0].number} cannot be read, so no answer is whole: {str(error)[:300]}", retry_after_s=5
            ) from error

    def _give_up(self, table: MemoryTable) -> None:
        table.closed = True
        for one in self._blocks.values():
            if one.table is table:
                one.table = None
                self._unpushed = True
        if table in self._tables:
            self._tables.remove(table)
            self._dead.append(table)

    # For the flush

    def oldest(self, most_rows: int, most_bytes: int, *, until: int | None = None) -> list[TailBlock]:
        """The first blocks of one month, published and not set aside: one where there is one, and as many as fit. The
        table they are in takes no more, so that it can go when they are in the usage table."""
        published = self._until()
        found: list[TailBlock] = []
        rows = size = 0
        with self._changed:
            for one in sorted(self._blocks.values(), key=lambda one: one.number):
                if one.why:
                    continue
                if any(bound is not None and one.number > bound for bound in (until, published)):
                    break
                rows, size = rows + one.rows.num_rows, size + one.bytes
                if found and (rows > most_rows or size > most_bytes or one.month != found[0].month):
                    break
                found.append(one)
            for table in self._tables:
                table.closed = table.closed or bool(found)
        return found

    def begin_move(self) -> None:
        """Rows of the tail may be in the table from now on, or not yet."""
        with self._changed:
            self._version += 1
            assert self._version % 2, "one move at a time"

    def end_move(self, moved: Sequence[TailBlock]) -> None:
        """These are in the table, and no others of the tail."""
        with self._changed:
            for one in moved:
                del self._blocks[one.number]
                self._aside.discard(one.number)
                self._rows -= one.rows.num_rows
                self._bytes -= one.bytes
                self._flushed = max(self.flushed, one.number)
            used = {id(one.table) for one in self._blocks.values()}
            for table in [one for one in self._tables if one.closed and id(one) not in used]:
                self._tables.remove(table)
                self._dead.append(table)
            self._version += 1
            self._changed.notify_all()

    def set_aside(self, one: TailBlock, why: str) -> None:
        """The engine takes every other block, and not this one: readers see it from here."""
        with self._changed:
            one.why = why
            self._aside.add(one.number)

    def sweep(self) -> None:
        """Drop the tables that nobody reads any more."""
        with self._changed:
            gone = [one for one in self._dead if not one.readers]
            self._dead = [one for one in self._dead if one.readers]
        for table in gone:
            with suppress(Exception):  # the next start does it
                self._engine.command(f"DROP TABLE IF EXISTS {table.name} SYNC")


def as_table(block: Block) -> Any:
    """The rows of a block with all that the table has of it."""
    rows, length = block.rows, block.rows.num_rows
    instants = rows.column("time").view(_MS)  # whole milliseconds are what it has
    table = pa.Table.from_batches([rows.set_column(rows.schema.get_field_index("time"), "time", instants)])
    table = table.append_column("block", pa.repeat(pa.scalar(block.number, pa.uint64()), length))
    return table.append_column("received_at", pa.repeat(pa.scalar(block.received_at, _MS), length))


def together(blocks: Sequence[TailBlock]) -> Any:
    """Their rows as one piece: several became several parts."""
    found: Any = pa.concat_tables([one.rows for one in blocks], promote_options="default")
    return found.unify_dictionaries().combine_chunks() if len(blocks) > 1 else found


def columns(engine: Engine) -> str:
    """Those of the usage table, in its order and with its defaults."""
    text = (
        "SELECT name, type, default_kind, default_expression FROM system.columns WHERE database = currentDatabase()"
        f" AND table = '{TABLE}' ORDER BY position"
    )
    found = engine.rows(text)
    return ", ".join(
        f"`{name}` {kind}{f' {default} {value}' if default else ''}" for name, kind, default, value in found
    )


def make(engine: Engine, name: str, of_columns: str) -> None:
    """A table in memory."""
    engine.command(f"CREATE TABLE {name} ({of_columns}) ENGINE = Memory")
