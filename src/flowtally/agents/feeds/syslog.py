"""`[[syslog]]`: lines that programs send over TCP (RFC 6587). No acknowledgement is in the protocol, so this is best
effort; what has arrived is on disk before it is read, and leaves it when the server has it.

    [[syslog]]
    name = "haproxy"
    listen = "127.0.0.1:6514"
    envelope = "syslog"
    haproxy-log-format = '...'
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from flowtally.agents.feeds.entry import FeedEntry
from flowtally.agents.feeds.feeding import Feeding
from flowtally.agents.follow.addresses import address_of
from flowtally.agents.follow.dispatcher import Backoff
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Input, Settings
from flowtally.agents.follow.server import Server
from flowtally.agents.reader import LogLine
from flowtally.agents.syslog.feed import SpoolFeed
from flowtally.agents.syslog.frames import Framing
from flowtally.agents.syslog.listener import MAX_CONNECTIONS, Listener
from flowtally.agents.syslog.spool import SyslogSpool
from flowtally.core.choices import choice
from flowtally.core.errors import ConfigError


class SyslogEntry(FeedEntry, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """`listen`: address and port; whoever reaches it can add usage, so keep it to this machine or a network of your
    own. `spool`: a directory for what the server does not have yet; not given: below systemd's state directory.
    `spool-mb`: how much of it; then senders wait. `framing`: how messages end, where it need not be found out. The rest
    is as in `[[log]]`; `envelope` is usually `syslog`."""

    listen: str
    spool: str = ""
    spool_mb: Annotated[int, Meta(ge=16, le=1_000_000)] = 256
    framing: Annotated[
        Framing,
        choice(
            "How messages end.",
            {
                "auto": "as each connection begins",
                "octets": "a count is before each message",
                "lines": "a line feed is after each message",
            },
        ),
    ] = "auto"
    connections: Annotated[int, Meta(ge=1, le=10_000)] = MAX_CONNECTIONS

    @property
    def address(self) -> tuple[str, int]:
        """ConfigError where it is none."""
        return address_of(self.listen, "listen")

    @property
    def what(self) -> str:
        """For the options in the source's position."""
        return "syslog"

    def source(self, host: str) -> str:
        return f"agent:{host}:{self.name}:syslog"

    def directory(self, variables: Mapping[str, str]) -> Path:
        """Where to spool; ConfigError where nobody says."""
        if self.spool:
            return Path(self.spool)
        state = variables.get("STATE_DIRECTORY", "").split(":")[0]
        if not state:
            raise ConfigError(f"syslog {self.name!r}: say where to spool: spool, or StateDirectory= of systemd")
        return Path(state) / "spool" / self.name


class SyslogFeed:
    """Opens spool and socket at its first reading, and tries again while it cannot."""

    def __init__(self, entry: SyslogEntry, directory: Path, event_log: EventLog, *, once: bool) -> None:
        self._entry = entry
        self._directory = directory
        self._event_log = event_log
        self._once = once
        self._spool: SyslogSpool | None = None
        self._feed: SpoolFeed | None = None
        self._listener: Listener | None = None
        self._pause = Backoff()
        self._idle = False
        self._torn = 0
        self._start = (0, "")

    def open(self, now: float) -> bool:
        """Spool and socket; an agent that runs once only empties the spool."""
        if self._listener is not None and self._listener.died:
            self._event_log.warn("syslog_died", log=self._entry.name, detail=self._listener.died)
            self._listener.close()
            self._listener = None
        if self._feed is not None and (self._listener is not None or self._once):
            return True
        if now < self._pause.until:
            return self._feed is not None
        try:
            if self._spool is None:
                self._spool = SyslogSpool(self._directory, self._entry.spool_mb * 1024 * 1024)
                self._feed = SpoolFeed(self._spool)
                self._feed.start_at(*self._start)
            if not self._once:
                self._listen(self._spool)
        except OSError as error:
            self._pause.failed(now)
            self._event_log.once(
                ("syslog", self._entry.name), "cannot_listen", log=self._entry.name, listen=self._entry.listen,
                spool=self._directory, detail=error,
            )  # fmt: skip
        else:
            self._pause.passed()
            self._event_log.over(("syslog", self._entry.name), "listening", log=self._entry.name)
        return self._feed is not None

    def _listen(self, spool: SyslogSpool) -> None:
        name, event_log = self._entry.name, self._event_log

        def tell(kind: str, text: str) -> None:
            if kind == "spool":  # begins and ends
                event_log.warn("spool", log=name, detail=text)
            else:
                event_log.once((kind, name), f"syslog_{kind}", log=name, detail=text, more="counted, not told")

        self._listener = Listener(
            self._entry.address,
            spool,
            framing=self._entry.framing,
            max_connections=self._entry.connections,
            tell=tell,
        )
        self._listener.start()

    def start_at(self, offset: int, check: str, *, sure: bool) -> None:
        if self._feed is not None:
            self._feed.start_at(offset, check)
        self._start = offset, check

    def read(self, now: float, most: int) -> tuple[list[LogLine], bool]:
        if not self.open(now) or self._feed is None:
            return [], False
        lines: list[LogLine] = []
        try:
            for line in self._feed.lines():
                lines.append(line)
                if len(lines) >= most:
                    break
        except OSError as error:
            self._event_log.once(("spool", self._entry.name), "cannot_read", log=self._entry.name, detail=error)
        self._tell_torn(self._feed)
        self._idle = len(lines) < most
        return lines, not self._idle

    def place(self) -> tuple[int, str]:
        return (self._feed.offset, self._feed.check()) if self._feed is not None else self._start

    def release(self) -> None:
        if self._feed is not None:
            with contextlib.suppress(OSError):  # tried again at the next release
                self._feed.release()

    def settled(self) -> bool:
        return self._idle

    def facts(self) -> dict[str, Any]:
        heard = msgspec.structs.asdict(self._listener.heard) if self._listener is not None else {}
        return {
            **heard,
            "spool_bytes": self._spool.used_bytes if self._spool is not None else 0,
            "behind_bytes": self._feed.behind_bytes if self._feed is not None else 0,
            "torn": self._torn,
        }

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._spool is not None:
            self._spool.close()

    def _tell_torn(self, feed: SpoolFeed) -> None:
        if feed.torn > self._torn:
            self._torn = feed.torn
            self._event_log.warn("spool_torn", log=self._entry.name, detail="a power cut left half a line: not counted")


class Syslogs:
    """The kind of input that `[[syslog]]` names."""

    entry: type[msgspec.Struct] = SyslogEntry

    def make(self, entry: Any, settings: Settings, server: Server) -> Input:
        assert entry.address
        feed = SyslogFeed(entry, entry.directory(settings.variables), server.event_log, once=settings.once)
        return SyslogInput(entry, feed, entry.source(settings.host), server)

    def check(self, entries: list[Any]) -> list[str]:
        owners: dict[str, str] = {}
        faults = []
        for entry in entries:
            for what in (f"listen {entry.listen}", f"spool {entry.spool or entry.name}"):
                owner = owners.setdefault(what, entry.name)
                if owner != entry.name:
                    faults.append(f"syslog {entry.name!r}: {what} is that of {owner!r}, too")
        return faults


class SyslogInput(Feeding):
    """Listens from the first turn on, whether the server can be asked or not: senders do not wait for it."""

    def __init__(self, entry: SyslogEntry, feed: SyslogFeed, source: str, server: Server) -> None:
        super().__init__(entry, feed, source, entry.what, server)
        self._door = feed

    def turn(self, now: float) -> None:
        self._door.open(now)
        super().turn(now)
