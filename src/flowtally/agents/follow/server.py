"""What all inputs of an agent share: the server they send to, who carries requests out, and how much may wait.

Owns when the server is asked again after it did not answer (one asks; the others wait), and the bound on what was read
and is not stored yet, over all inputs together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from flowtally.agents.follow.dispatcher import Backoff, Carrier, Delivery
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.tail import Identity
from flowtally.client import ApiError, Client, Unreachable

T = TypeVar("T")

BUDGET_BYTES: Final = 64 * 1024 * 1024
EVENT_BYTES: Final = 600  # what an event takes in memory beside the text it was read from, about
SLOTS: Final = 64  # files of the past that are open at a time
_AWAY: Final = frozenset({502, 504})


class NotAsked(Unreachable):
    """The request was not sent: another one had no answer by then."""


class Server:
    """Not for threads. `outages` counts the times it was away: what it holds may be older after one."""

    def __init__(self, client: Client, post: Carrier, shelf: Carrier, event_log: EventLog, url: str = "") -> None:
        self.client = client
        self.post = post  # for requests
        self.shelf = shelf  # for those that take long at a disk, beside
        self.event_log = event_log
        self.url = url
        self.outages = 0
        self.waiting_bytes = 0
        self.slots = SLOTS
        self.claims: dict[Identity, str] = {}  # which input reads a file
        self._away = Backoff()
        self._asked = False
        self._lost = False  # as the threads see it: a request had no answer

    @property
    def room(self) -> bool:
        """Whether more may be read."""
        return self.waiting_bytes < BUDGET_BYTES

    def may_ask(self, now: float) -> bool:
        """Whether to send a request now. After an outage one asks alone, and who it is tells with `heard`, `failed`."""
        if not self._away.failures:
            return True
        if now < self._away.until or self._asked:
            return False
        self._asked = True
        return True

    def ask(self, work: Callable[[], T], *, long: bool = False) -> Delivery[T]:
        """Have `work`, which asks the server, carried out; after `may_ask`. `long`: it reads much of a file, too."""
        alone = self.away

        def asked() -> T:
            if self._lost and not alone:
                raise NotAsked("the server was away")
            try:
                return work()
            except Unreachable:
                self._lost = True
                raise

        return (self.shelf if long else self.post).submit(asked)

    def heard(self) -> None:
        """It answered, whatever it said."""
        self._lost = False
        if self._away.failures:
            self._away.passed()
            self.outages += 1
            self.event_log.over("server", "server_back", url=self.url)
        self._asked = False

    def heard_nothing(self) -> None:
        """The request that was allowed was not sent: another may."""
        self._asked = False

    def failed(self, error: Exception, now: float) -> None:
        """A job ended so: is the server away, or was it heard?"""
        if isinstance(error, NotAsked) and self.away:
            return
        if isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.status in _AWAY):
            self._asked = False
            self._lost = True
            if now >= self._away.until:  # of many that were on their way together one counts
                self._away.failed(now)
            self.event_log.once("server", "server_away", url=self.url, detail=error)
        else:
            self.heard()

    @property
    def away(self) -> bool:
        return self._away.failures > 0
