"""The parts of a difference, and the order in which they are taken from it.

    difference = billed - measured = cut + overhead + corrected + late + rounding + only_billed + only_measured
                                     + unexplained                                    exactly, for every cell and sum

A line that only one side knows is its own explanation. From the others goes first what is alike in all spans (`cut`,
`overhead`): it was claimed by the whole range, and no single span can make it up. Then, of what is left in a cell, what
its evidence allows: rows corrected, late data, and rounding; each explains at most what it amounts to, and only in its
own direction. What rounding alone can be needs nothing else. What is left then is overhead, too, where all of it lies
within the spread of the share; else it is unexplained.

What is left over is what nothing explains, and what only one side knows of. Of it the sizes are added up: what is too
much in one cell and too little in another is wrong twice, and never right by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from flowtally.core.reconciling.robust import share

PARTS: Final = ("cut", "overhead", "corrected", "late", "rounding", "only_billed", "only_measured", "unexplained")


class Explained(msgspec.Struct, frozen=True):
    """Both sides and the parts of their difference.

    rounding_bound: What rounding can be at most, either way.
    left_over: What tolerances are for: of each cell the size of what nothing explains or only one side knows, added up.
    """

    measured: int = 0
    billed: int = 0
    cut: int = 0
    overhead: int = 0
    corrected: int = 0
    late: int = 0
    rounding: int = 0
    only_billed: int = 0
    only_measured: int = 0
    unexplained: int = 0
    rounding_bound: int = 0
    left_over: int = 0

    @property
    def difference(self) -> int:
        return self.billed - self.measured

    @property
    def net(self) -> int:
        """What is left over, with its sign: what is too much less what is too little."""
        return self.unexplained + self.only_billed + self.only_measured


Cell = tuple[int, int, int, int, int, int, int, int, int, int, int, int]  # the fields of Explained, in their order
NOTHING: Final[Cell] = (0,) * 12


_LAST_BYTES: Final = 2  # a share of whole bytes is cut to whole bytes, by the vendor and by us


class Overhead(NamedTuple):
    """A share of what was measured, and how far a cell may be off it: billionths. (0, 0): none is claimed."""

    middle: int = 0
    spread: int = 0


class LineFacts(NamedTuple):
    """One line's figures, span by span: what was measured by the vendor's calendar and by the one that was claimed, and
    how far its evidence allows: `low` is zero or below, `high` zero or above."""

    measured: Sequence[int]
    billed: Sequence[int]
    as_cut: Sequence[int]
    corrected_low: Sequence[int]
    corrected_high: Sequence[int]
    late_low: Sequence[int]
    late_high: Sequence[int]


def explain_line(facts: LineFacts, bound: int, overhead: Overhead, told: Sequence[bool]) -> list[Cell]:
    """The cells of a line that both sides know; `bound`: what rounding can be in one of them."""
    cells: list[Cell] = []
    middle, spread = overhead
    for known, used, said, as_cut, corrected_low, corrected_high, late_low, late_high in zip(told, *facts, strict=True):
        if not known:
            cells.append(NOTHING)
            continue
        on_top = share(as_cut, middle) if middle else 0
        rest = said - as_cut - on_top
        if -bound <= rest <= bound:
            cells.append((used, said, as_cut - used, on_top, 0, 0, rest, 0, 0, 0, bound, 0))
            continue
        corrected = _within(rest, corrected_low, corrected_high)
        late = _within(rest - corrected, late_low, late_high)
        rest -= corrected + late
        rounding = _within(rest, -bound, bound)
        rest -= rounding
        if middle and abs(rest) <= share(abs(as_cut), spread) + _LAST_BYTES:
            on_top, rest = on_top + rest, 0
        cells.append((used, said, as_cut - used, on_top, corrected, late, rounding, 0, 0, rest, bound, abs(rest)))
    return cells


def _within(rest: int, low: int, high: int) -> int:
    """As much of it as lies between."""
    return low if rest < low else high if rest > high else rest


def explain_measured(measured: Sequence[int], told: Sequence[bool]) -> list[Cell]:
    """The cells of a line that the vendor does not know."""
    both = zip(measured, told, strict=True)
    return [(used, 0, 0, 0, 0, 0, 0, 0, -used, 0, 0, abs(used)) if known else NOTHING for used, known in both]


def explain_billed(billed: Sequence[int], told: Sequence[bool], bound: int) -> list[Cell]:
    """The cells of a line that only the vendor knows. `bound`: of use that it ascribes to nobody, which is what is left
    of rounded figures; else 0."""
    cells: list[Cell] = []
    for said, known in zip(billed, told, strict=True):
        rounding = min(max(said, -bound), bound)
        rest = said - rounding
        cells.append((0, said, 0, 0, 0, 0, rounding, rest, 0, 0, bound, abs(rest)) if known else NOTHING)
    return cells


def add(cells: Iterable[Cell]) -> Explained:
    """The sum of cells: of a line, of a span, of everything."""
    columns = [sum(column) for column in zip(*cells, strict=True)]
    return _conserved(Explained(*columns))


def explained(cell: Cell) -> Explained:
    return _conserved(Explained(*cell))


def _conserved(one: Explained) -> Explained:
    parts = one.cut + one.overhead + one.corrected + one.late + one.rounding + one.net
    assert one.difference == parts, one
    assert abs(one.net) <= one.left_over, one
    return one
