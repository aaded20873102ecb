"""Rotation in every way, with a clock of the test's: what was written is stored, each line once."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

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
