"""Does the bill match? Both sides compared by user and span, each difference taken apart, and the verdicts.

    names = match_names(measured users, the vendor's sub-users, mapping)
    cut = plan_cut(facts, names, clocks, grid)             which may ask for what was measured by other edges:
    reconcile(facts, names, tolerances, cut, as_cut)       `as_cut`, by user over `cut.edges`

Every cell (a line in a span) is taken apart, and every sum is the sum of its cells, so that what explains a user and
what explains a day are parts of one whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from flowtally.core.reconciling.cut import CutFit, FineSums, fit_cut
from flowtally.core.reconciling.facts import BothSides, Table, Tolerances
from flowtally.core.reconciling.names import MatchedNames, UserLine
from flowtally.core.reconciling.oddities import Oddity, find_oddities
from flowtally.core.reconciling.parts import (
    NOTHING,
    Cell,
    Explained,
    LineFacts,
    Overhead,
    add,
    explain_billed,
    explain_line,
    explain_measured,
    explained,
)
from flowtally.core.reconciling.robust import sum_columns
from flowtally.core.reconciling.steady import ShareFit, fit_share
from flowtally.core.reported import EVERYBODY

Match = Literal["matches", "within_tolerance", "beyond"]


class SpanCompared(msgspec.Struct, frozen=True):
    """One span, all lines. Not `told`: the vendor said nothing of it, and neither side is in any sum. Not `settled`: it
    may still move."""

    start: int
    end: int
    told: bool
    settled: bool
    sides: Explained
    match: Match


class LineCompared(msgspec.Struct, frozen=True):
    """One line over the whole range, and its cells."""

    line: UserLine
    sides: Explained
    match: Match
    cells: Sequence[Cell]

    def cell(self, span: int) -> Explained:
        return explained(self.cells[span])


class Lean(msgspec.Struct, frozen=True):
    """Of the cells that rounding explains to the end: how many the vendor told above, below, and exactly what is to be
    expected. A vendor that rounds to the nearest is as often above as below."""

    above: int
    below: int
    equal: int


class Reconciled(msgspec.Struct, frozen=True):
    """Both sides over the range: the whole, its spans, its lines, and what was estimated from all of them."""

    sides: Explained
    match: Match
    spans: tuple[SpanCompared, ...]
    lines: tuple[LineCompared, ...]
    cut: CutFit | None
    share: ShareFit
    lean: Lean
    oddities: tuple[Oddity, ...]


def plan_cut(facts: BothSides, names: MatchedNames, clocks: Sequence[int], grid: FineSums) -> CutFit:
    """Which calendar the vendor's figures follow. `clocks`: what its clock shows at each edge; `grid`: of the users
    that both sides know."""
    known = [line for line in names.lines if line.both]
    billed = _sum(facts.billed, (name for line in known for name in line.billed), facts.spans)
    bound = sum(_bound(facts, names, line) for line in known)
    return fit_cut(facts.edges, clocks, billed, [bound] * facts.spans, facts.steady, grid)


def differ(facts: BothSides, names: MatchedNames) -> bool:
    """Whether any span that stands still differs by more than rounding: else no calendar needs to be looked for."""
    known = [line for line in names.lines if line.both]
    measured = _sum(facts.measured, (name for line in known for name in line.measured), facts.spans)
    billed = _sum(facts.billed, (name for line in known for name in line.billed), facts.spans)
    bound = sum(_bound(facts, names, line) for line in known)
    both = zip(measured, billed, facts.steady, strict=True)
    return any(stands and abs(said - used) > bound for used, said, stands in both)


def reconcile(
    facts: BothSides,
    names: MatchedNames,
    tolerances: Tolerances,
    cut: CutFit | None = None,
    as_cut: Table | None = None,
) -> Reconciled:
    """Both sides compared. `as_cut`: what was measured over `cut.edges`, where another calendar is claimed."""
    assert (as_cut is None) == (cut is None or not cut.claimed), "measured by the calendar that is claimed"
    told = facts.all_told
    columns = [_columns(facts, line, as_cut) if line.both else None for line in names.lines]
    fit = _fit_share(facts, names, [one for one in columns if one is not None])
    cells = [
        _cells(facts, names, line, one, fit.overhead, told) for line, one in zip(names.lines, columns, strict=True)
    ]
    sides = [add(of_span) for of_span in zip(*cells, strict=True)]
    spans = tuple(
        SpanCompared(start, end, known, settled, both, _match(both, tolerances.span_amount, tolerances.span_per_mille))
        for start, end, known, settled, both in zip(
            facts.edges, facts.edges[1:], told, facts.settled, sides, strict=False
        )
    )
    whole = (tolerances.whole_amount, tolerances.whole_per_mille)
    lines = tuple(_line(line, of_line, whole) for line, of_line in zip(names.lines, cells, strict=True))
    total = add(msgspec.structs.astuple(one.sides) for one in lines)
    shared = [of_line if line.both else None for line, of_line in zip(names.lines, cells, strict=True)]
    sums = _sum_cells([of_line for of_line in shared if of_line is not None], facts.spans)
    return Reconciled(
        sides=total,
        match=_match(total, *whole),
        spans=spans,
        lines=lines,
        cut=cut,
        share=fit,
        lean=_lean(cell for of_line in shared if of_line is not None for cell in of_line),
        oddities=tuple(find_oddities(shared, sums, fit)),
    )


def _fit_share(facts: BothSides, names: MatchedNames, columns: Sequence[LineFacts]) -> ShareFit:
    """From the sums of all lines that both sides know, measured by the calendar that is claimed."""
    measured = sum_columns((column.as_cut for column in columns), facts.spans)
    billed = sum_columns((column.billed for column in columns), facts.spans)
    bound = sum(_bound(facts, names, line) for line in names.lines if line.both)
    return fit_share(measured, billed, [bound] * facts.spans, facts.steady)


def _columns(facts: BothSides, line: UserLine, as_cut: Table | None) -> LineFacts:
    spans = facts.spans
    measured = _sum(facts.measured, line.measured, spans)
    ours = _sum(facts.corrected_measured, line.measured, spans)
    theirs = _sum(facts.corrected_billed, line.billed, spans)
    # What we added since, the vendor's figure may lack; what it added since, ours may.
    corrected_low, corrected_high = _bounds([-our for our in ours], theirs)
    # What came in after the vendor was asked it could not tell; a figure that grows may go on growing.
    arrived = _sum(facts.arrived, line.measured, spans)
    moved = _sum(facts.moved, line.billed, spans)
    late_low, late_high = _bounds([-came for came in arrived], [-more for more in moved])
    return LineFacts(
        measured=measured,
        billed=_sum(facts.billed, line.billed, spans),
        as_cut=measured if as_cut is None else _sum(as_cut, line.measured, spans),
        corrected_low=corrected_low,
        corrected_high=corrected_high,
        late_low=late_low,
        late_high=late_high,
    )


def _bounds(one: Sequence[int], other: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """How far both together can explain a difference downwards and upwards."""
    if not any(one) and not any(other):
        return other, other
    both = [*zip(one, other, strict=True)]
    return [min(a, 0) + min(b, 0) for a, b in both], [max(a, 0) + max(b, 0) for a, b in both]


def _cells(
    facts: BothSides,
    names: MatchedNames,
    line: UserLine,
    columns: LineFacts | None,
    overhead: Overhead,
    told: Sequence[bool],
) -> list[Cell]:
    if columns is not None:
        return explain_line(columns, _bound(facts, names, line), overhead, told)
    if line.measured:
        return explain_measured(_sum(facts.measured, line.measured, facts.spans), told)
    billed = _sum(facts.billed, line.billed, facts.spans)
    return explain_billed(billed, told, _bound(facts, names, line) if line.billed == (EVERYBODY,) else 0)


def _bound(facts: BothSides, names: MatchedNames, line: UserLine) -> int:
    """What rounding can be in one cell: less than a step for each figure, whichever way the vendor rounds. What it
    ascribes to nobody is what is left of its figure of the account without those of all its sub-users."""
    is_rest = EVERYBODY in line.billed and not names.everybody
    told = sum(len(one.billed) for one in names.lines) if is_rest else len(line.billed)
    return facts.step * facts.figures * max(told, 1) if facts.step > 1 else 0


def _sum(table: Table, names: Iterable[str], spans: int) -> Sequence[int]:
    there = [column for name in names if (column := table.get(name)) is not None]
    return there[0] if len(there) == 1 else sum_columns(there, spans)


def _sum_cells(lines: Sequence[Sequence[Cell]], spans: int) -> list[Cell]:
    """By span, what these lines come to."""
    if len(lines) == 1:
        return list(lines[0])
    return [msgspec.structs.astuple(add(of_span)) for of_span in zip(*lines, strict=True)] or [NOTHING] * spans


def _line(line: UserLine, cells: list[Cell], whole: tuple[int, int]) -> LineCompared:
    sides = add(cells)
    return LineCompared(line, sides, _match(sides, *whole), cells)


def _match(sides: Explained, amount: int, per_mille: int) -> Match:
    if sides.left_over == 0:
        return "matches"
    allowed = max(amount, max(abs(sides.measured), abs(sides.billed)) * per_mille // 1000)
    return "within_tolerance" if sides.left_over <= allowed else "beyond"


def is_beyond(cell: Explained, tolerances: Tolerances) -> bool:
    """Whether a user in a span is beyond what may be left over of a span."""
    return _match(cell, tolerances.span_amount, tolerances.span_per_mille) == "beyond"


def _lean(cells: Iterable[Cell]) -> Lean:
    above = below = equal = 0
    for cell in cells:
        if cell[9] == cell[4] == cell[5] == 0 and (cell[0] or cell[1]):
            above += cell[6] > 0
            below += cell[6] < 0
            equal += cell[6] == 0
    return Lean(above, below, equal)
