"""The place in memory for blocks on their way: a name nobody can know, ours alone, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowtally.usage import temporary
from flowtally.usage.temporary import fast_temporary_files, find_place


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Somewhere else, where everybody may make names."""
    place = tmp_path / "shm"
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.setattr(temporary, "MEMORY", place)
    monkeypatch.setattr(tempfile, "tempdir", temporary.USUAL)
    yield place
    assert tempfile.tempdir == temporary.USUAL


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def name_of(data: Path) -> str:
    kept = data.stat()
    return f"flowtally-{os.getuid()}-{kept.st_dev:x}-{kept.st_ino:x}"


def test_the_place_is_ours_alone_its_name_drawn_and_gone_in_the_end(memory: Path, data: Path) -> None:
    seen = set()
    for _ in range(3):
        with fast_temporary_files(data):
            [place] = memory.iterdir()
            assert tempfile.gettempdir() == str(place)
            assert place.stat().st_mode & 0o777 == 0o700
            seen.add(place.name)
        assert list(memory.iterdir()) == []
    assert len(seen) == 3


def test_what_dead_processes_of_the_same_data_left_is_removed_and_nobody_elses(memory: Path, data: Path) -> None:
    ours, old = memory / f"{name_of(data)}-killed", memory / name_of(data)
    other, longer, file = memory / "flowtally-0-1-1-x", memory / f"{name_of(data)}0-x", memory / f"{name_of(data)}-file"
    for one in (ours, old, other, longer):
        one.mkdir(mode=0o700)
        (one / "block").touch()
    file.touch()
    with fast_temporary_files(data):
        assert not ours.exists()
        assert not old.exists()
        assert [one.exists() for one in (other, longer, file)] == [True] * 3


@pytest.mark.parametrize("taken", ["a link", "a file", "open to others", "another user's"])
def test_what_somebody_puts_in_its_place_is_never_used(
    memory: Path, data: Path, tmp_path: Path, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fast_temporary_files(data):
        place = Path(tempfile.gettempdir())
        shutil.rmtree(place)
        if taken == "a link":
            place.symlink_to(tmp_path)
        elif taken == "a file":
            place.touch()
        else:
            place.mkdir()
            place.chmod(0o777 if taken == "open to others" else 0o700)
        if taken == "another user's":
            euid = os.geteuid()
            monkeypatch.setattr(os, "geteuid", lambda: euid + 1)
        find_place()
        assert tempfile.gettempdir() != str(place)
        assert Path(tempfile.gettempdir()).parent == memory
        monkeypatch.undo()
        monkeypatch.setattr(temporary, "MEMORY", memory)
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    assert list(memory.iterdir()) == []


def test_where_no_name_can_be_made_the_usual_place_is_taken(memory: Path, data: Path) -> None:
    with fast_temporary_files(data):
        shutil.rmtree(tempfile.gettempdir())
        temporary.MEMORY.rmdir()
        find_place()
        assert tempfile.gettempdir() == temporary.USUAL
        temporary.MEMORY.mkdir()
        find_place()
        assert Path(tempfile.gettempdir()).parent == memory
