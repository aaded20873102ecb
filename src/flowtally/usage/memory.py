"""The usage store as a list: the reference model the real one is tested against, and the fake that tests use.

Every verb is the most obvious code there is. It forgets everything when it goes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from flowtally.core.corrections import QUANTITIES, reference
from flowtally.core.events import LABEL, METERED
from flowtally.core.words import Unit
from flowtally.usage.damage import Broken
from flowtally.usage.published import Publishing
from flowtally.usage.queries import check_limit
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

TYPES: Final = {
    "labels": pa.map_(pa.string(), pa.string()),
    "block": pa.uint64(),
    "sequence": pa.uint64(),
    "entries": pa.uint64(),
} | {name: pa.int64() for name in ("time", "received_at", "ends_at", *QUANTITIES)}
LACKING: Final = {"entries": 1, "ends_at": 0}  # here nothing is ever compacted


class MemoryStore(Publishing):
    """All verbs over plain dicts; one at a time, from any thread. Nothing is kept, so nothing can be done with it."""

    compaction = None
    rows_check = None
    freezing = None

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self._identity = Identity()

    def append(self, block: Block) -> None:
        new = [{**row, "block": block.number, "received_at": block.received_at} for row in block.rows.to_pylist()]
        self.rows = [*self.rows, *new]
        self.shelf.put(block)

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        found: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(lambda: [0, 0, 0])
        for row in self._inside(edges[0], edges[-1], where):
            span = bisect_right(edges, row["time"]) - 1
            sums = found[span, tuple(_value(row, name) for name in by)]
            for index, quantity in enumerate(QUANTITIES):
                sums[index] += row[quantity]
        check_limit(len(found), limit)
        return [Sum(span, group, *sums) for (span, group), sums in sorted(found.items())]

    def block_sums(
        self, edges: Sequence[int], where: Where, *, after: tuple[int, int] | None = None, limit: int = MAX_SUMS
    ) -> list[BlockSum]:
        found: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
        for row in self._inside(edges[0], edges[-1], where):
            place = (row["block"], bisect_right(edges, row["time"]) - 1)
            if after is None or place > after:
                found[place].append(row)
        return [
            BlockSum(
                block, rows[0]["received_at"], span, len(rows), *(sum(row[name] for row in rows) for name in QUANTITIES)
            )
            for (block, span), rows in sorted(found.items())[:limit]
        ]

    def extent(self, start: int, end: int, where: Where) -> Extent:
        found = self._inside(start, end, where)
        return Extent(len(found), *(sum(row[name] for row in found) for name in QUANTITIES))

    def first_time(self, end: int, where: Where) -> int | None:
        return min((row["time"] for row in self._inside(0, end, where)), default=None)

    def read_rows(self, start: int, end: int, where: Where, *, after: Place | None = None, limit: int) -> Any:
        found = sorted(self._inside(start, end, where), key=_place)
        page = [row for row in found if after is None or _place(row) > after][:limit]
        return pa.table({name: _column(page, name) for name in ROWS})

    def first_commit(self) -> Commit:
        commits = {Commit(row["block"], row["received_at"]) for row in self.rows}
        return min(commits, key=lambda one: one.block, default=Commit(0, 0))

    def compacted_to(self) -> int:
        return 0

    def changed_since(self, cursor: int, limit: int = 1000) -> Changes:
        accounts: dict[tuple[str, str], None] = {}
        for block in sorted({row["block"] for row in self.rows if row["block"] > cursor}):
            if len(accounts) >= limit:
                break
            cursor = block
            changed = {(row["series"], row["account"]) for row in self.rows if row["block"] == block}
            accounts |= dict.fromkeys(sorted(changed))
        return Changes(cursor, tuple(accounts))

    def find(self, source: str, *, id: str | None, sequence: int | None, block: int | None) -> StoredEvent | None:
        wanted = {"key_source": source, "id": id, "sequence": sequence, "block": block, "kind": "use"}
        asked = {name: value for name, value in wanted.items() if value is not None}
        for row in self.rows:
            if all(row[name] == value for name, value in asked.items()):
                return _stored(row)
        return None

    def entry(self, source: str, id: str, block: int) -> Row | None:
        for row in self.rows:
            if _kind(row) != "use" and (row["key_source"], row["id"], row["block"]) == (source, id, block):
                return Row(_stored(row), _entry(row))
        return None

    def events_of(self, keys: Sequence[EventKey]) -> dict[EventKey, StoredEvent]:
        found: dict[EventKey, StoredEvent] = {}
        for key in keys:
            id, sequence, block = (key.id or None, None, key.block) if not key.sequence else (None, key.sequence, None)
            event = self.find(key.source, id=id, sequence=sequence, block=block)
            if event is not None:
                found[key] = event
        return found

    def corrections_of(self, events: Sequence[StoredEvent]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {event.reference: [] for event in events}
        for row in sorted(self.rows, key=lambda row: (row["block"], row.get("place", 0))):
            if row.get("kind") == "correction" and row["refers_to"] in found:
                found[row["refers_to"]].append(_entry(row))
        return found

    def sources_of(self, uses: Sequence[CountedUse], without: str) -> dict[CountedUse, list[str]]:
        found: dict[CountedUse, set[str]] = defaultdict(set)
        for row in self.rows:
            if _kind(row) == "use" and row["series"] == METERED and row["source"] != without:
                use = CountedUse(**{name: row[name] for name in CountedUse.__struct_fields__})
                if use in uses and not self._is_void(row):
                    found[use].add(row["source"])
        return {use: sorted(sources) for use, sources in found.items()}

    def _is_void(self, row: Mapping[str, Any]) -> bool:
        name = reference(row["key_source"], id=row["id"], sequence=row["sequence"])
        corrections = [one for one in self.rows if _kind(one) == "correction" and one["refers_to"] == name]
        stands = (row[name] + sum(one[name] for one in corrections) for name in QUANTITIES)
        return bool(corrections) and not any(stands)

    def said_in(self, stretch: FigureStretch) -> list[Said]:
        mine = self._inside(stretch.start, stretch.end, Where(stretch.series, stretch.account))
        return _said(
            row for row in mine if row["refers_to"].startswith(stretch.prefix) and stretch.user in (None, row["user"])
        )

    def said_under(self, series: str, account: str, keys: Sequence[str]) -> list[Said]:
        return _said(row for row in self.rows if _counts(row, Where(series, account)) and row["refers_to"] in keys)

    def compacted_until(self) -> int:
        return 0

    def published(self) -> Commit:
        if self._published is not None:
            return self._published
        commits = {Commit(row["block"], row["received_at"]) for row in self.rows}
        return max(commits, key=lambda one: one.block, default=Commit(0, 0))

    def last_commit(self, *, block: int | None = None, at: int | None = None) -> Commit:
        last = self.published()
        commits = {last} | {Commit(row["block"], row["received_at"]) for row in self.rows if row["block"] < last.block}
        until = [one for one in commits if block is None or one.block <= block]
        until = [one for one in until if at is None or one.received_at <= at]
        return max(until, key=lambda one: one.block, default=Commit(0, 0))

    def next_block(self, after: int, *, until_block: int = MAX_BLOCK) -> int | None:
        return min((row["block"] for row in self.rows if after < row["block"] <= until_block), default=None)

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
        groups: dict[tuple[int, str, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            inside = first <= row["block"] <= until_block and (account is not None or row["block"] < first + limit)
            if inside and account in (None, row["account"]):
                groups[row["block"], row["series"], row["account"]].append(row)
        return [_move(*key, rows, late_before) for key, rows in sorted(groups.items())][skip : skip + limit]

    def parts(self, edges: Sequence[int], where: Where, until_block: int) -> list[Part]:
        found: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for row in self._explained(edges[0], edges[-1], where, until_block):
            sums = found[bisect_right(edges, row["time"]) - 1, row["product"], _kind(row)]
            for index, value in enumerate((1, row["bytes_up"], row["bytes_down"], row["requests"])):
                sums[index] += value
        return [Part(*key, *sums) for key, sums in sorted(found.items())]

    def largest(self, start: int, end: int, where: Where, until_block: int, charge: Unit, limit: int) -> list[Row]:
        def order(row: Row) -> tuple[Any, ...]:
            one = row.event
            charged = one.requests if charge == "requests" else one.bytes_up + one.bytes_down
            return -abs(charged), one.time, one.block, row.entry.place, row.entry.source, one.sequence, one.id

        rows = (Row(_stored(row), _entry(row)) for row in self._explained(start, end, where, until_block))
        return sorted(rows, key=order)[:limit]

    def _explained(self, start: int, end: int, where: Where, until_block: int) -> list[dict[str, Any]]:
        found = [row for row in self.rows if _counts(row, where) and start <= row["time"] < end]
        return [row for row in found if row["block"] <= until_block]

    def _inside(self, start: int, end: int, where: Where) -> list[dict[str, Any]]:
        return [row for row in self.rows if _counts(row, where) and start <= row["time"] < end]

    # What recovery asks

    def take_over(self, token: str) -> None:
        self._publish_anew()  # and nothing is ever under way here

    def unflushed(self) -> Unflushed:
        return Unflushed()

    def flushed(self, blocks: Sequence[int]) -> set[int]:
        return {row["block"] for row in self.rows}.intersection(blocks)

    def flush(self, rows: int = FLUSH_ROWS) -> int:
        return 0

    def retry_aside(self) -> None:
        """The list takes every block."""

    def settle(self) -> None:
        """What was taken is in the list already."""

    def identity(self) -> Identity:
        return self._identity

    def bind(self, identity: Identity) -> None:
        self._identity = identity

    def accounts(self) -> list[str]:
        return sorted({row["account"] for row in self.rows if row["account"]})

    def totals(self) -> StoreTotals:
        last = max(self.rows, key=lambda row: int(row["block"]), default={"block": 0, "received_at": 0})
        return StoreTotals(len(self.rows), last["block"], last["received_at"])

    def blocks_after(self, block: int) -> list[int]:
        return sorted({row["block"] for row in self.rows if row["block"] > block})

    def claims(self, block: int) -> list[ClaimedRow]:
        names = ("key_source", "id", "sequence", "digest", "mark", "position", "received_at", "product")
        return [ClaimedRow(*(row[name] for name in names)) for row in self.rows if row["block"] == block]

    def positions(self, keys: Sequence[EventKey]) -> dict[EventKey, str]:
        found = {(row["key_source"], row["id"], row["block"]): row["position"] for row in self.rows}
        asked = {key: found.get((key.source, key.id, key.block)) for key in keys}
        return {key: position for key, position in asked.items() if position is not None}

    def damage(self) -> list[str]:
        return []

    def broken(self, since_block: int) -> list[Broken]:
        return []

    def twice(self) -> str:
        return ""

    def repair_projections(self, since_block: int, spoilt: Collection[str] = ()) -> list[str]:
        return []

    def erase_texts(self, users: Sequence[str], tell: Tell) -> None:
        self.rows = [_without_texts(row) if _is_of(row, users) else row for row in self.rows]

    def with_texts(self, users: Sequence[str]) -> list[str]:
        rows = [row for row in self.rows if _is_of(row, users)]
        return sorted({row["user"] for row in rows if row["labels"] or _written_reason(row)})

    def erase_texts_of_accounts(self, accounts: Sequence[str], tell: Tell) -> None:
        mine = (row["account"] in accounts for row in self.rows)
        self.rows = [
            _without_names(_without_texts(row)) if is_mine else row
            for row, is_mine in zip(self.rows, mine, strict=True)
        ]

    def accounts_with_texts(self, accounts: Sequence[str]) -> list[str]:
        rows = [row for row in self.rows if row["account"] in accounts]
        return sorted({row["account"] for row in rows if row["labels"] or _written_reason(row) or _has_names(row)})

    def measures(self) -> dict[str, float]:
        return {"usage_rows": len(self.rows)}

    def close(self) -> None:
        """Rows stay: a test may open the same list again, as if the process had been started anew."""


def _said(rows: Iterable[Mapping[str, Any]]) -> list[Said]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["refers_to"]].append(row)
    return [_sum_of(key, found[key]) for key in sorted(found)]


def _sum_of(key: str, rows: Sequence[Mapping[str, Any]]) -> Said:
    first = min(rows, key=lambda row: (row["block"], row["place"]))
    sums = (sum(row[name] for row in rows) for name in ("bytes_down", "requests"))
    return Said(key, min(row["time"] for row in rows), first["user"], first["product"], len(rows), *sums)


def _stored(row: Mapping[str, Any]) -> StoredEvent:
    values = {"reason": "", **row, "labels": dict(row["labels"] or ())}
    return StoredEvent(**{name: values[name] for name in StoredEvent.__struct_fields__})


def _entry(row: Mapping[str, Any]) -> Entry:
    values = {"reason": "", "place": 0, **row, "source": row["key_source"]}
    return Entry(**{name: values[name] for name in Entry.__struct_fields__})


def _written_reason(row: Mapping[str, Any]) -> str:
    """The reason that somebody wrote; that of use is the rule by which a reading was counted."""
    return "" if _kind(row) == "use" else str(row.get("reason", ""))


def _without_texts(row: dict[str, Any]) -> dict[str, Any]:
    kept = row.get("reason", "") if _kind(row) == "use" else ""
    return {**row, "labels": {}, "reason": kept}


def _is_of(row: Mapping[str, Any], users: Sequence[str]) -> bool:
    """Elsewhere than among our own measurements no user is one of ours, whatever it is called."""
    return bool(row["series"] == METERED and row["user"] in users)


def _has_names(row: Mapping[str, Any]) -> bool:
    return bool(row["series"] != METERED and (row["user"] or row.get("refers_to")))


def _without_names(row: dict[str, Any]) -> dict[str, Any]:
    return row if row["series"] == METERED else {**row, "user": "", "refers_to": ""}


def _kind(row: Mapping[str, Any]) -> str:
    return str(row.get("kind", "use"))


def _move(block: int, series: str, account: str, rows: Sequence[Mapping[str, Any]], late_before: int) -> Move:
    kinds = [_kind(row) for row in rows]
    times = [row["time"] for row in rows]
    late = sum(kind == "use" and time < late_before for kind, time in zip(kinds, times, strict=True))
    counts = (kinds.count("use"), late, kinds.count("correction"), kinds.count("adjustment"))
    up, down, requests = (sum(row[name] for row in rows) for name in QUANTITIES)
    flags = Counter(row["reason"] for row in rows if _kind(row) == "use" and row.get("reason"))
    sums = (min(times), max(times), up, down, requests)
    return Move(block, rows[0]["received_at"], series, account, *counts, *sums, dict(flags))


def _counts(row: Mapping[str, Any], where: Where) -> bool:
    return (
        row["series"] == where.series
        and (where.account is None or row["account"] == where.account)
        and (where.users is None or row["user"] in where.users)
        and row["user"] not in where.without_users
        and row["product"] not in where.without_products
        and (where.products is None or row["product"] in where.products)
        and (where.accounts is None or row["account"] in where.accounts)
        and (where.after_block is None or row["block"] > where.after_block)
        and (where.until_block is None or row["block"] <= where.until_block)
        and not (where.changes_only and _kind(row) == "use")
    )


def _place(row: Mapping[str, Any]) -> Place:
    return (row["time"], row["block"], row["key_source"], row["sequence"], row["id"], row["kind"])


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    values = [
        list(dict(row["labels"] or ()).items()) if name == "labels" else row.get(name, LACKING.get(name, ""))
        for row in rows
    ]
    return pa.array(values, pa.uint16() if name == "status" else TYPES.get(name, pa.string()))


def _value(row: Mapping[str, Any], name: str) -> str:
    if name.startswith(LABEL):
        return str(dict(row["labels"] or ()).get(name.removeprefix(LABEL), ""))
    return str(row[name])
