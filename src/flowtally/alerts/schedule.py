"""When a message is tried again. Pure.

At once, after 5 s, 5 min, 30 min, and then less and less often for 76 hours together, as Standard Webhooks suggests; a
little chance keeps what failed together from coming back in step.
"""

from __future__ import annotations

from typing import Final

from flowtally.providers.schedule import JITTER

PAUSES_S: Final = (5, 300, 1800, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)))


def pause_s(attempts: int, *, hold_s: float | None = None, chance: float = 0.5) -> float | None:
    """Seconds until the next attempt after so many have failed; None: there is none. `hold_s`: what its server asked
    for. `chance`: from 0 to 1.

    >>> [pause_s(n) for n in (1, 2, 9, 10)]
    [5.0, 300.0, 86400.0, None]
    """
    if attempts > len(PAUSES_S):
        return None
    return max(PAUSES_S[attempts - 1] * (1 + JITTER * (2 * chance - 1)), hold_s or 0.0)
