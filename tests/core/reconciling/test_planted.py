"""Gaps of every kind are planted in a bill: each is found, named, and of its right size; noise is not a gap."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.reconciling.planting import MB, OFFSETS, Evidence, World, compare, each, total, worlds

from flowtally.core.reconciling.facts import BothSides, Table, Tolerances
from flowtally.core.reconciling.names import NameMapping, match_names
from flowtally.core.reconciling.parts import PARTS, Explained
from flowtally.core.reconciling.reconcile import Reconciled, reconcile
from flowtally.core.times import DAY_MS

STEPS = st.sampled_from([1, 1000, 1024, 10_486, MB])
ROUNDING = st.sampled_from(["down", "up", "nearest"])
BILLS = settings(max_examples=25, deadline=None)  # a month of quarter hours each
SHARES = st.integers(5_000, 120_000)  # millionths: 0.5 % to 12 %


def parts(sides: Explained) -> int:
    return sum(getattr(sides, part) for part in PARTS)


def assert_adds_up(found: Reconciled) -> None:
    """Every cell, every line, every span and the whole; and the sums are the sums of what they are sums of."""
    for sides in (found.sides, *(span.sides for span in found.spans), *(line.sides for line in found.lines)):
        assert parts(sides) == sides.difference
    for number, span in enumerate(found.spans):
        cells = [line.cell(number) for line in found.lines]
        for part in ("measured", "billed", "rounding_bound", "left_over", *PARTS):
            assert sum(getattr(cell, part) for cell in cells) == getattr(span.sides, part)
    for part in ("measured", "billed", "left_over", *PARTS):
        whole = getattr(found.sides, part)
        assert sum(getattr(span.sides, part) for span in found.spans) == whole
        assert sum(getattr(line.sides, part) for line in found.lines) == whole


def assert_only(found: Reconciled, *kinds: str) -> None:
    """Nothing else explains anything, and nothing is left."""
    assert {part for part in PARTS if getattr(found.sides, part)} <= set(kinds), found.sides


# -- One kind of gap at a time ----------------------------------------------------------------------------------------


@settings(BILLS)
@given(worlds(), STEPS, ROUNDING)
def test_rounding_is_rounding_and_nothing_else(world: World, step: int, how: str) -> None:
    found = compare(world, world.bill(step=step, rounding=how), step=step)
    assert_adds_up(found)
    assert_only(found, "rounding")
    assert found.match == "matches"
    assert not found.oddities
    assert {"down": found.lean.above, "up": found.lean.below}.get(how, 0) == 0


@settings(BILLS)
@given(worlds(), OFFSETS, st.sampled_from([1, 1024, 10_486]), ROUNDING)
def test_the_calendar_of_the_vendor_is_found_to_the_quarter_hour(
    world: World, offset: int, step: int, how: str
) -> None:
    bill = world.bill(offset=offset, step=step, rounding=how)
    found = compare(world, bill, step=step)
    assert_adds_up(found)
    assert_only(found, "cut", "rounding")
    assert found.match == "matches"
    assert found.cut is not None
    assert found.cut.claimed is (offset != 0)
    if offset and found.cut.best:
        assert found.cut.best.offset == offset
        assert found.cut.better_per_mille > 900
    exact = total(world.bill(offset=offset)) - total(world.bill())
    assert found.sides.cut == exact


@settings(BILLS)
@given(worlds(), SHARES, st.sampled_from([1, 1024, 10_486]), ROUNDING)
def test_a_share_on_top_is_found_with_its_size(world: World, share_ppm: int, step: int, how: str) -> None:
    found = compare(world, world.bill(share_ppm=share_ppm, step=step, rounding=how), step=step)
    assert_adds_up(found)
    assert_only(found, "overhead", "rounding")
    assert found.share.claimed
    assert abs(found.share.above.middle - share_ppm * 1000) <= found.share.rounding + 10
    planted = total(world.bill(share_ppm=share_ppm)) - total(world.bill())
    assert abs(found.sides.overhead - planted) <= found.sides.rounding_bound + 4 * world.days * len(world.names)


@settings(BILLS)
@given(worlds(), st.integers(1, 3), st.integers(1, 99))
def test_what_came_in_after_the_vendor_was_asked_is_late(world: World, days: int, percent: int) -> None:
    bill, arrived = world.bill(), each(world.bill(), lambda _: 0)
    for name in world.names:
        for day in range(world.days - days, world.days):
            arrived[name][day] = bill[name][day] * percent // 100
            bill[name][day] -= arrived[name][day]
    found = compare(world, bill, arrived=arrived, settled_until=world.edges[-1 - days])
    assert_adds_up(found)
    assert_only(found, "late")
    assert found.sides.late == -total(arrived)
    assert [span.settled for span in found.spans].count(False) == days


@settings(BILLS)
@given(worlds(), st.integers(1, 3), st.integers(1, 49))
def test_a_figure_that_still_grows_may_be_as_far_behind_as_it_grew(world: World, days: int, percent: int) -> None:
    bill, moved = world.bill(), each(world.bill(), lambda _: 0)
    for name in world.names:
        for day in range(world.days - days, world.days):
            missing = bill[name][day] * percent // 100
            bill[name][day] -= missing
            moved[name][day] = missing
    found = compare(world, bill, moved=moved, settled_until=world.edges[-1 - days])
    assert_only(found, "late")
    assert found.sides.late == -total(moved)


@settings(BILLS)
@given(worlds(users=2), st.booleans(), st.sampled_from([1, 1024]))
def test_users_that_only_one_side_knows_are_named_with_all_they_used(world: World, theirs: bool, step: int) -> None:
    bill, ours = world.bill(step=step), world.measured(world.edges)
    gone = world.names[0]
    (ours if theirs else bill).pop(gone)
    missing = sum((bill if theirs else ours)[gone])
    found = compare(world, bill, measured=ours, step=step)
    assert_adds_up(found)
    assert_only(found, "only_billed" if theirs else "only_measured", "rounding")
    assert found.sides.only_billed - found.sides.only_measured == missing
    [line] = [line for line in found.lines if not line.line.both]
    assert line.line.billed + line.line.measured == (gone,)
    assert line.match == found.match == "beyond"


def _corrected(corrected: Table, ours: bool) -> Evidence:
    return {"corrected_measured": corrected} if ours else {"corrected_billed": corrected}


@settings(BILLS)
@given(worlds(), st.data(), st.booleans())
def test_a_correction_since_explains_what_it_moved_and_no_more(world: World, data: st.DataObject, ours: bool) -> None:
    """On our side what is taken from the measured is billed still; on the vendor's, what it has added."""
    bill, measured = world.bill(), world.measured(world.edges)
    corrected = each(bill, lambda _: 0)
    name, day = data.draw(st.sampled_from(world.names)), data.draw(st.integers(0, world.days - 1))
    moved = data.draw(st.integers(1, max(bill[name][day], 1)))
    corrected[name][day] = -moved if ours else moved
    (measured if ours else bill)[name][day] += corrected[name][day]
    found = compare(world, bill, measured=measured, **_corrected(corrected, ours))
    assert_adds_up(found)
    assert_only(found, "corrected")
    assert found.sides.corrected == moved
    assert_only(
        compare(world, world.bill(), **_corrected(corrected, ours))
    )  # what set both right explains no difference: there is none


