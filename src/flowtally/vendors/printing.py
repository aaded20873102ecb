"""Law 4 in a vendor's unit: what is printed adds up.

A printed row is floor(running lifetime total at its end) - floor(at its start), in the unit's smallest step. So hours
add up to days and days to the range, in what is printed, whatever the edges. All of it in whole numbers; text and JSON
numbers are exact decimals, no float is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Final

import msgspec

KB: Final = 1024
MB: Final = 1024**2


class Unit(msgspec.Struct, frozen=True):
    """A unit of `size` bytes (or requests, micro-units ...), printed with up to `decimals` places."""

    size: int
    decimals: int = 0

    @property
    def _scale(self) -> int:
        return int(10**self.decimals)

    def steps(self, amount: int) -> int:
        """How many whole smallest steps that is: rounded down, below zero too."""
        return amount * self._scale // self.size

    def rows(self, before: int, parts: Sequence[int]) -> list[int]:
        """Steps of consecutive parts, the first of which begins when `before` had been counted."""
        return [self.steps(end) - self.steps(start) for start, end in pairwise(accumulate(parts, initial=before))]

    def text(self, steps: int) -> str:
        """As a decimal without zeros at the end: `15726.6`, `11`, `0`."""
        whole, rest = divmod(abs(steps), self._scale)
        sign = "-" if steps < 0 else ""
        places = f"{rest:0{self.decimals}d}".rstrip("0") if self.decimals else ""
        return f"{sign}{whole}.{places}" if places else f"{sign}{whole}"

    def number(self, steps: int) -> msgspec.Raw:
        """As a JSON number: whole values without a decimal point."""
        return msgspec.Raw(self.text(steps).encode())
