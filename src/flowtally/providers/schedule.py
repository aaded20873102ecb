"""When a provider is asked next. Pure.

After a good pull as often as the vendor's figures move, or as somebody set; after a failure soon, then less and less
often, up to an hour; where the secrets are refused once a day, for a vendor may lock who knocks too often. A little
chance is in all of it, so that many installations do not ask in step.
"""

from __future__ import annotations

from typing import Final

from flowtally.core.times import DAY_S
from flowtally.core.words import PullOutcome

FIRST_RETRY_S: Final = 60
LAST_RETRY_S: Final = 3_600
CHANGED_SHAPE_S: Final = 6 * 3_600
JITTER: Final = 0.1


def pause_s(
    outcome: PullOutcome, *, every_s: int, failures: int, after_s: float | None = None, chance: float = 0.0
) -> float:
    """Seconds until the next pull. `failures`: how many failed in a row before this one. `after_s`: what the vendor
    asked for. `chance`: from 0 to 1.

    >>> [pause_s("late", every_s=1800, failures=n) for n in range(7)]
    [60, 120, 240, 480, 960, 1920, 3600]
    """
    if outcome == "ok":
        pause: float = every_s
    elif outcome == "denied":
        pause = DAY_S
    elif outcome == "changed_shape":
        pause = CHANGED_SHAPE_S
    else:
        pause = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(failures, 20))
    return max(pause, min(after_s or 0.0, DAY_S)) * (1 + JITTER * chance)
