"""The journal: what was committed is there, whole and in order, until it is forgotten; doubt about it is settled."""

from __future__ import annotations

import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.small_disk import small_disk
from tests.usage.journals import read, record

from flowtally.core.errors import StorageFull, Unavailable
from flowtally.usage import journal as journal_module
from flowtally.usage import journal_file
from flowtally.usage.journal import STEP_RECORDS, Journal, Peeked, peek
from flowtally.usage.records import COMPRESSED_FROM, Record, encode
from flowtally.usage.values import Identity

WHOSE = Identity("installation", "generation")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def journal(place: Path) -> Iterator[Journal]:
    opened = Journal(place)
    yield opened
    opened.close()


def log_bytes(place: Path) -> int:
    return journal_file.log_of(place).stat().st_size


# -- records


def test_what_was_committed_is_read_again_whole_and_in_order(journal: Journal) -> None:
    records = [record(1, None), record(2, 3), record(5, 0), record(6, COMPRESSED_FROM), record(7, decided=b"")]
    for one in records:
        journal.commit(one)
    assert list(journal.after(0)) == records
    assert list(journal.after(2)) == records[2:]
    assert list(journal.after(7)) == []
    assert journal.blocks() == [(1, 0), (2, 3), (5, 0), (6, COMPRESSED_FROM), (7, 1)]


def test_a_journal_that_was_closed_has_all_of_it_again(place: Path, journal: Journal) -> None:
    journal.commit(record(1))
    journal.bind(WHOSE)
    journal.close()
    with closing(Journal(place)) as again:
        again.commit(record(2))
    assert read(place) == ([record(1), record(2)], [(1, 1), (2, 1)], WHOSE, 0)


def test_a_large_record_is_like_a_small_one(place: Path, journal: Journal) -> None:
    large = Random(1).randbytes(8 << 20)
    journal.commit(record(1, 100_000, large))
    journal.commit(record(2))
    assert list(journal.after(0)) == [record(1, 100_000, large), record(2)]
    journal.forget(1)
    assert journal.blocks() == [(2, 1)]


def test_a_number_that_was_used_or_burnt_is_not_committed_again(journal: Journal) -> None:
    journal.commit(record(3))
    journal.settle(5)
    for block in (2, 3, 4, 5):
        with pytest.raises(AssertionError):
            journal.commit(record(block))
    journal.commit(record(6))


def test_a_number_that_was_forgotten_is_not_committed_again_either(place: Path, journal: Journal) -> None:
    journal.commit(record(3))
    journal.forget(3)
    journal.close()
    with closing(Journal(place)) as again, pytest.raises(AssertionError):
        again.commit(record(3))


