"""How much of everything a run measures. Shares are the same; only the counts differ."""

from __future__ import annotations

from typing import Final

import msgspec


class Sizes(msgspec.Struct, frozen=True):
    """Counts of events per round and per warm-up; `stages` are events stored when queries and start are measured."""

    rounds: int
    bulk: int  # events per round in batches of 10,000 and 50,000
    hundreds: int  # events per round in batches of 100
    singles: int  # events per round, one per request
    warm_up: int  # events before the first round: enough that nearly all users of the feed exist
    keys_held: int
    stages: tuple[int, ...]  # growth sends its rounds before a stage, memory its own after it: they need room
    queries: int  # questions per round
    batch: int = 10_000
    rest_s: float = 5  # the number of parts has not changed for so long: merges have come to rest
    large_batch: int = 50_000
    lone: int = 400  # events per round, one per request over one connection
    fair_stored: int = 500_000  # events that the greedy side asks about, and others
    fair_s: float = 4  # how long the quiet side asks, each time
    fair_ahead_s: float = 1  # how long the greedy side has been at it by then
    told_days: int = 365  # of a bill that is reconciled
    told_users: int = 200


SIZES: Final = {
    "standard": Sizes(3, 200_000, 20_000, 6_400, 60_000, 10_000_000, (1_000_000, 10_000_000), 40),
    "full": Sizes(
        5, 200_000, 20_000, 12_800, 100_000, 10_000_000, (1_000_000, 10_000_000, 20_000_000), 100, lone=1_000
    ),
    "quick": Sizes(
        3, 100_000, 4_000, 1_920, 60_000, 500_000, (400_000, 1_500_000), 15, lone=200, fair_stored=200_000, fair_s=3
    ),
    # Proves that everything works, measures nothing: for tests/test_bench.py.
    "tiny": Sizes(1, 1_000, 200, 64, 200, 2_000, (1_000, 5_000), 2, 200, 0, 500, 20, 1_000, 0.2, 0.1, 21, 3),
}
