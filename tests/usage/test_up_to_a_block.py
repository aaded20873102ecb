"""Sums up to a block: exact whatever is written meanwhile, and from the projection where that is the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.usage.blocks import block

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.published import REMEMBERED_ACCOUNTS, REMEMBERED_BLOCKS
from flowtally.usage.store import UsageStore
from flowtally.usage.until_block import UntilBlock
from flowtally.usage.values import BUCKET_MS, Commit, Sum, Where

ALL = [0, 1000 * BUCKET_MS]


class Watched:
    """The texts of the questions that a store asks its engine; `then` is done after the next one."""

    def __init__(self, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.compacted: list[bool] = []
        self.then: Callable[[], None] | None = None
        asked = store.engine.rows

        def rows(text: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> Any:
            found = asked(text, parameters, **more)
            if "AS up" in text:
                self.compacted.append("first_bucket" in text)
                then, self.then = self.then, None
                if then is not None:
                    then()
            return found

        monkeypatch.setattr(store.engine, "rows", rows)


@pytest.fixture
def clickhouse(flushed: ClickHouseStore) -> ClickHouseStore:
    """What the projection knows, and when: rows that are in the table."""
    return flushed


@pytest.fixture
def watched(clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(clickhouse, monkeypatch)


def write(store: UsageStore, number: int, *accounts: str) -> None:
    store.append(block(number, *({"account": one, "bytes_up": number} for one in accounts)))
    store.publish(Commit(number, number * 1000))
    store.settle()


def up(found: list[Sum]) -> int:
    return sum(one.bytes_up for one in found)


def test_up_to_the_last_block_it_is_asked_of_the_projection(clickhouse: ClickHouseStore, watched: Watched) -> None:
    clickhouse.publish(Commit(0, 0))
    write(clickhouse, 1, "acme")
    assert up(clickhouse.sums(ALL, Where(account="acme", until_block=1))) == 1
    assert watched.compacted == [True]


def test_blocks_of_others_change_nothing(clickhouse: ClickHouseStore, watched: Watched) -> None:
    clickhouse.publish(Commit(0, 0))
    write(clickhouse, 1, "acme")
    write(clickhouse, 2, "beta")
    asked = [Where(account="acme", until_block=1), Where(accounts=("a", "acme"), until_block=1), Where(until_block=1)]
    assert [up(clickhouse.sums(ALL, where)) for where in asked] == [1, 1, 1]
    assert watched.compacted == [True, True, False]


def test_a_block_under_way_is_not_in_it(clickhouse: ClickHouseStore, watched: Watched) -> None:
    clickhouse.publish(Commit(0, 0))
    write(clickhouse, 1, "acme")
    clickhouse.append(block(2, {"account": "acme", "bytes_up": 2}))  # there, and not published
    assert clickhouse.unflushed().blocks == 1, "nothing is flushed that readers may not see"
    assert up(clickhouse.sums(ALL, Where(account="acme", until_block=1))) == 1
    assert up(clickhouse.sums(ALL, Where(account="acme"))) == 1
    assert watched.compacted == [True, True]


def test_one_that_comes_while_it_is_asked_neither(clickhouse: ClickHouseStore, watched: Watched) -> None:
    clickhouse.publish(Commit(0, 0))
    write(clickhouse, 1, "acme")
    watched.then = lambda: write(clickhouse, 2, "acme")
    assert up(clickhouse.sums([3, *ALL[1:]], Where(account="acme", until_block=1))) == 0
    assert up(clickhouse.sums(ALL, Where(account="acme", until_block=1))) == 1
    assert watched.compacted == [True, False, False]


def test_a_question_of_one_block_after_another_goes_to_the_rows(clickhouse: ClickHouseStore, watched: Watched) -> None:
    clickhouse.publish(Commit(0, 0))
    write(clickhouse, 1, "acme")
    write(clickhouse, 2, "acme")
    assert up(clickhouse.sums(ALL, Where(after_block=1, until_block=2))) == 2
    assert watched.compacted == [False]


def test_where_nobody_says_what_comes_it_is_asked_of_the_rows(clickhouse: ClickHouseStore, watched: Watched) -> None:
    clickhouse.append(block(1, {"bytes_up": 1}))
    assert up(clickhouse.sums(ALL, Where(until_block=1))) == 1
    clickhouse.publish(Commit(1, 1000))  # as a start does: of blocks before it nothing is known
    assert up(clickhouse.sums(ALL, Where(until_block=0))) == 0
    assert up(clickhouse.sums(ALL, Where(until_block=1))) == 1
    assert watched.compacted == [False, False, True]


def test_what_is_remembered_is_bounded() -> None:
    store = MemoryStore()
    store.publish(Commit(0, 0))
    many = [str(number) for number in range(REMEMBERED_ACCOUNTS + 1)]
    for number in range(1, REMEMBERED_BLOCKS + 3):
        store._announce(block(number, *({"account": one} for one in (many if number == 9 else ["acme"]))))
    known = store._announced
    assert known is not None
    assert (known.floor, len(known.blocks)) == (2, REMEMBERED_BLOCKS)
    assert store._nothing_after(Where(account="beta", until_block=1), 1_000) is False  # it is forgotten what came
    assert store._nothing_after(Where(account="beta", until_block=8), 1_000) is False  # too many to say whose
    assert store._nothing_after(Where(account="beta", until_block=9), 1_000) is True


def test_a_block_is_under_way_from_its_instant_until_it_is_there_or_not(store: UsageStore) -> None:
    assert store.under_way() is None
    assert store.date_block(lambda: 5) == store.under_way() == 5
    store.publish(Commit(1, 5))
    assert store.under_way() is None
    store.date_block(lambda: 7)
    store.end_block()
    assert store.under_way() is None


def test_as_it_stood_at_a_block_every_verb_knows_no_later_one(store: UsageStore) -> None:
    store.publish(Commit(0, 0))
    for number in (1, 2, 3):
        write(store, number, "acme")
    then = UntilBlock(store, Commit(2, 2000))
    where = Where(account="acme")
    assert up(then.sums(ALL, where)) == up(then.sums(ALL, Where(account="acme", until_block=9))) == 3
    assert up(then.sums(ALL, Where(account="acme", until_block=1))) == 1
    assert [one.block for one in then.block_sums(ALL, where)] == [1, 2]
    start, end = ALL
    assert then.extent(start, end, where).rows == then.read_rows(start, end, where, limit=9).num_rows == 2
    first = min(then.read_rows(start, end, where, limit=9).column("time").to_pylist())
    assert (then.first_time(end, where), then.first_time(first, where)) == (first, None)
    assert UntilBlock(store, Commit(0, 0)).first_time(end, where) is None
    assert sum(part.rows for part in then.parts(ALL, where, 9)) == 2
    assert [row.event.block for row in then.largest(start, end, where, 9, "bytes", 9)] == [2, 1]
    assert then.published() == then.last_commit() == then.last_commit(block=3) == Commit(2, 2000)
    assert then.last_commit(block=1) == then.last_commit(at=1999) == then.first_commit() == Commit(1, 1000)
    assert (then.next_block(1), then.next_block(2)) == (2, None)
    assert [one.block for one in then.moves(1, 0, 9)] == [1, 2]
    assert UntilBlock(store, Commit(0, 0)).first_commit() == Commit(0, 0)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), min_size=1, max_size=6),
    published=st.integers(0, 6),
    cuts=st.lists(st.integers(0, 3), min_size=2, max_size=3, unique=True).map(sorted),
    data=st.data(),
)
def test_it_is_what_the_rows_say_whatever_was_published(
    written: ClickHouseStore, blocks: list[list[str]], published: int, cuts: list[int], data: st.DataObject
) -> None:
    reference, base = MemoryStore(), written.totals().last_block
    series = f"series {base}"
    for number, accounts in enumerate(blocks, base + 1):
        if number - base == published:
            written.publish(Commit(number - 1, 0))
        rows = [{"account": one, "time": at, "bytes_up": number, "series": series} for at, one in enumerate(accounts)]
        for store in (written, reference):
            store.append(block(number, *rows))
        if number - base >= published:
            written.publish(Commit(number, number * 1000))
        whose = data.draw(st.sampled_from(["a", "b", "c", None]))
        until = base + data.draw(st.integers(0, len(blocks)))
        where = Where(series, whose, until_block=until)
        seen = Where(series, whose, until_block=min(until, written.published().block))
        assert written.sums(cuts, where, ("account",)) == reference.sums(cuts, seen, ("account",))
