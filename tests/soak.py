"""How long a campaign goes on: short in every run of the tests, long in `make soak`.

A campaign is a test of random or repeated work: seeds of the world, kills of a server, backups at random moments. It
takes its numbers from here and carries the mark `soak`:

    KILLS: Final = rounds(5, 20)  # 5 in every run; 20, 40, 60 ... with FLOWTALLY_TEST_SOAK=1, 2, 3 ...

    @pytest.mark.soak
    @pytest.mark.parametrize("seed", seeds(2, 8))
    def test_...

A test of hypothesis needs none of it: conftest.py marks it and multiplies its examples, and the time a test may take.
"""

from __future__ import annotations

import os
from typing import Final

SOAK: Final = int(os.environ.get("FLOWTALLY_TEST_SOAK", "0"))  # 0: an ordinary run
FIRST_SEED: Final = int(os.environ.get("FLOWTALLY_TEST_FIRST_SEED", "0"))


def rounds(short: int, long: int) -> int:
    """How often: `short` in an ordinary run, a multiple of `long` in a soak."""
    return long * SOAK if SOAK else short


def seeds(short: int, long: int, first: int = 0) -> range:
    """As many seeds, from `first` on; FLOWTALLY_TEST_FIRST_SEED moves them all, to play others than the last time."""
    return range(first + FIRST_SEED, first + FIRST_SEED + rounds(short, long))
