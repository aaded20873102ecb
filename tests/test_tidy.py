"""One word, one thing: what two modules say alike has one home."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.source_trees import SOURCE, nodes, sources, tree

# Set where they are used, one by one: that two of them are equal today says nothing of tomorrow.
KNOBS = frozenset(
    {
        "AFTER_FAILURE_S",
        "BEAT_S",
        "CACHED",
        "CHUNK",
        "LISTED",
        "MOST_NEAR",
        "NAMED",
        "PAGE",
        "REMEMBERED",
        "ROWS",
        "SHOWN",
        "SOON_S",
        "TRIES",
    }
)
EXAMPLES = frozenset({"ID", "EXAMPLE"})  # of documents, each beside what it is an example of
LENGTHS = frozenset({60_000, 3_600_000, 86_400_000, 86_400, 253_402_300_799_999, 253_402_300_800_000})


ON_TWO_FLOORS = frozenset({"Draw", "Grant"})  # rows of the ledger, and the values that `burndown` is handed of them


def modules() -> Iterator[tuple[str, Path]]:
    for path in sources():
        if "migrations" not in path.parts and "vendors" not in path.parts:  # vendors know nothing of one another
            yield path.relative_to(SOURCE).as_posix(), path


def constants(path: Path) -> Iterator[tuple[str, ast.expr]]:
    for node in tree(path).body:
        target = (
            node.target if isinstance(node, ast.AnnAssign) else node.targets[0] if isinstance(node, ast.Assign) else 0
        )
        if isinstance(target, ast.Name) and isinstance(node, (ast.AnnAssign, ast.Assign)) and node.value is not None:
            yield target.id, node.value


def twice(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {what: where for what, where in found.items() if len(where) > 1}


def test_no_list_of_words_is_written_twice() -> None:
    """They live in `core/words.py`, or in the one module that uses them."""
    found = defaultdict(list)
    for name, path in modules():
        for node in nodes(path, ast.Subscript):
            if getattr(node.value, "id", "") == "Literal" and isinstance(node.slice, ast.Tuple):
                found[" | ".join(sorted(map(ast.unparse, node.slice.elts)))].append(f"{name}:{node.lineno}")
    assert twice(found) == {}


def test_no_constant_is_set_twice_to_the_same() -> None:
    found = defaultdict(list)
    for name, path in modules():
        for constant, value in constants(path):
            if (
                constant.isupper()
                and not constant.startswith("_")
                and constant not in KNOBS | EXAMPLES
                and len(constant) > 1
            ):
                found[f"{constant} = {ast.unparse(value)}"].append(name)
    assert twice(found) == {}


@pytest.mark.parametrize("length", sorted(LENGTHS))
def test_lengths_of_time_are_those_of_core_times(length: int) -> None:
    found = [
        f"{name}: {constant}"
        for name, path in modules()
        for constant, value in constants(path)
        if name != "core/times.py" and isinstance(value, ast.Constant) and value.value == length
    ]
    assert found == []


def test_every_knob_is_still_set_more_than_once() -> None:
    found = defaultdict(list)
    for name, path in modules():
        for constant, _ in constants(path):
            found[constant].append(name)
    assert {knob for knob in KNOBS if len(found[knob]) < 2} == set()


def test_no_two_classes_have_one_name() -> None:
    found = defaultdict(list)
    for name, path in modules():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in ON_TWO_FLOORS:
                found[node.name].append(name)
    assert twice(found) == {}
