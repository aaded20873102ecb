"""What the samples of a period come to: their mean, largest, smallest, last or sum. Pure, and exact: whole numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from flowtally.core.words import Aggregation
from flowtally.samples.chunks import Numbers

SAFE: Final = 2**62  # a sum below it fits into a machine's number, whatever the order


class PeriodValue(NamedTuple):
    """`at`: the period's first second; `value` in thousandths; `samples`: how many it is made of."""

    at: int
    value: int
    samples: int


def summarize(times: Numbers, values: Numbers, period_s: int, aggregation: Aggregation) -> Iterator[PeriodValue]:
    """The value of each period that has samples, in order. Seconds, ascending, and thousandths. A period begins at a
    whole multiple of its length since 1970 UTC. A mean is rounded to the nearest, half to even."""
    if not len(times):
        return iter(())
    periods = times // period_s
    begins = np.flatnonzero(np.concatenate(([True], periods[1:] != periods[:-1])))
    counts = np.diff(begins, append=len(times))
    found = _aggregated(values, begins, counts, aggregation)
    return map(PeriodValue, (periods[begins] * period_s).tolist(), found.tolist(), counts.tolist())


def _aggregated(values: Numbers, begins: Numbers, counts: Numbers, aggregation: Aggregation) -> Numbers:
    match aggregation:
        case "max":
            found: Numbers = np.maximum.reduceat(values, begins)
        case "min":
            found = np.minimum.reduceat(values, begins)
        case "last":
            found = values[begins + counts - 1]
        case "sum":
            found = _sums(values, begins)
        case "mean":
            totals = _sums(values, begins)
            whole = totals // counts
            twice = (totals - whole * counts) * 2
            found = whole + ((twice > counts) | ((twice == counts) & (whole % 2 == 1)))
    return found


def _sums(values: Numbers, begins: Numbers) -> Numbers:
    largest = max(abs(int(values.max())), abs(int(values.min())))
    if largest * len(values) >= SAFE:
        values = values.astype(object)  # Python's own numbers: slow, and never too small
    found: Numbers = np.add.reduceat(values, begins)
    return found
