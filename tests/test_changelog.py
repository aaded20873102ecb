"""The changelog, the version and the notes for upgrading belong together."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
CHANGELOG: Final = (ROOT / "CHANGELOG.md").read_text()
RELEASE: Final = re.compile(r"^## (\d+)\.(\d+)\.(\d+), (\d{4}-\d\d-\d\d)$", re.MULTILINE)
READERS: Final = [
    "If you run flowtally",
    "If you write programs for it",
    "If you sell or resell traffic",
    "If you work on flowtally",
]


def releases() -> list[tuple[tuple[int, ...], date]]:
    """Version and day of each, as they come."""
    return [
        (tuple(int(number) for number in found.groups()[:3]), date.fromisoformat(found[4]))
        for found in RELEASE.finditer(CHANGELOG)
    ]


def name(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def test_the_version_of_the_package_is_the_newest_of_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == name(releases()[0][0])


def test_every_version_is_dated_and_newer_ones_come_first() -> None:
    assert len(releases()) == len(re.findall(r"^## ", CHANGELOG, re.MULTILINE)), "## 1.2.3, 2026-11-30"
    assert releases() == sorted(releases(), reverse=True)
    assert [day for _, day in releases()] == sorted((day for _, day in releases()), reverse=True)


def test_every_version_is_told_by_reader() -> None:
    _, *told = RELEASE.split(CHANGELOG)[::5]
    for (version, _), text in zip(releases(), told, strict=True):
        found = re.findall(r"^### (.+)$", text, re.MULTILINE)
        assert found == [reader for reader in READERS if reader in found], name(version)


def test_every_step_from_a_minor_version_to_the_next_has_its_note() -> None:
    notes = (ROOT / "docs/upgrading.md").read_text()
    for (newer, _), (older, _) in pairwise(releases()):
        if newer[:2] != older[:2]:
            assert f"\n## From {name(older)} to {name(newer)}\n" in notes
