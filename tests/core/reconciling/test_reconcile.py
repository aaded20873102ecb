"""Both sides compared: tables that a bookkeeper could check by hand.

A table has a line for each user and side, a number for each day; `.` is a day that the vendor did not tell. Below, the
parts that explain it, where they are not nothing: whatever is not in the table must be zero. The numbers of a day add
up: billed - measured = the parts.
"""

from __future__ import annotations

import re

from tests.core.reconciling.planting import START

from flowtally.core.reconciling.cut import FineSums
from flowtally.core.reconciling.facts import BothSides, Tolerances
from flowtally.core.reconciling.names import NameMapping, match_names
from flowtally.core.reconciling.parts import PARTS, Explained
from flowtally.core.reconciling.reconcile import Reconciled, plan_cut, reconcile
from flowtally.core.times import DAY_MS, HOUR_MS

EVIDENCE = ("arrived", "moved", "corrected_measured", "corrected_billed")
Rows = dict[str, dict[str, list[int]]]


def read(table: str) -> tuple[Rows, list[bool]]:
    """Numbers by what they are and by user; and which days were told."""
    rows: Rows = {}
    told: list[bool] = []
    for line in table.strip().splitlines():
        user, what, *numbers = re.split(r"\s+", line.strip())
        rows.setdefault(what, {})[user] = [0 if number == "." else int(number) for number in numbers]
        if what == "billed":
            told = told or [True] * len(numbers)
            told = [known and number != "." for known, number in zip(told, numbers, strict=True)]
    return rows, told


def check(table: str, *, step: int = 1, settled: int = 99, tolerances: Tolerances | None = None) -> Reconciled:
    """Compare what the table gives, and each part with what it expects."""
    rows, told = read(table)
    edges = [START + day * DAY_MS for day in range(len(told) + 1)]
    measured, billed = rows.pop("measured", {}), rows.pop("billed", {})
    facts = BothSides(
        *(edges, measured, billed, told, [day < settled for day in range(len(told))], step, 1),
        *(rows.pop(evidence, {}) for evidence in EVIDENCE),
    )
    found = reconcile(facts, match_names(measured, billed, NameMapping()), tolerances or Tolerances())
    got: Rows = {}
    for line in found.lines:
        cells = [line.cell(span) for span in range(facts.spans)]
        for part in PARTS:
            if any(numbers := [getattr(cell, part) for cell in cells]):
                got.setdefault(part, {})[line.line.name] = numbers
    assert got == rows
    return found


def test_a_bill_with_overhead_on_top_in_steps_of_ten_and_a_day_that_was_lost() -> None:
    """5 % on top, cut to tens: 1575 is told as 1570. On the fifth Bob is not billed at all. Zoe is nobody's we know."""
    found = check(
        """
        ann  measured       1000  2000  1500  1200  1800  1000  1400  1600
        ann  billed         1050  2100  1570  1260  1890  1050  1470  1680
        bob  measured       3000  1000  2000  2600  2200  2800  3100  1400
        bob  billed         3150  1050  2100  2730     0  2940  3250  1470
        eve  measured          0     0    70     0     0     0     0     0
        zoe  billed            0     0     0   400   400     0     0     0

        ann  overhead         50   100    75    60    90    50    70    80
        ann  rounding          0     0    -5     0     0     0     0     0
        bob  overhead        150    50   100   130   110   140   155    70
        bob  rounding          0     0     0     0   -10     0    -5     0
        bob  unexplained       0     0     0     0 -2300     0     0     0
        eve  only_measured     0     0   -70     0     0     0     0     0
        zoe  only_billed       0     0     0   400   400     0     0     0
        """.replace("\n\n", "\n"),
        step=10,
        tolerances=Tolerances(span_per_mille=20, whole_amount=1000, whole_per_mille=10),
    )
    assert found.sides == Explained(
        measured=29670,
        billed=29560,
        overhead=1480,
        rounding=-20,
        only_billed=800,
        only_measured=-70,
        unexplained=-2300,
        rounding_bound=160,
        left_over=3170,
    )
    assert found.sides.difference == -110  # which looks like nothing, and is not
    beyond = [span for span, compared in enumerate(found.spans) if compared.match == "beyond"]
    assert beyond == [3, 4]
    assert found.spans[2].match == "within_tolerance"  # Eve's 70 of 3,570
    assert [line.match for line in found.lines] == ["matches", "beyond", "within_tolerance", "within_tolerance"]
    assert found.match == "beyond"
    assert [(one.kind, one.span, one.line) for one in found.oddities] == [("lost", 4, 1)]


def test_what_is_too_much_and_what_is_too_little_do_not_cancel_out() -> None:
    """Two users under exchanged names, and one who is billed a day late: every sum is right, and none matches."""
    allowed = Tolerances(span_amount=1999, span_per_mille=10, whole_amount=1999, whole_per_mille=10)
    strangers = check(
        """
        ann  measured      1000
        zoe  billed        1000
        ann  only_measured  -1000
        zoe  only_billed    1000
        """,
        tolerances=allowed,
    )
    assert (strangers.sides.difference, strangers.sides.left_over, strangers.match) == (0, 2000, "beyond")
    assert strangers.spans[0].match == "beyond"
    day_after = check(
        """
        ann  measured     1000  1000
        ann  billed          1  1999
        ann  unexplained  -999   999
        """,
        tolerances=allowed,
    )
    assert (day_after.sides.net, day_after.sides.left_over, day_after.match) == (0, 1998, "within_tolerance")
    assert [line.match for line in day_after.lines] == ["within_tolerance"]


