"""Which events were corrected lately, and in which block: whether what a request read of them before it waited still
holds. In memory alone, so that a correction asks nothing of the usage store while it is planned. The same is asked of
the series of providers (`report_writer`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

REMEMBERED: Final = 100_000  # events


class RecentCorrections:
    """Of blocks after `floor`. For the committer's thread."""

    def __init__(self, floor: int) -> None:
        self._floor = floor
        self._last: dict[str, int] = {}  # the reference of an event -> the block that corrected it last, oldest first

    def add(self, block: int, references: Iterable[str]) -> None:
        """This block corrects these events."""
        for one in references:
            self._last.pop(one, None)
            self._last[one] = block
        while len(self._last) > REMEMBERED:
            oldest = next(iter(self._last))
            self._floor = max(self._floor, self._last.pop(oldest))

    def forget(self, block: int) -> None:
        """Which events this block corrected is not known, nor of those before."""
        self._floor = max(self._floor, block)

    def since(self, block: int, references: Iterable[str]) -> bool:
        """Whether one of these may have been corrected in a block after this one."""
        return block < self._floor or any(self._last.get(one, 0) > block for one in references)
