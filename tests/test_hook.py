"""The hook that `make hooks` sets up: what is staged is formatted and linted, and nothing else decides."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
GOOD: Final = '"""A module."""\n\nNAMES = ["ann", "bob"]\n'
BADLY_FORMATTED: Final = '"""A module."""\n\nNAMES = [ \'ann\',"bob" ]\n'
BADLY_WRITTEN: Final = '"""A module."""\n\nimport os\n'  # never used

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]


class Repository:
    """A new one with our hook and our rules; `sys.executable` has the ruff beside it that the tests run with."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(place),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
        }
        self.git("init", "--quiet")
        for name, value in {"user.name": "Ann", "user.email": "ann@example.com"}.items():
            self.git("config", name, value)
        shutil.copy(ROOT / "pyproject.toml", place)
        shutil.copytree(ROOT / "scripts/hooks", place / "scripts/hooks")
        self.git("config", "core.hooksPath", "scripts/hooks")  # as `make hooks` says
        self.git("add", ".")

    def git(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            cwd=self.place,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def stage(self, name: str, text: str) -> None:
        (self.place / name).parent.mkdir(parents=True, exist_ok=True)
        (self.place / name).write_text(text)
        self.git("add", name)

    def commit(self, *options: str) -> tuple[int, str]:
        done = self.git("commit", "--quiet", "--message", "A commit", *options)
        return done.returncode, done.stderr + done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_what_is_well_written_is_committed(repository: Repository) -> None:
    repository.stage("src/good name.py", GOOD)
    repository.stage("notes.txt", "no  Python ")
    assert repository.commit() == (0, "")
    (repository.place / "src/good name.py").unlink()
    repository.git("add", "--all")
    assert repository.commit() == (0, ""), "a file that goes is nobody's fault"


@pytest.mark.parametrize(("text", "said"), [(BADLY_FORMATTED, "is not formatted"), (BADLY_WRITTEN, "F401")])
def test_what_is_not_is_named_and_not_committed(repository: Repository, text: str, said: str) -> None:
    repository.stage("src/good.py", GOOD)
    repository.stage("src/größe.py", text)
    code, told = repository.commit()
    assert code == 1
    assert "src/größe.py" in told
    assert said in told
    assert "good.py" not in told
    assert repository.git("log").returncode != 0, "nothing was committed"
    assert repository.commit("--no-verify")[0] == 0


def test_the_staged_text_decides_not_the_one_in_the_work_tree(repository: Repository) -> None:
    repository.stage("a.py", BADLY_FORMATTED)
    (repository.place / "a.py").write_text(GOOD)
    assert repository.commit()[0] == 1
    repository.git("add", "a.py")
    (repository.place / "a.py").write_text(BADLY_FORMATTED)
    assert repository.commit() == (0, "")


def test_without_ruff_it_says_so(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    programs = tmp_path_factory.mktemp("bin")
    for name in ("git", "sh", "mktemp", "rm"):
        found = shutil.which(name)
        assert found is not None
        (programs / name).symlink_to(found)
    repository.environment["PATH"] = str(programs)
    code, told = repository.commit()
    assert (code, "there is no ruff" in told) == (1, True)


def test_make_hooks_sets_the_folder_of_the_hook() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "hooks"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert "git config core.hooksPath scripts/hooks" in done.stdout