@settings(BILLS)
@given(worlds(), st.data(), st.sampled_from([1, 1024]))
def test_a_lost_and_a_doubled_day_are_named_and_nothing_explains_them(
    world: World, data: st.DataObject, step: int
) -> None:
    bill, used = world.bill(step=step), world.measured(world.edges)
    lost, doubled = data.draw(st.lists(st.integers(0, world.days - 1), min_size=2, max_size=2, unique=True))
    for name in world.names:
        bill[name][lost], bill[name][doubled] = 0, bill[name][doubled] * 2
    found = compare(world, bill, step=step)
    assert_adds_up(found)
    assert_only(found, "rounding", "unexplained")
    named = {(one.kind, one.span) for one in found.oddities if one.line is None}
    assert named == {("lost", lost), ("doubled", doubled)}
    bound = found.spans[lost].sides.rounding_bound * 2
    for day, sign in ((lost, -1), (doubled, 1)):
        assert abs(found.spans[day].sides.unexplained - sign * sum(used[name][day] for name in world.names)) <= bound
    assert [span.match for span in found.spans].count("beyond") == 2


@settings(BILLS)
@given(worlds(), st.integers(1, 200), st.sampled_from([1, 1024]))
def test_the_same_amount_on_top_of_each_day_is_named_and_never_taken_for_overhead(
    world: World, percent: int, step: int
) -> None:
    """As much as the share of an even day would be; days differ, so it is none."""
    bill = world.bill(step=step)
    theft = max(total(bill) * percent // 100 // world.days, 20 * step)
    for day in range(world.days):
        bill[world.names[0]][day] += theft
    found = compare(world, bill, step=step)
    assert_adds_up(found)
    assert_only(found, "rounding", "unexplained")
    assert [one.kind for one in found.oddities if one.span is None] == ["constant"]
    assert abs(found.sides.unexplained - theft * world.days) <= 2 * found.sides.rounding_bound
    assert abs(found.share.constant.middle - theft) <= found.sides.rounding_bound


# -- Several at once, and none ----------------------------------------------------------------------------------------


@settings(BILLS)
@given(worlds(days=21, users=2), OFFSETS, SHARES, st.sampled_from([1, 1024]), st.data())
def test_planted_together_each_is_found_with_its_own_size(
    world: World, offset: int, share_ppm: int, step: int, data: st.DataObject
) -> None:
    """Another calendar, overhead, rounding, a stranger, and a day that is lost."""
    bill = world.bill(offset, share_ppm, step)
    lost = data.draw(st.integers(0, world.days - 1))
    gone = sum(bill[name][lost] for name in world.names)
    for name in world.names:
        bill[name][lost] = 0
    bill["stranger"] = [step * 7] * world.days
    found = compare(world, bill, step=step)
    assert_adds_up(found)
    assert found.cut is not None
    assert found.cut.claimed is (offset != 0)
    assert found.share.claimed
    assert abs(found.share.above.middle - share_ppm * 1000) <= found.share.rounding + 10
    assert found.sides.only_billed == step * 7 * world.days
    assert [(one.kind, one.span) for one in found.oddities] == [("lost", lost)]
    sides = found.sides
    assert abs(sides.unexplained + gone) <= sides.rounding_bound + gone // 10_000


@settings(BILLS)
@given(worlds(), st.integers(1, 30), st.integers(0, 2**32))
def test_noise_within_the_tolerance_is_no_gap(world: World, per_mille: int, seed: int) -> None:
    chance = random.Random(seed)
    bill = each(
        world.bill(), lambda amount: amount + amount * chance.randint(-per_mille * 100, per_mille * 100) // 100_000
    )
    found = compare(world, bill, tolerances=Tolerances(span_per_mille=per_mille + 1, whole_per_mille=per_mille + 1))
    assert_adds_up(found)
    assert found.cut is not None
    assert not found.cut.claimed
    assert not found.share.claimed
    assert not found.oddities
    assert {span.match for span in found.spans} <= {"matches", "within_tolerance"}
    assert found.match in {"matches", "within_tolerance"}


# -- Laws -------------------------------------------------------------------------------------------------------------

FIGURES = st.integers(-(10**15), 10**15)


@st.composite
def any_facts(draw: st.DrawFn) -> BothSides:
    """Of figures that follow no rule, below zero too."""
    spans = draw(st.integers(1, 12))
    columns = st.lists(FIGURES | st.just(0), min_size=spans, max_size=spans)
    table = st.dictionaries(st.sampled_from(["", "a", "b", "c", "d"]), columns, max_size=4)
    told = draw(st.none() | st.lists(st.booleans(), min_size=spans, max_size=spans))
    return BothSides(
        [day * DAY_MS for day in range(spans + 1)],
        *(draw(table), draw(table), told),
        draw(st.none() | st.lists(st.booleans(), min_size=spans, max_size=spans)),
        *(draw(st.integers(0, 10**9)), draw(st.integers(1, 24))),
        *(draw(table), draw(table), draw(table), draw(table)),
    )


@given(any_facts())
def test_whatever_the_figures_are_the_parts_add_up(facts: BothSides) -> None:
    found = reconcile(facts, match_names(facts.measured, facts.billed, NameMapping()), Tolerances())
    assert_adds_up(found)
    assert all(span.sides == Explained() for span in found.spans if not span.told)
    disputed = {
        (place, span)
        for place, line in enumerate(found.lines)
        for span in range(facts.spans)
        if any(getattr(line.cell(span), part) for part in ("only_billed", "only_measured", "unexplained"))
    }
    assert (found.match == "matches") == (not disputed)
    assert [line.match == "matches" for line in found.lines] == [
        all((place, span) not in disputed for span in range(facts.spans)) for place in range(len(found.lines))
    ]
    assert [span.match == "matches" for span in found.spans] == [
        all((place, span) not in disputed for place in range(len(found.lines))) for span in range(facts.spans)
    ]
    assert abs(found.sides.rounding) <= found.sides.rounding_bound


@given(any_facts(), st.randoms(use_true_random=False))
def test_the_order_of_names_means_nothing(facts: BothSides, chance: random.Random) -> None:
    def shuffled(table: Table) -> Table:
        items = [*table.items()]
        chance.shuffle(items)
        return dict(items)

    other = BothSides(
        facts.edges,
        shuffled(facts.measured),
        shuffled(facts.billed),
        *(facts.told, facts.still, facts.step, facts.figures),
        *(facts.arrived, facts.moved, facts.corrected_measured, facts.corrected_billed),
    )
    names = match_names(facts.measured, facts.billed, NameMapping())
    assert match_names(other.measured, other.billed, NameMapping()) == names
    assert reconcile(other, names, Tolerances()) == reconcile(facts, names, Tolerances())


@settings(BILLS)
@given(worlds(), OFFSETS, SHARES, st.integers(2, 1000))
def test_the_unit_means_nothing(world: World, offset: int, share_ppm: int, times: int) -> None:
    """Everything a thousand times as large is the same finding; a share in whole bytes is cut to whole bytes."""
    bill = world.bill(offset, share_ppm, 1000)
    found = compare(world, bill, step=1000)
    world.quarters = each(world.quarters, lambda amount: amount * times)
    larger = compare(world, each(bill, lambda amount: amount * times), step=1000 * times)
    assert (larger.cut and larger.cut.reason) == (found.cut and found.cut.reason)
    assert larger.share.above == found.share.above
    for part in PARTS:
        few = 4 * world.days * len(world.names) * times
        assert abs(getattr(larger.sides, part) - getattr(found.sides, part) * times) <= few
