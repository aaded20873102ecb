"""The page for contributors is true: what it names is there, and files are written as `.editorconfig` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = (ROOT / "CONTRIBUTING.md").read_text()
NAMED: Final = re.compile(r"`([^`\n]+)`")
LOOP: Final = {"quick", "test", "check", "soak", "bench"}
FOLDERS: Final = ("src", "tests", "docs", "bench", "scripts", ".ci")
# Of other programs, or not text: `.editorconfig` says the same.
LEFT_OUT: Final = {"fixtures", "samples", "__pycache__", "node_modules"}
TEXTS: Final = {".py", ".md", ".sql", ".toml", ".html", ".css", ".ts", ".json", ""}


def test_every_path_that_it_names_exists() -> None:
    words = {word for name in NAMED.findall(PAGE) for word in name.split()}
    paths = {word for word in words if "/" in word or word.endswith((".md", ".toml"))} - {".venv/bin/python"}
    assert len(paths) > 30, "nothing was read"
    inside = (ROOT, ROOT / "src/flowtally")  # `ingest/` is said as the map in docs/architecture.md says it
    assert not [path for path in paths if not any((place / path).exists() for place in inside)]


def test_what_it_says_of_make_is_so() -> None:
    told = [name for name in NAMED.findall(PAGE) if name.startswith("make ")]
    told += re.findall(r"^make [a-z]+", PAGE, re.MULTILINE)
    named = {target for name in told for target in name.split()[1:]}
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= known, "there is no such target"
    assert LOOP & known <= named, "say when it is run"


def written() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXTS and not LEFT_OUT & set(path.parts):
                yield path
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXTS and path.name != ".git")


def test_files_are_written_as_editorconfig_says() -> None:
    for path in written():
        text = path.read_bytes()
        assert b"\r" not in text, f"{path}: lines end with \\n"
        assert not text or text.endswith(b"\n"), f"{path}: the last line ends with \\n"
        assert not re.search(rb"[ \t]$", text, re.MULTILINE), f"{path}: blanks at the end of a line"
