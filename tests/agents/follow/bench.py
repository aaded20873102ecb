"""A log and the agent over it, in one thread and with a clock of the test's: a turn does all that is due."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import msgspec
from tests.agents.fake import FakeServer

from flowtally.agents.follow.dispatcher import AtOnce
from flowtally.agents.follow.entry import LogEntry
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.holes import KnownSources
from flowtally.agents.follow.inputs import Settings
from flowtally.agents.follow.log import FollowedLog
from flowtally.agents.follow.server import Server
from flowtally.agents.follow.tail import identity_of


def line(number: int, account: str = "acme") -> bytes:
    """A line of Squid's log whose bytes down are its number."""
    return (
        b"%d.000 5 10.0.0.1 TCP_MISS/200 %d GET http://n.test/ %s-bob HIER_DIRECT/10.0.0.2 text/html 7\n"
        % (1_795_000_000 + number, number, account.encode())
    )  # fmt: skip


def lines(start: int, end: int) -> bytes:
    return b"".join(line(number) for number in range(start, end))


class Bench:
    """`run` lets seconds pass in steps of a quarter, as long as the agent is not busy."""

    def __init__(self, folder: Path, fake: FakeServer | None = None, **entry: Any) -> None:
        self.folder = folder
        self.path = folder / "access.log"
        self.fake = fake or FakeServer()
        self.now = 1000.0
        self.said = io.StringIO()
        fields = {"name": "squid", "path": str(self.path), "format": "squid-io", "linger": 5, **entry}
        fields.setdefault("user-from", "user:(?P<account>[^-]+)-(?P<user>.+)")
        self.entry = msgspec.convert(fields, LogEntry)
        self.start()

    def start(self, *, once: bool = False) -> None:
        """An agent that knows nothing of any before."""
        self.server = Server(self.fake.client(retry_s=0), AtOnce(), AtOnce(), EventLog(self.said))
        self.log = FollowedLog(self.entry, Settings(host="gw", once=once), self.server, KnownSources(self.server))

    def restart(self) -> None:
        """The agent is killed and started."""
        self.log.close()
        self.start()

    def run(self, seconds: float = 2.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.turn()
            self.now += 0.25

    def turn(self) -> None:
        for _ in range(10_000):
            self.log.turn(self.now)
            if self.log.due(self.now) > self.now:
                return
        raise AssertionError("the agent is busy for ever")

    def stored(self) -> list[int]:
        return sorted(event.bytes_down for event in self.fake.all_stored())

    def holds(self, stat: os.stat_result) -> bool:
        """Whether the agent has this file open, whatever becomes of its name."""
        file = self.log._files.get(identity_of(stat))
        return file is not None and file.tail is not None

    def events(self) -> list[str]:
        """Names of what was told, in order."""
        return [text.split("] ", 1)[1].split(" ")[0] for text in self.said.getvalue().splitlines()]
