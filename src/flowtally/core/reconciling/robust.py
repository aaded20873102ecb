"""Estimates that a few odd spans do not move: the median, the quarters, and what is left without the worst tenth.

Whole numbers throughout. Shares are in billionths; a ratio of whole numbers is cut, never rounded by a machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

BILLION: Final = 10**9
ENOUGH_SPANS: Final = 7  # a week of days: with fewer, chance alone makes a pattern
MANY_SPANS: Final = 14


class Quarters(msgspec.Struct, frozen=True):
    """Of figures in order: a quarter of them are below `low`, half below `middle`, a quarter above `high`."""

    low: int
    middle: int
    high: int

    @property
    def spread(self) -> int:
        return self.high - self.low


def quarters(figures: Iterable[int]) -> Quarters:
    """Each is one of the figures, so none is invented; there is at least one."""
    ordered = sorted(figures)
    last = len(ordered) - 1
    return Quarters(ordered[last // 4], ordered[last // 2], ordered[last - last // 4])


def without_worst(figures: Iterable[int]) -> int:
    """The sum of their sizes without the largest tenth, of which there is at least one where there are enough."""
    sizes = sorted(map(abs, figures))
    dropped = max(len(sizes) // 10, 1) if len(sizes) >= ENOUGH_SPANS else 0
    return sum(sizes[: len(sizes) - dropped])


def ratio(part: int, whole: int) -> int:
    """In billionths, cut; `whole` is above zero."""
    return part * BILLION // whole


def share(amount: int, billionths: int) -> int:
    """So much of an amount, cut towards zero, so that a share of the opposite is the opposite."""
    size = abs(amount) * abs(billionths) // BILLION
    return size if (amount < 0) == (billionths < 0) else -size


def sum_columns(columns: Iterable[Sequence[int]], length: int) -> list[int]:
    """The figures of each span of all of them, added."""
    sums = [0] * length
    for column in columns:
        sums = [one + other for one, other in zip(sums, column, strict=True)]
    return sums
