"""The text of the questions, and that the engine answers them from the projection.

The optimiser takes a projection when the query reads nothing that the projection lacks, so a harmless looking change of
the text can make every answer twenty times slower without changing it. Hence the text is pinned, and EXPLAIN is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import pytest
from msgspec.structs import replace
from tests.usage.blocks import block

from flowtally.core.errors import BadRequest
from flowtally.usage import queries
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.projections import PROJECTIONS
from flowtally.usage.queries import MAX_CUTS, plan_sums
from flowtally.usage.values import BUCKET_MS, MAX_SUMS, Where

DAY_MS: Final = 86_400_000
BASE: Final = 1_767_225_600_000  # 2026-01-01
ROWS: Final = 5_000_000
STEP_MS: Final = 1_500  # 5 M rows over 87 days
PROJECTED: Final = re.compile(r"ReadFromMergeTree \((buckets|account_buckets)\)")
FROM_ROWS: Final = re.compile(r"ReadFromMergeTree \(\w+\.usage_events\)")


def test_aligned_edges_ask_the_projection_alone() -> None:
    query = plan_sums([0, BUCKET_MS], Where(account="acme"), ("user",))
    assert query.text == (
        "SELECT span, by0, up, down, hits FROM ("
        "SELECT span, by0, sum(up) AS up, sum(down) AS down, sum(hits) AS hits FROM ("
        "/*rows*/SELECT roundDown(intDiv(toUnixTimestamp64Milli(time), 900000) * 900000, {edges:Array(Int64)}) AS span,"
        " toString(user) AS by0, sum(toInt128(bytes_up)) AS up, sum(toInt128(bytes_down)) AS down,"
        " sum(toInt128(requests)) AS hits FROM usage_events"
        " WHERE series = {series:String} AND account = {account:String}"
        " AND intDiv(toUnixTimestamp64Milli(time), 900000) >= {first_bucket:Int64}"
        " AND intDiv(toUnixTimestamp64Milli(time), 900000) < {last_bucket:Int64}"
        " GROUP BY span, by0/*end*/) GROUP BY span, by0) ORDER BY span, by0 LIMIT {limit:UInt64}"
    )
    assert query.parameters["edges"] == [0, BUCKET_MS]
    assert query.parameters["limit"] == MAX_SUMS + 1
    assert (query.parameters["first_bucket"], query.parameters["last_bucket"]) == (0, 1)


def test_a_few_users_are_left_out_by_a_list_and_many_by_one_text() -> None:
    """The text is what it always was for the few; quoting thousands of ids is what made a balance slow."""
    few = plan_sums([0, BUCKET_MS], Where(without_users=("u1", "u2")), ())
    assert "AND user NOT IN {without_users:Array(String)}" in few.text
    assert few.parameters["without_users"] == ["u1", "u2"]
    many = plan_sums([0, BUCKET_MS], Where(without_users=tuple(f"u{n}" for n in range(201))), ())
    assert "AND user NOT IN splitByChar(',', {without_users:String})" in many.text
    assert many.parameters["without_users"] == ",".join(f"u{n}" for n in range(201))


def test_a_cut_bucket_is_asked_from_rows_and_left_out_of_the_projection() -> None:
    query = plan_sums([5, 3 * BUCKET_MS], Where(), ())
    compacted, rows = query.text.split(" UNION ALL ")
    assert query.parameters["cut"] == [0]
    assert "NOT IN {cut:Array(Int64)}" in compacted
    assert "time >=" not in compacted
    assert "intDiv(toUnixTimestamp64Milli(time), 900000) IN {cut:Array(Int64)}" in rows
    assert "time >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')" in rows


def test_what_the_projection_does_not_keep_apart_is_asked_from_rows() -> None:
    for by in (("status",), ("source",), ("label:country",), ("user", "status")):
        text = plan_sums([0, BUCKET_MS], Where(), by).text
        assert "UNION" not in text
        assert "first_bucket" not in text
    assert "labels[{label0:String}] AS by0" in plan_sums([0, 1], Where(), ("label:x') OR 1",)).text


def test_too_many_cut_buckets_are_asked_from_rows() -> None:
    few, many = ([index * BUCKET_MS + 1 for index in range(count)] for count in (MAX_CUTS, MAX_CUTS + 1))
    assert "UNION ALL" in plan_sums(few, Where(), ()).text
    assert "UNION ALL" not in plan_sums(many, Where(), ()).text


def test_nothing_from_outside_stands_in_the_text() -> None:
    where = Where("it's a series", "it's an account", ("it's a user",), ("it's a product",), ("it's another",))
    for by in (("user", "label:it's a label"), ("product",)):
        assert "it's" not in plan_sums([0, 1], where, by).text


@pytest.mark.parametrize("name", ["id", "time", "labels", "label", "", "user; DROP TABLE usage_events"])
def test_an_unknown_dimension_is_refused(name: str) -> None:
    with pytest.raises(BadRequest):
        plan_sums([0, 1], Where(), (name,))


@pytest.mark.parametrize("edges", [[], [5], [5, 5], [5, 4], [1, 2, 2]])
def test_edges_must_ascend(edges: list[int]) -> None:
    with pytest.raises(AssertionError):
        plan_sums(edges, Where(), ())


def test_changes_are_asked_by_block_in_order() -> None:
    query = queries.changed_since(7, 10)
    assert "SELECT * FROM usage_events WHERE block > {cursor:UInt64} AND entries > 0/*end*/" in query.text
    assert query.text.endswith(" GROUP BY block ORDER BY block LIMIT {blocks:UInt32}")
    assert query.parameters == {"cursor": 7, "blocks": 10}


# -- EXPLAIN, over five million rows --------------------------------------------------------------------------------


class Explained:
    """How the engine would answer."""

    def __init__(self, store: ClickHouseStore, edges: Sequence[int], where: Where, by: Sequence[str] = ()) -> None:
        query = plan_sums(edges, where, by)
        rows = store.engine.rows(f"EXPLAIN indexes = 1 {query.text}", query.parameters)
        self.text = "\n".join(row[0] for row in rows)
        found = PROJECTED.search(self.text)
        self.from_projection = found is not None
        self.projection = found.group(1) if found else None
        self.from_rows = FROM_ROWS.search(self.text) is not None
        reads = [part.split("Granules: ")[1] for part in self.text.split("ReadFromMergeTree ")[1:]]
        self.granules = [int(read.split()[0]) for read in reads]


@pytest.fixture(scope="module")
def big(chdb_directory: str) -> Iterator[ClickHouseStore]:
    """Five million events of 50 accounts and 200 users over 87 days, made by the engine itself."""
    from flowtally.usage.engine import Engine

    store = ClickHouseStore(Engine(f"chdb://{chdb_directory}?database=five_million"))
    store.engine.command(
        "INSERT INTO usage_events (series, account, user, product, source, id, time, status, bytes_up, bytes_down,"
        " requests, kind, block, received_at) SELECT 'metered', concat('acc', toString(number % 50)),"
        " concat('u', toString(number % 200)), 'residential', 'gw', '',"
        f" fromUnixTimestamp64Milli(toInt64({BASE} + number * {STEP_MS}), 'UTC'), number % 3, number % 10000,"
        f" number % 1000000, 1, 'use', 1 + intDiv(number, 1000000), fromUnixTimestamp64Milli(toInt64({BASE}), 'UTC')"
        f" FROM numbers({ROWS}) SETTINGS min_insert_block_size_rows = 5000000"
    )
    yield store
    store.engine.command("DROP TABLE usage_events SYNC")
    store.close()


DAYS: Final = [BASE + day * DAY_MS for day in range(87)]
ONE: Final = Where(account="acc3")
SOME: Final = Where(account="acc3", users=("u3",), products=("residential",))
OTHERS: Final = Where(account="acc3", without_users=("u3", "u53"))
OTHER_PRODUCTS: Final = Where(account="acc3", without_products=("mobile", "api"))
MANY_OTHERS: Final = Where(account="acc3", without_users=tuple(f"u{n}" for n in range(1000)))


@pytest.mark.parametrize("by", [(), ("user",), ("product",), ("account", "user", "product")])
@pytest.mark.parametrize(
    "where",
    [
        Where(),
        ONE,
        Where(account="acc3", users=("u3",), products=("residential",)),
        OTHERS,
        MANY_OTHERS,
        OTHER_PRODUCTS,
    ],
)
def test_aligned_edges_are_answered_from_the_projection_alone(
    big: ClickHouseStore, by: tuple[str, ...], where: Where
) -> None:
    for edges in (DAYS, [BASE, BASE + BUCKET_MS], [-DAY_MS, 4_000_000_000_000 // BUCKET_MS * BUCKET_MS]):
        plan = Explained(big, edges, where, by)
        assert plan.from_projection, plan.text
        assert not plan.from_rows, plan.text


def test_what_does_not_ask_for_users_reads_the_projection_without_users(big: ClickHouseStore) -> None:
    # Users are as many as events here, so the projection with users has a row for every event.
    assert Explained(big, DAYS, Where()).projection == "account_buckets"
    assert Explained(big, DAYS, Where(), ("account", "product")).projection == "account_buckets"
    assert Explained(big, DAYS, ONE, ("user",)).projection == "buckets"


def test_rows_are_read_for_the_cut_buckets_only(big: ClickHouseStore) -> None:
    plan = Explained(big, [BASE + 5, BASE + 80 * DAY_MS + 1], ONE)
    assert plan.from_projection, plan.text
    assert plan.from_rows, plan.text
    # 100,000 rows of this account are in at least 12 granules per part; two buckets are in one or two of them.
    assert plan.granules[1] <= 2 * int(big.measures()["usage_parts"]) * 2, plan.text


def test_a_day_by_status_reads_that_day_of_that_account_only(big: ClickHouseStore) -> None:
    plan = Explained(big, [BASE + DAY_MS, BASE + 2 * DAY_MS], ONE, ("status",))
    assert not plan.from_projection
    assert plan.granules[0] <= 2 * int(big.measures()["usage_parts"]), plan.text


def test_a_page_of_rows_is_read_in_the_order_of_the_table_and_little_more_than_itself(big: ClickHouseStore) -> None:
    after = (BASE + 80 * DAY_MS, 1, "", 0, "", "use")
    query = queries.read_rows(0, BASE + 90 * DAY_MS, replace(ONE, until_block=5), after, 1000)
    plan = "\n".join(row[0] for row in big.engine.rows(f"EXPLAIN indexes = 1 {query.text}", query.parameters))
    assert "Read type: InOrder" in plan
    last = [int(granules) for granules in re.findall(r"Granules: (\d+)/", plan)][-1]
    assert last <= 3 * int(big.measures()["usage_parts"]), plan


def test_when_something_was_first_used_is_read_in_the_order_of_the_table(big: ClickHouseStore) -> None:
    first = big.read_rows(0, BASE + 90 * DAY_MS, ONE, limit=1).column("time")[0].as_py()
    assert big.first_time(BASE + 90 * DAY_MS, ONE) == big.first_time(first + 1, ONE) == first
    assert big.first_time(first, ONE) is None
    query = queries.first_time(BASE + 90 * DAY_MS, replace(ONE, until_block=5))
    plan = "\n".join(row[0] for row in big.engine.rows(f"EXPLAIN {query.text}", query.parameters))
    assert "Read type: InOrder" in plan


def test_every_plan_gives_the_same_total(big: ClickHouseStore) -> None:
    ups = [number % 10_000 for number in range(3, ROWS, 50)]
    for edges in (DAYS, [DAYS[0], *(day + 7 for day in DAYS[:-1]), DAYS[-1]], [BASE + 1, DAYS[-1]]):
        for by in ((), ("user",), ("status",)):
            rows = big.sums(edges, ONE, by)
            last = (edges[-1] - 1 - BASE) // STEP_MS
            first = -(-(edges[0] - BASE) // STEP_MS)
            mine = range(max(0, -(-(first - 3) // 50)), (last - 3) // 50 + 1)
            assert sum(row.requests for row in rows) == len(mine)
            assert sum(row.bytes_up for row in rows) == sum(ups[index] for index in mine)


def test_a_projection_is_there_after_every_flush_however_small(flushed: ClickHouseStore) -> None:
    flushed.append(block(1, {"time": 5}))
    plan = Explained(flushed, [0, BUCKET_MS], Where())
    # The engine may prefer one granule of rows to one granule of a projection; but the projection must be there.
    for projection in PROJECTIONS:
        text = f"SELECT count() FROM mergeTreeProjection(currentDatabase(), usage_events, {projection})"
        assert flushed.engine.rows(text) == [(1,)]
    assert plan.from_projection or plan.from_rows
