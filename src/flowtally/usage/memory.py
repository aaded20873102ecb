"""The usage store as a list: the reference model the real one is tested against, and the fake that tests use.

Every verb is the most obvious code there is. It forgets everything when it goes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from flowtally.usage.queries import LABEL, check_limit
from flowtally.usage.store import MAX_SUMS, Block, Changes, ClaimedRow, StoredEvent, Sum, Totals, Where


class MemoryStore:
    """All three verbs over plain dicts; one at a time, from any thread."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def append(self, block: Block) -> None:
        new = [{**row, "block": block.number, "received_at": block.received_at} for row in block.rows.to_pylist()]
        self.rows = [*self.rows, *new]

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        found: dict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(lambda: [0, 0, 0])
        for row in self.rows:
            if not _counts(row, where) or not edges[0] <= row["time"] < edges[-1]:
                continue
            span = bisect_right(edges, row["time"]) - 1
            sums = found[span, tuple(_value(row, name) for name in by)]
            for index, quantity in enumerate(("bytes_up", "bytes_down", "requests")):
                sums[index] += row[quantity]
        check_limit(len(found), limit)
        return [Sum(span, group, *sums) for (span, group), sums in sorted(found.items())]

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
                values = {**row, "labels": dict(row["labels"] or ())}
                return StoredEvent(**{name: values[name] for name in StoredEvent.__struct_fields__})
        return None

    # What recovery asks

    def end_append(self, block: int) -> None:
        """Nothing is ever under way here."""

    def totals(self) -> Totals:
        last = max(self.rows, key=lambda row: int(row["block"]), default={"block": 0, "received_at": 0})
        return Totals(len(self.rows), last["block"], last["received_at"])

    def blocks_after(self, block: int) -> list[int]:
        return sorted({row["block"] for row in self.rows if row["block"] > block})

    def claims(self, block: int) -> list[ClaimedRow]:
        names = ("key_source", "id", "sequence", "digest", "mark", "position", "received_at", "product")
        return [ClaimedRow(*(row[name] for name in names)) for row in self.rows if row["block"] == block]

    def damage(self) -> list[str]:
        return []

    def repair_rollups(self, since_block: int) -> list[str]:
        return []

    def measures(self) -> dict[str, float]:
        return {"usage_rows": len(self.rows)}

    def close(self) -> None:
        """Rows stay: a test may open the same list again, as if the process had been started anew."""


def _counts(row: Mapping[str, Any], where: Where) -> bool:
    return (
        row["series"] == where.series
        and (where.account is None or row["account"] == where.account)
        and (where.users is None or row["user"] in where.users)
        and row["user"] not in where.without_users
        and (where.products is None or row["product"] in where.products)
    )


def _value(row: Mapping[str, Any], name: str) -> str:
    if name.startswith(LABEL):
        return str(dict(row["labels"] or ()).get(name.removeprefix(LABEL), ""))
    return str(row[name])
