"""May a question be answered where old rows were compacted? Only if the answer is the one the rows would have given.

Owns the questions that find a compacted row in the way, as SQL, and the refusal that names it. A compacted row stands
for all use of one user and product in a quarter hour at most, so whatever is cut at quarter hours is answered as ever.
Nothing is asked where nothing is compacted, or where the question is of a later time than all that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from flowtally.core.edges import format_instant
from flowtally.core.errors import RowsCompacted
from flowtally.usage.engine import Engine
from flowtally.usage.queries import BOUNDS, PROJECTED, Query, conditions_of
from flowtally.usage.schema import TABLE
from flowtally.usage.values import BUCKET_MS, Where, month_end, month_of

TIME: Final = "toUnixTimestamp64Milli(time)"
LAST: Final = "toUnixTimestamp64Milli(ends_at) - 1"
_NONE: Final[Mapping[str, object]] = MappingProxyType({})


class Extents(msgspec.Struct, frozen=True):
    """How far the compacted rows reach: all their instants are before `until`, their blocks up to `block`, received up
    to `received_at`. `surplus`: how many more entries than rows there are in the store."""

    rows: int = 0
    until: int = 0
    block: int = 0
    received_at: int = 0
    surplus: int = 0

    @property
    def kept_since(self) -> int:
        """Rows received from this instant on are as they came in: the month after the last that was compacted."""
        return month_end(month_of(self.received_at))


def read_extents(engine: Engine, *tables: str) -> Extents:
    """Of everything in these tables, read once at the start and then moved by whoever compacts."""
    found = Extents()
    for table in tables:
        columns = "count(), toUnixTimestamp64Milli(max(ends_at)), max(block), toUnixTimestamp64Milli(max(received_at))"
        [row] = engine.rows(f"SELECT {columns} FROM {table} WHERE keys = 0")
        values = zip((found.until, found.block, found.received_at), row[1:], strict=True)
        found = Extents(found.rows + row[0], *(max(before, after) for before, after in values))
    [(surplus,)] = engine.rows("SELECT toInt64(sum(entries)) - toInt64(count()) FROM usage_events")
    return msgspec.structs.replace(found, surplus=surplus)


class Guard:
    """Refuses what cannot be answered exactly. Call it after the question: what is compacted between the two is in the
    extents already, so an answer made of half of it is never given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.extents = read_extents(engine, TABLE)

    def expect(self, *staged: str) -> None:
        """What is compacted is refused from now on to whoever needs its rows: of the table, and of those staged."""
        self.extents = read_extents(self._engine, TABLE, *staged)

    def check(self, edges: Sequence[int], where: Where, by: Sequence[str] = ()) -> None:
        """RowsCompacted where an edge, a bound on blocks or a dimension asks for more than is kept."""
        if edges[0] < self.extents.until:
            self._check_edges(edges, where)
            self._check_blocks(edges, where)
            if fine := [name for name in by if name not in PROJECTED]:
                self._refuse_any(edges, where, "1", f"It is kept by user and product; not by {fine[0]}")

    def check_unmixed(self, edges: Sequence[int], where: Where) -> None:
        """For a question by block: no row stands for several of them."""
        self._refuse_any(edges, where, "first_block < block", "It is no longer kept block by block")

    def check_block(self, first: int) -> None:
        """For what is told block by block, from `first` on."""
        if first <= self.extents.block:
            raise self._refusal(f"Up to block {self.extents.block} it is no longer kept block by block")

    def _check_edges(self, edges: Sequence[int], where: Where) -> None:
        fine = [edge for edge in edges if edge % BUCKET_MS and edge < self.extents.until]
        if not fine or not self.extents.rows:
            return
        # The greatest cut up to an instant differs between its first and its last: then one lies inside.
        cuts = "{cuts:Array(Int64)}"
        crossed = f"roundDown({TIME}, {cuts}) != roundDown({LAST}, {cuts})"
        inside = f"intDiv({TIME}, {BUCKET_MS}) IN {{cut:Array(Int64)}} AND {crossed}{_counts_in_part(where)}"
        parameters = {"cuts": [-1, *fine], "cut": sorted({edge // BUCKET_MS for edge in fine})}
        query = find(_of_all_blocks(where), fine[0] // BUCKET_MS * BUCKET_MS, fine[-1], inside, parameters)
        for time, last in self._engine.rows(query.text, query.parameters):
            edge = next(edge for edge in fine if time < edge <= last)
            before = edge // BUCKET_MS * BUCKET_MS
            raise self._refusal(
                f"It cannot be cut at {format_instant(edge)}; at {format_instant(before)} or"
                f" {format_instant(before + BUCKET_MS)} it can",
                edge=format_instant(edge),
                before=format_instant(before),
                after=format_instant(before + BUCKET_MS),
            )

    def _check_blocks(self, edges: Sequence[int], where: Where) -> None:
        for bound in (where.after_block, where.until_block):
            if bound is not None and bound < self.extents.block:
                inside = f"first_block <= {bound:d} AND block > {bound:d}"
                told = f"It is no longer known as of block {bound}; as of block {self.extents.block} it is"
                self._refuse_any(edges, _of_all_blocks(where), inside, told)

    def _refuse_any(self, edges: Sequence[int], where: Where, condition: str, told: str) -> None:
        if self.extents.rows and edges[0] < self.extents.until:
            query = find(where, edges[0], edges[-1], condition)
            if self._engine.rows(query.text, query.parameters):
                raise self._refusal(told)

    def _refusal(self, told: str, **extra: str) -> RowsCompacted:
        since = format_instant(self.extents.kept_since)
        return RowsCompacted(
            f"Usage received before {since} is compacted by quarter hours. {told}",
            kept_since=since,
            kept_since_block=self.extents.block,
            **extra,
        )


def _of_all_blocks(where: Where) -> Where:
    """A compacted row may stand for rows of several kinds, too."""
    return msgspec.structs.replace(where, after_block=None, until_block=None, changes_only=False)


def _counts_in_part(where: Where) -> str:
    """Some of what the row stands for is of the blocks that are asked for. That the row itself has one of them says
    less: a bound may lie between its first and its last."""
    until = "" if where.until_block is None else f" AND first_block <= {where.until_block:d}"
    return until if where.after_block is None else f"{until} AND block > {where.after_block:d}"


def find(where: Where, start: int, end: int, condition: str, parameters: Mapping[str, object] = _NONE) -> Query:
    """One compacted row that counts for the question and has what is asked: its first and its last instant."""
    bound: dict[str, object] = {"first": start, "last": end, **parameters}
    conditions = [*conditions_of(where, bound), *BOUNDS, "keys = 0", condition]
    text = f"SELECT {TIME}, {LAST} FROM usage_events WHERE {' AND '.join(conditions)} LIMIT 1"
    return Query(text, bound)
