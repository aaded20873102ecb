"""The journal: what was committed is there, whole and in order, until it is forgotten; damage is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from flowtally.usage.journal import Journal, Peeked, peek
from flowtally.usage.records import COMPRESSED_FROM, Record
from flowtally.usage.values import Identity


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(place: Path) -> Iterator[Journal]:
    opened = Journal(place)
    yield opened
    opened.close()


def record(block: int, rows: int | None = 1, decided: bytes = b"") -> Record:
    """`rows`: how many, or None for a block without any."""
    columns = {"id": pa.array([f"{block}-{row}" for row in range(rows or 0)], pa.string())}
    return Record(
        block, 1000 + block, decided or b"decided %d" % block, None if rows is None else pa.record_batch(columns)
    )


def test_what_was_committed_is_read_again_whole_and_in_order(journal: Journal) -> None:
    records = [record(1, None), record(2, 3), record(5, 0), record(6, COMPRESSED_FROM)]
    for one in records:
        journal.commit(one)
    assert list(journal.after(0)) == records
    assert list(journal.after(2)) == records[2:]
    assert journal.blocks() == [(1, 0), (2, 3), (5, 0), (6, COMPRESSED_FROM)]


def test_a_journal_that_was_closed_has_all_of_it_again(place: Path, journal: Journal) -> None:
    journal.commit(record(1))
    journal.bind(Identity("installation", "generation"))
    journal.close()
    journal = Journal(place)
    journal.commit(record(2))
    assert list(journal.after(0)) == [record(1), record(2)]
    assert journal.identity() == Identity("installation", "generation")
    assert peek(place) == Peeked(Identity("installation", "generation"), 0, 1, 2)
    journal.close()


def test_what_is_forgotten_is_no_longer_there(journal: Journal) -> None:
    for block in range(1, 501):
        journal.commit(record(block))
    journal.forget(499)
    assert journal.blocks() == [(500, 1)]
    journal.forget(500, erase=True)
    journal.commit(record(501))
    assert journal.blocks() == [(501, 1)]


def test_a_block_that_is_not_there_is_burnt(journal: Journal) -> None:
    journal.commit(record(1))
    assert journal.settle(1)
    assert not journal.settle(2)
    assert journal.burnt() == 2
    with pytest.raises(AssertionError):
        journal.commit(record(2))
    journal.commit(record(3))
