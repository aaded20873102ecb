"""The usage store over ClickHouse SQL: all verbs of `verbs.py`.

A block is in the tail or in the table, wholly there or not at all; each question is asked of both in one statement, and
its answer is one moment. Nothing here decides whether a row may be stored: duplicates are stopped before (`ingest`),
which is why there is no FINAL and no repair job.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from secrets import token_hex
from typing import Any, Final, TypeVar

import msgspec
import pyarrow as pa

from flowtally.core.errors import BadRange, Unavailable, UsageTooNew
from flowtally.core.words import Unit
from flowtally.usage import (
    commits,
    definitions,
    entries,
    erasing,
    figures,
    installation,
    own_tables,
    projections,
    queries,
    relation,
)
from flowtally.usage.checks.parts import PartsCheck
from flowtally.usage.checks.rows import RowsCheck
from flowtally.usage.compacted import Guard
from flowtally.usage.compaction import Compaction, finish
from flowtally.usage.damage import Broken
from flowtally.usage.engine import Engine
from flowtally.usage.flush import Flushing
from flowtally.usage.frozen import Freezing
from flowtally.usage.latest import Latest
from flowtally.usage.published import Publishing
from flowtally.usage.relation import View, render
from flowtally.usage.schema import MIGRATIONS_TABLE, TABLE, latest_migration, migrations
from flowtally.usage.tail import SeenView, UsageTail
from flowtally.usage.unsynced import Unsynced
from flowtally.usage.values import (
    FLUSH_ROWS,
    MAX_BLOCK,
    MAX_SUMS,
    ROWS,
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

T = TypeVar("T")
Rows = Sequence[Sequence[Any]]

TRIES: Final = 3  # the last one by rows, which no flush disturbs
NEAR = 1000  # block numbers: a block that was skipped has one before it that was not, nearly always the next


class ClickHouseStore(Publishing):
    """Usage in chDB (`chdb:///path`) or on a ClickHouse server (`clickhouse://host/database`)."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        try:
            _migrate(engine)
            finish(engine)
            self.guard = Guard(engine)
        except BaseException:
            engine.close()
            raise
        self.compaction = Compaction(engine, self.guard)
        self.rows_check = RowsCheck(
            engine, self, lambda text, asked, settings: self._ask(queries.Query(text, asked), **settings)
        )
        self.freezing = Freezing(engine, engine.path) if engine.path is not None else None
        self._first: Commit | None = None
        if engine.embedded:  # nobody else can write here
            own_tables.drop_all(engine)
        self._use(token_hex(4))

    def _use(self, token: str) -> None:
        self.latest = Latest(self.engine)
        self.tail = UsageTail(self.engine, token, self._shown)
        self.flushing = Flushing(self.engine, self.tail)

    def _shown(self) -> int | None:
        return self._published.block if self._published is not None else None

    def append(self, block: Block) -> None:
        self._announce(block)
        self.shelf.put(block)
        self.latest.append(block)
        self.tail.append(block)

    # Asking table and tail

    def _ask(self, query: queries.Query, **settings: Any) -> list[tuple[Any, ...]]:
        return self._one_moment(lambda view: query, lambda text, asked: self.engine.rows(text, asked, **settings))

    def _one_moment(self, plan: Callable[[View], queries.Query], run: Callable[[str, Mapping[str, Any]], T]) -> T:
        """What `run` answers to the question that `plan` makes of a view, of one moment: of the last block published
        when it began."""
        for tried in range(1, TRIES + 1):
            with self.tail.view(by_rows=tried == TRIES) as seen:
                query = plan(seen.view)
                found = run(render(query.text, _up_to(seen, query.until)), query.parameters)
                if self.tail.holds(seen):
                    return found
        raise Unavailable("The usage store was emptied while it was asked", retry_after_s=1)

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        span_of = {edge: index for index, edge in enumerate(edges)}
        rows = self._sums(edges, where, by, limit)
        queries.check_limit(len(rows), limit)
        self.guard.check(edges, where, by)
        return [Sum(span_of[row[0]], tuple(row[1:-3]), *row[-3:]) for row in rows]

    def _sums(self, edges: Sequence[int], where: Where, by: Sequence[str], limit: int) -> Rows:
        unbounded = msgspec.structs.replace(where, until_block=None)

        def plan(view: View) -> queries.Query:
            asked = self.latest.whole(edges) if self._announced is not None else edges
            # The projection knows no blocks. It need not, where the table has nothing that counts after the bound.
            if self._nothing_after(where, view.flushed) and not view.by_rows:
                query = queries.plan_sums(asked, unbounded, by, limit)
                return msgspec.structs.replace(query, until=where.until_block)
            return queries.plan_sums(asked, where, by, limit)

        def run(text: str, parameters: Mapping[str, Any]) -> Rows:
            try:
                return self.engine.rows(text, parameters, **queries.at_most(limit))
            except BadRange:
                raise queries.too_many(limit) from None

        return self._one_moment(plan, run)

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        query = queries.changed_since(cursor, limit)
        accounts: dict[tuple[str, str], None] = {}
        for block, changed in self._ask(query):
            if len(accounts) >= limit:
                break
            cursor = block
            accounts |= dict.fromkeys(tuple(one) for one in sorted(changed))
        return Changes(cursor, tuple(accounts))

    def block_sums(
        self, edges: Sequence[int], where: Where, *, after: tuple[int, int] | None = None, limit: int = MAX_SUMS
    ) -> list[BlockSum]:
        query = queries.block_sums(edges, where, after, limit)
        span_of = {edge: index for index, edge in enumerate(edges)}
        rows = self._ask(query)
        self.guard.check(edges, where)
        self.guard.check_unmixed(edges, where)
        return [BlockSum(block, received, span_of[span], *rest) for block, received, span, *rest in rows]

    def extent(self, start: int, end: int, where: Where) -> Extent:
        query = queries.extent(start, end, where)
        [row] = self._ask(query)
        self.guard.check((start, end), where)
        return Extent(*row)

    def first_time(self, end: int, where: Where) -> int | None:
        query = queries.first_time(end, where)
        found = self._ask(query)
        self.guard.check((0, end), where)
        return int(found[0][0]) if found else None

    def read_rows(self, start: int, end: int, where: Where, *, after: Place | None = None, limit: int) -> Any:
        query = queries.read_rows(start, end, where, after, limit)
        found = self._one_moment(lambda view: query, self.engine.arrow).rename_columns(list(ROWS))
        self.guard.check((start, end), where)
        return found

    def first_commit(self) -> Commit:
        extents = self.guard.extents
        if extents.rows:
            return Commit(extents.block, extents.received_at)
        if self._first is None:  # once there is one it stays the first
            found = self._commit(queries.first_commit())
            self._first = found if found.block else None
            return found
        return self._first

    def compacted_to(self) -> int:
        return self.guard.extents.block

    # What recovery asks

    def take_over(self, token: str) -> None:
        own_tables.drop_all(self.engine)
        self._publish_anew()
        self._use(token)
        [(last,)] = self.engine.rows(f"SELECT max(block) FROM {TABLE}")
        self.tail.start_after(last)

    def flushed(self, blocks: Sequence[int]) -> set[int]:
        text = f"SELECT DISTINCT block FROM {TABLE} WHERE block >= {{first:UInt64}} AND block <= {{last:UInt64}}"
        if not blocks:
            return set()
        asked = {"first": min(blocks), "last": max(blocks)}
        found = {row[0] for row in self.engine.rows(text, asked, optimize_use_projections=0)}
        return found.intersection(blocks)

    def unflushed(self) -> Unflushed:
        return self.tail.unflushed()

    def flush(self, rows: int = FLUSH_ROWS) -> int:
        return self.flushing.once(rows)

    def retry_aside(self) -> None:
        self.flushing.retry_aside()

    def settle(self) -> None:
        last = self.tail.blocks()
        if last:
            self.flushing.all(FLUSH_ROWS, last[-1].number)

    def identity(self) -> Identity:
        return installation.read_identity(self.engine)

    def bind(self, identity: Identity) -> None:
        installation.write_identity(self.engine, identity)

    def accounts(self) -> list[str]:
        of_tail = {name for one in self.tail.blocks() for name in one.rows.column("account").unique().to_pylist()}
        return sorted(of_tail.union(installation.accounts_of(self.engine, TABLE)) - {""})

    def totals(self) -> StoreTotals:
        text = f"SELECT sum(entries), max(block), toUnixTimestamp64Milli(max(received_at)) FROM {relation.rows('1')}"
        [(found, block, received)] = self._ask(queries.Query(text, {}))
        return StoreTotals(found, block, max(received, 0))

    def blocks_after(self, block: int) -> list[int]:
        """Numbers of the blocks above this one that have rows, ascending."""
        text = f"SELECT DISTINCT block FROM {relation.rows('block > {block:UInt64}')} ORDER BY block"
        return [row[0] for row in self._ask(queries.Query(text, {"block": block}))]

    def claims(self, block: int) -> list[ClaimedRow]:
        """Everything the keys database must know of a block's rows."""
        text = f"SELECT {entries.CLAIM} FROM {relation.rows('block = {block:UInt64}')}"
        return [ClaimedRow(*row) for row in self._ask(queries.Query(text, {"block": block}))]

    def damage(self) -> list[str]:
        """What the engine itself put aside: a detached part holds rows that no answer counts."""
        where = "WHERE database = currentDatabase() AND table = {table:String}"
        text = f"SELECT name, reason FROM system.detached_parts {where}"
        rows = self.engine.rows(text, {"table": TABLE})
        return [f"part {name} is detached ({reason or 'by hand'})" for name, reason in rows]

    def broken(self, since_block: int) -> list[Broken]:
        parts = PartsCheck(self.engine, TABLE)
        looked_at = (parts.look(part) for part in parts.since(since_block))
        return [*parts.believed(), *(one for one in looked_at if one)]

    def twice(self) -> str:
        # Rows that were compacted carry the last block of many.
        text = (
            f"SELECT block, arraySort(groupUniqArray(_part)) AS parts FROM {TABLE} WHERE keys > 0"
            " GROUP BY block HAVING length(parts) > 1 ORDER BY block LIMIT 1"
        )
        return "".join(
            f"block {block} is in the parts {' and '.join(parts)}" for block, parts in self.engine.rows(text)
        )

    def repair_projections(self, since_block: int, spoilt: Collection[str] = ()) -> list[str]:
        return projections.repair(self.engine, TABLE, since_block, spoilt)

    def find(self, source: str, *, id: str | None, sequence: int | None, block: int | None) -> StoredEvent | None:
        """The event of this key; the block, where known, makes it quick."""
        query = entries.find(source, id, sequence, block)
        rows = self._ask(query)
        return StoredEvent(*rows[0]) if rows else None

    def entry(self, source: str, id: str, block: int) -> Row | None:
        """The correction or adjustment of this key, claimed in this block."""
        query = entries.entry(source, id, block)
        rows = self._ask(query)
        return _row(rows[0]) if rows else None

    def events_of(self, keys: Sequence[EventKey]) -> dict[EventKey, StoredEvent]:
        """Those of these events that are there."""
        found: dict[EventKey, StoredEvent] = {}
        for part in entries.chunks([key.id + key.source for key in keys]):
            wanted = set(keys[part])
            for query in entries.events_of(list(wanted)):
                for row in self._ask(query):
                    event = StoredEvent(*row)
                    # The conditions are looser than the keys: an event of another pair of them is left out here.
                    if (key := _key(event)) in wanted:
                        found[key] = event
        return found

    def positions(self, keys: Sequence[EventKey]) -> dict[EventKey, str]:
        found: dict[EventKey, str] = {}
        for part in entries.chunks([key.id + key.source for key in keys]):
            query = entries.positions(keys[part])
            for source, id, block, position in self._ask(query):
                found[EventKey(source, id, block=block)] = position
        return {key: found[key] for key in keys if key in found}

    def corrections_of(self, events: Sequence[StoredEvent]) -> dict[str, list[Entry]]:
        """All corrections of each of these events, by its `reference`, in order of commit."""
        found: dict[str, list[Entry]] = {event.reference: [] for event in events}
        for part in entries.chunks([event.reference + event.account for event in events]):
            query = entries.corrections_of(events[part])
            for row in self._ask(query):
                entry = Entry(*row)
                if entry.refers_to in found:
                    found[entry.refers_to].append(entry)
        return found

    def sources_of(self, uses: Sequence[CountedUse], without: str) -> dict[CountedUse, list[str]]:
        found = self._sources_of(uses, without, standing=False)  # usually none, and this is the cheaper question
        return self._sources_of(list(found), without, standing=True)

    def _sources_of(self, uses: Sequence[CountedUse], without: str, *, standing: bool) -> dict[CountedUse, list[str]]:
        if not uses:
            return {}
        query = entries.sources_of(uses, without, standing=standing)
        rows = self._ask(query)
        return {CountedUse(*said): list(sources) for *said, sources in rows}

    def said_in(self, stretch: FigureStretch) -> list[Said]:
        return [Said(*row) for row in self._ask(figures.said_in(stretch))]

    def said_under(self, series: str, account: str, keys: Sequence[str]) -> list[Said]:
        parts = (sorted(set(keys[part])) for part in entries.chunks(keys))
        found = {row[0]: Said(*row) for part in parts for row in self._ask(figures.said_under(series, account, part))}
        return [found[key] for key in sorted(found)]

    def compacted_until(self) -> int:
        return self.guard.extents.until

    def published(self) -> Commit:
        return self._published or self._commit(queries.last_commit())

    def last_commit(self, *, block: int | None = None, at: int | None = None) -> Commit:
        last = self.published()
        if at is not None:
            later = self._block(commits.first_block(received_after=at))  # instants of receipt never go back
            block = block if not later else later - 1 if block is None else min(block, later - 1)
        if block is None or block >= last.block:
            return last
        near = self._commit(commits.commit_up_to(block, max(0, block - NEAR)))
        return near if near.block or block <= NEAR else self._commit(commits.commit_up_to(block, 0))

    def next_block(self, after: int, *, until_block: int = MAX_BLOCK) -> int | None:
        return self._block(commits.first_block(after=after, until_block=until_block)) or None

    def _block(self, query: queries.Query) -> int:
        [(found,)] = self._ask(query)
        return int(found)

    def _commit(self, query: queries.Query) -> Commit:
        [(found, received)] = self._ask(query)
        return Commit(found, max(received, 0))

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
        query = commits.moves(first, skip, limit, account, late_before, until_block)
        found = [Move(*row) for row in self._ask(query)]
        self.guard.check_block(first)
        return found

    def parts(self, edges: Sequence[int], where: Where, until_block: int) -> list[Part]:
        query = commits.parts(edges, where, until_block)
        span_of = {edge: index for index, edge in enumerate(edges)}
        rows = self._ask(query)
        self.guard.check(edges, msgspec.structs.replace(where, until_block=until_block))
        return [Part(span_of[span], *rest) for span, *rest in rows]

    def largest(self, start: int, end: int, where: Where, until_block: int, charge: Unit, limit: int) -> list[Row]:
        query = commits.largest(start, end, where, until_block, charge, limit)
        rows = self._ask(query)
        self.guard.check((start, end), msgspec.structs.replace(where, until_block=until_block))
        return [_row(row) for row in rows]

    def erase_texts(self, users: Sequence[str], tell: Tell) -> None:
        self._erase("user", users, tell)

    def with_texts(self, users: Sequence[str]) -> list[str]:
        return self._with_texts("user", users)

    def erase_texts_of_accounts(self, accounts: Sequence[str], tell: Tell) -> None:
        self._erase("account", accounts, tell)

    def accounts_with_texts(self, accounts: Sequence[str]) -> list[str]:
        return self._with_texts("account", accounts)

    def _erase(self, whose: erasing.Whose, ids: Sequence[str], tell: Tell) -> None:
        self.settle()
        erasing.erase(self.engine, TABLE, whose, ids, tell)
        if self.engine.path is not None:
            Unsynced(self.engine.path).drop_kept()

    def _with_texts(self, whose: erasing.Whose, ids: Sequence[str]) -> list[str]:
        found = self._ask(queries.Query(erasing.with_texts(whose), {"ids": list(ids)}), **erasing.SETTINGS)
        return [one for (one,) in found]

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics: many active parts are what makes queries slow."""
        text = (
            "SELECT count(), sum(rows), sum(bytes_on_disk) FROM system.parts"
            " WHERE active AND database = currentDatabase() AND table = {table:String}"
        )
        [(parts, rows, size)] = self.engine.rows(text, {"table": TABLE})
        return {"usage_parts": parts, "usage_rows": rows, "usage_bytes_on_disk": size}

    def close(self) -> None:
        """What is in the tail is the journal's."""
        self.engine.close()


