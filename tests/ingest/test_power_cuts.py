"""Power cuts: what was not synced is undone, and the next start goes on without a loss or says what is missing.

A kill leaves what the system had taken; a power cut may leave less. What may be undone: the directory of a part that
was moved (gone, empty, torn), files of its projections, the keys back to where they were last synced, the end of the
journal's log that no commit had waited for.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ingest.child import Child, refusal
from tests.ingest.conftest import named, numbered

ACTIVE = "SELECT path FROM system.parts WHERE active AND table = 'usage_events' AND database = 'default'"
EVENTS = [*named(*(f"{user}{n}" for user in "abc" for n in range(40)), labels={"k": "v"}), *numbered(1, 30)]
LAST = [*named("late1", "late2"), *numbered(31, 40)]


class Cut:
    """An installation whose first block is synced and forgotten by the journal, and whose last block is not: it was
    flushed into a part of its own, `part`. `synced` are the keys as they were on the disk for sure."""

    def __init__(self, home: Path) -> None:
        self.data, self.synced = home / "data", home / "synced"
        with Child(self.data) as child:
            assert child.send(*EVENTS)["stored"] == 150
            child.stop()
        self._keep_keys()
        with Child(self.data) as child:
            child.ask("command", text="SYSTEM STOP MERGES usage_events")
            assert child.send(*LAST)["stored"] == 12
            assert child.ask("settle") == {"done": True}
            self.answers = child.ask("answers")
            self.first, self.part = sorted(Path(path) for (path,) in child.ask("sql", text=ACTIVE)["rows"])
            child.kill()

    def _keep_keys(self) -> None:
        self.synced.mkdir()
        for file in self.data.glob("keys.db*"):
            shutil.copy(file, self.synced)

    def keys_back(self) -> None:
        for file in self.data.glob("keys.db*"):
            file.unlink()
        for file in self.synced.iterdir():
            shutil.copy(file, self.data)

    def cut_journal(self) -> None:
        """All of its log is lost, though commits had waited for it: a disk that lied."""
        (self.data / "journal.db-wal").write_bytes(b"")

    def whole(self, starts: int = 1) -> None:
        """It opens, so many times, and everything that was acknowledged is there once."""
        for last in [*[False] * (starts - 1), True]:
            with Child(self.data) as child:
                total = child.ask("total")
                assert (total["rows"], total["acknowledged"], total["bytes_up"]) == (162, 162, 162)
                assert child.ask("answers") == self.answers
                assert child.ask("source", source="log") == {"sequence": 40, "position": "p40"}
                assert child.ask("settle") == {"done": True}
                assert child.ask("verify")["findings"] == []
                if last:
                    again = child.send(*LAST, *named("a1"))
                    assert (again["stored"], again["duplicate"]) == (0, 13)
                child.stop()

    def log(self) -> str:
        return (self.data.parent / "data.log").read_text(errors="replace")

    def put_aside(self) -> list[str]:
        """The names of parts that were put aside for good."""
        return sorted(one.name for one in self.data.glob("usage/unsynced/*/*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Cut:
    return Cut(tmp_path_factory.mktemp("cut"))


@pytest.fixture
def cut(made: Cut, tmp_path: Path) -> Cut:
    """A copy of it."""
    home = made.data.parent
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    copied = object.__new__(Cut)
    copied.__dict__ |= vars(made)
    copied.data, copied.synced = tmp_path / "home" / "data", tmp_path / "home" / "synced"
    copied.first, copied.part = (copied.data / one.relative_to(made.data) for one in (made.first, made.part))
    return copied


def emptied(part: Path) -> None:
    for file in part.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def without_files(part: Path) -> None:
    shutil.rmtree(part)
    part.mkdir()


def torn(part: Path) -> None:
    content = (part / "data.bin").read_bytes()
    (part / "data.bin").write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))


def without_projection(part: Path) -> None:
    shutil.rmtree(part / "buckets.proj")


def empty_projections(part: Path) -> None:
    for one in part.glob("*.proj"):
        emptied(one)


PARTS: list[Callable[[Path], None]] = [shutil.rmtree, without_files, emptied, torn]
PROJECTIONS: list[Callable[[Path], None]] = [without_projection, empty_projections]


@pytest.mark.parametrize(
    ("undo", "keys"),
    [*((undo, "keys") for undo in (*PARTS, *PROJECTIONS)), (shutil.rmtree, "older keys"), (torn, "older keys"),
     (empty_projections, "older keys")],
)  # fmt: skip
def test_what_a_power_cut_undid_of_a_flush_is_in_the_journal(cut: Cut, undo: Callable[[Path], None], keys: str) -> None:
    if keys == "older keys":
        cut.keys_back()
    undo(cut.part)
    cut.whole(starts=2 if undo in (shutil.rmtree, emptied) else 1)
    names = [cut.part.name] if undo in PARTS[1:] else []
    assert cut.put_aside() == names
    assert ("torn_parts_put_aside" in cut.log()) == bool(names)


def test_older_keys_follow_the_journal(cut: Cut) -> None:
    cut.keys_back()
    cut.whole()


def test_a_journal_that_lost_what_it_had_synced_is_not_needed_where_the_rows_are_in_the_table(cut: Cut) -> None:
    cut.cut_journal()
    cut.whole()


@pytest.mark.parametrize("undo", PARTS, ids=lambda undo: undo.__name__)
def test_rows_that_neither_table_nor_journal_has_are_missed_by_name_and_all_is_as_it_was(
    cut: Cut, undo: Callable[[Path], None]
) -> None:
    cut.cut_journal()
    undo(cut.part)
    found = refusal(cut.data)
    assert found["damage"] == ("MissingRows" if undo is shutil.rmtree else "BrokenParts"), found
    assert ("162 usage rows were acknowledged" if undo is shutil.rmtree else cut.part.name) in found["detail"]
    assert cut.part.exists() == (undo is not shutil.rmtree)
    assert cut.put_aside() == []


@pytest.mark.parametrize("undo", PARTS[1:], ids=lambda undo: undo.__name__)
def test_a_broken_part_whose_rows_the_journal_has_not_stays_where_it_is(cut: Cut, undo: Callable[[Path], None]) -> None:
    """The journal has records, but of other rows: a broken disk, no power cut."""
    undo(cut.first)
    before = sorted(str(one) for one in cut.first.rglob("*"))
    for _ in range(2):
        child = Child(cut.data)
        child.kill()
        if child.opened == {"open": True}:
            assert undo is torn  # an old part is not read at a start; answers name it
            return
        assert child.opened["damage"] == "BrokenParts"
        assert cut.first.name in child.opened["detail"]
        assert sorted(str(one) for one in cut.first.rglob("*")) == before
        assert cut.put_aside() == []


def test_a_start_that_ended_while_it_tried_without_a_part_is_undone(cut: Cut) -> None:
    [table] = {cut.part.parent}
    pending = cut.data / "usage" / "unsynced" / "pending"
    pending.mkdir(parents=True)
    cut.first.rename(pending / cut.first.name)
    cut.whole()
    assert (table / cut.first.name).is_dir()
    assert cut.put_aside() == []


def test_keys_and_journal_that_both_lost_a_block_that_is_in_the_table_follow_its_rows(cut: Cut) -> None:
    """A disk that lied about both; the rows say what the keys have to know."""
    cut.keys_back()
    cut.cut_journal()
    cut.whole()
