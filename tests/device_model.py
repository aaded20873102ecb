"""A true device, slow and obvious: what it really counted, and what of that anybody ever read.

A device counts; it is polled; answers are lost, come late and come twice; it dies and begins anew. The model does not
know the rules: it knows the truth. What a meter of readings must come to is the largest value that was read of each
run of the device, taken together: everything else was never told to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

WORD: Final = 2**32


@dataclass
class Run:
    """From one start of the device to its end."""

    epoch: str
    value: list[int] = field(default_factory=lambda: [0, 0, 0])


@dataclass(frozen=True)
class Polled:
    """What one look at the device showed."""

    run: int
    at: int
    values: tuple[int, int, int]


class Device:
    """One counter; `at` is its own clock, in milliseconds."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.runs = [Run("")]
        self.begin(first=True)

    def begin(self, *, first: bool = False) -> None:
        """It dies and starts again: everything is zero."""
        if not first:
            self.runs.append(Run(""))
        self.runs[-1].epoch = f"process {len(self.runs)}"

    def use(self, up: int, down: int, requests: int) -> None:
        for index, amount in enumerate((up, down, requests)):
            self.runs[-1].value[index] += amount

    def poll(self) -> Polled:
        up, down, requests = self.runs[-1].value
        return Polled(len(self.runs) - 1, self.at, (up, down, requests))

    def epoch(self, polled: Polled) -> str:
        return self.runs[polled.run].epoch

    def truth(self) -> tuple[int, ...]:
        """All it ever counted."""
        return tuple(sum(run.value[index] for run in self.runs) for index in range(3))

    def told(self, taken: list[Polled]) -> tuple[int, ...]:
        """What can be known of that from the polls that came through: the most of each run."""
        runs = sorted({one.run for one in taken})
        return tuple(
            sum(max(one.values[index] for one in taken if one.run == run) for run in runs) for index in range(3)
        )


def low_words(values: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(value % WORD for value in values)


def stated(values: tuple[int, ...]) -> dict[str, Any]:
    return dict(zip(("bytes_up", "bytes_down", "requests"), values, strict=True))
