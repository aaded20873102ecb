"""What the rows say of themselves: the engine's half of `verify`, as questions of bounded size.

Owns the SQL. Every question is about the rows of blocks up to one block, which never change, so writing goes on; they
are asked of the table and the rows not flushed into it yet, but for what is about parts. One thread of the engine does
the work: readers and the writer keep the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, Protocol

import msgspec
import xxhash
from clickhouse_connect.driver.exceptions import ClickHouseError

from flowtally.core.errors import StoreDamaged
from flowtally.core.events import MAX_QUANTITY, METERED
from flowtally.usage import projections, relation
from flowtally.usage.checks.parts import look_at_all
from flowtally.usage.checks.sums import SETTINGS, Ask, SumsCheck
from flowtally.usage.damage import Broken
from flowtally.usage.engine import Engine
from flowtally.usage.entries import CLAIM
from flowtally.usage.fingerprint import BUCKET_SQL, CONTENT_SQL, NUMBERS, BucketDigests
from flowtally.usage.schema import TABLE
from flowtally.usage.values import Aside, ClaimedRow, EventKey, Tell, Unflushed
from flowtally.usage.verbs import Claims, Texts, UsageReader, Wholeness

LISTED: Final = 20  # of one kind of damage in one answer
BLOCKS: Final = 200_000  # blocks looked at in one question
GROUPS: Final = 300_000  # groups of a projection held by the engine at a time
_UP_TO: Final = "block <= {block:UInt64}"


class RowFacts(msgspec.Struct, frozen=True):
    """The rows up to a block, as a whole: as many entries as keys; `rolled_up` entries have no row of their own."""

    rows: int
    keys: int
    compacted: int
    last_block: int
    last_received_at: int
    impossible: int  # rows no door lets in: a negative use, a quantity beyond the limits, a mark below its number


class RowPart(msgspec.Struct, frozen=True):
    name: str
    rows: int
    groups: int  # of its largest projection; 0 where it has none


class Keyed(msgspec.Struct, frozen=True):
    """One named row."""

    source: str
    id: str
    digest: int
    block: int


class Numbered(msgspec.Struct, frozen=True):
    """Rows of a source in a range of numbers: how many, and the sum of the numbers' hashes."""

    range: int
    rows: int
    sum: int


class SourceRows(msgspec.Struct, frozen=True):
    """A source by its rows. `position` is what its last block left, empty where that left none."""

    name: str
    named: int
    numbered: int
    mark: int
    position: str


class Group(msgspec.Struct, frozen=True):
    """Sums of an account (bytes up, bytes down, requests), by its rows and by the projection of this name."""

    name: str
    series: str
    account: str
    rows: tuple[int, int, int]
    projection: tuple[int, int, int]


class AuditedUsage(UsageReader, Claims, Wholeness, Texts, Protocol):
    """What is asked of the store itself, to be compared with the rows."""

    def unflushed(self) -> Unflushed: ...


