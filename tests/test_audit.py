"""The audit of dependencies: a finding fails, no network is told and harms nobody. And the lock that it reads."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from scripts import audit

ROOT = Path(__file__).parent.parent
FOUND = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"], "description": "bad"}
FINE = [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "version": "1", "vulns": []}]


class Program:
    """A pip-audit that says what a test wants, and counts how often it is asked."""

    def __init__(self, place: Path, answer: Any = None, error: str = "", code: int = 0) -> None:
        self._asked = place / "asked"
        said = "" if answer is None else json.dumps({"dependencies": answer, "fixes": []})
        script = f"import sys; open({str(self._asked)!r}, 'a').write('x'); sys.stdout.write({said!r}); "
        self.command = [sys.executable, "-c", script + f"sys.stderr.write({error!r}); sys.exit({code})"]

    @property
    def asked(self) -> int:
        return len(self._asked.read_text()) if self._asked.exists() else 0


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "lock.txt").write_text("a==1\n")
    return tmp_path / "lock.txt"


TODAY = date(2026, 3, 15)


def run(program: Program, lock: Path, today: date = TODAY) -> int:
    return audit.main(program.command, lock, lock.with_name("stamp"), today)


def test_a_finding_fails_and_is_named_with_what_fixes_it_every_time(
    lock: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program(lock.parent, [*FINE, {"name": "c", "version": "1", "vulns": [FOUND]}], code=1)
    assert [run(program, lock) for _ in range(2)] == [1, 1]
    assert "c 1: PYSEC-1, fixed in 2.0" in capsys.readouterr().out
    monkeypatch.setitem(audit.IGNORED, "CVE-1", "the part of it that we do not use")
    assert run(program, lock) == 0


def test_nothing_found_is_asked_once_a_day_for_the_same_versions(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Program(lock.parent, FINE)
    assert [run(program, lock) for _ in range(3)] == [0] * 3
    assert (
        capsys.readouterr().out.splitlines()
        == ["audit of dependencies: 2 of 2 looked up, nothing is known against them"] * 3
    )
    assert program.asked == 1
    assert run(program, lock, today=date(2026, 3, 16)) == 0
    lock.write_text("a==2\n")
    assert run(program, lock, today=date(2026, 3, 16)) == 0
    assert program.asked == 3


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (None, "Traceback\nConnectionError: no network", "ConnectionError: no network"),
        (None, "", "exit status 1"),
        ([{"name": "a", "skip_reason": "not found"}], "", "not found"),
        ([], "", "it knows none of them"),
    ],
)
def test_where_no_database_answers_that_is_printed_and_nobody_is_stopped(
    lock: Path, capsys: pytest.CaptureFixture[str], answer: Any, error: str, said: str
) -> None:
    assert run(Program(lock.parent, answer, error, code=1), lock) == 0
    assert f"skipped, no database of vulnerabilities answers ({said})" in capsys.readouterr().out


def test_a_program_that_is_not_there_is_a_skip_too(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main([str(lock.parent / "none")], lock, lock.with_name("stamp")) == 0
    assert "skipped" in capsys.readouterr().out


# -- the lock ----------------------------------------------------------------------------------------------------------


def locked() -> dict[str, int]:
    """How many hashes each pinned package has; whatever is not pinned fails here."""
    text = (ROOT / "constraints.txt").read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            pinned = re.match(r"([a-z0-9-]+)==[^ ]+ ", line)
            assert pinned, line
            found[pinned[1]] = line.count("--hash=sha256:")
    return found


def test_every_package_is_pinned_with_hashes_and_no_place_is_named() -> None:
    assert all(locked().values())
    assert not re.search(r"://|--index-url|--find-links| @ ", (ROOT / "constraints.txt").read_text())


def test_the_lock_holds_what_the_project_asks_for_and_what_builds_it() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = told["project"]["optional-dependencies"]
    asked = [*told["project"]["dependencies"], *extras["server"], *extras["dev"], *told["build-system"]["requires"]]
    asked.remove("flowtally[server]")  # `dev` has all of it
    names = {re.split(r"[\[><=]", one)[0].lower().replace("_", "-") for one in asked}
    assert names <= locked().keys()
