"""One feed as an input of the agent: stand where the server says, read what is there, send it, let go of it.

The same rule as for a log: nothing but the server's position is believed, and after any failure what was read and has
no receipt is read again. Here a source never ends, and one feed is all of it.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import msgspec

from flowtally.agents.feeds.entry import FeedEntry
from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.follow.dispatcher import Delivery
from flowtally.agents.follow.exchange import Exchange
from flowtally.agents.follow.log import LOOK_S
from flowtally.agents.follow.server import EVENT_BYTES, Server
from flowtally.agents.follow.stream import INTERVAL_S, RECHECK_S
from flowtally.agents.follow.telling import Telling
from flowtally.agents.position import Position
from flowtally.agents.reader import LogLine
from flowtally.agents.sending import Sending
from flowtally.protocol import EventsAnswer

SLICE_LINES: Final = 2_000


class Feed(Protocol):
    """Lines in one order for ever. None of its calls waits or raises; what troubles it, it tells and tries again."""

    def start_at(self, offset: int, check: str, *, sure: bool) -> None:
        """Go on after this place; the empty `check` is the beginning. Not `sure`: it was another feed that stood there,
        so whether something is missing cannot be known."""

    def read(self, now: float, most: int) -> tuple[list[LogLine], bool]:
        """The next lines that are there, at most so many, and whether there are more already."""

    def place(self) -> tuple[int, str]:
        """After the last line given: `check` names it, `offset` is a number beside."""

    def release(self) -> None:
        """All lines given are the server's now, or were told."""

    def settled(self) -> bool:
        """Whether all that is there was given, for an agent that runs once."""

    def facts(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


class Feeding:
    """An `Input`."""

    def __init__(self, entry: FeedEntry, feed: Feed, source: str, where: str, server: Server) -> None:
        self.name = entry.name
        self.entry: msgspec.Struct = entry
        self.counts = LineCounts()
        self._feed = feed
        self._source = source
        self._server = server
        self._telling = Telling(entry.name, server.event_log, self.counts)
        self._exchange = Exchange(source, server, self._telling, self.counts)
        self._options = entry.options(where)
        self._mapper = entry.mapper()
        self._sending: Sending | None = None
        self._making: Sending | None = None
        self._job: Delivery[Position] | Delivery[EventsAnswer | None] | None = None
        self._more = False
        self._outages = server.outages
        self._turned_at = self._sent_at = float("-inf")
        self._read_once = False
        self._acked: tuple[int, str] | None = None  # where the server stood, as last heard
        self._all_sent = False  # nothing was read after it that would have to be read again

    # ── for the loop

    def due(self, now: float) -> float:
        if self._job is not None:
            return now if self._job.done else now + LOOK_S
        if self._more and self._server.room and now >= self._exchange.backoff.until:
            return now
        return self._turned_at + LOOK_S

    def turn(self, now: float) -> None:
        self._turned_at = now
        if self._job is not None:
            if not self._job.done:
                return
            self._ended(now)
        if now < self._exchange.backoff.until:
            return
        if self._outages != self._server.outages or now - self._exchange.heard_at > RECHECK_S:
            self._outages = self._server.outages
            self._all_sent = self._sending is not None and not self._sending.waiting
            self._forget()
        if self._sending is None:
            self._stand(now)
        else:
            self._go_on(self._sending, now)

    def settled(self) -> bool:
        return self._read_once and self._job is None and not self._waiting and not self._more and self._feed.settled()

    def finish(self, now: float) -> bool:
        if self._job is not None:
            if not self._job.done:
                return False
            self._ended(now)
        if not self._waiting or self._server.away:
            return True
        if now >= self._exchange.backoff.until and self._sending is not None:
            self._send(self._sending, now)
        return False

    def facts(self) -> dict[str, Any]:
        return {
            **self.counts.facts(),
            **self._feed.facts(),
            "waiting": self._waiting,
            "failing": int(self._exchange.backoff.failures > 0),
        }

    def close(self) -> None:
        self._forget()
        self._feed.close()

    @property
    def _waiting(self) -> int:
        return self._sending.waiting if self._sending is not None else 0

    # ── standing, reading, sending

    def _stand(self, now: float) -> None:
        if self._server.may_ask(now):
            sending = Sending(
                self._server.client, self._source, self._mapper, self._options, self._exchange.batch, any_options=True
            )
            self._making = sending
            self._job = self._server.ask(sending.resume)

    def _stands(self, position: Position, now: float) -> None:
        assert self._making is not None
        self._sending, self._exchange.heard_at = self._making, now
        self._exchange.expected = self._sending.ahead
        begun = position.sequence > 0 or position.lines > 0
        place = position.offset, position.check if begun else ""
        if not (self._all_sent and place == self._acked):
            self._feed.start_at(*place, sure=not self._sending.other_options)
        self._acked, self._all_sent, self._more = place, False, True

    def _go_on(self, sending: Sending, now: float) -> None:
        if not sending.full and self._server.room:
            lines, self._more = self._feed.read(now, min(SLICE_LINES, self._exchange.batch))
            self._take(sending, lines)
            self._read_once = True
        if not sending.waiting:
            self._feed.release()
        elif sending.full or not self._server.room or now - self._sent_at >= INTERVAL_S:
            self._send(sending, now)

    def _take(self, sending: Sending, lines: list[LogLine]) -> None:
        was = sending.tally.lines, sending.tally.skipped, dict(sending.tally.reasons)
        for line in lines:
            sending.take(line)
        self._telling.lines(sending.tally, was)
        self._hold(sending)

    def _send(self, sending: Sending, now: float) -> None:
        if self._server.may_ask(now):
            self._sent_at = now
            place = self._feed.place()
            self._job = self._server.ask(lambda: sending.send(*place))

    # ── the end of a job

    def _ended(self, now: float) -> None:
        job, self._job = self._job, None
        assert job is not None
        try:
            result = job.result()
        except Exception as error:
            self._server.failed(error, now)
            self._failed(error, now)
            return
        self._exchange.heard(result)
        if isinstance(result, Position):
            self._stands(result, now)
        elif result is not None:
            self._answered(result, now)

    def _answered(self, answer: EventsAnswer, now: float) -> None:
        assert self._sending is not None
        self._acked = self._sending.position.offset, self._sending.position.check
        self._hold(self._sending)
        self._feed.release()
        if not self._exchange.answered(answer, now):
            self._forget()

    def _failed(self, error: Exception, now: float) -> None:
        self._exchange.failed(sent=self._sending is not None)
        self._all_sent = False
        self._forget()
        self._exchange.wait(error, now)

    def _forget(self) -> None:
        """What was read and has no receipt is read again."""
        self._sending = None
        self._more = False
        self._exchange.hold(0)

    def _hold(self, sending: Sending) -> None:
        self._exchange.hold(sending.size_bytes + sending.waiting * EVENT_BYTES)
