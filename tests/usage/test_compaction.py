"""Rows compacted answer every question as the rows did, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.usage.blocks import block
from tests.usage.ways import emptied

from flowtally.core.errors import RowsCompacted
from flowtally.usage import compaction
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import BUCKET_MS, Closed, Cuts, Where
from flowtally.usage.verbs import UsageReader

JANUARY: Final = 1_767_225_600_000  # 2026
FEBRUARY: Final = JANUARY + 31 * 86_400_000
MONTH: Final = 202601
ACCOUNTS: Final = ("a", "b")
REFUSED: Final = "compacted"


@pytest.fixture
def clickhouse(flushed: ClickHouseStore) -> ClickHouseStore:
    """A month is compacted long after all of it is in the table."""
    return flushed


def said(*_: object) -> None:
    """Nobody listens."""


def compact(store: ClickHouseStore, cuts: Cuts = Cuts((), ())) -> None:  # noqa: B008 - frozen
    [month] = [one for one in compaction.months(store.engine) if one.month == MONTH]
    compaction.stage(store.engine, month, cuts, said)
    store.guard.expect(compaction.STAGING)
    compaction.put_in_place(store.engine, month)
    compaction.discard(store.engine, MONTH)
    store.guard.expect()


an_instant = st.one_of(st.integers(0, 3 * BUCKET_MS), st.sampled_from([5, 6, 7, BUCKET_MS, BUCKET_MS - 1]))
a_row = st.fixed_dictionaries(
    {
        "account": st.sampled_from(ACCOUNTS),
        "product": st.sampled_from(["p", "q"]),
        "user": st.sampled_from(["", "u"]),
        "time": an_instant,
        "bytes_up": st.one_of(st.integers(-9, 9), st.integers(-(2**63), 2**63 - 1)),
        "bytes_down": st.integers(0, 2**53 - 1),
        "kind": st.sampled_from(["use", "correction", "adjustment"]),
        "status": st.sampled_from([200, 404]),
    }
)
some_blocks = st.lists(st.lists(a_row, min_size=1, max_size=6), min_size=1, max_size=6)
some_later = st.lists(st.lists(a_row, min_size=1, max_size=3), max_size=3)
some_cuts = st.sets(st.tuples(st.sampled_from(ACCOUNTS), an_instant), max_size=4)
some_closings = st.lists(
    st.tuples(st.sampled_from(ACCOUNTS), an_instant, st.integers(1, 2 * BUCKET_MS), st.integers(1, 6)), max_size=3
)


def filled(engine: ClickHouseStore, blocks: Sequence[Sequence[dict[str, Any]]]) -> MemoryStore:
    """The same rows in both, an even block's events numbered."""
    emptied(engine)
    engine.guard.expect()
    reference, mark = MemoryStore(), 0
    for number, rows in enumerate(blocks, start=1):
        mine = []
        for index, row in enumerate(rows):
            key: dict[str, Any] = {"id": f"{number}-{index}", "digest": number * 100 - index}
            if number % 2 == 0:
                mark += 1 + index % 2  # with holes
                key = {"key_source": "log", "sequence": mark}
            mine.append(row | key)
        last = mark if number % 2 == 0 else 0
        mine = [row | {"mark": last, "position": f"at {last}" if row.get("sequence") == last else ""} for row in mine]
        engine.append(block(number, *mine, received_at=JANUARY + number))
        reference.append(block(number, *mine, received_at=JANUARY + number))
    return reference


def add(store: ClickHouseStore, reference: MemoryStore, later: Sequence[Sequence[dict[str, Any]]], last: int) -> int:
    """Blocks of the month after it, in both; which is the last one."""
    for number, rows in enumerate(later, start=last + 1):
        mine = [row | {"id": f"{number}-{index}"} for index, row in enumerate(rows)]
        for one in (store, reference):
            one.append(block(number, *mine, received_at=FEBRUARY + number))
    return last + len(later)


def answer(store: UsageReader, question: str, *args: Any, **more: Any) -> Any:
    try:
        found = getattr(store, question)(*args, **more)
    except RowsCompacted:
        return REFUSED
    return found


