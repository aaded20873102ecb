"""An input turned by hand against the small server of `fake`: time goes as fast as there is something to do."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

from tests.agents.fake import FakeServer

from flowtally.agents.follow.dispatcher import AtOnce
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Input, Kind, Settings
from flowtally.agents.follow.server import Server

PATIENCE_S = 30


class Driven:
    """`now` is the loop's clock; it goes on by itself while something is waited for."""

    def __init__(self, kind: Kind, entry: Any, fake: FakeServer, *, once: bool = False, **variables: str) -> None:
        self.fake = fake
        self.told = io.StringIO()
        event_log = EventLog(self.told, as_json=True)
        self.server = Server(fake.client(retry_s=0), AtOnce(), AtOnce(), event_log)
        self.input: Input = kind.make(entry, Settings(host="gw", once=once, variables=variables), self.server)
        self.now = 1000.0

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.now = max(self.now + 0.3, self.input.due(self.now))
            self.input.turn(self.now)

    def until(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, f"it did not come: {self.told.getvalue()}"
            self.turn()
            time.sleep(0.001)

    def until_stored(self, count: int) -> None:
        self.until(lambda: sum(map(len, self.fake.events.values())) >= count)

    def end(self) -> None:
        while not self.input.finish(self.now):
            self.now += 20
        self.input.close()


def squid_line(number: int, user: str = "ann") -> bytes:
    return b"%d.123 1 10.0.0.1 TCP_MISS/200 %d GET http://a.test/ %s HIER_DIRECT/10.0.0.9 -" % (
        1_740_000_000 + number,
        number,
        user.encode(),
    )


def sizes(fake: FakeServer, source: str) -> list[int]:
    return [event.bytes_down for event in fake.stored(source)]
