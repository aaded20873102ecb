"""A reconciliation in words: what was compared, as the message that routes and commands show."""

from __future__ import annotations

from typing import Final

from flowtally.answers.reconciliation import Compared
from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.reconciling.calendars import show_offset
from flowtally.core.reconciling.cut import Candidate, CutFit
from flowtally.core.reconciling.oddities import Oddity
from flowtally.core.reconciling.parts import Explained
from flowtally.core.reconciling.reconcile import is_beyond
from flowtally.core.reconciling.steady import ShareFit
from flowtally.protocol import (
    AmbiguousName,
    CutTold,
    DisputedCell,
    OddityTold,
    OffsetFit,
    OverheadTold,
    ReconciliationAnswer,
    RoundingTold,
    Sides,
    SpanReconciled,
    UserReconciled,
)

MAX_DISPUTED: Final = 2_000
MAX_CLAIMED: Final = 100_000  # of a file that has all of them
_MILLION: Final = 1_000  # billionths in a millionth


def show_reconciliation(one: Compared, most: int = MAX_DISPUTED) -> ReconciliationAnswer:
    """The answer; of users in spans only those beyond tolerance, the `most` largest."""
    found, calendar = one.found, one.calendar
    disputed, disputed_in_all = _disputed(one, most)
    spans = [
        SpanReconciled(
            start=calendar.show(span.start),
            end=calendar.show(span.end),
            told=span.told,
            settled=span.settled,
            asked_at=format_if_any(asked_at),
            match=span.match,
            sides=show_sides(span.sides),
        )
        for span, asked_at in zip(found.spans, one.asked_at, strict=True)
    ]
    lines = [
        UserReconciled(
            line.line.name, list(line.line.measured), list(line.line.billed), line.match, show_sides(line.sides)
        )
        for line in found.lines
    ]
    return ReconciliationAnswer(
        account=one.provider.account,
        provider=one.provider.name,
        vendor=one.provider.vendor,
        start=spans[0].start,
        end=spans[-1].end,
        zone=calendar.name,
        grain=one.grain,
        quantity=one.quantity,
        accounts=one.rules.accounts,
        products=one.rules.products,
        corrected_since=format_if_any(one.since),
        match=found.match,
        total=show_sides(found.sides),
        spans=spans,
        users=lines,
        disputed=disputed,
        disputed_in_all=disputed_in_all,
        cut=None if found.cut is None else _cut(found.cut),
        overhead=_overhead(found.share),
        rounding=RoundingTold(one.sides.step, found.lean.above, found.lean.below, found.lean.equal),
        oddities=[_oddity(one, oddity) for oddity in found.oddities],
        ambiguous=[AmbiguousName(name.side, name.name, list(name.candidates)) for name in one.names.ambiguous],
        known_block=one.moment.block,
        known_at=format_instant(one.moment.instant),
    )


def show_sides(sides: Explained) -> Sides:
    return Sides(
        measured=sides.measured,
        billed=sides.billed,
        difference=sides.difference,
        cut=sides.cut,
        overhead=sides.overhead,
        corrected=sides.corrected,
        late=sides.late,
        rounding=sides.rounding,
        only_billed=sides.only_billed,
        only_measured=sides.only_measured,
        unexplained=sides.unexplained,
        rounding_bound=sides.rounding_bound,
        left_over=sides.left_over,
    )


def _disputed(one: Compared, most: int) -> tuple[list[DisputedCell], int]:
    """The largest, in order of time, and how many there are."""
    found: list[tuple[int, int, int]] = []
    for number, span in enumerate(one.found.spans):
        if not (span.told and span.settled):
            continue
        for place, line in enumerate(one.found.lines):
            cell = line.cells[number]
            if cell[11] and is_beyond(line.cell(number), one.rules.tolerances):
                found.append((-cell[11], number, place))
    largest = sorted(sorted(found)[:most], key=lambda each: each[1:])
    return [_cell(one, number, place) for _, number, place in largest], len(found)


def _cell(one: Compared, number: int, place: int) -> DisputedCell:
    span, line = one.found.spans[number], one.found.lines[place]
    asked_at = one.asked_at[number]
    assert asked_at is not None, "it was told"
    return DisputedCell(
        start=one.calendar.show(span.start),
        end=one.calendar.show(span.end),
        user=line.line.name,
        measured_users=list(line.line.measured),
        billed_users=list(line.line.billed),
        asked_at=format_instant(asked_at),
        sides=show_sides(line.cell(number)),
    )


def _cut(fit: CutFit) -> CutTold:
    def show(candidate: Candidate | None) -> OffsetFit | None:
        return None if candidate is None else OffsetFit(show_offset(candidate.offset), candidate.residual)

    best, second = show(fit.best), show(fit.second)
    return CutTold(fit.reason, fit.spans, fit.declared, fit.volume, best, second, fit.better_per_mille)


def _overhead(fit: ShareFit) -> OverheadTold:
    above, constant = fit.above, fit.constant
    return OverheadTold(
        outcome=fit.reason,
        spans=fit.spans,
        low=above.low // _MILLION,
        middle=above.middle // _MILLION,
        high=above.high // _MILLION,
        either=fit.either,
        constant_low=constant.low,
        constant_middle=constant.middle,
        constant_high=constant.high,
    )


def _oddity(one: Compared, oddity: Oddity) -> OddityTold:
    span = None if oddity.span is None else one.found.spans[oddity.span]
    return OddityTold(
        kind=oddity.kind,
        amount=oddity.amount,
        start=None if span is None else one.calendar.show(span.start),
        end=None if span is None else one.calendar.show(span.end),
        user=None if oddity.line is None else one.found.lines[oddity.line].line.name,
    )
