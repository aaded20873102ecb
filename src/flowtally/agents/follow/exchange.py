"""What the answers and failures of one source's requests mean for the next one: the same for a log and for a feed.

Owns the pause after a failure, how large a request may be, how many duplicates may come, what is held of the common
budget, and what of it is told. Which file or feed is read from where is its user's.
"""

from __future__ import annotations

import time

from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.follow.dispatcher import Backoff
from flowtally.agents.follow.patience import patience
from flowtally.agents.follow.server import Server
from flowtally.agents.follow.telling import Telling
from flowtally.agents.position import Position
from flowtally.agents.sending import BATCH_EVENTS
from flowtally.client import ApiError, Unreachable
from flowtally.protocol import EventsAnswer


class Exchange:
    """`expected`: duplicates that the next answers may have. `heard_at`: when a position or a receipt last came."""

    def __init__(self, source: str, server: Server, telling: Telling, counts: LineCounts) -> None:
        self.backoff = Backoff()
        self.batch = BATCH_EVENTS
        self.expected = 0
        self.heard_at = float("-inf")
        self._source = source
        self._server = server
        self._telling = telling
        self._counts = counts
        self._refused = False  # the last events were: that the server answers otherwise heals nothing
        self._held_bytes = 0

    def heard(self, result: object) -> None:
        """A request was answered."""
        self._server.heard()
        if not (isinstance(result, Position) and self._refused):
            self._refused = False
            self.backoff.passed()
            self._telling.going_on(self._source)

    def answered(self, answer: EventsAnswer, now: float) -> bool:
        """Events were answered. Whether they were only this sender's: else what was read is to be forgotten."""
        self.heard_at = now
        self._counts.answered(answer, time.time())
        self._telling.refused(answer)
        alone = answer.duplicate <= self.expected
        if not alone:
            self._telling.another_sender(self._source)
        self.expected = max(0, self.expected - answer.duplicate)
        return alone

    def failed(self, *, sent: bool) -> None:
        """A request failed; `sent`: it was one of events."""
        self._counts.failures += 1
        self._refused = sent

    def wait(self, error: Exception, now: float) -> None:
        """Decide when and how to try again after what failed at the server."""
        if isinstance(error, Unreachable) or self._server.away:  # which is told, and waited for, for all
            return
        if isinstance(error, ApiError) and error.code == "too_many_new" and self.batch > 1:
            self.batch = max(1, self.batch // 4)  # and at once: the request was too large, not the time wrong
            return
        if isinstance(error, ApiError) and error.code == "sequence_gap":
            self._server.outages += 1  # it may have been restored: all are asked
        wait_s, event = patience(error)
        self.backoff.failed(now, wait_s)
        if event:
            self._telling.failed(self._source, event, error)

    def hold(self, size_bytes: int) -> None:
        """So much is read and not stored."""
        self._server.waiting_bytes += size_bytes - self._held_bytes
        self._held_bytes = size_bytes
