"""Turns at the writing: the committer takes one per block, others may ask for the moment between two blocks.

Between two blocks keys and rows agree and nothing is under way, which is what a backup and a check need to begin from.
Whoever asked comes next, however busy the committer is, so it waits for one block at most.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flowtally.core.errors import Unavailable


class WriteLock:
    """One committer, any number of others; those go one after the other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asking = 0
        self._taken = False

    @contextmanager
    def block(self) -> Iterator[None]:
        """The committer's turn; lets everybody pass who has asked already."""
        with self._changed:
            self._changed.wait_for(lambda: not self._asking and not self._taken)
            self._taken = True
        try:
            yield
        finally:
            self._give_back()

    @contextmanager
    def between(self, wait_s: float) -> Iterator[None]:
        """The moment between two blocks: nothing is written until it ends. Unavailable after `wait_s` of waiting."""
        with self._changed:
            self._asking += 1
            mine = self._changed.wait_for(lambda: not self._taken, wait_s)
            self._asking -= 1
            if not mine:
                self._changed.notify_all()
                raise Unavailable(f"The block being written took more than {wait_s:g} s", retry_after_s=10)
            self._taken = True
        try:
            yield
        finally:
            self._give_back()

    def _give_back(self) -> None:
        with self._changed:
            self._taken = False
            self._changed.notify_all()
