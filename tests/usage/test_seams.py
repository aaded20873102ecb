"""What a usage store can do is said once, as protocols; both stores do exactly that, and nobody asks which it is."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

import flowtally
from flowtally.usage import verbs as v
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore
from flowtally.usage.until_block import UntilBlock

SRC: Final = Path(flowtally.__file__).parent
STORES: Final = ("ClickHouseStore", "MemoryStore")
CAPABILITIES: Final = {"compaction", "rows_check", "freezing"}  # what only some stores can do
READERS: Final = (v.Sums, v.Rows, v.Breakdowns, v.Commits, v.Entries)
WRITERS: Final = (v.SaidFigures, v.Blocks, v.Claims, v.Owned, v.Wholeness, v.Texts)


def verbs(*kinds: type) -> list[str]:
    """The verbs that these declare themselves, whatever they take over."""
    return [
        name
        for kind in kinds
        for name, one in vars(kind).items()
        if inspect.isfunction(one) and not name.startswith("_")
    ]


def all_verbs(kind: type) -> set[str]:
    return set(verbs(*(one for one in kind.__mro__ if one is not object)))


def test_each_verb_is_in_one_protocol() -> None:
    assert set(Counter(verbs(*READERS, *WRITERS, UsageStore)).values()) == {1}
    assert all_verbs(v.UsageReader) == set(verbs(*READERS))
    assert all_verbs(UsageStore) == set(verbs(*READERS, *WRITERS, UsageStore))


@pytest.mark.parametrize("kind", [MemoryStore, ClickHouseStore])
def test_a_store_has_the_verbs_of_the_protocols_and_no_other(kind: type) -> None:
    assert all_verbs(kind) == all_verbs(UsageStore)


def test_a_store_as_it_stood_has_the_verbs_of_readers_and_no_other() -> None:
    assert all_verbs(UntilBlock) == all_verbs(v.UsageReader)


@pytest.mark.parametrize("kind", [MemoryStore, ClickHouseStore, UntilBlock])
def test_a_verb_takes_the_same_wherever_it_is(kind: type) -> None:
    for name in all_verbs(kind):
        assert _taken(kind, name) == _taken(UsageStore, name), name


def _taken(kind: type, name: str) -> list[tuple[str, object, object]]:
    given = inspect.signature(getattr(kind, name)).parameters.values()
    return [(one.name, one.kind, one.default) for one in given]


def test_what_a_store_cannot_do_is_none() -> None:
    offered = {name for name, one in vars(UsageStore).items() if isinstance(one, property)}
    assert offered == CAPABILITIES
    assert all(getattr(MemoryStore(), name) is None for name in CAPABILITIES)


def test_nobody_outside_of_usage_asks_which_store_it_is_or_names_one() -> None:
    texts = {path: path.read_text() for path in SRC.rglob("*.py") if path.parent.name != "usage"}
    named = [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path, text in texts.items()
        if any(name in text for name in STORES)  # parsing all of them takes a second
        for node in ast.walk(ast.parse(text))
        if (isinstance(node, ast.Name) and node.id in STORES) or (isinstance(node, ast.alias) and node.name in STORES)
    ]
    assert named == []
