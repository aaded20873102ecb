"""What is alike in all spans: a share of the traffic that the vendor bills on top, or the same amount in each.

Protocol overhead is a share: headers, TLS and retransmissions that a proxy does not see in what it passes on. It is
estimated as the median of the spans' ratios, shown with the quarters, and claimed only where it is plausible as such
(`LEAST` to `MOST`), where the spans agree, where it is more than rounding can be, and where no constant amount fits
better. An amount that is the same each day, whatever the traffic, is no overhead: nothing explains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from flowtally.core.reconciling.parts import Overhead
from flowtally.core.reconciling.robust import (
    BILLION,
    ENOUGH_SPANS,
    MANY_SPANS,
    Quarters,
    quarters,
    ratio,
    share,
    without_worst,
)

LEAST: Final = BILLION // 1000  # a thousandth of what was measured
MOST: Final = BILLION * 3 // 20  # 15 %

SteadyReason = Literal["claimed", "too_few_spans", "implausible", "spread", "rounding_explains_it", "constant_fits"]
Pattern = Literal["none", "share", "constant"]


class ShareFit(msgspec.Struct, frozen=True):
    """What the vendor bills for each byte measured, beyond it: in billionths, over `spans` that had traffic.

    rounding: How far off the share may be because of rounding alone, in billionths.
    pattern: What the spans have in common, whether or not it is plausible as overhead. `constant`: the same amount in
        each, as its quarters. `either`: the traffic is too even to tell a share from a constant amount.
    """

    reason: SteadyReason
    spans: int
    above: Quarters
    constant: Quarters
    pattern: Pattern = "none"
    either: bool = False
    rounding: int = 0

    @property
    def claimed(self) -> bool:
        return self.reason == "claimed"

    @property
    def overhead(self) -> Overhead:
        """What is taken as overhead."""
        return Overhead(self.above.middle, self.above.spread + self.rounding + 1) if self.claimed else Overhead()


def fit_share(
    measured: Sequence[int], billed: Sequence[int], bounds: Sequence[int], looked_at: Sequence[bool]
) -> ShareFit:
    """What is alike in the spans that are told and stand still, of users that both sides know. `bounds`: what rounding
    can be in each."""
    columns = zip(measured, billed, bounds, looked_at, strict=True)
    spans = [(used, told, bound) for used, told, bound, known in columns if known and used > 0]
    if len(spans) < ENOUGH_SPANS:
        return ShareFit("too_few_spans", len(spans), Quarters(0, 0, 0), Quarters(0, 0, 0))
    above = quarters(ratio(told - used, used) for used, told, _ in spans)
    constant = quarters(told - used for used, told, _ in spans)
    rounding = sum(bound for _, _, bound in spans)
    of_share = without_worst(told - used - share(used, above.middle) for used, told, _ in spans)
    of_constant = without_worst(told - used - constant.middle for used, told, _ in spans)
    share_fits = of_share <= of_constant + rounding
    constant_fits = of_constant <= of_share + rounding
    agree_on_share = (
        _agree(above, len(spans)) and sum(share(used, abs(above.middle)) for used, _, _ in spans) > rounding
    )
    agree_on_constant = _agree(constant, len(spans)) and abs(constant.middle) * len(spans) > rounding
    pattern: Pattern = "none"
    if agree_on_share and share_fits:
        pattern = "share"
    elif agree_on_constant and constant_fits:
        pattern = "constant"
    reason: SteadyReason = "claimed"
    if not LEAST <= above.middle <= MOST:
        reason = "implausible"
    elif not _agree(above, len(spans)):
        reason = "spread"
    elif not agree_on_share:
        reason = "rounding_explains_it"
    elif not share_fits:
        reason = "constant_fits"
    either = pattern == "share" and agree_on_constant and constant_fits
    uncertain = ratio(rounding, sum(used for used, _, _ in spans))
    return ShareFit(reason, len(spans), above, constant, pattern, either, uncertain)


def _agree(figures: Quarters, spans: int) -> bool:
    """Whether the middle half of the spans lies close together for how far it is from nothing."""
    return figures.spread * (2 if spans >= MANY_SPANS else 4) <= abs(figures.middle)
