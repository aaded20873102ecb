"""What a usage store can do is said once, as protocols; both stores do exactly that."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Final

import pytest

from flowtally.usage import store
from flowtally.usage.memory import MemoryStore
from flowtally.usage.until_block import UntilBlock

READERS: Final = (store.Sums, store.Rows, store.Breakdowns, store.Commits, store.Entries)
WRITERS: Final = (store.Blocks, store.Claims, store.Owned, store.Wholeness, store.Texts)


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
    assert set(Counter(verbs(*READERS, *WRITERS, store.UsageStore)).values()) == {1}
    assert all_verbs(store.UsageReader) == set(verbs(*READERS))
    assert all_verbs(store.UsageStore) == set(verbs(*READERS, *WRITERS, store.UsageStore))


@pytest.mark.parametrize("kind", [MemoryStore])
def test_a_store_has_the_verbs_of_the_protocols_and_no_other(kind: type) -> None:
    assert all_verbs(kind) == all_verbs(store.UsageStore)


def test_a_store_as_it_stood_has_the_verbs_of_readers_and_no_other() -> None:
    assert all_verbs(UntilBlock) == all_verbs(store.UsageReader)


@pytest.mark.parametrize("kind", [MemoryStore, UntilBlock])
def test_a_verb_takes_the_same_wherever_it_is(kind: type) -> None:
    for name in all_verbs(kind):
        assert _taken(kind, name) == _taken(store.UsageStore, name), name


def _taken(kind: type, name: str) -> list[tuple[str, object, object]]:
    given = inspect.signature(getattr(kind, name)).parameters.values()
    return [(one.name, one.kind, one.default) for one in given]
