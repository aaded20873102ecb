"""The page of the laws is true: what refers to a law finds it there, and each law is proved by tests that exist.

Owns the page's shape and its links. What a law means is tested where its page says.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PAGE: Final = ROOT / "docs/laws.md"
HEADING: Final = re.compile(r"^## Law (\d+)\. \S", re.MULTILINE)
TEST: Final = re.compile(r"^- `(tests/[\w/]+\.py)(?:::(\w+))?`$", re.MULTILINE)
# "law 4", "Laws 2 and 4", "laws 1, 2 and 9"; also where a line ends between the word and its number.
MENTION: Final = re.compile(r"\blaws?[\s#*>]+(\d+(?:(?:,|,? and|,? or)[\s#*>]+(?:law )?\d+)*)", re.IGNORECASE)
SUFFIXES: Final = {".py", ".md", ".sql", ".toml", ".html", ""}
FOLDERS: Final = ("src", "tests", "docs", "bench", "scripts", ".ci")
LINKED_FROM: Final = ("README.md", "docs/architecture.md", "docs/decisions/README.md", "CONTRIBUTING.md")


def mentioned(text: str) -> list[int]:
    """The numbers of laws that a text refers to."""
    return [int(number) for one in MENTION.finditer(text) for number in re.findall(r"\d+", one[1])]


def texts() -> Iterator[tuple[Path, str]]:
    """Every text that people of this project wrote."""
    inside = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    for path in [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), ROOT / "Makefile", *inside]:
        if path.suffix in SUFFIXES and path.is_file() and "fixtures" not in path.parts:
            yield path, path.read_text(errors="replace")


def laws() -> dict[int, str]:
    """What the page says of each law, by number."""
    page = PAGE.read_text()
    _, *parts = HEADING.split(page)
    return {int(number): text for number, text in zip(parts[::2], parts[1::2], strict=True)}


@cache
def defined_in(path: Path) -> set[str]:
    return {one.name for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.FunctionDef)}


def test_there_are_nine_laws_in_their_order() -> None:
    assert list(laws()) == list(range(1, 10))


def test_every_mention_of_a_law_has_its_heading() -> None:
    known = laws()
    found = [(path, number) for path, text in texts() for number in mentioned(text)]
    strays = [(str(path.relative_to(ROOT)), number) for path, number in found if number not in known]
    assert not strays, "docs/laws.md has no such law"
    assert {number for path, number in found if path.is_relative_to(ROOT / "src")}, "nothing was looked at"


@pytest.mark.parametrize("number", range(1, 10))
def test_every_law_names_tests_that_exist(number: int) -> None:
    named = TEST.findall(laws()[number])
    assert named, "which tests prove it?"
    gone = [file for file, _ in named if not (ROOT / file).is_file()]
    assert not gone
    missing = [f"{file}::{name}" for file, name in named if name and name not in defined_in(ROOT / file)]
    assert not missing
    assert laws()[number].count("\n- `tests/") == len(named), "a test is written as `tests/file.py::name`"


def test_what_is_random_of_the_usage_store_has_its_rows_in_every_way() -> None:
    """By `store` or `written`; the other fixtures have them in one."""
    random = [
        (path.name, one.name, {argument.arg for argument in one.args.args})
        for path in sorted((ROOT / "tests/usage").glob("test_*.py"))
        for one in ast.walk(ast.parse(path.read_text()))
        if isinstance(one, ast.FunctionDef) and any("given(" in ast.unparse(made) for made in one.decorator_list)
    ]
    assert [(file, name) for file, name, takes in random if takes & {"clickhouse", "flushed"}] == []
    assert sum(not takes.isdisjoint({"store", "written"}) for _, _, takes in random) >= 7


@pytest.mark.parametrize("page", LINKED_FROM)
def test_the_page_is_linked_where_people_look_for_rules(page: str) -> None:
    assert re.search(r"\]\((\.\./|docs/)?laws\.md[)#]", (ROOT / page).read_text())


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("adds up (law {}).", [4]),
        ("Law {} and law {}: for any use", [6, 4]),
        ("see laws {}, {} and {}", [1, 2, 9]),
        ("of the law\n    {}", [5]),
        ("# by law\n# {}", [12]),
        ("flaw 3, the law of large numbers, lawful", []),
    ],
)
def test_mentions_are_found_however_they_are_written(text: str, numbers: list[int]) -> None:
    assert mentioned(text.format(*numbers)) == numbers
