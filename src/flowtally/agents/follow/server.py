"""What all inputs of an agent share: the server they send to, who carries requests out, and how much may wait.

Owns when the server is asked again after it did not answer (one asks; the others wait), and the bound on what was read
and is not stored yet, over all inputs together.
"""

from __future__ import annotations

from typing import Final

from flowtally.agents.follow.courier import Backoff, Carrier
from flowtally.agents.follow.tail import Identity
from flowtally.agents.follow.voice import Voice
from flowtally.client import ApiError, Client, Unreachable

BUDGET_BYTES: Final = 64 * 1024 * 1024
EVENT_BYTES: Final = 600  # what an event takes in memory beside the text it was read from, about
SLOTS: Final = 64  # files of the past that are open at a time
_AWAY: Final = frozenset({502, 504})


class Server:
    """Not for threads. `outages` counts the times it was away: what it holds may be older after one."""

    def __init__(self, client: Client, post: Carrier, shelf: Carrier, voice: Voice, url: str = "") -> None:
        self.client = client
        self.post = post  # for requests
        self.shelf = shelf  # for what takes long at a disk, beside
        self.voice = voice
        self.url = url
        self.outages = 0
        self.waiting_bytes = 0
        self.slots = SLOTS
        self.claims: dict[Identity, str] = {}  # which input reads a file
        self._away = Backoff()
        self._asked = False

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

    def heard(self) -> None:
        """It answered, whatever it said."""
        if self._away.failures:
            self._away.passed()
            self.outages += 1
            self.voice.over("server", "server_back", url=self.url)
        self._asked = False

    def heard_nothing(self) -> None:
        """The request that was allowed was not sent: another may."""
        self._asked = False

    def failed(self, error: Exception, now: float) -> None:
        """A job ended so: is the server away, or was it heard?"""
        if isinstance(error, Unreachable) or (isinstance(error, ApiError) and error.status in _AWAY):
            self._asked = False
            self._away.failed(now)
            self.voice.once("server", "server_away", url=self.url, detail=error)
        else:
            self.heard()

    @property
    def away(self) -> bool:
        return self._away.failures > 0
