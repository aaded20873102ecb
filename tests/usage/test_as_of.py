"""Usage as it stood at a block, by block, and row by row: the same sentences for the list and for the engine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.usage.blocks import block

from flowtally.usage import queries
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.queries import plan_sums
from flowtally.usage.store import UsageStore
from flowtally.usage.values import BUCKET_MS, ROWS, BlockSum, Commit, Place, Sum, Where
from flowtally.usage.verbs import UsageReader

ALL: Final = [0, 1000 * BUCKET_MS]


# -- the text ---------------------------------------------------------------------------------------------------------


def test_a_bound_on_blocks_is_asked_from_rows_because_the_projection_does_not_know_blocks() -> None:
    query = plan_sums([0, BUCKET_MS], Where(account="acme", after_block=3, until_block=7), ("user",))
    assert query.text == (
        "SELECT span, by0, up, down, hits FROM ("
        "SELECT span, by0, sum(up) AS up, sum(down) AS down, sum(hits) AS hits FROM ("
        "/*rows*/SELECT roundDown(toUnixTimestamp64Milli(time), {edges:Array(Int64)}) AS span,"
        " toString(user) AS by0, sum(toInt128(bytes_up)) AS up, sum(toInt128(bytes_down)) AS down,"
        " sum(toInt128(requests)) AS hits FROM usage_events"
        " WHERE series = {series:String} AND account = {account:String}"
        " AND block > {after_block:UInt64} AND block <= {until_block:UInt64}"
        " AND time >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')"
        " AND time < fromUnixTimestamp64Milli({last:Int64}, 'UTC')"
        " GROUP BY span, by0/*end*/) GROUP BY span, by0) ORDER BY span, by0 LIMIT {limit:UInt64}"
    )
    assert (query.parameters["after_block"], query.parameters["until_block"]) == (3, 7)


def test_accounts_are_chosen_in_the_projection() -> None:
    query = plan_sums([0, BUCKET_MS], Where(accounts=("a", "b")), ("account",))
    assert "account IN {accounts:Array(String)}" in query.text
    assert "first_bucket" in query.text


def test_rows_are_asked_in_the_order_the_table_has_them() -> None:
    query = queries.read_rows(5, 9, Where(account="acme", until_block=7), (6, 1, "gw", 0, "it's", "use"), 10)
    assert "ORDER BY time, block, toString(key_source), sequence, id, toString(kind) LIMIT {limit:UInt64}" in query.text
    assert "account = {account:String} AND block <= {until_block:UInt64} AND time >= from" in query.text
    assert "it's" not in query.text
    assert query.parameters["first"] == 6  # nothing before the place is read again


def test_changes_of_blocks_are_asked_by_block_and_span_in_order() -> None:
    query = queries.block_sums([0, 5], Where(account="acme", after_block=3), (4, 0), 10)
    assert "GROUP BY block, span ORDER BY block, span LIMIT {limit:UInt64}" in query.text
    assert "block > {after_block:UInt64}" in query.text


# -- sentences --------------------------------------------------------------------------------------------------------


def test_sums_until_a_block_are_what_was_known_then(store: UsageStore) -> None:
    store.append(block(2, {"time": 1, "bytes_up": 1}))
    store.append(block(5, {"time": 1, "bytes_up": 10}, {"time": 2, "bytes_up": 100}))
    asked = {n: store.sums(ALL, Where(until_block=n)) for n in (0, 1, 2, 4, 5, 9)}
    assert [sum(one.bytes_up for one in asked[n]) for n in asked] == [0, 0, 1, 1, 111, 111]
    assert store.sums(ALL, Where(after_block=2)) == [Sum(0, (), 110, 0, 2)]
    assert store.sums(ALL, Where(after_block=2, until_block=4)) == []


def test_changes_alone_are_corrections_and_adjustments_of_the_blocks_that_are_asked_for(store: UsageStore) -> None:
    store.append(block(2, {"time": 1, "bytes_up": 1}, {"time": 1, "bytes_up": 10, "kind": "correction"}))
    store.append(
        block(
            5,
            {"time": 1, "bytes_up": 100},
            {"time": 2, "bytes_up": -3, "kind": "correction", "user": "ann"},
            {"time": 2, "bytes_up": 1000, "kind": "adjustment", "requests": 0},
        )
    )
    changed = [Sum(0, ("",), 1000, 0, 0), Sum(0, ("ann",), -3, 0, 1)]
    assert store.sums(ALL, Where(after_block=2, changes_only=True), ("user",)) == changed
    assert store.sums(ALL, Where(until_block=4, changes_only=True)) == [Sum(0, (), 10, 0, 1)]


def test_commits_are_found_by_block_and_by_instant(store: UsageStore) -> None:
    assert store.last_commit() == store.first_commit() == Commit(0, 0)
    store.append(block(2, {}, received_at=1_700_000_000_000))
    store.append(block(3, {}, received_at=1_700_000_000_000))
    store.append(block(7, {}, received_at=1_700_000_000_500))
    assert store.first_commit() == Commit(2, 1_700_000_000_000)
    assert store.last_commit() == Commit(7, 1_700_000_000_500)
    assert [store.last_commit(block=n).block for n in (1, 2, 6, 7, 99)] == [0, 2, 3, 7, 7]
    found = [store.last_commit(at=1_700_000_000_000 + ms).block for ms in (-1, 0, 499, 500, 10**9)]
    assert found == [0, 3, 3, 7, 7]


def test_a_block_says_what_it_brought_to_each_span(store: UsageStore) -> None:
    store.append(block(1, {"time": 1, "bytes_up": 1}))
    store.append(block(4, {"time": 1, "bytes_up": -1}, {"time": 15, "bytes_up": 3}, {"time": 16, "bytes_down": 4}))
    found = store.block_sums([0, 10, 20], Where())
    expected = [BlockSum(1, 1000, 0, 1, 1, 0, 1), BlockSum(4, 4000, 0, 1, -1, 0, 1), BlockSum(4, 4000, 1, 2, 3, 4, 2)]
    assert found == expected
    assert store.block_sums([0, 10, 20], Where(after_block=1)) == expected[1:]
    assert store.block_sums([0, 10, 20], Where(), limit=2) == expected[:2]
    assert store.block_sums([0, 10, 20], Where(), after=(4, 0)) == expected[2:]


def test_rows_come_as_they_are_stored_by_time(store: UsageStore) -> None:
    labels = {"country": "de", "it's": "ü"}
    store.append(block(1, {"time": 9, "id": "b", "labels": labels, "status": 404, "bytes_up": 2**53 - 1}))
    store.append(block(2, {"time": 3, "id": "a", "sequence": 2**63, "kind": "correction", "refers_to": "gw/b"}))
    table = store.read_rows(0, 10, Where(account="acme"), limit=10)
    assert tuple(table.column_names) == ROWS
    first, second = table.to_pylist()
    assert (first["time"], first["kind"], first["refers_to"], first["sequence"]) == (3, "correction", "gw/b", 2**63)
    assert (second["id"], second["status"], second["bytes_up"]) == ("b", 404, 2**53 - 1)
    assert (dict(second["labels"]), second["block"], second["received_at"]) == (labels, 1, 1000)
    assert store.read_rows(0, 9, Where(until_block=1), limit=10).num_rows == 0


# -- laws -------------------------------------------------------------------------------------------------------------

_series: Final = count(1)
a_row = st.fixed_dictionaries(
    {
        "account": st.sampled_from(["a", "b"]),
        "product": st.sampled_from(["p", "q"]),
        "time": st.one_of(st.just(7), st.integers(0, 3 * BUCKET_MS)),
        "bytes_up": st.integers(-(2**63), 2**63 - 1),
        "kind": st.sampled_from(["use", "correction", "adjustment"]),
    }
)
many = st.lists(st.lists(a_row, min_size=1, max_size=5), min_size=1, max_size=5)


def fill(engine: ClickHouseStore, blocks: Sequence[Sequence[dict[str, Any]]]) -> tuple[MemoryStore, str, list[int]]:
    reference, series, numbers = MemoryStore(), f"as of {next(_series)}", []
    for rows in blocks:
        number = engine.last_commit().block + 1
        mine = [row | {"series": series, "id": f"{number}-{index}"} for index, row in enumerate(rows)]
        engine.append(block(number, *mine))
        reference.append(block(number, *mine))
        numbers.append(number)
    return reference, series, numbers


def pages(store: UsageReader, where: Where, limit: int) -> list[dict[str, Any]]:
    """All rows, page by page."""
    found: list[dict[str, Any]] = []
    after: Place | None = None
    while (table := store.read_rows(0, 10 * BUCKET_MS, where, after=after, limit=limit)).num_rows:
        rows = table.to_pylist()
        assert len(rows) <= limit
        found += rows
        last = rows[-1]
        after = tuple(last[name] for name in ("time", "block", "key_source", "sequence", "id", "kind"))
    return found


@settings(max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=many,
    cuts=st.lists(st.integers(0, 4 * BUCKET_MS), min_size=2, max_size=5, unique=True).map(sorted),
    limit=st.integers(1, 4),
    data=st.data(),
)
def test_the_engine_knows_every_past_moment_as_the_reference_does(
    written: ClickHouseStore, blocks: list[list[dict[str, Any]]], cuts: list[int], limit: int, data: st.DataObject
) -> None:
    reference, series, numbers = fill(written, blocks)
    until = data.draw(st.sampled_from([numbers[0] - 1, *numbers]))
    then = Where(series, "a", until_block=until)
    since = Where(series, after_block=until, accounts=("b", "a"))
    for where in (then, since):
        assert written.sums(cuts, where, ("product",)) == reference.sums(cuts, where, ("product",))
        assert written.block_sums(cuts, where) == reference.block_sums(cuts, where)
        assert pages(written, where, limit) == pages(reference, where, limit + 1)
    # Then and since are everything, whatever the moment.
    parts = [*written.sums(cuts, Where(series, until_block=until)), *written.sums(cuts, since)]
    whole = written.sums(cuts, Where(series))
    assert sum(one.bytes_up for one in parts) == sum(one.bytes_up for one in whole)
