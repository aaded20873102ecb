"""PerProcess: what no two processes may share, made again in a forked child.

Two processes on one connection would read each other's answers, so a child forgets its parent's pool of connections.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """`mine()` is what `make` made in this process: at once in the first, when it is asked for in a child."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._own = (os.getpid(), make())

    def mine(self) -> T:
        pid, made = self._own
        if pid != os.getpid():
            self._own = (os.getpid(), made := self._make())
        return made
