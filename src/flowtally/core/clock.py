"""What time it is: the one place that asks the machine. Everything inside is handed an instant, or a clock.

Owns that time never goes back and never jumps. What was promised or stored is dated by one `SteadyClock`; where the
machine's clock cannot be believed nothing is dated at all, rather than in the wrong year.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from flowtally.core.errors import ClockJumped
from flowtally.core.times import EPOCH

MAX_JUMP_S: Final = 300
_PASSING: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the first also counts while suspended


def now_ms() -> int:
    """Whole milliseconds since 1970 UTC, by this machine's clock."""
    return time.time_ns() // 1_000_000


def elapsed_ms() -> int:
    """Whole milliseconds that have passed since some moment; nobody can set it."""
    return time.clock_gettime_ns(_PASSING) // 1_000_000


def dating(clock: Callable[[], int]) -> Callable[[], int]:
    """What to date things by, of a clock that is asked for the time: a steady one refuses where it has jumped."""
    return clock.date if isinstance(clock, SteadyClock) else clock


class SteadyClock:
    """A clock for what is written: what comes later is never dated earlier, whatever the clock behind it does. From any
    thread.

    `elapsed` tells how much time has really passed: a clock that is more than `max_jump_ms` off that has jumped. So has
    one that is further than that behind what was dated before. Then `date` refuses until it is right again; whoever
    only asks is told what must be the time. Without `elapsed` a clock may go forward as it likes.
    """

    def __init__(
        self, clock: Callable[[], int], elapsed: Callable[[], int] | None = None, max_jump_ms: int = MAX_JUMP_S * 1000
    ) -> None:
        self.max_jump_ms = max_jump_ms
        self._clock = clock
        self._elapsed = elapsed
        self._dated = 0  # the latest instant that something has
        self._right: tuple[int, int] | None = None  # what both said when the clock was last believed
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """The time, to look at things by: not before what was dated."""
        with self._lock:
            now, _ = self._look()
            return max(now, self._dated)

    def date(self) -> int:
        """The time, to date things by. ClockJumped."""
        with self._lock:
            now, jumped = self._look()
            if jumped is not None:
                raise jumped
            self._dated = max(self._dated, now)
            return self._dated

    def check(self) -> None:
        """ClockJumped where nothing may be dated now."""
        with self._lock:
            _, jumped = self._look()
        if jumped is not None:
            raise jumped

    def not_before(self, instant: int) -> None:
        """From now on nothing is dated before this."""
        with self._lock:
            self._dated = max(self._dated, instant)

    def machine(self) -> int:
        """What the clock behind it says, right or wrong."""
        return self._clock()

    def _look(self) -> tuple[int, ClockJumped | None]:
        wall, passed = self._clock(), 0 if self._elapsed is None else self._elapsed()
        expected = None
        if self._right is not None and self._elapsed is not None:
            expected = self._right[0] + passed - self._right[1]
        must_be = self._dated if expected is None else max(expected, self._dated)
        if wall < self._dated - self.max_jump_ms or (expected is not None and wall < expected - self.max_jump_ms):
            return must_be, _behind(wall, must_be)
        if expected is not None and wall > must_be + self.max_jump_ms:
            return must_be, _ahead(wall, must_be)
        self._right = (wall, passed)
        return wall, None


def _behind(wall: int, expected: int) -> ClockJumped:
    return ClockJumped(
        f"The clock of this machine says {_text(wall)}, but what was dated last, and the time that has passed, say"
        f" {_text(expected)}. Nothing is dated before that: set the clock right, or wait until it has caught up;"
        " reading goes on",
        clock=_text(wall),
        expected=_text(expected),
        retry_after_s=10,
    )


def _ahead(wall: int, expected: int) -> ClockJumped:
    return ClockJumped(
        f"The clock of this machine says {_text(wall)}, but by the time that has passed it is {_text(expected)}."
        " Nothing is dated by it: set the clock right; if it is right now, start the server again; reading goes on",
        clock=_text(wall),
        expected=_text(expected),
        retry_after_s=10,
    )


def _text(instant: int) -> str:
    try:
        return f"{EPOCH + timedelta(milliseconds=instant):%Y-%m-%dT%H:%M:%SZ}"
    except OverflowError:
        return f"{instant} ms since 1970"
