"""The distributions of this tree, built once, and an environment where only a plain `pip install flowtally` is there.

Nothing is downloaded. What the wheel asks for is taken from the environment that runs the tests, each distribution as a
link, and whatever those ask for in turn: nothing else can be imported there, the server's libraries least of all.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import Final
from zipfile import Path as ZipPath

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.live import clean_environment

ROOT: Final = Path(__file__).parent.parent


class Built(msgspec.Struct, frozen=True):
    wheel: Path
    sdist: Path


def build(source: Path, place: Path, *targets: str) -> None:
    """As `pip` does it, but with the build tool of this environment."""
    chosen = [word for target in targets for word in ("-t", target)]
    run([sys.executable, "-m", "hatchling", "build", "-d", str(place), *chosen], cwd=source)


def run(command: list[str], **options: object) -> str:
    """What it printed. AssertionError with all that it said where it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return str(done.stdout)


class Alone(msgspec.Struct, frozen=True):
    """The environment, and how to run something in it."""

    place: Path

    @property
    def python(self) -> Path:
        return self.place / "bin/python"

    @property
    def packages(self) -> Path:
        [found] = self.place.glob("lib/python3*/site-packages")
        return found

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of this process's Python reaches it."""
        ours = {name: value for name, value in clean_environment().items() if not name.startswith("PYTHON")}
        return {**ours, "PATH": f"{self.place / 'bin'}:{ours['PATH']}", "COLUMNS": "80", **more}

    def run(self, *command: str, **more: str) -> str:
        """`flowtally ...` or `python ...` of this environment."""
        return run([str(self.place / "bin" / command[0]), *command[1:]], cwd=self.place, env=self.environment(**more))

    def pip(self, *words: str) -> list[str]:
        """The command: pip of the environment that runs the tests, working on this one, with no index to ask."""
        return [
            sys.executable,
            "-m",
            "pip",
            "--isolated",
            "--disable-pip-version-check",
            "--python",
            str(self.python),
            *words,
        ]


def make_alone(wheel: Path, place: Path) -> Alone:
    run([sys.executable, "-m", "venv", "--without-pip", str(place)])
    alone = Alone(place)
    for one in needed(metadata(wheel)):
        link(one, alone.packages)
    run(alone.pip("install", "--quiet", "--no-index", "--no-deps", "--no-compile", str(wheel)))
    return alone


def metadata(wheel: Path) -> Distribution:
    """What a wheel says of itself, read where it lies."""
    [place] = [one for one in ZipPath(wheel).iterdir() if one.name.endswith(".dist-info")]
    return PathDistribution(place)


def needed(of: Distribution) -> list[Distribution]:
    """What is installed with it: what it asks for without an extra, and what that asks for."""
    asked = list(requirements(of, frozenset()))
    found: dict[tuple[str, frozenset[str]], Distribution] = {}
    while asked:
        one = asked.pop()
        extras = frozenset(one.extras)
        if (one.name, extras) not in found:
            found[one.name, extras] = distribution(one.name)
            asked += requirements(found[one.name, extras], extras)
    return list({canonicalize_name(one.metadata["Name"]): one for one in found.values()}.values())


def requirements(of: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in of.requires or []:
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield one


def link(one: Distribution, packages: Path) -> None:
    tops = {file.parts[0] for file in one.files or [] if file.parts[0] not in {"..", "__pycache__"}}
    for top in tops:
        (packages / top).symlink_to(Path(str(one.locate_file(top))).resolve())
