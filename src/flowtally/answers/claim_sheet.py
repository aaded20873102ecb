"""The claim sheet: what to show to a vendor, as CSV for its figures and as text to print.

Owns the two forms. Both are made of the answer alone, so whoever has it can make them again. A claim is of days that
stand still, and only of what is beyond tolerance after rounding, late data and corrections have had their due: a day of
all users, for many small amounts make a large one, and a day of one user.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from flowtally.answers.statement import harmless
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange
from flowtally.core.reconciling.parts import PARTS
from flowtally.core.units import counted, exact_bytes, human_count, same_unit
from flowtally.protocol import CutTold, DisputedCell, ReconciliationAnswer, Sides, SpanReconciled

Write = Callable[[int], str]
_Disputed = SpanReconciled | DisputedCell
COLUMNS: Final = (
    *("start", "end", "user", "vendor_user", "measured", "billed", "difference"),
    *PARTS,
    *("rounding_bound", "asked_at", "known_block", "known_at", "scope", "left_over"),
)
MEANINGS: Final = {
    "cut": "days cut by another calendar",
    "overhead": "protocol overhead, the same share everywhere",
    "corrected": "corrected since",
    "late": "late data, still moving",
    "rounding": "rounding of the vendor's figures",
    "only_billed": "sub-users that only the vendor knows",
    "only_measured": "users that the vendor does not know",
    "unexplained": "unexplained",
}
_MATCHES: Final = {
    "matches": "As a whole, the bill matches.",
    "within_tolerance": "As a whole, the bill matches within the tolerance.",
    "beyond": "As a whole, the bill does not match: what is left is beyond the tolerance.",
}
_ODD: Final = {
    "lost": "not billed at all",
    "doubled": "billed twice",
    "share": "the same share on top of everything, more than protocols need",
    "constant": "the same amount on top of each span",
}


def claim_csv(answer: ReconciliationAnswer) -> bytes:
    """A row for each span beyond tolerance, of all users (scope `span`), and one for each user in a span beyond
    tolerance (scope `user`); RFC 4180, UTF-8. BadRange where `answer` has not all of them."""
    if (limit := len(answer.disputed)) < answer.disputed_in_all:
        raise BadRange(
            f"{answer.disputed_in_all} days of a user are beyond tolerance; at most {limit}"
            " are written to one file. Ask for a shorter range, or map the names that differ.",
            rows=answer.disputed_in_all,
            limit=limit,
        )
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    rows: list[tuple[_Disputed, str, str, str]] = [(one, "span", "", "") for one in _disputed_spans(answer)]
    rows += [(one, "user", one.user, " ".join(one.billed_users)) for one in answer.disputed]
    for one, scope, user, theirs in sorted(rows, key=lambda row: parse_instant(row[0].start)):  # a span, then its users
        sides = one.sides
        figures = (sides.measured, sides.billed, sides.difference, *(getattr(sides, part) for part in PARTS))
        known = (sides.rounding_bound, one.asked_at, answer.known_block, answer.known_at, scope, sides.left_over)
        writer.writerow(harmless(value) for value in (one.start, one.end, user, theirs, *figures, *known))
    return text.getvalue().encode()


def _disputed_spans(answer: ReconciliationAnswer) -> list[SpanReconciled]:
    """Those beyond tolerance that stand still, all users together."""
    return [one for one in answer.spans if one.told and one.settled and one.match == "beyond"]


def claim_text(answer: ReconciliationAnswer) -> str:
    """A page or more of plain text, 100 characters wide at most but for long names."""
    return "\n".join(line.rstrip() for line in _page(answer)) + "\n"


def _page(answer: ReconciliationAnswer) -> Iterator[str]:
    write = human_count if answer.quantity == "requests" else exact_bytes
    spans = _disputed_spans(answer)
    sides = [answer.total, *(one.sides for one in spans), *(one.sides for one in answer.disputed)]
    column = human_count if answer.quantity == "requests" else same_unit(_figures(sides), aligned=True)
    yield f"CLAIM SHEET: account {answer.account} at {answer.vendor} (provider {answer.provider})"
    yield f"{answer.start} to {answer.end}, days of {answer.zone}"
    yield ""
    yield _MATCHES[answer.match]
    yield ""
    yield from _sum(answer.total, column)
    yield ""
    yield from _how(answer, write)
    yield ""
    if answer.oddities:
        yield "WHAT STANDS OUT"
        for one in answer.oddities:
            span = "all spans" if one.start is None else one.start[:10]
            whose = "all users" if one.user is None else f"user {one.user or '(nobody)'}"
            yield f"  {span:<10}  {whose}: {_ODD[one.kind]} ({write(one.amount)})"
        yield ""
    if spans:
        yield f"BEYOND TOLERANCE, of all users in one span: {human_count(len(spans))}"
        yield from _table([(one, None) for one in spans], column)
        yield ""
    if not answer.disputed:
        no_one = "No single user is" if spans else "Neither all users together nor a single one are"
        yield f"{no_one} beyond the tolerance on any day that stands still."
        return
    shown = len(answer.disputed)
    of_all = "" if shown == answer.disputed_in_all else f"; the {human_count(shown)} largest"
    yield f"BEYOND TOLERANCE, of one user in one span: {human_count(answer.disputed_in_all)}{of_all}"
    yield from _table([(one, one.user) for one in answer.disputed], column)


def _sum(sides: Sides, write: Write) -> Iterator[str]:
    rows = [("billed by the vendor", sides.billed), ("measured", sides.measured), ("difference", sides.difference)]
    rows += [(f"  {MEANINGS[part]}", amount) for part in PARTS if (amount := getattr(sides, part))]
    width = max(len(write(amount)) for _, amount in rows)
    for what, amount in rows:
        yield f"{what:<50} {write(amount):>{width}}"
    yield f"{'rounding can be at most, either way':<50} {write(sides.rounding_bound):>{width}}"
    if sides.left_over != abs(sides.net):
        yield f"{'left over, too much and too little added up':<50} {write(sides.left_over):>{width}}"


def _how(answer: ReconciliationAnswer, write: Write) -> Iterator[str]:
    asked = sorted(one.asked_at for one in answer.spans if one.asked_at is not None)
    untold = sum(not one.told for one in answer.spans)
    moving = sum(one.told and not one.settled for one in answer.spans)
    yield "HOW THESE FIGURES CAME"
    yield f"  measured: every event counted by flowtally, up to block {answer.known_block}, at {answer.known_at}"
    if answer.accounts:
        yield f"    only accounts {', '.join(answer.accounts)}"
    if answer.products:
        yield f"    only products {', '.join(answer.products)}"
    when = f", asked from {asked[0]} to {asked[-1]}" if asked else ""
    yield f"  billed: told by the vendor's API by {answer.grain}{when}"
    yield f"    in steps of {write(answer.rounding.step)}"
    if untold:
        yield f"  {counted(untold, 'span')} told by the vendor: what was measured there does not count either"
    if moving:
        yield f"  {counted(moving, 'span')} that may still move: nothing is claimed of it"
    if answer.cut is not None:
        yield from _calendar(answer.cut, write)
    if (share := answer.overhead).outcome == "claimed":
        low, middle, high = (_percent(one) for one in (share.low, share.middle, share.high))
        yield f"  overhead: {middle} (half of the {share.spans} spans from {low} to {high})"
        if share.either:
            yield f"    or {write(share.constant_middle)} on each span: the traffic is too even to tell"
    for name in answer.ambiguous:
        yield f"  {name.side} name {name.name} could be {' or '.join(name.candidates)}: it was taken for neither"


def _calendar(cut: CutTold, write: Write) -> Iterator[str]:
    own = f"the vendor's own leaves {write(cut.declared)} of {write(cut.billed)} in {counted(cut.days, 'day')}"
    if cut.best is None or cut.best.residual >= cut.declared:
        yield f"  calendar: {own}"
    elif cut.outcome == "claimed":
        yield f"  calendar: that of {cut.best.offset}, which leaves {write(cut.best.residual)};"
        yield f"    {own}"
    else:
        yield f"  calendar: {own};"
        yield f"    {cut.best.offset} would leave {write(cut.best.residual)}"


def _table(disputed: Sequence[tuple[_Disputed, str | None]], write: Write) -> Iterator[str]:
    """With the user of each; None: all users."""
    head = ("day", "user", "measured", "billed", "difference", "claimed", "asked at")
    rows = [head, *(_row(one, user, write) for one, user in disputed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells_ = [
            cell.rjust(width) if 2 <= column <= 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells_)


def _row(one: _Disputed, user: str | None, write: Write) -> tuple[str, ...]:
    sides = one.sides
    amounts = (sides.measured, sides.billed, sides.difference, sides.net)
    whose = "(all)" if user is None else user or "(nobody)"
    return (one.start[:10], whose, *(write(amount) for amount in amounts), one.asked_at or "")


def _figures(sides: Sequence[Sides]) -> Iterator[int]:
    for one in sides:
        yield from (one.measured, one.billed, one.difference, *(getattr(one, part) for part in PARTS))


def _percent(millionths: int) -> str:
    """`5.26 %`, to the nearest hundredth.

    >>> _percent(52_599), _percent(-49_999)
    ('5.26 %', '-5.00 %')
    """
    size = (abs(millionths) + 50) // 100
    return f"{'-' if millionths < 0 else ''}{size // 100}.{size % 100:02d} %"
