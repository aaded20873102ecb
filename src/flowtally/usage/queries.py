"""The SQL of the usage store, as pure functions from a question to text and bound parameters.

Owns the shape of the text, which decides whether the engine answers from the projection: it chooses a projection by
what a query would read, so the raw `time`, `sumIf`, `sum(a + b)`, `status` and labels miss it.
tests/usage/test_queries.py pins the text and asks EXPLAIN. Nothing from outside is ever put into the text; values are
bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from flowtally.core.errors import BadRange, BadRequest
from flowtally.core.events import LABEL
from flowtally.usage.relation import leaf, rows
from flowtally.usage.values import BUCKET_MS, DIMENSIONS, MAX_SUMS, ROWS, Place, Where

BUCKET: Final = f"intDiv(toUnixTimestamp64Milli(time), {BUCKET_MS})"
MEASURES: Final = "sum(toInt128(bytes_up)), sum(toInt128(bytes_down)), sum(toInt128(requests))"
PROJECTED: Final = frozenset({"user", "product", "account"})  # what the projection keeps apart
MAX_CUTS: Final = 5_000  # above this many cut buckets, reading rows alone is the simpler and the faster plan
MANY_USERS: Final = 200  # ids in one condition
SPAN: Final = "roundDown(toUnixTimestamp64Milli(time), {edges:Array(Int64)})"
ORDER: Final = "time, block, toString(key_source), sequence, id, toString(kind)"  # of `Place`
BOUNDS: Final = (
    "time >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')",
    "time < fromUnixTimestamp64Milli({last:Int64}, 'UTC')",
)


# What a row says of itself; a compacted one, what it is.
REASON: Final = (
    "if(keys = 0, concat(toString(entries), if(entries = 1, ' entry', ' entries'), ', rolled up'), usage_events.reason)"
)


class Query(msgspec.Struct, frozen=True):
    """`text` is rendered before it is asked (`relation`). `until`: of the tail only blocks up to this one, after which
    the table has no row that counts."""

    text: str
    parameters: dict[str, Any]
    until: int | None = None


def plan_sums(edges: Sequence[int], where: Where, by: Sequence[str], limit: int = MAX_SUMS) -> Query:
    """One statement: span start, group values, three sums. Buckets cut by an edge come from rows, the others from the
    projection; everything comes from rows where the projection does not keep the groups apart."""
    if len(edges) < 2 or any(a >= b for a, b in pairwise(edges)):
        raise AssertionError(f"edges must ascend and be at least two, got {len(edges)}")
    cut = sorted({edge // BUCKET_MS for edge in edges if edge % BUCKET_MS})
    parameters: dict[str, Any] = {"edges": list(edges), "first": edges[0], "last": edges[-1], "limit": limit + 1}
    conditions = conditions_of(where, parameters)
    groups = [_group(name, index, parameters) for index, name in enumerate(by)]
    if not PROJECTED.issuperset(by) or len(cut) > MAX_CUTS or bounds_blocks(where):
        return Query(_order(_added(_from_rows(conditions, groups), len(by)), len(by)), parameters)
    parameters |= {"first_bucket": edges[0] // BUCKET_MS, "last_bucket": -(-edges[-1] // BUCKET_MS), "cut": cut}
    projected = _from_projection(conditions, groups, bool(cut))
    if not cut:
        return Query(_order(_added(projected, len(by)), len(by)), parameters)
    of_cut = _from_rows([*conditions, f"{BUCKET} IN {{cut:Array(Int64)}}"], groups)
    return Query(_order(_added(f"{projected} UNION ALL {of_cut}", len(by)), len(by)), parameters)


def conditions_of(where: Where, parameters: dict[str, Any]) -> list[str]:
    """Which rows count, as conditions; what they compare with goes to the parameters."""
    parameters["series"] = where.series
    conditions = ["series = {series:String}"]
    if where.account is not None:
        parameters["account"] = where.account
        conditions.append("account = {account:String}")
    if where.users is not None:
        parameters["users"] = list(where.users)
        conditions.append("user IN {users:Array(String)}")
    if where.without_users:
        conditions.append(_without(where.without_users, parameters))
    if where.products is not None:
        parameters["products"] = list(where.products)
        conditions.append("product IN {products:Array(String)}")
    if where.without_products:
        parameters["without_products"] = list(where.without_products)
        conditions.append("product NOT IN {without_products:Array(String)}")
    if where.accounts is not None:
        parameters["accounts"] = list(where.accounts)
        conditions.append("account IN {accounts:Array(String)}")
    if where.after_block is not None:
        parameters["after_block"] = where.after_block
        conditions.append("block > {after_block:UInt64}")
    if where.until_block is not None:
        parameters["until_block"] = where.until_block
        conditions.append("block <= {until_block:UInt64}")
    if where.changes_only:
        assert bounds_blocks(where), "the projection does not know of what kind a row was"
        conditions.append("kind != 'use'")
    return conditions


def _without(users: Sequence[str], parameters: dict[str, Any]) -> str:
    """Many are handed over as one text: quoting them one by one takes the driver as long as the engine takes to
    answer, and holds up every other thread meanwhile. Ids are of our own making, letters, digits and `_`."""
    if len(users) <= MANY_USERS:
        parameters["without_users"] = list(users)
        return "user NOT IN {without_users:Array(String)}"
    assert not any("," in user for user in users), "an id has no comma"
    parameters["without_users"] = ",".join(users)
    return "user NOT IN splitByChar(',', {without_users:String})"


def bounds_blocks(where: Where) -> bool:
    """Whether it asks for some blocks only: the projection has all of them together."""
    return where.after_block is not None or where.until_block is not None


def _group(name: str, index: int, parameters: dict[str, Any]) -> str:
    if name.startswith(LABEL):
        parameters[f"label{index}"] = name.removeprefix(LABEL)
        return f"labels[{{label{index}:String}}]"
    if name not in DIMENSIONS:
        raise BadRequest(f"cannot group by {name!r}; one of {', '.join(DIMENSIONS)} or label:<name>", field="by")
    return "toString(status)" if name == "status" else f"toString({name})"


def _select(span: str, conditions: Sequence[str], groups: Sequence[str]) -> str:
    columns = ", ".join([f"{span} AS span", *(f"{group} AS by{index}" for index, group in enumerate(groups))])
    keys = ", ".join(["span", *(f"by{index}" for index in range(len(groups)))])
    sums = ", ".join(f"{m} AS {n}" for m, n in zip(MEASURES.split(", "), ("up", "down", "hits"), strict=True))
    return leaf(f"{columns}, {sums}", " AND ".join(conditions), then=f" GROUP BY {keys}")


def _from_projection(conditions: Sequence[str], groups: Sequence[str], cut: bool) -> str:
    # A bucket that no edge cuts lies in one span, so its first instant tells which.
    span = f"roundDown({BUCKET} * {BUCKET_MS}, {{edges:Array(Int64)}})"
    bounds = [f"{BUCKET} >= {{first_bucket:Int64}}", f"{BUCKET} < {{last_bucket:Int64}}"]
    without = [f"{BUCKET} NOT IN {{cut:Array(Int64)}}"] if cut else []
    return _select(span, [*conditions, *bounds, *without], groups)


def _from_rows(conditions: Sequence[str], groups: Sequence[str]) -> str:
    return _select(SPAN, [*conditions, *BOUNDS], groups)


def _added(selects: str, groups: int) -> str:
    """What projection, rows and tail have of a group, as one."""
    keys = ", ".join(["span", *(f"by{index}" for index in range(groups))])
    sums = "sum(up) AS up, sum(down) AS down, sum(hits) AS hits"
    return f"SELECT {keys}, {sums} FROM ({selects}) GROUP BY {keys}"


def _order(select: str, groups: int) -> str:
    keys = ", ".join(["span", *(f"by{index}" for index in range(groups))])
    names = ", ".join([keys, "up", "down", "hits"])
    return f"SELECT {names} FROM ({select}) ORDER BY {keys} LIMIT {{limit:UInt64}}"


def at_most(groups: int) -> dict[str, Any]:
    """Settings under which the engine gives up a question as soon as it has met more groups than that, before it sorts
    or hands out any. Each of its threads counts its own: what it lets pass `check_limit` counts again, exactly."""
    return {"max_rows_to_group_by": groups, "group_by_overflow_mode": "throw"}


def check_limit(found: int, limit: int) -> None:
    """The engine stops one beyond the limit: that one is the sign that there is more."""
    if found > limit:
        raise too_many(limit)


def too_many(limit: int) -> BadRange:
    return BadRange(f"This makes more than {limit} sums; ask for fewer groups or spans", limit=limit)


def changed_since(cursor: int, blocks: int) -> Query:
    """Who has rows in the next `blocks` blocks after the cursor, a row per block, in order."""
    text = (
        "SELECT block, groupUniqArray((toString(series), toString(account)))"
        f" FROM {rows('block > {cursor:UInt64} AND entries > 0')} GROUP BY block ORDER BY block LIMIT {{blocks:UInt32}}"
    )
    return Query(text, {"cursor": cursor, "blocks": blocks})


def block_sums(edges: Sequence[int], where: Where, after: tuple[int, int] | None, limit: int) -> Query:
    """A row per block and span that has rows, in order: block, instant of receipt, span start, count, three sums."""
    parameters: dict[str, Any] = {"edges": list(edges), "first": edges[0], "last": edges[-1], "limit": limit}
    conditions = [*conditions_of(where, parameters), *BOUNDS]
    if after is not None:
        parameters |= {"block": after[0], "start": edges[after[1]]}
        conditions += ["block >= {block:UInt64}", f"(block, {SPAN}) > ({{block:UInt64}}, {{start:Int64}})"]
    text = (
        f"SELECT block, toUnixTimestamp64Milli(max(received_at)) AS received, {SPAN} AS span, sum(entries) AS rows,"
        f" {MEASURES} FROM {rows(' AND '.join(conditions))}"
        " GROUP BY block, span ORDER BY block, span LIMIT {limit:UInt64}"
    )
    return Query(text, parameters)


def extent(start: int, end: int, where: Where) -> Query:
    """One row: how many entries, and three sums."""
    parameters: dict[str, Any] = {"first": start, "last": end}
    conditions = [*conditions_of(where, parameters), *BOUNDS]
    return Query(f"SELECT sum(entries), {MEASURES} FROM {rows(' AND '.join(conditions))}", parameters)


_READ: Final = {
    "time": "toUnixTimestamp64Milli(time)",
    "received_at": "toUnixTimestamp64Milli(received_at)",
    "reason": REASON,
    "ends_at": "toUnixTimestamp64Milli(ends_at)",
    "labels": "CAST(labels, 'Map(String, String)')",
} | {name: f"toString({name})" for name in ("kind", "source", "key_source", "account", "user", "product")}


def read_rows(start: int, end: int, where: Where, after: Place | None, limit: int) -> Query:
    """Rows in the order of `Place`, which begins with `time` as the table does: a page reads little more than itself.

    The columns are bare inside: an alias named like its column would take the column's place in the conditions."""
    first = start if after is None else max(start, after[0])
    parameters: dict[str, Any] = {"first": first, "last": end, "limit": limit}
    conditions = [*conditions_of(where, parameters), *BOUNDS]
    if after is not None:
        parameters |= {f"place{index}": value for index, value in enumerate(after)}
        conditions.append(
            f"({ORDER}) > (fromUnixTimestamp64Milli({{place0:Int64}}, 'UTC'), {{place1:UInt64}}, {{place2:String}},"
            " {place3:UInt64}, {place4:String}, {place5:String})"
        )
    columns = ", ".join(f"{_READ.get(name, name)} AS {name}_" for name in ROWS)
    page = f" ORDER BY {ORDER} LIMIT {{limit:UInt64}}"
    text = f"SELECT {columns} FROM {rows(' AND '.join(conditions), then=page)}{page}"
    return Query(text, parameters)


def first_time(end: int, where: Where) -> Query:
    """The instant of the first row. By `time` alone, as the table is sorted: the whole order of `read_rows` and all its
    columns take thirty times as long to say this."""
    parameters: dict[str, Any] = {"first": 0, "last": end}
    conditions = [*conditions_of(where, parameters), *BOUNDS]
    first = " ORDER BY time LIMIT 1"
    text = f"SELECT toUnixTimestamp64Milli(time) FROM {rows(' AND '.join(conditions), then=first)}{first}"
    return Query(text, parameters)


def first_commit() -> Query:
    return _commit("min")


def last_commit() -> Query:
    return _commit("max")


def _commit(pick: str) -> Query:
    """By the rows themselves: what the engine remembers of a part beside them is not read back against them."""
    instant = f"toUnixTimestamp64Milli(arg{pick.title()}(received_at, block))"
    return Query(f"SELECT {pick}(block), {instant} FROM {rows('1')}", {})
