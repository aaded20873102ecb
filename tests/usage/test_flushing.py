"""From the tail into the table, and everything that may go wrong on the way: nothing is lost, nothing counted twice,
and every answer meanwhile is whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError
from tests.usage.blocks import block

from flowtally.core.errors import StorageFull, Unavailable
from flowtally.usage import flush
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.own_tables import drop_all, staged_table, staging, tail_table
from flowtally.usage.tail import as_table, columns, make
from flowtally.usage.values import Commit, Where

ALL: Final = [0, 10**9]
DAY_MS: Final = 86_400_000
PATIENCE_S: Final = 20


def write(store: ClickHouseStore, *numbers: int, **more: Any) -> None:
    for number in numbers:
        store.append(block(number, {"id": f"e{number}", "bytes_up": 2**number, "time": number}, **more))
        store.publish(Commit(number, number * 1000))


def there(store: ClickHouseStore) -> int:
    """What all blocks add up to: a bit for each."""
    found = store.sums(ALL, Where())
    assert sum(one.bytes_up for one in found) == store.extent(0, 10**9, Where()).bytes_up
    return sum(one.bytes_up for one in found)


def of(*numbers: int) -> int:
    return sum(2**number for number in numbers)


def in_table(store: ClickHouseStore) -> list[int]:
    return [row[0] for row in store.engine.rows("SELECT block FROM usage_events ORDER BY block")]


def tables(store: ClickHouseStore) -> list[str]:
    return [name for (name,) in store.engine.rows("SHOW TABLES LIKE 'usage_%'") if name != "usage_events"]


@contextmanager
def failing(
    store: ClickHouseStore,
    monkeypatch: pytest.MonkeyPatch,
    which: Callable[[str], bool],
    *,
    before: BaseException | None = None,
    after: BaseException | None = None,
) -> Iterator[list[str]]:
    """Statements like these fail, before they are carried out or when they were."""
    done, command = [], store.engine.command

    def faulty(text: str, query_id: str = "") -> None:
        if not which(text):
            command(text, query_id)
            return
        done.append(text)
        if before is not None:
            raise before
        command(text, query_id)
        if after is not None:
            raise after

    with monkeypatch.context() as patched:
        patched.setattr(store.engine, "command", faulty)
        yield done


def is_move(text: str) -> bool:
    return " MOVE PARTITION " in text


# -- what a flush does -------------------------------------------------------------------------------------------------


def test_the_oldest_blocks_go_first_as_one_part(clickhouse: ClickHouseStore) -> None:
    write(clickhouse, 1, 2, 3, 4, 5)
    assert clickhouse.flush(3) == 3
    assert in_table(clickhouse) == [1, 2, 3]
    assert clickhouse.measures()["usage_parts"] == 1
    assert (clickhouse.unflushed().first, clickhouse.unflushed().rows) == (4, 2)
    assert there(clickhouse) == of(1, 2, 3, 4, 5)
    clickhouse.settle()
    assert in_table(clickhouse) == [1, 2, 3, 4, 5]
    assert there(clickhouse) == of(1, 2, 3, 4, 5)
    assert tables(clickhouse) == []
    assert clickhouse.flush() == 0


def test_a_block_is_never_split(clickhouse: ClickHouseStore) -> None:
    clickhouse.append(block(1, *({"id": f"{n}"} for n in range(50))))
    clickhouse.append(block(2, {"id": "last"}))
    assert clickhouse.flush(10) == 1
    assert clickhouse.engine.rows("SELECT count(), max(block) FROM usage_events") == [(50, 1)]


def test_what_was_received_in_two_months_is_two_flushes(clickhouse: ClickHouseStore) -> None:
    for number, at in enumerate((0, 5, 31 * DAY_MS, 31 * DAY_MS + 1), 1):
        write(clickhouse, number, received_at=at)
    assert [clickhouse.flush(), clickhouse.flush(), clickhouse.flush()] == [2, 2, 0]
    ours = "active AND database = currentDatabase() AND table = 'usage_events'"
    parts = clickhouse.engine.rows(f"SELECT partition, rows FROM system.parts WHERE {ours}")
    assert sorted(parts) == [("197001", 2), ("197002", 2)]


def test_nothing_is_flushed_that_readers_may_not_see(clickhouse: ClickHouseStore) -> None:
    write(clickhouse, 1)
    clickhouse.append(block(2, {"bytes_up": 4}))
    assert (clickhouse.flush(), clickhouse.flush(), in_table(clickhouse)) == (1, 0, [1])
    assert there(clickhouse) == of(1)
    clickhouse.publish(Commit(2, 2000))
    assert there(clickhouse) == of(1, 2)


def test_what_many_rows_took_goes_back_to_the_system_and_nothing_hangs_on_it(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flush, "GIVE_BACK_ROWS", 3)
    with failing(clickhouse, monkeypatch, lambda text: " JEMALLOC " in text, before=ClickHouseError("no")) as asked:
        write(clickhouse, 1, 2, 3, 4)
        assert [clickhouse.flush(2), len(asked)] == [2, 0]
        assert [clickhouse.flush(2), len(asked)] == [2, int(clickhouse.engine.embedded)]  # a server does so itself
    assert there(clickhouse) == of(1, 2, 3, 4)
    clickhouse.engine.give_back()


def test_projections_are_moved_with_the_rows(clickhouse: ClickHouseStore) -> None:
    write(clickhouse, 1, 2)
    clickhouse.settle()
    assert clickhouse.repair_projections(0) == []
    for name in ("buckets", "account_buckets"):
        text = f"SELECT count() FROM mergeTreeProjection(currentDatabase(), usage_events, {name})"
        assert clickhouse.engine.rows(text)[0][0] >= 1
    assert not clickhouse.broken(0)
    assert not clickhouse.damage()


# -- what the engine refuses ------------------------------------------------------------------------------------------


@pytest.fixture
def poisoned(clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Blocks that no staging table takes."""
    poison: set[int] = set()
    insert = clickhouse.engine.insert

    def faulty(table: str, rows: Any, query_id: str) -> None:
        if table.startswith("usage_staged") and (bad := poison.intersection(rows.column("block").to_pylist())):
            raise ValueError(f"cannot parse block {min(bad)}")
        insert(table, rows, query_id)

    monkeypatch.setattr(clickhouse.engine, "insert", faulty)
    return poison