def test_only_its_owner_can_read_the_files(place: Path, journal: Journal) -> None:
    journal.commit(record(1))
    files = list(place.parent.iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_it_says_how_large_it_is(place: Path, journal: Journal) -> None:
    journal.commit(record(1))
    journal.commit(record(2, None, b"five."))
    journal.forget(1)
    assert journal.measures() == {
        "journal_bytes": place.stat().st_size + log_bytes(place),
        "journal_records": 1,
        "journal_record_bytes": 5,
    }


def test_a_look_tells_whose_it_is_and_how_far_it_reaches_and_makes_nothing(place: Path, journal: Journal) -> None:
    assert peek(place.with_name("none")) is None
    assert not place.with_name("none").exists()
    assert peek(place) == Peeked(Identity(), 0, 0, 0)
    journal.bind(WHOSE)
    for block in (1, 2, 3):
        journal.commit(record(block))
    journal.settle(9)
    journal.forget(1)
    assert peek(place) == Peeked(WHOSE, 9, 2, 3, 2)


class Model(RuleBasedStateMachine):
    """The journal beside a dict that is told the same."""

    @initialize()
    def begin(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        self.journal = Journal(Path(self.home.name) / "journal.db")
        self.records: dict[int, Record] = {}
        self.last = self.burnt = 0
        self.whose = Identity()

    @rule(
        gap=st.integers(1, 3),
        rows=st.sampled_from([None, 0, 1, 7, COMPRESSED_FROM]),
        decided=st.binary(max_size=20_000),
    )
    def commit(self, gap: int, rows: int | None, decided: bytes) -> None:
        self.last = max(self.last, self.burnt) + gap
        self.records[self.last] = record(self.last, rows, decided)
        self.journal.commit(self.records[self.last])

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def settle_one_that_is_there(self, data: st.DataObject) -> None:
        assert self.journal.settle(data.draw(st.sampled_from(sorted(self.records))))

    @rule(gap=st.integers(1, 3))
    def settle_one_that_is_not(self, gap: int) -> None:
        self.burnt = max(self.last, self.burnt) + gap
        assert not self.journal.settle(self.burnt)

    @rule(back=st.integers(-1, 4), erase=st.booleans())
    def forget(self, back: int, erase: bool) -> None:
        until = self.last - back
        self.journal.forget(until, erase=erase)
        self.records = {block: one for block, one in self.records.items() if block > until}

    @rule(name=st.sampled_from("abc"))
    def bind(self, name: str) -> None:
        self.whose = Identity(name, name * 2)
        self.journal.bind(self.whose)

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = Journal(self.journal.path)

    @invariant()
    def both_say_the_same(self) -> None:
        assert list(self.journal.after(0)) == list(self.records.values())
        counts = {block: 0 if one.rows is None else one.rows.num_rows for block, one in self.records.items()}
        assert self.journal.blocks() == list(counts.items())
        assert (self.journal.identity(), self.journal.burnt()) == (self.whose, self.burnt)
        measures = self.journal.measures()
        assert measures["journal_records"] == len(self.records)
        sizes = [len(encode(one, 0)[1]) for one in self.records.values()]
        assert measures["journal_record_bytes"] == sum(sizes)

    def teardown(self) -> None:
        self.journal.close()
        self.home.cleanup()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)


# -- doubt


class Failing:
    """A connection of which the next record fails, before or after it is on the disk."""

    def __init__(self, db: sqlite3.Connection, *, durable: bool) -> None:
        self._db, self._durable = db, durable

    def execute(self, query: str, *asked: Any) -> sqlite3.Cursor:
        if query.startswith("INSERT INTO records"):
            if self._durable:
                self._db.execute(query, *asked)
            raise sqlite3.OperationalError("disk I/O error")
        return self._db.execute(query, *asked)


def fail(journal: Journal, block: int, *, durable: bool) -> None:
    journal._db = Failing(journal._db, durable=durable)  # type: ignore[assignment]
    with pytest.raises(sqlite3.Error):
        journal.commit(record(block))


@pytest.mark.parametrize("durable", [False, True])
def test_after_a_commit_that_failed_it_is_known_whether_the_block_is_there(
    place: Path, journal: Journal, durable: bool
) -> None:
    journal.commit(record(1))
    fail(journal, 2, durable=durable)
    assert journal.settle(2) is durable
    assert journal.burnt() == (0 if durable else 2)
    journal.commit(record(3))
    blocks = [1, 2, 3] if durable else [1, 3]
    assert [one.block for one in journal.after(0)] == blocks
    journal.close()
    assert read(place) == ([*map(record, blocks)], [(block, 1) for block in blocks], Identity(), 0 if durable else 2)


def test_nothing_is_written_before_the_doubt_is_settled(journal: Journal) -> None:
    journal.commit(record(1))
    fail(journal, 2, durable=False)
    with pytest.raises(Unavailable):
        journal.commit(record(3))
    for erase in (False, True):
        with pytest.raises(Unavailable):
            journal.forget(1, erase=erase)
    with pytest.raises(Unavailable):
        journal.bind(WHOSE)
    assert not journal.settle(2)
    journal.forget(1)
    assert journal.blocks() == []


def test_a_doubt_that_cannot_be_settled_stays_one_and_can_be_settled_later(
    place: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_file, "WAIT_S", 0.05)
    journal.commit(record(1))
    fail(journal, 2, durable=True)
    with closing(sqlite3.connect(place)) as other:
        other.execute("BEGIN").execute("SELECT * FROM state").fetchall()  # keeps the log from being carried over
        with pytest.raises(Unavailable):
            journal.settle(2)
        with pytest.raises(Unavailable):
            journal.commit(record(3))
    assert journal.settle(2)
    journal.commit(record(3))


def test_a_full_disk_is_told_and_the_number_is_burnt_once_there_is_room() -> None:
    with small_disk(2 << 20) as disk:
        journal = Journal(disk / "journal.db")
        journal.commit(record(1))
        ballast = disk / "ballast"
        with ballast.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(4096)):
                pass
        with pytest.raises(StorageFull):
            journal.commit(record(2, decided=bytes(500_000)))
        ballast.unlink()
        assert not journal.settle(2)
        journal.commit(record(3))
        assert [one.block for one in journal.after(0)] == [1, 3]
        journal.close()