def test_corrections_come_before_late_data_and_rounding_takes_what_it_can_be() -> None:
    found = check(
        """
        ann  measured             500   500   500   500
        ann  billed               450   410   300   560
        ann  corrected_measured    60    60    60     0
        ann  arrived                0    20    20    20
        ann  corrected            -50   -60   -60     0
        ann  late                   0   -20   -20     0
        ann  rounding               0   -10   -10    10
        ann  unexplained            0     0  -110    50
        """,
        step=10,
        settled=2,
    )
    assert [span.settled for span in found.spans] == [True, True, False, False]
    assert [span.match for span in found.spans] == ["matches", "matches", "beyond", "beyond"]


def test_what_rounding_alone_can_be_needs_nothing_else() -> None:
    check(
        """
        ann  measured             500   500
        ann  billed               492   493
        ann  corrected_measured     3    60
        ann  rounding              -8    -7
        """,
        step=8,
    )


def test_a_day_that_was_not_told_is_in_no_sum_and_matches_nothing_by_being_zero() -> None:
    found = check(
        """
        ann  measured     500   500   500
        ann  billed       500     .   400
        ann  unexplained    0     0  -100
        """
    )
    assert [span.told for span in found.spans] == [True, False, True]
    assert found.spans[1].sides == Explained()
    assert (found.sides.measured, found.sides.billed) == (1000, 900)


def test_nobodys_rest_of_rounded_figures_is_rounding() -> None:
    """The account's figure less those of its sub-users: each of the three was rounded."""
    facts = BothSides(
        [START, START + DAY_MS],
        {"ann": [1004], "bob": [1004]},
        {"ann": [1000], "bob": [1000], "": [45]},
        step=10,
    )
    found = reconcile(facts, match_names(facts.measured, facts.billed, NameMapping()), Tolerances())
    assert found.sides == Explained(
        measured=2008, billed=2045, rounding=22, only_billed=15, rounding_bound=50, left_over=15
    )


def test_the_rest_is_as_inexact_as_all_that_it_is_the_rest_of_also_where_we_measured_use_of_nobody() -> None:
    facts = BothSides(
        [START, START + DAY_MS],
        {"ann": [1004], "bob": [1004], "": [11]},
        {"ann": [1000], "bob": [1000], "": [40]},
        step=10,
    )
    found = reconcile(facts, match_names(facts.measured, facts.billed, NameMapping()), Tolerances())
    assert [line.sides.rounding_bound for line in found.lines] == [30, 10, 10]
    assert (found.sides.rounding, found.match) == (21, "matches")


def test_the_spans_of_a_vendor_without_sub_users_are_compared_with_everybody() -> None:
    facts = BothSides([START, START + DAY_MS], {"ann": [10], "bob": [20]}, {"": [31]})
    found = reconcile(facts, match_names(facts.measured, facts.billed, NameMapping()), Tolerances(whole_amount=1))
    assert [line.line.measured for line in found.lines] == [("ann", "bob")]
    assert (found.sides.unexplained, found.match, found.spans[0].match) == (1, "within_tolerance", "beyond")


def test_even_traffic_cannot_tell_a_share_from_a_constant_amount_and_that_is_said() -> None:
    spans = 14
    edges = [START + day * DAY_MS for day in range(spans + 1)]
    facts = BothSides(edges, {"ann": [1000] * spans}, {"ann": [1050] * spans})
    found = reconcile(facts, match_names(facts.measured, facts.billed, NameMapping()), Tolerances())
    assert (found.share.claimed, found.share.either, found.sides.overhead) == (True, True, 50 * spans)


def test_a_share_that_no_protocol_needs_is_named_and_explains_nothing() -> None:
    """The vendor bills 1.4 times of everything."""
    used = [1000, 700, 1500, 1200, 300, 900, 1100, 800]
    edges = [START + day * DAY_MS for day in range(len(used) + 1)]
    facts = BothSides(edges, {"ann": used}, {"ann": [one * 14 // 10 for one in used]})
    found = reconcile(facts, match_names(facts.measured, facts.billed, NameMapping()), Tolerances())
    assert (found.share.reason, found.sides.overhead) == ("implausible", 0)
    assert [(one.kind, one.amount) for one in found.oddities] == [("share", sum(used) * 4 // 10)]


def test_a_week_of_days_is_needed_before_another_calendar_is_claimed() -> None:
    """Six days in which all traffic falls into one hour of the night, dated a day early by a vendor at +08:00."""
    night = [0] * 24 * 8
    for day, used in enumerate((0, 500, 900, 300, 700, 100, 800, 0)):
        night[day * 24 + 20] = used
    grid = FineSums(START - DAY_MS, HOUR_MS, night)
    edges = [START + day * DAY_MS for day in range(7)]
    facts = BothSides(edges, {"ann": [500, 900, 300, 700, 100, 800]}, {"ann": [0, 500, 900, 300, 700, 100]})
    names = match_names(facts.measured, facts.billed, NameMapping())
    cut = plan_cut(facts, names, edges, grid)
    assert (cut.reason, cut.claimed) == ("too_few_spans", False)