class RowsCheck:
    """Questions about the rows of one store; any thread. `ask`: a text (`relation`), its parameters and settings, of
    table and tail as one moment."""

    def __init__(self, engine: Engine, store: AuditedUsage, ask: Ask) -> None:
        self._engine = engine
        self._store = store
        self._asked = ask

    @property
    def reader(self) -> UsageReader:
        """What answers are made from, to be compared with the rows."""
        return self._store

    def sums(self, block: int) -> SumsCheck:
        """What the rows of blocks up to this one add up to."""
        return SumsCheck(self._asked, block)

    def damage(self) -> list[str]:
        return self._store.damage()

    def aside(self) -> tuple[Aside, ...]:
        """Blocks that the table does not take: they are asked for all the same."""
        return self._store.unflushed().aside

    def broken(self, tell: Tell) -> tuple[int, list[Broken]]:
        """How many parts there are, and those that are not what was written."""
        return look_at_all(self._engine, tell)

    def above(self, block: int) -> list[tuple[int, int]]:
        """(block, rows) of blocks above this one, the first few."""
        text = f"SELECT block, sum(keys) FROM {TABLE} WHERE block > {{block:UInt64}} GROUP BY block ORDER BY block"
        return [(row[0], row[1]) for row in self._ask(f"{text} LIMIT {LISTED}", block=block)]

    def in_block(self, block: int) -> int:
        return int(self._ask(f"SELECT sum(keys) FROM {relation.rows('block = {block:UInt64}')}", block=block)[0][0])

    def in_blocks(self, blocks: Sequence[int]) -> dict[int, int]:
        """How many rows each of these blocks has that bear keys; those that have some."""
        where = "block >= {first:UInt64} AND block <= {last:UInt64}"
        text = f"SELECT block, sum(keys) FROM {relation.rows(where)} GROUP BY block"
        found = dict(self._ask(text, first=min(blocks), last=max(blocks)))
        return {block: int(found[block]) for block in blocks if found.get(block)}

    def facts(self, block: int) -> RowFacts:
        signed = " OR ".join(
            f"{name} < 0 OR {name} > {MAX_QUANTITY}" for name in ("bytes_up", "bytes_down", "requests")
        )
        text = (
            "SELECT sum(entries), sum(keys), sumIf(entries, keys = 0), max(block),"
            " toUnixTimestamp64Milli(max(received_at)),"
            f" countIf(if(keys = 0, key_source != '' OR sequence > 0 OR ends_at <= time OR first_block > block,"
            f" (kind = 'use' AND ({signed})) OR mark < sequence OR key_source = ''))"
            f" FROM {relation.rows(_UP_TO)}"
        )
        rows, keys, compacted, last, received, impossible = self._ask(text, block=block)[0]
        return RowFacts(rows, keys, compacted, last, max(received, 0), impossible)

    def torn_blocks(self, block: int) -> Iterator[tuple[int, list[int]]]:
        """Blocks whose rows have more than one instant of receipt, some thousand blocks at a time: (looked at up to,
        found)."""
        text = (
            f"SELECT block FROM {relation.rows('block > {low:UInt64} AND block <= {high:UInt64}')} GROUP BY block"
            f" HAVING min(received_at) != max(received_at) ORDER BY block LIMIT {LISTED}"
        )
        low = 0
        while first := self._next_block(low):  # numbers are not dense: after a restore they go on from the clock
            if first > block:
                return
            high = min(first - 1 + BLOCKS, block)
            yield high, [row[0] for row in self._ask(text, low=first - 1, high=high)]
            low = high

    # Projections: parts are never changed, only replaced by merges

    def parts(self, block: int, without: Sequence[str] = ()) -> list[RowPart]:
        """The active parts with rows of blocks up to this one; `without`: not these, which cannot be read."""
        text = (
            f"SELECT _part, count() FROM {TABLE} WHERE block <= {{block:UInt64}}"
            " AND _part NOT IN {without:Array(String)} GROUP BY _part ORDER BY _part"
        )
        groups = dict(
            self._ask(
                "SELECT parent_name, max(rows) FROM system.projection_parts WHERE active"
                " AND database = currentDatabase() AND table = {table:String} GROUP BY parent_name",
                table=TABLE,
            )
        )
        return [
            RowPart(name, rows, int(groups.get(name, 0)))
            for name, rows in self._ask(text, block=block, without=list(without))
        ]

    def is_active(self, part: str) -> bool:
        text = (
            "SELECT count() FROM system.parts WHERE active AND database = currentDatabase()"
            " AND table = {table:String} AND name = {part:String}"
        )
        return bool(self._ask(text, table=TABLE, part=part)[0][0])

    def slices(self, part: RowPart) -> int:
        """In how many portions `agrees` looks at a part."""
        return 1 + part.groups // GROUPS

    def agrees(self, part: RowPart, portion: int) -> bool:
        """Whether every group of this portion of a part has the same sums in the projection as in the rows."""
        return projections.agrees(self._engine, TABLE, part.name, (portion, self.slices(part)), **SETTINGS)

    def rebuild(self, partition: str) -> None:
        """The projections of a month, from its rows; for who has the store for himself."""
        projections.rebuild(self._engine, TABLE, partition)

    def differing_accounts(self, part: RowPart) -> tuple[list[str], list[Group]]:
        """Projections of a part that cannot be read, and of the others the accounts whose sums differ, the first
        few."""
        by_rows = projections.by_account(self._engine, TABLE, part.name, projection=None, **SETTINGS)
        unreadable: list[str] = []
        found: list[Group] = []
        for name in projections.PROJECTIONS:
            try:
                projected = projections.by_account(self._engine, TABLE, part.name, projection=name, **SETTINGS)
            except (ClickHouseError, StoreDamaged):
                unreadable.append(name)
                continue
            none = (0, 0, 0)
            differing = sorted(
                one for one in projected.keys() | by_rows.keys() if projected.get(one) != by_rows.get(one)
            )
            found += [Group(name, *one, by_rows.get(one, none), projected.get(one, none)) for one in differing[:LISTED]]
        return unreadable, found

    # Keys and numbers

    def digest_named(self, block: int) -> BucketDigests:
        """All named rows, digested as `BucketDigests` does keys."""
        text = (
            f"SELECT {BUCKET_SQL} AS bucket, count(), {CONTENT_SQL}"
            f" FROM {relation.rows(f'sequence = 0 AND keys > 0 AND {_UP_TO}')} GROUP BY bucket"
        )
        digests = BucketDigests()
        for bucket, count, content in self._ask(text, block=block):
            digests.counts[bucket] = count
            digests.sums[bucket] = content
        return digests

    def named_in(self, buckets: Sequence[int], block: int) -> list[Keyed]:
        """The named rows of these buckets."""
        where = f"sequence = 0 AND keys > 0 AND {_UP_TO} AND {BUCKET_SQL} IN {{buckets:Array(UInt64)}}"
        text = f"SELECT toString(key_source), id, digest, block FROM {relation.rows(where)}"
        return [Keyed(*row) for row in self._ask(text, block=block, buckets=list(buckets))]

    def positions(self, keys: Sequence[EventKey]) -> dict[EventKey, str]:
        """Where the rows of readings say that their counters stand."""
        return self._store.positions(keys)

    def sources(self, block: int, part: int, parts: int) -> dict[str, SourceRows]:
        """Sources with rows, of one class out of `parts` (by hash of the name)."""
        text = (
            "SELECT toString(key_source), sumIf(keys, sequence = 0), sumIf(keys, sequence > 0), max(mark),"
            " if(maxIf(block, position != '') = max(block), argMaxIf(position, block, position != ''), '')"
            f" FROM {relation.rows(f'{_UP_TO} AND keys > 0 AND {_CLASS}')} GROUP BY key_source"
        )
        rows = self._ask(text, block=block, part=part, parts=parts)
        return {row[0]: SourceRows(*row) for row in rows}

    def numbers(self, block: int, part: int, parts: int) -> dict[str, dict[int, Numbered]]:
        """Numbered rows of the sources of one class, by source and range of `NUMBERS` numbers."""
        text = (
            f"SELECT source, intDiv(number, {NUMBERS}) AS range, count(), sum(intHash64(number))"
            f" FROM (SELECT toString(key_source) AS source, {_NUMBER} AS number"
            f" FROM {relation.rows(f'sequence > 0 AND {_UP_TO} AND {_CLASS}')}) GROUP BY source, range"
        )
        found: dict[str, dict[int, Numbered]] = {}
        for name, *row in self._ask(text, block=block, part=part, parts=parts):
            found.setdefault(name, {})[row[0]] = Numbered(*row)
        return found

    def numbers_in(self, source: str, span: int, block: int) -> dict[int, int]:
        """How many rows each number of one range of a source has."""
        where = (
            f"key_source = {{source:String}} AND sequence > 0 AND {_UP_TO}"
            f" AND intDiv(sequence, {NUMBERS}) >= {{span:UInt64}}"
            f" AND intDiv(sequence - greatest(keys, 1) + 1, {NUMBERS}) <= {{span:UInt64}}"
        )
        text = (
            f"SELECT number, count() FROM (SELECT {_NUMBER} AS number FROM {relation.rows(where)})"
            f" WHERE intDiv(number, {NUMBERS}) = {{span:UInt64}} GROUP BY number"
        )
        return dict(self._ask(text, source=source, span=span, block=block))

    def next_blocks(self, after: int, rows: int) -> list[tuple[int, int]]:
        """(block, rows) of the next blocks after this one, at least one and then as many as have `rows` rows."""
        first = self._next_block(after)
        if not first:
            return []
        where = "block > {after:UInt64} AND block < {end:UInt64} AND keys > 0"
        text = f"SELECT block, sum(keys) AS c FROM {relation.rows(where)} GROUP BY block ORDER BY block"
        found: list[tuple[int, int]] = []
        for block, count in self._ask(text, after=after, end=first + BLOCKS):
            if found and rows < count:
                break
            rows -= count
            found.append((block, count))
        return found

    def _next_block(self, after: int) -> int:
        """The lowest block above this one that has rows; 0 where there is none."""
        return int(self._ask(f"SELECT min(block) FROM {relation.rows('block > {after:UInt64}')}", after=after)[0][0])

    def claims(self, first: int, last: int) -> Iterator[tuple[int, list[ClaimedRow]]]:
        """What the keys must know of the rows of these blocks (both included), block by block."""
        where = "block >= {first:UInt64} AND block <= {last:UInt64}"
        text = f"SELECT block, {CLAIM} FROM {relation.rows(where)} ORDER BY block"
        rows = self._ask(text, first=first, last=last)
        for block, mine in groupby(rows, key=lambda row: int(row[0])):
            yield block, [ClaimedRow(*row[1:]) for row in mine]

    def users(self, part: int, parts: int) -> list[tuple[str, str]]:
        """(account, user id) of all rows, of one class out of `parts`; from the projection. What providers said names
        no user of ours."""
        mine = "account != '' AND cityHash64(account, user) % {parts:UInt64} = {part:UInt64}"
        whose = f"toString(account) AS a, if(series = '{METERED}', toString(user), '') AS u"
        some = relation.leaf(whose, mine, then=" GROUP BY series, account, user")
        text = f"SELECT DISTINCT a, u FROM ({some})"
        return [(row[0], row[1]) for row in self._ask(text, part=part, parts=parts, optimize_use_projections=1)]

    def with_texts(self, users: Sequence[str]) -> list[str]:
        """Those of these users that have rows with labels or reasons."""
        return self._store.with_texts(users)

    def accounts_with_texts(self, accounts: Sequence[str]) -> list[str]:
        """Those of these accounts that have rows with labels or reasons."""
        return self._store.accounts_with_texts(accounts)

    def count_users(self) -> int:
        some = relation.leaf("uniqCombinedState(account, user) AS some", "account != ''")
        text = f"SELECT uniqCombinedMerge(some) FROM ({some})"
        return int(self._ask(text, optimize_use_projections=1)[0][0])

    def _ask(self, text: str, *, optimize_use_projections: int = 0, **parameters: Any) -> list[tuple[Any, ...]]:
        settings = SETTINGS | {"optimize_use_projections": optimize_use_projections}
        return self._asked(text, parameters, settings)


def class_of(source: str, parts: int) -> int:
    """The class of a source's name, as the SQL has it."""
    return xxhash.xxh64_intdigest(source.encode()) % parts


_NUMBER: Final = "toUInt64(sequence - arrayJoin(range(keys)))"  # each of a run
_CLASS: Final = "xxHash64(toString(key_source)) % {parts:UInt64} = {part:UInt64}"