@given(some_blocks, some_later, some_cuts, some_closings, st.data())
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_compacted_rows_answer_like_rows_or_not_at_all(
    written: ClickHouseStore,
    blocks: list[list[dict[str, Any]]],
    following: list[list[dict[str, Any]]],
    cuts: set[tuple[str, int]],
    closings: list[tuple[str, int, int, int]],
    data: st.DataObject,
) -> None:
    """All of the month is in the table when it is compacted; what comes after it lies in any way."""
    rows = filled(written, blocks)
    written.settle()
    closed = sorted((Closed(a, start, start + length, at) for a, start, length, at in closings), key=lambda c: c.block)
    own = {(one.account, edge) for one in closed for edge in (one.starts_at, one.ends_at)}
    before = claims(written, len(blocks))
    compact(written, Cuts(tuple(sorted(cuts | own)), tuple(closed)))
    last = add(written, rows, following, len(blocks))
    edges: Any = sorted(data.draw(st.sets(an_instant, min_size=2, max_size=5)))
    for account in ACCOUNTS:
        mine = [0, *sorted({at for name, at in cuts if name == account} - {0}), 4 * BUCKET_MS]
        where = data.draw(
            st.sampled_from([Where(account=account), Where(account=account, users=("u",)), Where(products=("p",))])
        )
        for whole in ([0, BUCKET_MS, 2 * BUCKET_MS, 4 * BUCKET_MS], mine):
            both = msgspec.structs.replace(where, account=account)
            assert written.sums(whole, both, ("user", "product")) == rows.sums(whole, both, ("user", "product"))
        bound = data.draw(st.integers(0, last))
        for block_bound in ({}, {"until_block": bound}, {"after_block": bound}):
            asked = msgspec.structs.replace(where, **block_bound)
            for question in ("sums", "block_sums"):
                assert answer(written, question, edges, asked) in (answer(rows, question, edges, asked), REFUSED)
        parts = (edges, Where(account=account), bound)
        assert answer(written, "parts", *parts) in (answer(rows, "parts", *parts), REFUSED)
        everything = ([0, 4 * BUCKET_MS], Where(account=account), last)
        assert written.parts(*everything) == rows.parts(*everything)
    for one in closed:
        span = [one.starts_at, one.ends_at]
        for where in (
            Where(account=one.account, until_block=one.block),
            Where(account=one.account, after_block=one.block),
        ):
            assert written.sums(span, where, ("product",)) == rows.sums(span, where, ("product",))
        later = Where(account=one.account, after_block=one.block)
        assert written.block_sums(span, later) == rows.block_sums(span, later)
    assert written.totals() == rows.totals()
    assert claims(written, len(blocks)) == before


@pytest.mark.parametrize("where", [Where(account="acme", until_block=1), Where(account="acme", after_block=1)])
def test_a_row_that_an_edge_and_a_bound_on_blocks_cut_at_once_is_in_the_way(
    clickhouse: ClickHouseStore, where: Where
) -> None:
    """It begins before the edge, so it is none that begins in the range; its last block is after the bound."""
    first = [{"time": 1000, "bytes_up": 1}, {"time": 5000, "bytes_up": 20}]
    filled(clickhouse, [first, [{"time": 6000, "bytes_up": 300}]])
    compact(clickhouse)
    with pytest.raises(RowsCompacted):
        clickhouse.sums([4795, 97051], where, ())


def test_a_row_of_other_blocks_alone_is_in_nobodys_way(clickhouse: ClickHouseStore) -> None:
    first: list[dict[str, Any]] = [{"user": "u", "time": 7000, "bytes_up": 1}]
    second: list[dict[str, Any]] = [
        {"user": "v", "time": 1000, "bytes_up": 20},
        {"user": "v", "time": 6000, "bytes_up": 300},
    ]
    filled(clickhouse, [first, second])
    compact(clickhouse)
    [found] = clickhouse.sums([4795, 97051], Where(account="acme", until_block=1), ())
    assert found.bytes_up == 1


def claims(store: ClickHouseStore, blocks: int) -> Any:
    """What keys can be made of, by both ways; a position belongs to the block."""
    whole = {number: sorted(store.claims(number), key=repr) for number in range(1, blocks + 1)}
    audited = {number: sorted(mine, key=repr) for number, mine in store.rows_check.claims(1, blocks)}
    assert audited == whole
    return {
        number: (
            [(one.source, one.id if not one.sequence else "", one.sequence, one.digest if not one.sequence else 0,
              one.mark, one.received_at) for one in mine],
            sorted({(one.source, one.position) for one in mine if one.position}),
        )
        for number, mine in whole.items()
    }  # fmt: skip


@pytest.mark.parametrize("by", ["status", "source", "label:country"])
def test_what_compacting_dropped_is_refused(clickhouse: ClickHouseStore, by: str) -> None:
    clickhouse.append(block(1, {"time": 1}, received_at=JANUARY))
    compact(clickhouse)
    with pytest.raises(RowsCompacted) as refused:
        clickhouse.sums([0, BUCKET_MS], Where(account="acme"), (by,))
    assert refused.value.extra["kept_since"] == "2026-02-01T00:00:00Z"
    assert clickhouse.sums([BUCKET_MS, 2 * BUCKET_MS], Where(account="acme"), (by,)) == []


