"""A vendor whose bill is known to the byte: what was used, by quarter hour, and what is planted in the bill.

`World` holds what happened. `bill(...)` is what a vendor with these habits tells of it, and `compare(...)` puts both
through the reconciliation as the answers do: names, calendar, then everything.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TypedDict, Unpack

from hypothesis import strategies as st

from flowtally.core.edges import parse_instant
from flowtally.core.reconciling.cut import QUARTER_MS, FineSums
from flowtally.core.reconciling.facts import BothSides, Table, Tolerances
from flowtally.core.reconciling.names import NameMapping, match_names
from flowtally.core.reconciling.reconcile import Reconciled, plan_cut, reconcile
from flowtally.core.times import DAY_MS, END_OF_TIME

START = parse_instant("2026-03-01T00:00:00Z")
A_DAY = DAY_MS // QUARTER_MS
MB = 1024 * 1024
OFFSETS = st.integers(-14 * 4, 14 * 4).map(lambda quarters: quarters * QUARTER_MS)
Bill = dict[str, list[int]]


class Evidence(TypedDict, total=False):
    """What is known about how the figures came."""

    arrived: Table
    moved: Table
    corrected_measured: Table
    corrected_billed: Table


class World:
    """What the users of an account used, quarter hour by quarter hour, over some days and one more on each side. Days
    differ, users differ, and nights are quieter."""

    def __init__(self, seed: int, days: int, users: int, size: int = 10 * MB) -> None:
        chance = random.Random(seed)
        self.days = days
        self.names = [f"u{number}" for number in range(users)]
        self.quarters = {name: self._quarters(chance, size) for name in self.names}

    def _quarters(self, chance: random.Random, size: int) -> list[int]:
        mine, made = chance.randint(size // 4, size), []
        for _ in range(self.days + 2):
            today = mine * chance.randint(30, 200) // (100 * 255 * 48)
            made += [today * by * (4 + quarter % 48) + by for quarter, by in enumerate(chance.randbytes(A_DAY))]
        return made

    @property
    def edges(self) -> list[int]:
        return [START + day * DAY_MS for day in range(self.days + 1)]

    def measured(self, edges: Sequence[int]) -> Bill:
        return {name: sums_of(quarters, edges) for name, quarters in self.quarters.items()}

    def grid(self, names: Iterable[str]) -> FineSums:
        columns = [self.quarters[name] for name in names]
        return FineSums(START - DAY_MS, QUARTER_MS, [sum(quarter) for quarter in zip(*columns, strict=True)])

    def bill(self, offset: int = 0, share_ppm: int = 0, step: int = 1, rounding: str = "nearest") -> Bill:
        """By the calendar of an offset, with a share on top, told in whole steps."""
        told = self.measured([edge - offset for edge in self.edges])
        return each(told, lambda amount: rounded(amount + amount * share_ppm // 1_000_000, step, rounding))


def sums_of(quarters: Sequence[int], edges: Sequence[int]) -> list[int]:
    until = list(accumulate(quarters, initial=0))
    places = [(edge - START + DAY_MS) // QUARTER_MS for edge in edges]
    return [until[after] - until[place] for place, after in pairwise(places)]


def each(bill: Mapping[str, Sequence[int]], change: Callable[[int], int]) -> Bill:
    return {name: [change(amount) for amount in amounts] for name, amounts in bill.items()}


def rounded(amount: int, step: int, how: str) -> int:
    if how == "down":
        return amount // step * step
    if how == "up":
        return -(-amount // step) * step
    return (amount + step // 2) // step * step


def compare(
    world: World,
    billed: Mapping[str, Sequence[int]],
    *,
    measured: Table | None = None,
    mapping: NameMapping = NameMapping(),  # noqa: B008  (it never changes)
    tolerances: Tolerances = Tolerances(),  # noqa: B008
    settled_until: int = END_OF_TIME,
    step: int = 1,
    told: Sequence[bool] | None = None,
    **evidence: Unpack[Evidence],
) -> Reconciled:
    """Both sides put side by side. `measured`: where it is not simply what was used, by the vendor's own calendar."""
    ours = world.measured(world.edges) if measured is None else measured
    names = match_names(ours, billed, mapping)
    still = [end <= settled_until for end in world.edges[1:]]
    facts = BothSides(world.edges, ours, billed, told, still, step, **evidence)
    grid = world.grid(name for line in names.lines if line.both for name in line.measured if name in world.quarters)
    cut = plan_cut(facts, names, world.edges, grid)
    as_cut = world.measured(cut.edges) if cut.edges is not None else None
    return reconcile(facts, names, tolerances, cut, as_cut)


def total(bill: Mapping[str, Sequence[int]]) -> int:
    return sum(map(sum, bill.values()))


@st.composite
def worlds(draw: st.DrawFn, days: int = 14, users: int = 1) -> World:
    """Of so many days and users at least."""
    return World(draw(st.integers(0, 2**32)), draw(st.integers(days, days + 16)), draw(st.integers(users, users + 3)))
