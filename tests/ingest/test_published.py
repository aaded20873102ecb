"""What is "now" to every question: the committer's last published block, not what the rows would say."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from tests.ingest.conftest import Death, FaultyConnection, Services, named, numbered

from flowtally.core.errors import FlowtallyError, Settling
from flowtally.usage.values import Commit, Where

dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def test_each_block_is_published_before_its_receipts_go_out(services: Services) -> None:
    _ = services.door
    assert services.store.published() == services.store.last_commit() == Commit(0, 0)
    for number in (1, 2, 3):
        services.clock.at += 1000
        services.send(*named(str(number)))
        assert services.store.published() == services.store.last_commit() == Commit(number, services.clock.at)
        assert services.keys.committed().block == number


def test_what_only_refuses_publishes_nothing(services: Services) -> None:
    services.send(*numbered(1, 2))
    before = services.store.published()
    services.clock.at += 1000
    assert services.statuses(*numbered(3, 3, account="nobody")) == ["refused"]
    assert services.store.published() == before


def test_a_block_in_doubt_is_not_yet_now_though_the_journal_has_it(services: Services) -> None:
    services.send(*named("1"))
    before = services.store.published()
    services.journal.after.append(OSError("the answer was lost"))
    services.journal.asking += [OSError("and nobody knows")] * 10
    with pytest.raises(Settling):
        services.send(*named("2"))
    assert services.door._journal.blocks() == [(1, 1), (before.block + 1, 1)]
    assert services.store.last_commit() == services.store.last_commit(block=99) == before
    assert services.store.last_commit(at=services.clock.at + 10**6) == before
    services.journal.asking.clear()
    assert services.statuses(*named("2")) == ["duplicate"]
    assert services.store.last_commit() == Commit(before.block + 1, services.clock.at)


def test_a_block_is_published_though_the_commit_of_the_keys_failed(services: Services) -> None:
    services.send(*named("1"))
    services.fail_keys("COMMIT", sqlite3.OperationalError("disk I/O error"))
    assert services.statuses(*named("2")) == ["stored"]
    assert services.store.last_commit() == Commit(2, services.clock.at)


def test_readers_see_a_block_before_the_keys_say_that_it_is_there(services: Services) -> None:
    """Else whoever asks for an event in between is told that it is compacted: its number counts and no row is there."""
    services.send(*numbered(1, 1))
    committed = services.keys._db.execute
    seen: list[tuple[int, bool]] = []

    class Looking(FaultyConnection):
        def execute(self, text: str, *values: Any) -> Any:
            if text.startswith("COMMIT"):
                readers = services.store.inner
                found = readers.find("log", id=None, sequence=2, block=None)
                seen.append((readers.last_commit().block, found is not None))
            return committed(text, *values)

    services.keys._db = Looking(services.keys._db)
    services.send(*numbered(2, 2))
    assert seen[0] == (2, True)


def test_a_block_that_was_burnt_is_never_published(services: Services) -> None:
    services.send(*named("1"))
    services.journal.before.append(OSError("no"))
    with pytest.raises(FlowtallyError):
        services.send(*named("2"))
    assert services.store.last_commit().block == 1
    services.send(*named("2"))
    assert services.store.last_commit().block == 3
    assert services.store.last_commit(block=2).block == 1


def test_a_start_publishes_where_the_keys_stand_with_the_instant_of_the_rows(services: Services) -> None:
    services.send(*numbered(1, 2))
    before = services.store.published()
    services.clock.at += 5000
    services.send(*numbered(3, 3, account="nobody"))  # moves the keys' own instant on
    services.close()
    services.open()
    assert services.store.last_commit() == before


def test_an_earlier_moment_is_told_apart_from_what_the_table_had_before_a_start(services: Services) -> None:
    services.send(*named("1"))
    services.send(*named("2", "3"))
    services.close()
    services.open()
    services.send(*named("4"))
    ever = [0, 2**47 // 900_000 * 900_000]
    found = [sum(one.requests for one in services.store.sums(ever, Where(until_block=block))) for block in range(4)]
    assert found == [0, 1, 3, 4]


@dies
def test_a_start_publishes_what_it_settled(services: Services) -> None:
    services.send(*named("1"))
    services.clock.at += 5000
    services.journal.after.append(Death())
    services.die(*named("2"))
    assert services.store.published().block == 1
    services.open()
    assert services.store.last_commit() == Commit(2, services.clock.at)
