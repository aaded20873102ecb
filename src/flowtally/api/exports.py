"""Exports under way: so many at a time, of one credential and in all.

An export lasts as long as its reader takes. It holds the piece that is being read, and a thread only while the next one
is made (of those `lanes` has for it): others never wait for one. Who has as many as may be is told to come again (429),
and everybody where all are taken (503).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowtally.config import Config
from flowtally.errors import Overloaded, TooManyExports

RETRY_S: Final = 5


class Exports:
    """One event loop takes all requests, so plain numbers do."""

    def __init__(self, config: Config) -> None:
        self._most, self._most_of_one = config.max_exports, config.max_exports_per_credential
        self._of: Counter[str] = Counter()

    @contextmanager
    def take(self, credential_id: str) -> Iterator[None]:
        """A place for one export until its end. TooManyExports, Overloaded."""
        own = self._of[credential_id]
        if own >= self._most_of_one:
            detail = f"The credential {credential_id} has {own} exports under way; at most {self._most_of_one}"
            raise TooManyExports(detail, retry_after_s=RETRY_S, limit=self._most_of_one)
        if self._of.total() >= self._most:
            raise Overloaded(f"{self._of.total()} exports are under way, as many as may be", retry_after_s=RETRY_S)
        self._of[credential_id] += 1
        try:
            yield
        finally:
            self._of[credential_id] -= 1
            if not self._of[credential_id]:
                del self._of[credential_id]

    def measures(self) -> dict[str, float]:
        return {"under_way": self._of.total()}