def test_an_edge_inside_a_compacted_row_is_named_with_the_quarter_hours_around_it(clickhouse: ClickHouseStore) -> None:
    clickhouse.append(block(1, {"time": 10}, {"time": 20}, received_at=JANUARY))
    compact(clickhouse)
    for edge in (10, 21, 900):
        assert len(clickhouse.sums([0, edge, BUCKET_MS], Where(account="acme"))) == 1
    with pytest.raises(RowsCompacted) as refused:
        clickhouse.sums([0, 20, BUCKET_MS], Where(account="acme"))
    names = ("edge", "before", "after")
    assert [refused.value.extra[name] for name in names] == [
        "1970-01-01T00:00:00.020Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:15:00Z",
    ]
    assert clickhouse.sums([0, 20, BUCKET_MS], Where(account="nobody")) == []


def test_the_rows_become_few_and_are_shown_as_what_they_are(clickhouse: ClickHouseStore) -> None:
    many = [{"time": n, "id": str(n), "bytes_up": 1} for n in range(500)]
    clickhouse.append(block(1, *many, received_at=JANUARY))
    clickhouse.append(
        block(2, *({"key_source": "log", "sequence": n, "mark": 500} for n in range(1, 501)), received_at=JANUARY)
    )
    compact(clickhouse)
    [(rows, entries, keys)] = clickhouse.engine.rows("SELECT count(), sum(entries), sum(keys) FROM usage_events")
    assert (rows, entries, keys) == (1 + 500 + 1, 1000, 1000)
    [row] = clickhouse.read_rows(0, BUCKET_MS, Where(account="acme"), limit=10).to_pylist()
    assert (row["time"], row["ends_at"], row["entries"], row["reason"]) == (0, 500, 1000, "1000 entries, rolled up")
    [shown] = clickhouse.largest(0, BUCKET_MS, Where(account="acme"), 2, "bytes", 5)
    assert (shown.event.bytes_up, shown.entry.reason) == (500, "1000 entries, rolled up")
    assert clickhouse.find("gw", id="3", sequence=None, block=1) is None
    assert clickhouse.find("log", id=None, sequence=3, block=None) is None
    with pytest.raises(RowsCompacted):
        clickhouse.moves(1, 0, 10)
    assert (clickhouse.first_commit().block, clickhouse.last_commit().block, clickhouse.next_block(1)) == (2, 2, 2)


def test_a_month_is_compacted_again_when_rows_were_added_to_it(clickhouse: ClickHouseStore) -> None:
    clickhouse.append(block(1, {"time": 1, "id": "a", "bytes_up": 1}, received_at=JANUARY))
    compact(clickhouse)
    assert compaction.months(clickhouse.engine) == []
    clickhouse.append(block(2, {"time": 2, "id": "b", "bytes_up": 10}, received_at=JANUARY))
    compact(clickhouse)
    assert clickhouse.totals().rows == 2
    assert clickhouse.sums([0, BUCKET_MS], Where(account="acme"))[0].bytes_up == 11


def test_what_a_provider_said_stays_as_it_is(clickhouse: ClickHouseStore) -> None:
    """Its rows add up by keys, which a compacted row has not, and the vendor may say otherwise any day."""
    key: dict[str, Any] = {"series": "thor", "refers_to": "day 1 bob", "key_source": "provider:thor"}
    clickhouse.append(block(1, key | {"id": "k#0", "time": 1, "bytes_down": 9, "user": "bob"}, received_at=JANUARY))
    assert compaction.months(clickhouse.engine) == [], "there is nothing to make fewer"
    clickhouse.append(
        block(
            2,
            *({"time": 2, "id": f"e{n}", "bytes_up": 1} for n in range(5)),
            key | {"id": "k#1", "time": 10**9, "bytes_down": -2, "user": "bob", "kind": "correction", "place": 1},
            received_at=JANUARY,
        )
    )
    [month] = compaction.months(clickhouse.engine)
    assert (month.rows, month.until) == (5, 3)
    rows, claimed = clickhouse.read_rows(0, 2 * 10**9, Where("thor"), limit=9), claims(clickhouse, 2)
    compact(clickhouse)
    assert clickhouse.read_rows(0, 2 * 10**9, Where("thor"), limit=9) == rows
    assert claims(clickhouse, 2) == claimed
    [stands] = clickhouse.said_under("thor", "acme", ["day 1 bob"])
    assert (stands.rows, stands.bytes_down) == (2, 7)
    assert clickhouse.read_rows(0, BUCKET_MS, Where(), limit=9).num_rows == 1
    assert compaction.months(clickhouse.engine) == []
