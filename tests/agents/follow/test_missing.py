"""What a log's entry names and nobody can read is told: nothing there, no file, half a line that stays half."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.agents.follow.bench import Bench, line, lines
from tests.agents.follow.test_rotation import append

from flowtally.agents.follow.patterns import Patterns
from flowtally.agents.follow.tail import Tail


@pytest.mark.parametrize("path", ["access.log", "*.log", "none/*.log", "*/access.log"])
def test_that_nothing_is_there_is_told_at_once_and_once(tmp_path: Path, path: str) -> None:
    bench = Bench(tmp_path, path=str(tmp_path / path))
    bench.run(60)
    assert bench.events() == ["no_such_file"]
    assert str(tmp_path / path) in bench.said.getvalue()
    found = tmp_path / path.replace("*", "none" if "/" in path else "access")
    found.parent.mkdir(exist_ok=True)
    append(found, lines(0, 3))
    bench.run()
    assert bench.events() == ["no_such_file", "is_there"]
    assert bench.stored() == [0, 1, 2]


def test_a_log_that_goes_is_told_but_not_in_the_moment_of_a_rotation(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    append(bench.path, lines(0, 3))
    bench.run()
    bench.path.rename(tmp_path / "access.log.1")
    bench.run(5)
    append(bench.path, lines(3, 5))
    bench.run(30)
    assert bench.events() == []
    bench.path.rename(tmp_path / "access.log.2")
    bench.run(30)
    assert bench.events() == ["no_such_file"]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    one = socket.socket(socket.AF_UNIX)
    os.chdir(path.parent)
    one.bind(path.name)


NO_FILES: dict[str, Callable[[Path], None]] = {
    "a pipe": fifo,
    "a directory": lambda path: path.mkdir(),
    "a device": lambda path: path.symlink_to("/dev/null"),
    "a socket": listening,
}


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_file_is_told_and_never_waited_for(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bench = Bench(tmp_path)
    NO_FILES[what](bench.path)
    bench.run(30)
    assert bench.events() == ["not_a_file"]
    assert what in bench.said.getvalue()
    with pytest.raises(OSError, match=what):
        Tail(bench.path)
    bench.path.rename(tmp_path / "away")
    append(bench.path, lines(0, 2))
    bench.run()
    assert bench.events() == ["not_a_file", "is_there"]
    assert bench.stored() == [0, 1]


def test_directories_that_a_glob_meets_are_no_trouble(tmp_path: Path) -> None:
    bench = Bench(tmp_path, path=str(tmp_path / "*"))
    (tmp_path / "folder").mkdir()
    append(bench.path, lines(0, 2))
    bench.run(30)
    assert bench.events() == []
    assert bench.stored() == [0, 1]


def why_nothing(path: Path) -> str:
    patterns = Patterns((str(path),), None)
    patterns.live()
    return patterns.unmatched()[str(path)]


def test_a_pattern_says_why_it_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert why_nothing(tmp_path / "*.log") == "no file is called so"
    assert why_nothing(tmp_path / "none" / "*.log").endswith("none: No such file or directory")
    assert why_nothing(tmp_path / "file" / "*.log").endswith("file: Not a directory")
    assert why_nothing(tmp_path / "f*") == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list everything")
def test_a_directory_that_may_not_be_listed_is_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o300)
    assert why_nothing(tmp_path / "closed" / "*.log").endswith("closed: Permission denied")


@pytest.mark.parametrize("once", [False, True])
def test_a_half_line_that_stays_half_is_told(tmp_path: Path, once: bool) -> None:
    bench = Bench(tmp_path, path=str(tmp_path / "access-*.log"))
    bench.start(once=once)
    first, second = tmp_path / "access-2026-11-28.log", tmp_path / "access-2026-11-29.log"
    append(first, lines(0, 3) + line(3)[:20])
    append(second, lines(4, 6))
    if once:
        os.utime(first, (1, 1))
    bench.run(2 if once else 50)
    assert bench.log.settled()
    assert bench.events() == (["half_line"] if once else [])
    bench.run(0 if once else 40)
    assert bench.events() == ["half_line"]
    assert bench.log.facts()["half_lines"] == 1
    assert "bytes=20" in bench.said.getvalue()
    append(first, line(3)[20:])
    bench.run()
    assert bench.events() == ["half_line", "line_is_whole"]
    assert bench.log.facts()["half_lines"] == 0
    assert bench.stored() == [0, 1, 2, 3, 4, 5]
