"""Finding out what keeps the engine from opening begins once, whatever is found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from tests.fixtures import unpack

from flowtally.core.errors import Unavailable
from flowtally.usage import engine


def test_who_finds_out_does_not_have_it_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(path: Path) -> NoReturn:
        pytest.fail("it was begun again")

    def closed(self: object, database: str) -> NoReturn:
        raise Unavailable("it does not open")

    monkeypatch.setattr(engine, "find_broken", again)
    monkeypatch.setattr(engine.Engine, "_connect", closed)
    with pytest.raises(Unavailable):
        engine.Engine(f"chdb:///{tmp_path}", explains=False)


def test_a_directory_that_does_not_open_without_its_broken_parts_either_ends_it(tmp_path: Path) -> None:
    unpack(tmp_path)
    usage = tmp_path / "data" / "usage"
    [statement] = usage.glob("store/*/*/usage_events.sql")
    statement.write_text("ATTACH TABLE usage_events nonsense")
    command = [sys.executable, "-m", "flowtally.usage.diagnose", str(usage)]
    found = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert found.returncode != 0
    assert statement.read_text() == "ATTACH TABLE usage_events nonsense"
    assert not list(usage.parent.glob(".looking-*"))