# -- forgetting


def test_what_is_forgotten_goes_in_steps_and_the_rest_stays(place: Path, journal: Journal) -> None:
    count = 2 * STEP_RECORDS + 7
    for block in range(1, count + 1):
        journal.commit(record(block))
    journal.forget(count - 1)
    assert list(journal.after(0)) == [record(count)]
    journal.forget(10)
    journal.close()
    assert read(place)[0] == [record(count)]


def test_commits_go_on_while_records_are_forgotten(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CARRIED_FROM", 50_000)
    done: list[int] = []
    failed: list[BaseException] = []

    def commit() -> None:
        try:
            for block in range(1, 301):
                journal.commit(record(block, block % 5))
                done.append(block)
        except BaseException as error:
            failed.append(error)

    committer = threading.Thread(target=commit)
    committer.start()
    while committer.is_alive():
        if done:
            until = done[-1] - 5
            journal.forget(until)
            assert all(one.block > until for one in journal.after(0))
    committer.join()
    assert failed == []
    journal.forget(295)
    assert list(journal.after(0)) == [record(block, block % 5) for block in range(296, 301)]


def test_the_log_does_not_grow_while_records_come_and_go(
    place: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CARRIED_FROM", 200_000)
    for block in range(1, 601):
        journal.commit(record(block, decided=bytes(3000)))
        if block % 20 == 0:
            journal.forget(block - 3)
    assert log_bytes(place) < 1_000_000  # 600 commits write 5 MB at least
    assert place.stat().st_size < 1_000_000


def test_the_log_begins_again_once_it_is_carried_over(
    place: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "CARRIED_FROM", 200_000)
    for block in range(1, 301):
        journal.commit(record(block, decided=bytes(3000)))
        if block % 20 == 0:
            journal.carry_over()
    assert log_bytes(place) < 1_000_000
    assert place.stat().st_size > 900_000
    assert len(list(journal.after(0))) == 300


def test_the_log_does_not_grow_without_bound_where_nobody_forgets(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_file, "LOG_MAX_PAGES", 100)
    with closing(Journal(place)) as journal:
        for block in range(1, 601):
            journal.commit(record(block))
        assert log_bytes(place) < 1_000_000
        assert len(journal.blocks()) == 600


NEEDLE = b"the phone number of Jane Doe"


def holds_needle(place: Path) -> list[str]:
    return [file.name for file in sorted(place.parent.iterdir()) if NEEDLE in file.read_bytes()]


def test_no_byte_of_what_is_erased_stays_in_the_files(place: Path, journal: Journal) -> None:
    for block in range(1, 41):
        journal.commit(record(block, decided=NEEDLE * (300 if block % 7 == 0 else 3)))
    journal.forget(20)  # its pages are free, and as they were
    journal.commit(record(41, decided=b"something else"))
    assert holds_needle(place)
    journal.forget(40, erase=True)
    assert holds_needle(place) == []
    assert list(journal.after(0)) == [record(41, decided=b"something else")]
    journal.close()
    assert holds_needle(place) == []


def test_what_stays_is_not_erased(place: Path, journal: Journal) -> None:
    journal.commit(record(1, decided=NEEDLE))
    journal.commit(record(2, decided=NEEDLE))
    journal.forget(1, erase=True)
    assert list(journal.after(0)) == [record(2, decided=NEEDLE)]
    journal.forget(2, erase=True)
    assert holds_needle(place) == []


def test_nothing_can_be_erased_while_somebody_reads_it(place: Path, journal: Journal) -> None:
    journal.commit(record(1, decided=NEEDLE))
    with closing(sqlite3.connect(place)) as other:
        other.execute("BEGIN").execute("SELECT * FROM records").fetchall()
        with pytest.raises(Unavailable, match="Somebody reads"):
            journal.forget(1, erase=True)
        journal.commit(record(2))
    journal.forget(1, erase=True)
    assert holds_needle(place) == []
    assert journal.blocks() == [(2, 1)]