@pytest.mark.parametrize("bad", [{1}, {4}, {9}, {3, 8}, set(range(1, 10))])
def test_a_block_that_is_refused_for_its_content_is_set_aside_by_name_and_all_others_go_on(
    clickhouse: ClickHouseStore, poisoned: set[int], bad: set[int]
) -> None:
    poisoned |= bad
    every = range(1, 10)
    write(clickhouse, *every)
    assert there(clickhouse) == of(*every)
    while clickhouse.flush():
        pass
    assert in_table(clickhouse) == [number for number in every if number not in bad]
    aside = clickhouse.unflushed().aside
    assert [(one.block, one.why) for one in aside] == [(one, f"cannot parse block {one}") for one in sorted(bad)]
    assert there(clickhouse) == of(*every), "it is answered from the tail"
    assert clickhouse.totals().rows == 9
    assert clickhouse.blocks_after(0) == list(every)
    with pytest.raises(Unavailable, match=f"Block {min(bad)} is set aside"):
        clickhouse.settle()
    write(clickhouse, 10)
    clickhouse.flush()
    assert there(clickhouse) == of(*every, 10)
    poisoned.clear()
    clickhouse.settle()  # what refused it has been mended
    assert in_table(clickhouse) == [*every, 10]
    assert there(clickhouse) == of(*every, 10)
    assert clickhouse.unflushed().blocks == 0


