"""Which files are a log's: what logrotate and others leave beside it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowtally.agents.follow.patterns import Patterns

ROTATED = (
    "a.log.1", "a.log.2.gz", "a.log.10.xz", "a.log.3.bz2", "a.log.4.zst", "a.log-20261129", "a.log-20261129.gz",
    "a.log-20261129-1795974633", "a.log.2026-11-29", "a.log_2026-11-29T10:00:00", "a.log.2026112910", "a.log.old",
    "a.log.gz", "a.log.bak", "a.log-20261129.1.gz", "a.log.0",
)  # fmt: skip
OTHERS = (
    "a.log.1.tmp", "a.log.swp", "a.log.1.swp", "a.logs", "a.log.offset", "a.log.pos", "a.log.conf", "a.log1", "b.log.1",
    "a.log.1~", "xa.log.1", "a.log-config", "a.log.lock",
)  # fmt: skip


@pytest.mark.parametrize("path", ["a.log", "?.log", "[a].log"])
def test_what_rotation_leaves_is_found_by_its_name(tmp_path: Path, path: str) -> None:
    for name in ("a.log", *ROTATED, *OTHERS):
        (tmp_path / name).touch()
    patterns = Patterns((str(tmp_path / path),), None)
    left = {Path(name).name for name in patterns.left()}
    assert patterns.live() == [str(tmp_path / "a.log")]
    assert left - {"b.log.1"} == set(ROTATED)
    assert ("b.log.1" in left) == (path == "?.log")


def test_other_schemes_are_named(tmp_path: Path) -> None:
    for name in ("a.log", "a.1.log", "a.2.log.gz", "a.log.1"):
        (tmp_path / name).touch()
    patterns = Patterns((str(tmp_path / "a.log"),), (str(tmp_path / "a.*.log*"),))
    assert {Path(name).name for name in patterns.left()} == {"a.1.log", "a.2.log.gz"}
    assert Patterns((str(tmp_path / "a.log"),), ()).left() == []


def test_a_name_with_characters_of_a_pattern_is_a_name_where_it_is_there(tmp_path: Path) -> None:
    """`glob` has no other way to say it than its own escapes."""
    (tmp_path / "a[1].log").touch()
    (tmp_path / "a[1].log.1").touch()
    patterns = Patterns((str(tmp_path / "a[[]1].log"),), None)
    assert patterns.live() == [str(tmp_path / "a[1].log")]
    assert patterns.left() == [str(tmp_path / "a[1].log.1")]


def test_what_is_written_is_not_what_rotation_left(tmp_path: Path) -> None:
    for name in ("a.log", "a.log.1", "a.log.gz"):
        (tmp_path / name).touch()
    patterns = Patterns((str(tmp_path / "*"),), None)
    assert sorted(Path(name).name for name in patterns.live()) == ["a.log", "a.log.1", "a.log.gz"]
    assert patterns.left() == []
