"""Counts of what is there now, by whose it is: what has come to nothing is forgotten, so there are never more of them
than there is to count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def tally(counts: Counter[K], whose: K, more: int) -> None:
    """So many more of it (below zero: fewer)."""
    counts[whose] += more
    if not counts[whose]:
        del counts[whose]
