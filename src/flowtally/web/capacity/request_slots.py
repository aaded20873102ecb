"""Slots for requests in work: so many at a time, whoever asks. The next one is told to come again (503).

Owns the bound of the whole server, apart from that on connections, of which most are silent at a time. What machines
ask (`/healthz`, `/readyz`, `/metrics`) takes no slot. Callers who may show in the body who they are have few slots of
their own until they did, so that they cannot take all; of these those of one address have a quarter. One event loop
takes all requests, so plain numbers do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from flowtally.core.errors import Overloaded
from flowtally.core.tallies import tally
from flowtally.web.capacity.lent import Lent

UNKNOWN_PART: Final = 16  # of the slots: for bodies of callers that are not known yet
ADDRESS_PART: Final = 4  # of these: for callers of one address


class RequestSlots:
    """At most `limit` requests in work."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.unknown_limit = max(1, limit // UNKNOWN_PART)
        self.unknown_of_address = max(1, self.unknown_limit // ADDRESS_PART)
        self.unknown: Counter[str] = Counter()  # by address

    @contextmanager
    def take_unknown(self, address: str) -> Iterator[None]:
        """While a body is read of somebody who is not known yet; Overloaded likewise."""
        awaited = self.unknown.total()
        if awaited >= self.unknown_limit or self.unknown[address] >= self.unknown_of_address:
            raise Overloaded(f"The bodies of {awaited} callers without a token are awaited", retry_after_s=1)
        tally(self.unknown, address, 1)
        try:
            yield
        finally:
            tally(self.unknown, address, -1)

    def take(self) -> Lent[None]:
        """A place for one request; Overloaded where none is left."""
        return Lent(self._take, self._give_back)

    def _take(self) -> None:
        if self.taken >= self.limit:
            raise Overloaded(f"{self.taken} requests are in work, as many as may be", retry_after_s=1)
        self.taken += 1

    def _give_back(self) -> None:
        self.taken -= 1
