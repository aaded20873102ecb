"""The SQL of changes and of explanations: rows by commit, rows by kind, the largest rows. Pure.

These go to the rows, since the projection knows neither blocks nor kinds. What bounds them: the skip index on `block`,
or the primary key where an account is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from flowtally.usage.entries import ENTRY, EVENT
from flowtally.usage.queries import BOUNDS, MEASURES, SPAN, Query
from flowtally.usage.relation import rows
from flowtally.usage.values import MAX_BLOCK, Where

_COMMIT: Final = "max(block), toUnixTimestamp64Milli(argMax(received_at, block))"
CHARGED: Final = {"bytes": "toInt128(bytes_up) + bytes_down", "requests": "toInt128(requests)"}


def moves(
    first: int, skip: int, limit: int, account: str | None, late_before: int, until_block: int = MAX_BLOCK
) -> Query:
    """A row per block and account, in order of commit, from block `first` on. A block has a row at least, so without an
    account `limit` blocks are enough to look at."""
    parameters: dict[str, Any] = {"first": first, "skip": skip, "limit": limit, "late": late_before}
    inside = "block >= {first:UInt64} AND block < {end:UInt64}"
    wanted = rows(f"{inside} AND account = {{account:String}}")
    if account is None:
        # In merged parts the skip index leads nowhere: there the small column is read first, the others on a match.
        wanted = rows("1", first=inside)
        parameters["end"] = min(first + limit, until_block + 1)
    else:
        parameters |= {"account": account, "end": until_block + 1}
    text = (
        "SELECT block, toUnixTimestamp64Milli(max(received_at)), toString(series) AS s, toString(account) AS a,"
        " countIf(kind = 'use'), countIf(kind = 'use' AND toUnixTimestamp64Milli(time) < {late:Int64}),"
        " countIf(kind = 'correction'), countIf(kind = 'adjustment'),"
        f" toUnixTimestamp64Milli(min(time)), toUnixTimestamp64Milli(max(time)), {MEASURES},"
        " sumMapIf(map(usage_events.reason, toUInt64(1)), kind = 'use' AND usage_events.reason != '')"
        f" FROM {wanted}"
        " GROUP BY block, s, a ORDER BY block, s, a LIMIT {limit:UInt64} OFFSET {skip:UInt64}"
    )
    return Query(text, parameters)


def first_block(after: int | None = None, received_after: int | None = None, until_block: int = MAX_BLOCK) -> Query:
    """The lowest block after this one (up to `until_block`), or received after this instant; 0 where there is none.
    Parts that are older are left out: by the skip index, and because `received_at` is the partition key."""
    if after is not None:
        text = f"SELECT min(block) FROM {rows('block > {after:UInt64} AND block <= {until:UInt64}')}"
        return Query(text, {"after": after, "until": until_block})
    condition = "received_at > fromUnixTimestamp64Milli({at:Int64}, 'UTC')"
    return Query(f"SELECT min(block) FROM {rows(condition)}", {"at": received_after})


def commit_up_to(block: int, floor: int) -> Query:
    """The highest block up to this one, and above `floor`; zeros where there is none."""
    text = f"SELECT {_COMMIT} FROM {rows('block <= {block:UInt64} AND block > {floor:UInt64}')}"
    return Query(text, {"block": block, "floor": floor})


def parts(edges: Sequence[int], where: Where, until_block: int) -> Query:
    """A row per span, product and kind: count and sums."""
    conditions, parameters = _conditions(where, edges[0], edges[-1], until_block)
    parameters["edges"] = list(edges)
    text = (
        f"SELECT {SPAN} AS span, toString(product) AS p, toString(kind) AS k, sum(entries), {MEASURES}"
        f" FROM {rows(' AND '.join(conditions))} GROUP BY span, p, k ORDER BY span, p, k"
    )
    return Query(text, parameters)


def largest(start: int, end: int, where: Where, until_block: int, charge: str, limit: int) -> Query:
    """The rows that were charged most, or gave back most, of a span: event columns, then entry columns."""
    conditions, parameters = _conditions(where, start, end, until_block)
    parameters["limit"] = limit
    text = (
        f"SELECT {EVENT}, {ENTRY} FROM {rows(' AND '.join(conditions))}"
        f" ORDER BY abs({CHARGED[charge]}) DESC, time, block, place, key_source, sequence, id LIMIT {{limit:UInt64}}"
    )
    return Query(text, parameters)


def _conditions(where: Where, first: int, last: int, until_block: int) -> tuple[list[str], dict[str, Any]]:
    assert where.account is not None, "an explanation is of one account"
    parameters: dict[str, Any] = {"series": where.series, "account": where.account, "until": until_block}
    parameters |= {"first": first, "last": last}
    conditions = ["series = {series:String}", "account = {account:String}", *BOUNDS, "block <= {until:UInt64}"]
    for column, values in (("user", where.users), ("product", where.products)):
        if values is not None:
            parameters[f"{column}s"] = list(values)
            conditions.append(f"{column} IN {{{column}s:Array(String)}}")
    if where.without_users:
        parameters["without_users"] = list(where.without_users)
        conditions.append("user NOT IN {without_users:Array(String)}")
    if where.without_products:
        parameters["without_products"] = list(where.without_products)
        conditions.append("product NOT IN {without_products:Array(String)}")
    return conditions, parameters
