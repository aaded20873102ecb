"""Where the vendor cuts its days: which offset from UTC fits its figures best, and how well.

The vendor's own calendar is what its figures are taken for, unless another fits far better. Each offset by which there
could be a clock, from -14:00 to +14:00 by a quarter of an hour, is tried, however long the range is: of offsets by the
hour alone the nearest would fit far better than the vendor's own, and be wrong. Its days are measured from a grid of
quarter hours, and compared after one factor has been taken out, the median of the ratios, so that neither protocol
overhead nor a few odd days choose the zone. What is left, without the worst tenth of the spans, is the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final, Literal

import msgspec

from flowtally.core.reconciling.robust import ENOUGH_SPANS, quarters, ratio, share, without_worst
from flowtally.core.times import HOUR_MS, MINUTE_MS

QUARTER_MS: Final = 15 * MINUTE_MS
OFFSETS: Final = tuple(range(-14 * HOUR_MS, 14 * HOUR_MS + 1, QUARTER_MS))
CLEARLY: Final = 4  # so many times smaller the residual must be than that of the vendor's own calendar
MAX_FITTED: Final = 1_000  # spans that are looked at; of more of them some, evenly

CutReason = Literal["claimed", "too_few_spans", "rounding_explains_it", "declared_fits", "not_clearly_better"]


class FineSums(msgspec.Struct, frozen=True):
    """What was measured in spans of `every_ms` from `starts_at` on, of the users that both sides know: over the range
    and a day on each side."""

    starts_at: int
    every_ms: int
    amounts: Sequence[int]


class Candidate(msgspec.Struct, frozen=True):
    """A calendar by its offset from UTC in milliseconds, and what it leaves of the difference."""

    offset: int
    residual: int


class CutFit(msgspec.Struct, frozen=True):
    """How the offsets fit: the residual of the vendor's own calendar (`declared`), the best and the second best offset
    with theirs; `volume`: what the vendor told of the spans that were looked at. `edges`: where the range is to be cut,
    if the best is `claimed`."""

    reason: CutReason
    spans: int
    declared: int
    volume: int
    best: Candidate | None = None
    second: Candidate | None = None
    edges: tuple[int, ...] | None = None

    @property
    def claimed(self) -> bool:
        return self.reason == "claimed"

    @property
    def better_per_mille(self) -> int:
        """How much of the residual of the vendor's own calendar goes with the best offset, in thousandths."""
        if self.best is None or self.declared <= 0:
            return 0
        return (self.declared - self.best.residual) * 1000 // self.declared


def fit_cut(
    edges: Sequence[int],
    clocks: Sequence[int],
    billed: Sequence[int],
    bounds: Sequence[int],
    looked_at: Sequence[bool],
    grid: FineSums,
) -> CutFit:
    """The offsets that fit `billed`, what the vendor tells of users that both sides know.

    clocks: What the vendor's clock shows at each edge, as milliseconds since 1970 by that clock.
    bounds: What rounding can be in each span. looked_at: which spans are told and stand still.
    """
    spans = [span for span, known in enumerate(looked_at) if known]
    spans = spans[:: -(-len(spans) // MAX_FITTED) or 1]
    fitting = _Fitting(spans, [billed[span] for span in spans], grid)
    declared = fitting.residual(fitting.places(edges))
    by_clock = fitting.places(clocks)  # of a clock that shows UTC
    volume = sum(fitting.billed)
    if len(spans) < ENOUGH_SPANS or declared is None:
        return CutFit("too_few_spans", len(spans), declared or 0, volume)
    own = {clock - edge for edge, clock in zip(edges, clocks, strict=True)}  # several where its clock was changed
    candidates = []
    for offset in OFFSETS:
        if own != {offset} and (left := fitting.residual(by_clock, offset)) is not None:
            candidates.append(Candidate(offset, left))
    candidates.sort(key=lambda one: (one.residual, min(abs(one.offset - mine) for mine in own), one.offset))
    best, second = (*candidates[:2], None, None)[:2]
    reason: CutReason = "not_clearly_better"
    if declared <= sum(bounds[span] for span in spans):
        reason = "rounding_explains_it"
    elif best is None or best.residual >= declared:
        reason = "declared_fits"
    elif best.residual * CLEARLY <= declared:
        reason = "claimed"
    cut = tuple(clock - best.offset for clock in clocks) if best and reason == "claimed" else None
    return CutFit(reason, len(spans), declared, volume, best, second, cut)


class _Fitting:
    """The spans to look at, ready to be measured by any edges."""

    def __init__(self, spans: Sequence[int], billed: Sequence[int], grid: FineSums) -> None:
        self.spans = spans
        self.billed = billed
        self._grid = grid
        self._until = list(accumulate(grid.amounts, initial=0))

    def places(self, edges: Sequence[int]) -> list[int] | None:
        """Where in the grid these edges are; None where it cannot tell them: they lie within its spans, or are in no
        order, for a clock that was set back shows an hour twice."""
        places: list[int] = []
        for edge in edges:
            place, beside = divmod(edge - self._grid.starts_at, self._grid.every_ms)
            if beside or (places and place <= places[-1]):
                return None
            places.append(place)
        return places

    def residual(self, places: Sequence[int] | None, sooner_ms: int = 0) -> int | None:
        """What edges so much sooner than these places leave; None where the grid cannot tell them."""
        earlier, beside = divmod(sooner_ms, self._grid.every_ms)
        if places is None or beside or places[0] < earlier or places[-1] - earlier >= len(self._until):
            return None
        until = self._until
        measured = [until[places[span + 1] - earlier] - until[places[span] - earlier] for span in self.spans]
        both = zip(self.billed, measured, strict=True)
        ratios = [ratio(told, used) for told, used in both if used > 0]
        factor = quarters(ratios).middle if ratios else 0
        return without_worst(told - share(used, factor) for told, used in zip(self.billed, measured, strict=True))