def _key(event: StoredEvent) -> EventKey:
    if event.sequence:
        return EventKey(event.source, sequence=event.sequence)
    return EventKey(event.source, id=event.id, block=event.block)


def _up_to(seen: SeenView, until: int | None) -> View:
    view = seen.view
    return view if until is None else msgspec.structs.replace(view, until=min(view.until, until))


def _migrate(engine: Engine) -> None:
    definitions.check(engine, 0)
    engine.command(MIGRATIONS_TABLE)
    applied = dict(engine.rows("SELECT number, name FROM schema_migrations"))
    _refuse_newer(applied)
    definitions.check(engine, max(applied, default=0))
    tables = {row[0] for row in engine.rows("SHOW TABLES")}
    for migration in migrations():
        if migration.number in applied:
            continue
        # A crash between the one CREATE and its record: the table is there and whole, only the record is missing.
        if not (migration.number == 1 and TABLE in tables):
            for statement in migration.statements:
                engine.command(statement)
        record: Any = pa.table({"number": pa.array([migration.number], pa.uint32()), "name": [migration.name]})
        engine.insert("schema_migrations", record, f"flowtally-migration-{migration.number}")
    if applied.keys() != {migration.number for migration in migrations()}:
        definitions.check(engine, latest_migration())


def _refuse_newer(applied: Mapping[int, str]) -> None:
    known = {migration.number for migration in migrations()}
    if unknown := sorted(applied.keys() - known):
        named = ", ".join(f"{number} ({applied[number]})" for number in unknown)
        raise UsageTooNew(
            f"The usage store has schema {named}, which this flowtally does not know: it knows up to {max(known)}. "
            "Start the version that wrote it, or a later one"
        )


def _row(columns: Sequence[Any]) -> Row:
    """Event columns, then entry columns."""
    width = len(StoredEvent.__struct_fields__)
    return Row(StoredEvent(*columns[:width]), Entry(*columns[width:]))
