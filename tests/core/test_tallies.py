"""A tally holds what is there, and nothing else."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.tallies import tally


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3))))
def test_what_has_come_to_nothing_is_forgotten(moves: list[tuple[str, int]]) -> None:
    counts: Counter[str] = Counter()
    for whose, more in moves:
        tally(counts, whose, more)
        assert all(counts.values())
    assert counts == Counter({one: sum(more for whose, more in moves if whose == one) for one in "abc"})
