"""How long a campaign goes on: a sample in `make quick`, short in `make test`, long in `make soak`.

A campaign is a test of random or repeated work: seeds of the world, kills of a server, backups at random moments. It
takes its numbers from here, carries the mark `soak`, and says what it did:

    KILLS: Final = rounds(5, 20)  # 5 in every run; 20, 40, 60 ... with FLOWTALLY_TEST_SOAK=1, 2, 3 ...

    @pytest.mark.soak
    @pytest.mark.parametrize("seed", seeds(2, 8))
    def test_...
        done(kills=KILLS)

A test of hypothesis needs none of it: conftest.py marks it, multiplies its examples and counts them. The time that a
test may take is multiplied too. With FLOWTALLY_TEST_SAMPLE=1, which `make quick` sets, a campaign has one round or one
seed, and a test of hypothesis has 3 examples at most, whatever its own settings say; a test whose cases cost much
says by `sampled` how few there are then.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from math import ceil
from typing import Any, Final, TypeVar

T = TypeVar("T")

SOAK: Final = int(os.environ.get("FLOWTALLY_TEST_SOAK", "0"))  # 0: an ordinary run
FIRST_SEED: Final = int(os.environ.get("FLOWTALLY_TEST_FIRST_SEED", "0"))
SAMPLE: Final = os.environ.get("FLOWTALLY_TEST_SAMPLE") == "1" and not SOAK
EXAMPLES_OF_A_SAMPLE: Final = 3
LIBRARIES: Final = ("chdb", "sqlalchemy", "litestar", "granian", "hypothesis", "schemathesis")

_done: Final[Counter[str]] = Counter()


def rounds(short: int, long: int) -> int:
    """How often: `short` in an ordinary run, a multiple of `long` in a soak, once in a sample."""
    if SAMPLE:
        return min(short, 1)
    return long * SOAK if SOAK else short


def examples(own: int) -> int:
    """How many examples hypothesis tries where a test asks for `own`."""
    return min(own, EXAMPLES_OF_A_SAMPLE) if SAMPLE else own * (SOAK or 1)


def sampled(whole: int, sample: int) -> int:
    """How many cases of a test whose cases cost much, as examples that are many questions to an application do."""
    return min(whole, sample) if SAMPLE else whole


def few(cases: Sequence[T], sample: int) -> Sequence[T]:
    """All of these cases; in a sample about that many, from all over them."""
    return cases[:: ceil(len(cases) / sampled(len(cases), sample))] if cases else cases


def seeds(short: int, long: int, first: int = 0) -> range:
    """As many seeds, from `first` on; FLOWTALLY_TEST_FIRST_SEED moves them all, to play others than the last time."""
    return range(first + FIRST_SEED, first + FIRST_SEED + rounds(short, long))


def done(**counts: int) -> None:
    """What the running test did, for the figures at the end of a soak."""
    _done.update(counts)


def take_done() -> dict[str, int]:
    """What was done since the last call."""
    taken = dict(_done)
    _done.clear()
    return taken


def take_time() -> None:
    """No random test fails for the time an example takes, however busy the machine is."""
    from hypothesis import settings

    settings.register_profile("flowtally", deadline=None)
    settings.load_profile("flowtally")


def set_examples() -> None:
    """Hypothesis tries as many examples as this run wants, in each test of it, and they are counted.

    For so few examples as a sample has it need not read all sources for numbers and texts that might be worth a try."""
    from hypothesis import settings
    from hypothesis.internal.conjecture import providers
    from hypothesis.internal.conjecture.engine import ConjectureRunner

    if SAMPLE:
        providers._get_local_constants = lambda: providers._local_constants
    begin, run = ConjectureRunner.__init__, ConjectureRunner.run

    def begun(runner: Any, function: Any, **more: Any) -> None:
        own = more.pop("settings", None) or settings()
        begin(runner, function, settings=settings(own, max_examples=examples(own.max_examples)), **more)

    def counted(runner: Any) -> None:
        try:
            run(runner)
        finally:
            done(examples=runner.call_count)

    engine: Any = ConjectureRunner
    engine.__init__, engine.run = begun, counted


def versions() -> str:
    """What the figures are of."""
    programs = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    return ", ".join(
        f"{name} {number}" for name, number in (programs | {one: version(one) for one in LIBRARIES}).items()
    )
