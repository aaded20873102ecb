"""What a counter stands at, as a reading states it and whole: what was left out, low words, wraps. Pure.

Leaves to `counters` which reading is compared with which, and what that means.
"""

from __future__ import annotations

from typing import Final

from flowtally.core.corrections import Quantities

WORD: Final = 2**32
HALF: Final = 2**31

Values = tuple[int, int, int]  # bytes up, bytes down, requests
Stated = tuple[int | None, int | None, int | None]
ZERO: Final = (0, 0, 0)


def filled(stated: Stated, before: Values) -> Values:
    """What was left out is what it was."""
    up, down, requests = stated
    return (
        before[0] if up is None else up,
        before[1] if down is None else down,
        before[2] if requests is None else requests,
    )


def extended(stated: Stated, before: Values, width: int, *, behind: bool) -> Values:
    """The values whole: what was left out is what it was, a low word gets the high word it had."""
    if width != 32:
        return filled(stated, before)
    up, down, requests = (
        old if low is None else _word(low, old, behind=behind) for low, old in zip(stated, before, strict=True)
    )
    return up, down, requests


def _word(low: int, before: int, *, behind: bool) -> int:
    value = before - before % WORD + low
    # Of a reading that may be older, much more is less: it is from before the last wrap (RFC 1982).
    return value - WORD if behind and value - before > HALF and value >= WORD else value


def wrapped(before: Values, now: Values, most: int, *, known: bool) -> Values | None:
    """The values with the high words one higher, where low words fell because they were full; None where that cannot
    be: more than `most` would have been counted in the time, or the counter was not half full and may have begun anew,
    unless it is `known` that it has not."""
    values: list[int] = []
    for old, value in zip(before, now, strict=True):
        if value >= old:
            values.append(value)
            continue
        if value + WORD - old > most or not (known or old % WORD > HALF):
            return None
        values.append(value + WORD)
    up, down, requests = values
    return up, down, requests


def fell(before: Values, now: Values) -> bool:
    return now[0] < before[0] or now[1] < before[1] or now[2] < before[2]


def difference(before: Values, now: Values) -> Quantities:
    return Quantities(now[0] - before[0], now[1] - before[1], now[2] - before[2])
