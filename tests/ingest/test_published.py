"""What is "now" to every question: the committer's last published block, not what the rows would say."""

from __future__ import annotations

import sqlite3

import pytest
from tests.ingest.conftest import Death, House, named, numbered

from flowtally.core.errors import FlowtallyError, Settling
from flowtally.usage.values import Commit

dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def test_each_block_is_published_before_its_receipts_go_out(house: House) -> None:
    _ = house.door
    assert house.store.published() == house.store.last_commit() == Commit(0, 0)
    for number in (1, 2, 3):
        house.clock.at += 1000
        house.send(*named(str(number)))
        assert house.store.published() == house.store.last_commit() == Commit(number, house.clock.at)
        assert house.keys.committed().block == number


def test_what_only_refuses_publishes_nothing(house: House) -> None:
    house.send(*numbered(1, 2))
    before = house.store.published()
    house.clock.at += 1000
    assert house.statuses(*numbered(3, 3, account="nobody")) == ["refused"]
    assert house.store.published() == before


def test_a_block_in_doubt_is_not_yet_now_though_its_rows_are_there(house: House) -> None:
    house.send(*named("1"))
    before = house.store.published()
    house.store.after.append(OSError("the answer was lost"))
    house.store.asking += [OSError("and nobody knows")] * 10
    with pytest.raises(Settling):
        house.send(*named("2"))
    assert house.store.totals().last_block == before.block + 1
    assert house.store.last_commit() == house.store.last_commit(block=99) == before
    assert house.store.last_commit(at=house.clock.at + 10**6) == before
    house.store.asking.clear()
    assert house.statuses(*named("2")) == ["duplicate"]
    assert house.store.last_commit() == Commit(before.block + 1, house.clock.at)


def test_a_commit_made_good_from_the_rows_is_published(house: House) -> None:
    house.send(*named("1"))
    house.fail_keys("COMMIT", sqlite3.OperationalError("disk I/O error"))
    assert house.statuses(*named("2")) == ["stored"]
    assert house.store.last_commit() == Commit(2, house.clock.at)


def test_a_block_that_was_burnt_is_never_published(house: House) -> None:
    house.send(*named("1"))
    house.store.before.append(OSError("no"))
    with pytest.raises(FlowtallyError):
        house.send(*named("2"))
    assert house.store.last_commit().block == 1
    house.send(*named("2"))
    assert house.store.last_commit().block == 3
    assert house.store.last_commit(block=2).block == 1


def test_a_start_publishes_where_the_keys_stand_with_the_instant_of_the_rows(house: House) -> None:
    house.send(*numbered(1, 2))
    before = house.store.published()
    house.clock.at += 5000
    house.send(*numbered(3, 3, account="nobody"))  # moves the keys' own instant on
    house.close()
    house.open()
    assert house.store.last_commit() == before


@dies
def test_a_start_publishes_what_it_settled(house: House) -> None:
    house.send(*named("1"))
    house.clock.at += 5000
    house.store.after.append(Death())
    house.die(*named("2"))
    assert house.store.published().block == 1
    house.open()
    assert house.store.last_commit() == Commit(2, house.clock.at)
