"""One word, one thing: words that were given up do not come back (docs/decisions/0111)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.source_trees import SOURCE, nodes, sources

ROOT: Final = SOURCE.parents[1]

# Parts of names that are given up, and what says it now.
GONE: Final = {
    "courier": "dispatcher",
    "crowd": "connection_limits",
    "folded": "digests, compacted, merged",
    "folding": "compaction",
    "guesses": "failed_attempts",
    "house": "services, operator",
    "pen": "event_maker",
    "roll": "compact, projection",
    "rolled": "compacted",
    "rollup": "projection",
    "rollups": "projections",
    "turns": "write_lock, queue_key",
    "voice": "event_log",
}
# Public names keep their word: fields of messages, and errors whose code is made of their name.
KEPT: Final = {"rolled_up_to_block", "RolledMonth", "BrokenRollup", "FoldBroken"}

# What texts for users do not say: words of the inside, and words that few readers know.
UNSAID: Final = re.compile(
    r"\b(anew|bears?|borne|burnt|purses?|the house|who is asking"
    r"|(?<!rebuild-)roll-ups?|rolled up|rolls? (?:them|it) up)\b",
    re.IGNORECASE,
)
CODE: Final = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|<[^>]*>", re.DOTALL)
INSIDE: Final = {"architecture.md", "benchmarks.md", "laws.md"}  # pages for who changes flowtally


def parts(name: str) -> list[str]:
    """`BrokenRollup` and `broken_rollup` are broken, rollup."""
    return [part.lower() for part in re.findall(r"ClickHouse|[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def names(path: Path) -> Iterator[str]:
    """Everything that a module gives a name."""
    named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Name, ast.Attribute, ast.arg)
    for node in nodes(path, *named):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield name


def test_names_do_not_use_words_that_were_given_up() -> None:
    found = [
        f"{file.relative_to(SOURCE)}: {name}, say {GONE[part]}"
        for file in sources()
        for name in {*names(file), file.stem}
        for part in parts(name)
        if part in GONE and name not in KEPT
    ]
    assert found == []


def test_pages_say_the_words_that_readers_know() -> None:
    pages = [page for page in (*(ROOT / "docs").rglob("*.md"), ROOT / "README.md") if "decisions" not in page.parts]
    found = [
        f"{page.relative_to(ROOT)}: {word[0]}"
        for page in sorted(pages)
        if page.name not in INSIDE
        for word in UNSAID.finditer(CODE.sub(" ", page.read_text()))
    ]
    assert len(pages) > 30
    assert found == []
