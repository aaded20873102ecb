"""`[[journal]]`: what services wrote to the journal, read through `journalctl`; the cursor is the position, so exact.

[[journal]]
name = "haproxy"
unit = "haproxy.service"
match = ["PRIORITY=6"]
haproxy-log-format = '...'
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import Any

import msgspec

from flowtally.agents.feeds.entry import FeedEntry
from flowtally.agents.feeds.feeding import Feeding
from flowtally.agents.follow.dispatcher import Backoff
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Input, Settings
from flowtally.agents.follow.server import Server
from flowtally.agents.journalctl import PROGRAM, Journalctl, JournalFilter, arguments
from flowtally.agents.journalctl import JournalRecord as Taken
from flowtally.agents.reader import LogLine

_SLICE_BYTES = 256 * 1024  # of JSON at a turn


class JournalEntry(
    FeedEntry, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", kw_only=True
):
    """`unit`: a systemd unit. `match`: `FIELD=value`, as journalctl takes them. One of them at least; an entry must fit
    all. `directory`: journal files that are elsewhere. The rest is as in `[[log]]`."""

    unit: str = ""
    match: tuple[str, ...] = ()
    directory: str = ""

    @property
    def where(self) -> JournalFilter:
        return JournalFilter(unit=self.unit, match=self.match, directory=self.directory)

    @property
    def what(self) -> str:
        """For the options in the source's position."""
        return "journal " + msgspec.json.encode(self.where).decode()

    def source(self, host: str) -> str:
        return f"agent:{host}:{self.name}:journal"


class JournalFeed:
    """The child is started at the first reading and again, after a pause, whenever it ends."""

    def __init__(
        self, name: str, where: JournalFilter, event_log: EventLog, *, once: bool, program: str = PROGRAM
    ) -> None:
        self.restarts = 0
        self.holes = 0
        self._name = name
        self._where = where
        self._event_log = event_log
        self._once = once
        self._program = program
        self._child: Journalctl | None = None
        self._count, self._cursor = 0, ""
        self._sure = True
        self._at_end = False
        self._pause = Backoff()
        self._last_us = 0
        self._ahead: deque[Taken] = deque()  # came, and was not given yet

    def start_at(self, offset: int, check: str, *, sure: bool) -> None:
        self._end()
        self._ahead.clear()
        self._at_end = False
        self._count, self._cursor, self._sure = offset, check, sure

    def place(self) -> tuple[int, str]:
        return self._count, self._cursor

    def read(self, now: float, most: int) -> tuple[list[LogLine], bool]:
        if not self._ahead:
            self._poll(now)
        lines: list[LogLine] = []
        while self._ahead and len(lines) < most:
            entry = self._ahead.popleft()
            self._count += 1
            self._cursor = entry.cursor or self._cursor
            self._last_us = entry.at_us or self._last_us
            lines.append(LogLine(entry.text, self._count))
        return lines, bool(lines)

    def _poll(self, now: float) -> None:
        if now < self._pause.until or self._at_end or (self._child is None and not self._start(now)):
            return
        assert self._child is not None
        self._ahead.extend(self._child.poll(_SLICE_BYTES))
        self._tell_hole(self._child)
        if self._ahead:
            self._pause.passed()
        elif self._child.ended is not None:
            self._ended(self._child, now)

    def release(self) -> None:
        """The journal is not ours to clear."""

    def settled(self) -> bool:
        return self._at_end

    def facts(self) -> dict[str, Any]:
        return {"restarts": self.restarts, "holes": self.holes, "last_line_at": self._last_us / 1e6}

    def close(self) -> None:
        self._end()

    def _start(self, now: float) -> bool:
        try:
            self._child = Journalctl(self._where, self._cursor, follow=not self._once, program=self._program)
        except OSError as error:
            self._failed(f"{self._program} cannot be started: {error.strerror or error}", now)
            return False
        return True

    def _ended(self, child: Journalctl, now: float) -> None:
        code = child.ended
        said = child.said.strip().splitlines()
        self._end()
        if self._once and code == 0:
            self._at_end = True
            return
        self.restarts += 1
        self._failed(f"{self._program} ended with {code}: {said[-1] if said else 'it said nothing'}", now)

    def _failed(self, detail: str, now: float) -> None:
        self._pause.failed(now)
        if self._pause.failures > 1:  # once is a journald or a child that was restarted
            self._event_log.once(("journal", self._name), "cannot_read", log=self._name, detail=detail)

    def _tell_hole(self, child: Journalctl) -> None:
        hole, child.hole = child.hole, None
        if hole is None or not self._sure:
            return
        self.holes += 1
        self._event_log.warn(
            "journal_hole", log=self._name, since=_shown(hole.from_us), until=_shown(hole.to_us),
            detail="what was written between, if anything was, is no longer in the journal: not counted",
        )  # fmt: skip

    def _end(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


class Journals:
    """The kind of input that `[[journal]]` names."""

    entry: type[msgspec.Struct] = JournalEntry

    def __init__(self, program: str = PROGRAM) -> None:
        self._program = program

    def make(self, entry: Any, settings: Settings, server: Server) -> Input:
        arguments(entry.where, "", follow=True)
        feed = JournalFeed(entry.name, entry.where, server.event_log, once=settings.once, program=self._program)
        return Feeding(entry, feed, entry.source(settings.host), entry.what, server)

    def check(self, entries: list[Any]) -> list[str]:
        return []


def _shown(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
