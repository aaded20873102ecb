"""Exports under way: so many at a time, of one credential, of one account and in all.

An export lasts as long as its reader takes. It holds the piece that is being read, and a thread only while the next one
is made (of those `lanes` has for it): others never wait for one. Who has as many as may be is told to come again (429),
and everybody where all are taken (503). No account has more than half of all, whatever credentials it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowtally.config import Config
from flowtally.core.errors import Overloaded, TooManyExports
from flowtally.core.tallies import tally
from flowtally.ledger.people.credentials import Credential

RETRY_S: Final = 5


class Exports:
    """One event loop takes all requests, so plain numbers do."""

    def __init__(self, config: Config) -> None:
        self._most, self._most_of_one = config.max_exports, config.max_exports_per_credential
        self._most_of_account = max(1, config.max_exports // 2)
        self._of: Counter[str] = Counter()  # by credential
        self._of_account: Counter[str] = Counter()

    @contextmanager
    def take(self, credential: Credential) -> Iterator[None]:
        """A place for one export until its end. TooManyExports, Overloaded."""
        account = credential.account or credential.id
        self._check(f"The credential {credential.id}", self._of[credential.id], self._most_of_one)
        self._check(f"The account {account}", self._of_account[account], self._most_of_account)
        if self._of.total() >= self._most:
            raise Overloaded(f"{self._of.total()} exports are under way, as many as may be", retry_after_s=RETRY_S)
        tally(self._of, credential.id, 1)
        tally(self._of_account, account, 1)
        try:
            yield
        finally:
            tally(self._of, credential.id, -1)
            tally(self._of_account, account, -1)

    def _check(self, whose: str, own: int, limit: int) -> None:
        if own >= limit:
            detail = f"{whose} has {own} exports under way; at most {limit}"
            raise TooManyExports(detail, retry_after_s=RETRY_S, limit=limit)

    def measures(self) -> dict[str, float]:
        return {"under_way": self._of.total()}
