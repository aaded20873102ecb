"""The vendor's calendar: what is tried, what is claimed, and what is said of the rest."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from tests.core.reconciling.planting import World, compare

from flowtally.core.edges import calendar_edges, parse_instant
from flowtally.core.reconciling.cut import OFFSETS, CutFit, FineSums, fit_cut
from flowtally.core.times import DAY_MS, HOUR_MS

BERLIN = ZoneInfo("Europe/Berlin")


def fit(world: World, billed: list[int], clocks: list[int] | None = None, every: int = 1, bound: int = 0) -> CutFit:
    quarters = world.grid(world.names)
    amounts = [sum(quarters.amounts[at : at + every]) for at in range(0, len(quarters.amounts), every)]
    grid = FineSums(quarters.starts_at, quarters.every_ms * every, amounts)
    spans = len(billed)
    return fit_cut(world.edges, clocks or world.edges, billed, [bound] * spans, [True] * spans, grid)


def test_every_offset_by_which_there_is_a_clock_is_tried() -> None:
    assert (OFFSETS[0], OFFSETS[-1], len(OFFSETS)) == (-14 * HOUR_MS, 14 * HOUR_MS, 113)
    assert round(5.75 * HOUR_MS) in OFFSETS  # Kathmandu


def test_the_best_and_the_second_best_are_told_with_what_each_leaves() -> None:
    world = World(1, 20, 1)
    found = fit(world, world.bill(offset=8 * HOUR_MS)["u0"])
    assert found.claimed
    assert found.best is not None
    assert found.second is not None
    assert (found.best.offset, found.best.residual) == (8 * HOUR_MS, 0)
    assert 0 < found.second.residual < found.declared
    assert abs(found.second.offset - 8 * HOUR_MS) == HOUR_MS // 4
    assert found.better_per_mille == 1000
    assert found.edges == tuple(edge - 8 * HOUR_MS for edge in world.edges)


def test_a_grid_of_hours_tells_offsets_of_whole_hours_and_the_nearest_of_others() -> None:
    world = World(2, 20, 1)
    found = fit(world, world.bill(offset=round(5.5 * HOUR_MS))["u0"], every=4)
    assert found.best is not None
    assert found.best.offset in {5 * HOUR_MS, 6 * HOUR_MS}


def test_the_vendors_own_calendar_is_kept_where_it_fits() -> None:
    world = World(3, 20, 1)
    billed = [one + (7 if day % 2 else -7) for day, one in enumerate(world.bill()["u0"])]
    assert fit(world, billed).reason == "declared_fits"
    assert fit(world, billed, bound=7).reason == "rounding_explains_it"


def test_a_lost_day_and_overhead_choose_no_calendar() -> None:
    world = World(4, 20, 1)
    billed = world.bill(share_ppm=70_000)["u0"]
    billed[5] = 0
    assert fit(world, billed).reason == "declared_fits"
    moved = world.bill(offset=-3 * HOUR_MS, share_ppm=70_000)["u0"]
    moved[5] = 0
    found = fit(world, moved)
    assert found.claimed
    assert found.best is not None
    assert found.best.offset == -3 * HOUR_MS


def test_spans_that_still_move_choose_no_calendar() -> None:
    world = World(5, 9, 1)
    bill = world.bill(offset=8 * HOUR_MS)
    found = compare(world, bill, settled_until=world.edges[6])
    assert found.cut is not None
    assert (found.cut.reason, found.cut.spans) == ("too_few_spans", 6)


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_vendor_that_says_berlin_and_cuts_by_one_offset_all_year_is_found(offset: int) -> None:
    """Its clock shows another offset from 29 March on; what is tried are calendars without summer time."""
    world = World(6, 60, 1)
    edges = calendar_edges("day", parse_instant("2026-03-01T23:00:00Z"), parse_instant("2026-04-28T22:00:00Z"), BERLIN)
    clocks = [edge + (1 if edge < parse_instant("2026-03-29T01:00:00Z") else 2) * HOUR_MS for edge in edges]
    told = world.measured([clock - offset * HOUR_MS for clock in clocks])["u0"]
    spans = len(edges) - 1
    assert all(clock % DAY_MS == 0 for clock in clocks)
    found = fit_cut(edges, clocks, told, [0] * spans, [True] * spans, world.grid(world.names))
    assert found.best is not None
    assert (found.best.offset, found.best.residual) == (offset * HOUR_MS, 0)
    assert found.claimed


def test_hours_that_a_clock_shows_twice_try_no_calendar() -> None:
    world = World(7, 9, 1)
    start = parse_instant("2026-03-03T00:00:00Z")
    edges = [start + hour * HOUR_MS for hour in range(12)]
    clocks = [edge - (HOUR_MS if edge > start + 5 * HOUR_MS else 0) for edge in edges]
    told = world.measured(edges)["u0"]
    told[0] += 1
    told[1] += 1
    found = fit_cut(edges, clocks, told, [0] * 11, [True] * 11, world.grid(world.names))
    assert (found.best, found.second, found.reason) == (None, None, "declared_fits")
