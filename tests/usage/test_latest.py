"""The last edge cuts a bucket only where rows lie behind it: what is asked of the projection alone, and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.usage.blocks import block

from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.latest import LATEST_BUCKET
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import BUCKET_MS, Commit, Sum, Where

NOW = 10 * BUCKET_MS + 5_000  # in the eleventh bucket


class Questions:
    """For each question of sums, whether some of it was asked of rows."""

    def __init__(self, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.of_rows: list[bool] = []
        self.latest = 0  # how often the table was asked for its last bucket
        asked = store.engine.rows

        def rows(text: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> Any:
            self.latest += text == LATEST_BUCKET
            if "AS up" in text:
                self.of_rows.append("{cut:" in text)
            return asked(text, parameters, **more)

        monkeypatch.setattr(store.engine, "rows", rows)


@pytest.fixture
def questions(clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> Questions:
    clickhouse.publish(Commit(0, 0))
    return Questions(clickhouse, monkeypatch)


def write(store: ClickHouseStore, number: int, *times: int) -> None:
    store.append(block(number, *({"time": time, "bytes_up": 1} for time in times)))
    store.publish(Commit(number, number * 1000))


def used(store: ClickHouseStore, *edges: int) -> list[int]:
    return [one.bytes_up for one in store.sums([0, *edges], Where(account="acme"))]


def test_what_was_used_until_now_is_not_cut_where_nothing_is_dated_later(
    clickhouse: ClickHouseStore, questions: Questions
) -> None:
    write(clickhouse, 1, BUCKET_MS, NOW - 1)
    assert used(clickhouse, NOW) == [2]
    assert used(clickhouse, 2 * BUCKET_MS, NOW) == [1, 1]
    assert questions.of_rows == [False, False]
    assert questions.latest == 1


@pytest.mark.parametrize("later", [NOW, 11 * BUCKET_MS - 1, 11 * BUCKET_MS, 99 * BUCKET_MS])
def test_a_row_at_the_edge_or_behind_it_is_left_out(
    clickhouse: ClickHouseStore, questions: Questions, later: int
) -> None:
    write(clickhouse, 1, NOW - 1, later)
    assert used(clickhouse, NOW) == [1]
    assert questions.of_rows == [True]


def test_so_is_one_that_comes_after_the_first_question(clickhouse: ClickHouseStore, questions: Questions) -> None:
    write(clickhouse, 1, NOW - 1)
    assert used(clickhouse, NOW) == [1]
    write(clickhouse, 2, NOW)
    assert used(clickhouse, NOW) == [1]
    clickhouse.settle()
    assert used(clickhouse, NOW) == [1]
    assert used(clickhouse, NOW + 1) == [2]
    assert questions.of_rows == [False, True, True, False]


def test_edges_before_the_last_one_cut_as_ever(clickhouse: ClickHouseStore, questions: Questions) -> None:
    write(clickhouse, 1, 5, 7, NOW - 1)
    assert used(clickhouse, 6, NOW) == [1, 2]
    assert questions.of_rows == [True]


@pytest.mark.parametrize(("until", "of_rows"), [(NOW, True), (11 * BUCKET_MS, False), (11 * BUCKET_MS + 1, False)])
def test_what_was_there_before_is_known_by_its_bucket(
    clickhouse: ClickHouseStore, questions: Questions, until: int, of_rows: bool
) -> None:
    write(clickhouse, 1, NOW - 1, NOW + 1)
    clickhouse.settle()
    clickhouse.take_over("cafe0001")  # as a start does
    clickhouse.publish(Commit(1, 1000))
    assert used(clickhouse, until) == [1 if until == NOW else 2]
    assert questions.of_rows == [of_rows]


def test_where_another_process_may_write_every_edge_cuts(
    flushed: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed.append(block(1, {"time": NOW - 1, "bytes_up": 1}))
    questions = Questions(flushed, monkeypatch)
    assert used(flushed, NOW) == [1]
    assert (questions.of_rows, questions.latest) == ([True], 0)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=st.lists(st.lists(st.integers(0, 2 * BUCKET_MS), min_size=1, max_size=3), min_size=1, max_size=4),
    beside=st.integers(-1, 1),
    data=st.data(),
)
def test_it_is_what_the_rows_say_wherever_the_last_edge_lies(
    written: ClickHouseStore, blocks: list[list[int]], beside: int, data: st.DataObject
) -> None:
    reference, base = MemoryStore(), written.totals().last_block
    written.publish(Commit(base, base * 1000))
    where = Where(f"series {base}", "acme")
    begin = base * 2 * BUCKET_MS  # later than all that was there
    for number, times in enumerate(blocks, base + 1):
        rows = [{"time": begin + time, "bytes_up": number, "series": where.series} for time in times]
        for store in (written, reference):
            store.append(block(number, *rows))
        written.publish(Commit(number, number * 1000))
        near = data.draw(st.sampled_from([*times, BUCKET_MS, 2 * BUCKET_MS]))
        edges = [0, max(1, begin + near + beside)]
        found: list[Sum] = written.sums(edges, where, ("product",))
        assert found == reference.sums(edges, where, ("product",))
