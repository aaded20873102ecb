"""Rotation in every way, with a clock of the test's: what was written is stored, each line once."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.agents.follow.bench import Bench, line, lines


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_lines_are_stored_as_they_are_written(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    append(bench.path, line(3))
    bench.run()
    assert bench.stored() == [0, 1, 2, 3]


def test_half_a_line_waits(bench: Bench) -> None:
    append(bench.path, lines(0, 2) + line(2)[:20])
    bench.run(30)
    assert bench.stored() == [0, 1]
    append(bench.path, line(2)[20:])
    bench.run()
    assert bench.stored() == [0, 1, 2]


def test_rename_and_create(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    bench.path.rename(bench.folder / "access.log.1")
    append(bench.folder / "access.log.1", line(3))
    bench.run()
    append(bench.path, lines(10, 12))
    append(bench.folder / "access.log.1", line(4) + line(5)[:-1])
    bench.run()
    assert bench.stored() == [0, 1, 2, 3, 4, 10, 11]
    bench.run(10)
    assert bench.stored() == [0, 1, 2, 3, 4, 5, 10, 11]


def test_copytruncate(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    append(bench.path, lines(3, 6))
    shutil.copy(bench.path, bench.folder / "access.log.1")
    os.truncate(bench.path, 0)
    append(bench.path, lines(10, 12))
    bench.run(10)
    assert bench.stored() == [0, 1, 2, 3, 4, 5, 10, 11]
    assert "log_was_cut" in bench.events()


def test_copytruncate_to_more_than_before(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    shutil.copy(bench.path, bench.folder / "access.log.1")
    os.truncate(bench.path, 0)
    append(bench.path, lines(10, 20))
    bench.run(10)
    assert bench.stored() == [0, 1, 2, *range(10, 20)]


def test_a_copy_that_is_compressed_at_once(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    append(bench.path, lines(3, 6))
    (bench.folder / "access.log.1.gz").write_bytes(gzip.compress(bench.path.read_bytes()))
    os.truncate(bench.path, 0)
    append(bench.path, lines(10, 12))
    bench.run(15)
    assert bench.stored() == [0, 1, 2, 3, 4, 5, 10, 11]


def test_rotations_while_the_agent_is_down(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    bench.log.close()
    append(bench.path, lines(3, 6))
    (bench.folder / "access.log.2.gz").write_bytes(gzip.compress(bench.path.read_bytes()))
    bench.path.unlink()
    (bench.folder / "access.log.1").write_bytes(lines(10, 13))
    append(bench.path, lines(20, 22))
    bench.start()
    bench.run(15)
    assert bench.stored() == [0, 1, 2, 3, 4, 5, 10, 11, 12, 20, 21]


def test_a_log_that_begins_alike_each_day_is_told_and_seldom_asked_about(bench: Bench) -> None:
    banner = b"proxy 1.2 started\n"
    append(bench.path, banner + lines(0, 5))
    bench.run()
    bench.path.rename(bench.folder / "access.log.1")
    append(bench.path, banner)
    bench.run(10)
    asked = len(bench.fake.requests)
    for number in range(100, 400):  # beyond what was read of the other one
        append(bench.path, line(number))
        bench.run(0.25)
    assert bench.stored() == [0, 1, 2, 3, 4]
    assert bench.events() == ["unreadable_line", "not_as_read"]
    assert bench.log.facts()["faults"] == 1
    assert len(bench.fake.requests) - asked < 30


def test_copies_that_are_called_otherwise_between_two_looks_are_no_trouble(bench: Bench) -> None:
    append(bench.folder / "access.log.1", lines(0, 3))
    append(bench.path, lines(3, 6))
    slots, bench.server.slots = bench.server.slots, 0
    bench.run(1)
    (bench.folder / "access.log.1").rename(bench.folder / "access.log.2")
    append(bench.folder / "access.log.1", lines(100, 102))
    bench.server.slots = slots
    bench.run(30)
    assert bench.stored() == [0, 1, 2, 3, 4, 5, 100, 101]
    assert bench.events() == []
    assert bench.log.facts()["faults"] == 0


def test_a_log_that_is_cut_without_a_copy_is_told(bench: Bench) -> None:
    append(bench.path, lines(0, 3))
    bench.run()
    os.truncate(bench.path, 0)
    append(bench.path, lines(10, 12))
    bench.run(60)
    assert bench.stored() == [0, 1, 2, 10, 11]
    assert bench.events() == ["log_was_cut", "copy_not_found"]
    assert "read_until=2026-11-18T11:06:42Z" in bench.said.getvalue()


def test_directives_before_the_place_where_reading_begins_are_known(tmp_path: Path) -> None:
    """A W3C log says once, at its beginning, what its columns are; and all of them begin alike."""
    entry: dict[str, Any] = {"format": "iis", "account": "acme", "user-from": "user"}
    bench = Bench(tmp_path, **entry)
    head = (
        b"#Software: Microsoft Internet Information Services 10.0\n#Version: 1.0\n"
        b"#Fields: date time cs-username sc-status %s\n"
    )
    up, down = head % b"sc-bytes cs-bytes", head % b"cs-bytes sc-bytes"
    row = b"2026-11-29 10:00:%02d bob 200 %d 0\n"
    append(bench.path, up + row % (1, 1) + row % (2, 2))
    bench.run()
    bench.path.rename(tmp_path / "access.log.1")
    append(bench.path, down + row.replace(b"%d 0", b"0 %d") % (3, 3))
    bench.run()
    bench.restart()
    append(tmp_path / "access.log.1", row % (4, 4))
    append(bench.path, row.replace(b"%d 0", b"0 %d") % (5, 5))
    bench.run(20)
    assert bench.stored() == [1, 2, 3, 4, 5]


def test_what_is_gone_is_forgotten(bench: Bench) -> None:
    """A log that is rotated each minute for years."""
    for number in range(20):
        append(bench.path, lines(number * 10, number * 10 + 3))
        bench.run(3)
        if (bench.folder / "access.log.1").exists():
            (bench.folder / "access.log.1").unlink()
        bench.path.rename(bench.folder / "access.log.1")
        bench.run(20)
    assert len(bench.stored()) == 60
    assert len(bench.log._streams) <= 3
    assert len(bench.log._files) <= 3
    assert len(bench.server.claims) <= 3


def test_an_inode_of_a_file_that_was_read_is_no_cut_when_it_comes_again(bench: Bench) -> None:
    """The oldest file is removed, and the new log gets its inode: common where both happen at once."""
    append(bench.path, lines(0, 3))
    bench.run()
    bench.path.rename(bench.folder / "access.log.1")
    append(bench.path, lines(10, 13))
    bench.run(20)
    old = bench.folder / "access.log.1"
    inode = old.stat().st_ino
    old.unlink()
    bench.path.rename(old)
    for number in range(200):
        if not bench.path.exists():
            other = bench.folder / f"other{number}"
            other.touch()
            if other.stat().st_ino == inode:
                other.rename(bench.path)
    append(bench.path, lines(20, 23))
    bench.run(60)
    assert bench.stored() == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    assert bench.events() == []


def test_files_that_stay_empty_are_not_kept_open(bench: Bench) -> None:
    for _ in range(10):
        bench.path.touch()
        bench.run(2)
        (bench.folder / "access.log.1").unlink(missing_ok=True)
        bench.path.rename(bench.folder / "access.log.1")
    bench.path.touch()
    bench.run(20)
    assert bench.log.facts()["open_files"] == 1


def test_a_source_is_kept_while_any_file_of_it_is_there(bench: Bench) -> None:
    """The plain file is gone, and its compressed copy was not looked into: the server is away."""
    append(bench.path, line(0))
    bench.path.rename(bench.folder / "access.log.1")
    on = [True]
    handle = bench.fake.handle

    def answer(request: httpx.Request) -> httpx.Response:
        if on:
            raise httpx.ConnectError("refused", request=request)
        return handle(request)

    bench.fake.handle = answer  # type: ignore[method-assign]
    bench.restart()
    bench.path.touch()
    bench.run(7)
    (bench.folder / "access.log.1.gz").write_bytes(gzip.compress((bench.folder / "access.log.1").read_bytes()))
    (bench.folder / "access.log.1").unlink()
    bench.run(30)
    on.clear()
    bench.run(60)
    assert bench.stored() == [0]