def test_a_block_that_cannot_be_shown_makes_answers_fail_with_its_name(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(clickhouse, 1, 2)
    insert = clickhouse.engine.insert

    def faulty(table: str, rows: Any, query_id: str) -> None:
        if 2 in rows.column("block").to_pylist():
            raise ValueError("cannot parse")
        insert(table, rows, query_id)

    with monkeypatch.context() as patched:
        patched.setattr(clickhouse.engine, "insert", faulty)
        for _ in range(2):
            with pytest.raises(Unavailable, match="Block 2 cannot be read, so no answer is whole: cannot parse"):
                there(clickhouse)
    assert there(clickhouse) == of(1, 2)


def test_a_full_disk_keeps_everything_where_it_is(clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    write(clickhouse, 1, 2)
    full = StorageFull("There is no room left")

    def insert(table: str, rows: Any, query_id: str) -> None:
        raise full

    with monkeypatch.context() as patched:
        patched.setattr(clickhouse.engine, "insert", insert)
        with pytest.raises(StorageFull):
            clickhouse.flush()
    assert clickhouse.unflushed().aside == (), "nothing is wrong with the rows"
    assert there(clickhouse) == of(1, 2)
    with failing(clickhouse, monkeypatch, is_move, before=full), pytest.raises(StorageFull):
        clickhouse.flush()
    assert in_table(clickhouse) == []
    assert there(clickhouse) == of(1, 2)
    clickhouse.settle()
    assert in_table(clickhouse) == [1, 2]
    assert there(clickhouse) == of(1, 2)
    assert tables(clickhouse) == []


# -- one part, or none -------------------------------------------------------------------------------------------------


def test_what_would_be_more_than_one_part_is_halved_and_one_block_made_one(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rows so wide that the engine cuts them."""
    asked: list[int] = []
    insert = clickhouse.engine.insert

    def cut(table: str, rows: Any, query_id: str) -> None:
        middle = rows.num_rows // 2
        if not table.startswith("usage_staged"):
            insert(table, rows, query_id)
            return
        asked.append(rows.num_rows)
        insert(table, rows.slice(0, middle), f"{query_id}a")
        insert(table, rows.slice(middle), f"{query_id}b")

    monkeypatch.setattr(clickhouse.engine, "insert", cut)
    for number in (1, 2, 3):
        clickhouse.append(block(number, *({"bytes_up": 1} for _ in range(4))))
        clickhouse.publish(Commit(number, number * 1000))
    assert clickhouse.flush() == 3
    assert asked == [12, 4, 8, 4, 4]
    found = clickhouse.engine.rows("SELECT arraySort(groupUniqArray(block)), count() FROM usage_events GROUP BY _part")
    assert sorted(found) == [([1], 4), ([2], 4), ([3], 4)]
    assert there(clickhouse) == 12


# -- moves ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Unavailable("no answer"), OSError("connection lost"), KeyboardInterrupt()])
@pytest.mark.parametrize("happened", [False, True])
def test_a_move_of_which_no_answer_came_is_looked_for_in_the_rows(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, error: BaseException, happened: bool
) -> None:
    write(clickhouse, 1, 2)
    fails = {"after": error} if happened else {"before": error}
    with failing(clickhouse, monkeypatch, is_move, **fails) as done, pytest.raises(type(error)):
        clickhouse.flush()
    assert len(done) == 1
    assert in_table(clickhouse) == ([1, 2] if happened else [])
    assert clickhouse.unflushed().blocks == (0 if happened else 2)
    assert there(clickhouse) == of(1, 2)
    write(clickhouse, 3)
    clickhouse.settle()
    assert in_table(clickhouse) == [1, 2, 3]
    assert there(clickhouse) == of(1, 2, 3)
    assert tables(clickhouse) == []


@pytest.mark.parametrize("happened", [False, True])
def test_while_it_is_not_known_whether_a_move_happened_questions_are_asked_by_rows(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    write(clickhouse, 1, 2)
    lost = Unavailable("the engine is away")
    fails = {"after": lost} if happened else {"before": lost}
    monkeypatch.setattr("flowtally.usage.tail.MOVE_WAIT_S", 0.01)
    with monkeypatch.context() as patched:

        def end_query(query_id: str) -> None:
            raise lost

        patched.setattr(clickhouse.engine, "end_query", end_query)
        with failing(clickhouse, patched, is_move, **fails), pytest.raises(Unavailable):
            clickhouse.flush()
        write(clickhouse, 3)
        assert there(clickhouse) == of(1, 2, 3)
        assert clickhouse.sums(ALL, Where(until_block=1))[0].bytes_up == of(1)
        assert clickhouse.totals().rows == 3
        assert clickhouse.find("gw", id="e2", sequence=None, block=2) is not None
        assert clickhouse.read_rows(0, 10**9, Where(), limit=9).num_rows == 3
        with pytest.raises(Unavailable):
            clickhouse.flush()  # nothing else before that is known
        assert there(clickhouse) == of(1, 2, 3)
    clickhouse.settle()
    assert in_table(clickhouse) == [1, 2, 3]
    assert there(clickhouse) == of(1, 2, 3)


def test_a_move_that_hangs_keeps_no_reader_waiting(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowtally.usage.tail.MOVE_WAIT_S", 0.01)
    write(clickhouse, 1, 2)
    begun, moved, go_on = threading.Event(), threading.Event(), threading.Event()
    command = clickhouse.engine.command

    def hanging(text: str, query_id: str = "") -> None:
        if is_move(text):
            begun.set()
            assert moved.wait(PATIENCE_S)
        command(text, query_id)
        if is_move(text):
            begun.clear()
            begun.set()
            assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(clickhouse.engine, "command", hanging)
    thread = threading.Thread(target=clickhouse.flush)
    thread.start()
    assert begun.wait(PATIENCE_S)
    assert there(clickhouse) == of(1, 2)
    write(clickhouse, 3)
    assert there(clickhouse) == of(1, 2, 3)
    moved.set()
    while len(in_table(clickhouse)) != 2:
        pass
    assert there(clickhouse) == of(1, 2, 3), "the rows are in both, and count once"
    go_on.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert there(clickhouse) == of(1, 2, 3)


@pytest.mark.parametrize("flushes", [1, 2, 3, 4])
def test_a_question_that_lasts_several_flushes_is_answered_all_the_same(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, flushes: int
) -> None:
    """Each time it is asked there is a flush; the third time it is asked so that none disturbs it."""
    write(clickhouse, 1, 2, 3, 4, 5, 6)
    rows, asked = clickhouse.engine.rows, []

    def slow(text: str, parameters: Any = None, **more: Any) -> Any:
        found = rows(text, parameters, **more)
        if "AS up" in text:
            asked.append(text)
            if len(asked) <= flushes:
                clickhouse.flush(1)
                write(clickhouse, 6 + len(asked))  # of which nothing is in an answer that began before
        return found

    monkeypatch.setattr(clickhouse.engine, "rows", slow)
    found = clickhouse.sums(ALL, Where())[0].bytes_up
    tries = min(flushes + 1, 3)
    assert len(asked) == tries
    assert found == of(*range(1, 6 + tries))


def test_a_flush_that_ends_while_a_reader_pushes_takes_its_table_from_nobody(
    clickhouse: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader pushes two blocks, and the first of them is flushed before they have arrived."""
    write(clickhouse, 1, 2)
    pushing, go_on = threading.Event(), threading.Event()
    insert, found = clickhouse.engine.insert, []

    def slow(table: str, rows: Any, query_id: str) -> None:
        if table.startswith("usage_tail") and not pushing.is_set():
            pushing.set()
            assert go_on.wait(PATIENCE_S)
        insert(table, rows, query_id)

    monkeypatch.setattr(clickhouse.engine, "insert", slow)
    reader = threading.Thread(target=lambda: found.append(there(clickhouse)))
    reader.start()
    assert pushing.wait(PATIENCE_S)
    assert clickhouse.flush(1) == 1
    go_on.set()
    reader.join(PATIENCE_S)
    assert found == [of(1, 2)]
    assert there(clickhouse) == of(1, 2)
    clickhouse.settle()
    assert tables(clickhouse) == []


# -- what a writer leaves ----------------------------------------------------------------------------------------------


def test_whoever_opens_it_drops_what_was_on_its_way(database_url: str) -> None:
    """Whatever is in them: rows of a staging table count nowhere, and what is torn there keeps nobody out."""
    with closing(ClickHouseStore(Engine(database_url))) as store:
        write(store, 1)
        store.settle()
        name = staged_table("dead", 1)
        store.engine.command(staging(store.engine).format(name=name))
        store.engine.insert(name, as_table(block(2, {"bytes_up": 4})), "x")
        make(store.engine, tail_table("dead", 2), columns(store.engine))
        [(path,)] = store.engine.rows("SELECT path FROM system.parts WHERE table = {t:String} AND active", {"t": name})
        for file in Path(path).glob("*.bin"):
            file.write_bytes(b"")
        (Path(path) / "checksums.txt").write_bytes(b"torn")
        (Path(path) / "count.txt").unlink()
    with closing(ClickHouseStore(Engine(database_url))) as store:
        assert tables(store) == []
        assert (in_table(store), there(store)) == ([1], of(1))


def test_a_statement_of_a_writer_that_is_gone_finds_no_table(clickhouse: ClickHouseStore) -> None:
    write(clickhouse, 1)
    before = flush.Flushing(clickhouse.engine, clickhouse.tail)
    name = staged_table(clickhouse.tail.token, 7)
    clickhouse.engine.command(staging(clickhouse.engine).format(name=name))
    assert drop_all(clickhouse.engine) == [name]
    with pytest.raises(ClickHouseError, match="UNKNOWN_TABLE"):
        clickhouse.engine.command(f"ALTER TABLE {name} MOVE PARTITION 197001 TO TABLE usage_events")
    assert before.once(9) == 1
    assert in_table(clickhouse) == [1]
