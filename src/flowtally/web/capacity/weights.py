"""Is a question large? Guessed from what it asks for, and from then on known from what the last ones like it took.

Owns the guess and the memory. A question is like another one when the same account asks the same operation in the same
shape. What is guessed wrongly is so once: the time it took is remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flowtally.core.edges import load_zone, parse_bound
from flowtally.core.errors import FlowtallyError
from flowtally.core.times import DAY_MS
from flowtally.usage.queries import PROJECTED

LARGE_S: Final = 0.25  # what takes longer is large
NEWEST: Final = 0.5  # how much the last time counts against those before
REMEMBERED: Final = 10_000  # questions
LARGE_ROWS: Final = 5_000  # of an answer, as guessed
LARGE_DAYS: Final = 35  # of rows to be read one by one
PER_DAY: Final = {"15m": 96.0, "hour": 24.0, "day": 1.0, "week": 1 / 7, "month": 1 / 30, "total": 0.0}
FEW: Final = frozenset({"product", "status"})  # groups there are a few of; of others many


class Weight(msgspec.Struct, frozen=True):
    """A guess (`known`: it is none), and what makes a question like another one. `waits`: for its turn to write, so
    that the time it takes says nothing."""

    large: bool = False
    shape: str = ""
    known: bool = False
    waits: bool = False


SMALL: Final = Weight()
WRITE: Final = Weight(known=True, waits=True)
LARGE: Final = Weight(large=True, known=True)


class Weights:
    """What the last questions took; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._took: dict[tuple[str, str, str], float] = {}  # seconds, the one longest unused first

    def is_large(self, account: str, operation: str, weight: Weight) -> bool:
        took = None if weight.known else self._took.get((account, operation, weight.shape))
        return weight.large if took is None else took > LARGE_S

    def took(self, account: str, operation: str, weight: Weight, seconds: float) -> None:
        if weight.known:
            return
        key = (account, operation, weight.shape)
        with self._lock:
            before = self._took.pop(key, seconds)
            self._took[key] = before + (seconds - before) * NEWEST
            if len(self._took) > REMEMBERED:
                del self._took[next(iter(self._took))]


def of_usage(query: Any, now: int) -> Weight:
    """Of a question for usage by spans: how many rows its answer may have, over how many days."""
    days = _days(query.start, query.end, query.tz, now)
    by = [name for given in query.by for name in given.split(",") if name != "series"]  # each is a question of its own
    rows = max(1.0, days * PER_DAY.get(query.bucket, 1.0)) * _groups(by) * max(1, len(query.series))
    one_by_one = not PROJECTED.issuperset(by) or query.as_of is not None
    large = rows > LARGE_ROWS or (one_by_one and days > LARGE_DAYS)
    shape = f"{query.bucket} by {','.join(sorted(by))[:200]} of 2^{int(days).bit_length()} days"
    return Weight(large, f"{shape} as of" if query.as_of is not None else shape)


def of_reconciliation(query: Any, now: int) -> Weight:
    """Of both sides by user and day, and what it takes to explain their difference."""
    days = _days(query.start, query.end, None, now)
    return Weight(days > LARGE_DAYS, f"reconciliation of 2^{int(days).bit_length()} days")


def of_users(query: Any, now: int) -> Weight:
    """Of a list of users: what it tells of their use is one question about all of them, else it asks for none."""
    told = [name for name in ("usage", "limits", "exceeded") if getattr(query, name)]
    return Weight(shape=" ".join(told)) if told else SMALL


def of_export(query: Any, now: int) -> Weight:
    """Every row: large, however quick the last one was."""
    return LARGE


def _groups(by: Sequence[str]) -> float:
    many = sum(name not in FEW for name in by)
    return float(4 ** (len(by) - many) * 30**many)


def _days(start: str | None, end: str | None, tz: str | None, now: int) -> float:
    """Of the range; what cannot be read is refused before it costs anything."""
    try:
        zone = load_zone(tz or "UTC")
        until = now if end is None else parse_bound(end, zone)
        since = until - 30 * DAY_MS if start is None else parse_bound(start, zone)
    except FlowtallyError:
        return 0.0
    return max(0, until - since) / DAY_MS
