"""What stands out in what nothing explains: spans that look lost or counted twice, and what is alike in all of them.

An oddity gives what is unexplained a name. It explains nothing: the amount stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from flowtally.core.reconciling.parts import Cell
from flowtally.core.reconciling.steady import ShareFit

MAX_ODDITIES: Final = 200  # the largest amounts
_NEARLY: Final = 20  # within a twentieth of what was to be expected

OddityKind = Literal["lost", "doubled", "share", "constant"]


class Oddity(msgspec.Struct, frozen=True):
    """`lost`: the vendor told (nearly) nothing where there was traffic; `doubled`: twice of it; `share`, `constant`: in
    all spans alike. `line`: of this line alone; None: of all that both sides know. `amount`: what is unexplained."""

    kind: OddityKind
    amount: int
    span: int | None = None
    line: int | None = None


def find_oddities(lines: Sequence[Sequence[Cell] | None], spans: Sequence[Cell], fit: ShareFit) -> list[Oddity]:
    """The oddities, the largest first. `lines`: the cells of each line, None for one that only one side knows; `spans`:
    their sums."""
    found = [Oddity(kind, cell[9], span) for span, cell in enumerate(spans) if (kind := _kind(cell))]
    odd = {one.span for one in found}
    if fit.pattern != "none" and not fit.claimed:
        amount = sum(cell[9] for span, cell in enumerate(spans) if span not in odd)
        found.append(Oddity(fit.pattern, amount))
    for line, cells in enumerate(lines):
        if cells is not None and len(lines) > 1:
            found += _of_line(line, cells, odd)
    found.sort(key=lambda one: (-abs(one.amount), one.kind, -1 if one.span is None else one.span, one.line or 0))
    return found[:MAX_ODDITIES]


def _of_line(line: int, cells: Sequence[Cell], odd: set[int | None]) -> Iterator[Oddity]:
    for span, cell in enumerate(cells):
        if cell[9] and span not in odd and (kind := _kind(cell)):
            yield Oddity(kind, cell[9], span, line)


def _kind(cell: Cell) -> OddityKind | None:
    measured, billed, cut, overhead, *_, unexplained, bound, _ = cell
    expected = measured + cut + overhead
    if expected <= bound:
        return None
    if -unexplained * _NEARLY >= expected * (_NEARLY - 1) - bound * _NEARLY and billed * _NEARLY <= expected:
        return "lost"
    if abs(billed - 2 * expected) * _NEARLY <= expected + bound * _NEARLY and unexplained > 0:
        return "doubled"
    return None
