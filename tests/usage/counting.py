"""A store that counts how often it is asked for sums."""

from __future__ import annotations

from typing import Any

from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import Sum


class CountingStore(MemoryStore):
    """How often was it asked?"""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def sums(self, *args: Any, **kwargs: Any) -> list[Sum]:
        self.asked += 1
        return super().sums(*args, **kwargs)
