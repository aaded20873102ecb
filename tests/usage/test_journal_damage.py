"""A journal that is damaged or is none says so by name: never are other rows read than were written."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.soak import few
from tests.usage.journals import Read, read, record

from flowtally.core.errors import JournalBroken, JournalTooNew
from flowtally.usage.journal import Journal, peek
from flowtally.usage.journal_file import JOURNAL_SCHEMA, log_of
from flowtally.usage.records import COMPRESSED_FROM, Record
from flowtally.usage.values import Identity

RECORDS = [record(4, COMPRESSED_FROM), record(5, 40), record(6, decided=bytes(9000)), record(7, None), record(8)]
FRAME = 24 + 4096
FRAMES_OF_THE_LAST = 3  # at most: a small record


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def made(place: Path) -> Journal:
    journal = Journal(place)
    journal.bind(Identity("installation", "generation"))
    assert not journal.settle(3)  # it carries over to the file what there is
    for one in RECORDS:
        journal.commit(one)
    return journal


def read_or_told(place: Path) -> Read | None:
    """None where the damage was told, with the file."""
    try:
        return read(place)
    except JournalBroken as error:
        if str(place) not in str(error):
            raise
        return None


# -- a byte of the file


def test_a_byte_that_is_changed_in_the_file_is_told_or_changes_nothing(place: Path) -> None:
    made(place).close()
    assert not log_of(place).exists()
    right, content = read(place), place.read_bytes()
    told = 0
    for at in few([*range(100), *range(100, len(content), 41)], 60):
        changed = bytearray(content)
        changed[at] ^= 0xFF
        place.write_bytes(changed)
        found = read_or_told(place)
        assert found in (None, right), at
        told += found is None
    assert told > 20


@pytest.mark.parametrize("length", [1, 99, 100, 4096, 8192, 12_000])
def test_a_file_that_is_cut_off_is_told(place: Path, length: int) -> None:
    made(place).close()
    place.write_bytes(place.read_bytes()[:length])
    with pytest.raises(JournalBroken, match=re.escape(str(place))):
        read(place)


def test_a_record_that_is_changed_is_told_with_its_block(place: Path) -> None:
    made(place).close()
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute("UPDATE records SET body = CAST(body || x'00' AS BLOB) WHERE block = 5")
    journal = Journal(place)
    found = journal.after(0)
    assert next(found) == RECORDS[0]
    with pytest.raises(JournalBroken, match="block 5"):
        next(found)
    assert [block for block, _ in journal.blocks()] == [4, 5, 6, 7, 8]
    journal.close()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM records WHERE block = 5", "lacks the record of block 5"),
        ("DELETE FROM records WHERE block = 4", "lacks the record of block 4"),
        ("UPDATE records SET block = 9 WHERE block = 8", "block 9"),
        ("UPDATE records SET head = (SELECT head FROM records WHERE block = 5) WHERE block = 6", "block 6"),
        ("UPDATE state SET burnt = 0", "its row of state"),
        ("UPDATE state SET installation = 'another'", "its row of state"),
        ("DELETE FROM state", "its row of state"),
        ("DROP TABLE state", "no such table"),
    ],
)
def test_what_somebody_changed_is_told_at_the_start(place: Path, change: str, told: str) -> None:
    made(place).close()
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute(change)
    with pytest.raises(JournalBroken, match=told):
        Journal(place)


def test_the_last_record_is_missed_by_whoever_reads_while_it_is_open(place: Path) -> None:
    journal = made(place)
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute("DELETE FROM records WHERE block = 8")
    with pytest.raises(JournalBroken, match="lacks the record of block 8"):
        list(journal.after(0))
    journal.close()


# -- the write-ahead log


def in_the_log(tmp_path: Path) -> tuple[Path, bytes]:
    """Files as a process that was killed leaves them: the records are in the log. The place, and the log."""
    journal = made(tmp_path / "journal.db")
    place = tmp_path / "killed" / "journal.db"
    place.parent.mkdir()
    shutil.copy(journal.path, place)
    log = log_of(journal.path).read_bytes()
    journal.close()
    return place, log


def read_with(place: Path, log: bytes | bytearray) -> list[Record] | None:
    whole = place.read_bytes()
    log_of(place).write_bytes(log)
    found = read_or_told(place)
    place.write_bytes(whole)
    log_of(place).unlink(missing_ok=True)
    return None if found is None else found[0]


def test_a_log_that_is_cut_off_has_the_first_of_the_commits(tmp_path: Path) -> None:
    place, log = in_the_log(tmp_path)
    seen = set()
    for length in few([*range(0, len(log), 509), len(log)], 40):
        found = read_with(place, log[:length])
        assert found is not None, length
        assert found == RECORDS[: len(found)]
        seen.add(len(found))
    assert seen == set(range(len(RECORDS) + 1))


def test_a_byte_that_is_changed_in_the_log_is_told_or_is_of_the_last_commit(tmp_path: Path) -> None:
    """What was being written last may be torn after a power cut; whatever was before it had been synced."""
    place, log = in_the_log(tmp_path)
    told = 0
    for at in few([*range(32), *range(32, len(log), 97), *range(32, len(log), FRAME)], 60):
        changed = bytearray(log)
        changed[at] ^= 0xFF
        found = read_with(place, changed)
        told += found is None
        if found == RECORDS[:-1]:
            assert at >= len(log) - FRAMES_OF_THE_LAST * FRAME
        else:
            assert found in (None, RECORDS), at
    assert told > 20


def test_what_shows_that_the_log_is_damaged_is_still_there_after_it_was_told(tmp_path: Path) -> None:
    place, log = in_the_log(tmp_path)
    log_of(place).write_bytes(log[:100] + b"no byte of any page" + log[119:])
    before = [file.read_bytes() for file in (place, log_of(place))]
    for look in (Journal, peek, Journal):
        with pytest.raises(JournalBroken, match=r"byte \d+ of its log journal.db-wal is damaged"):
            look(place)
    assert [file.read_bytes() for file in (place, log_of(place))] == before


# -- files that are no journal


def of_something_else(place: Path) -> None:
    with closing(sqlite3.connect(place)) as db:
        db.execute("CREATE TABLE notes (text)")


def with_a_version(place: Path) -> None:
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute("PRAGMA user_version = 4")


def of_another_application(place: Path) -> None:
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute("PRAGMA application_id = 77")


def of_another_in_its_log(place: Path) -> None:
    """All that says so is in the log still."""
    source = place.with_name("source.db")
    with closing(sqlite3.connect(source, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE notes (text)")
        shutil.copy(source, place)
        shutil.copy(log_of(source), log_of(place))


def text(place: Path) -> None:
    place.write_text("these are notes of mine\n" * 100)


def directory(place: Path) -> None:
    place.mkdir()


FOREIGN: dict[Callable[[Path], None], str] = {
    of_something_else: "the database of something else",
    with_a_version: "the database of something else",
    of_another_application: "the database of something else",
    of_another_in_its_log: "the database of something else",
    text: "no database of SQLite",
    directory: "a directory",
}


@pytest.mark.parametrize("make", FOREIGN, ids=lambda make: make.__name__)
def test_what_is_no_journal_is_named_and_left_as_it_is(place: Path, make: Callable[[Path], None]) -> None:
    make(place)
    before = None if place.is_dir() else place.read_bytes()
    for look in (Journal, peek):
        with pytest.raises(JournalBroken, match=f"{re.escape(str(place))}.*{FOREIGN[make]}"):
            look(place)
    if before is not None and make is not of_another_in_its_log:
        assert place.read_bytes() == before
        assert not log_of(place).exists()


def test_a_journal_of_a_later_flowtally_is_named_and_left_as_it_is(place: Path) -> None:
    made(place).close()
    with closing(sqlite3.connect(place, isolation_level=None)) as db:
        db.execute(f"PRAGMA user_version = {JOURNAL_SCHEMA + 1}")
    before = place.read_bytes()
    for look in (Journal, peek):
        with pytest.raises(JournalTooNew, match=f"schema {JOURNAL_SCHEMA + 1}.*up to schema {JOURNAL_SCHEMA}"):
            look(place)
    assert place.read_bytes() == before


def test_an_empty_file_is_a_new_journal(place: Path) -> None:
    place.touch()
    assert peek(place) is None
    assert read(place) == ([], [], Identity(), 0)


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalBroken, match="nowhere"):
        Journal(tmp_path / "nowhere" / "journal.db")
