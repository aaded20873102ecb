"""One log of the configuration: which files are there, which of them are one source, and what rotation did.

Looks at the paths often and at what rotation left now and then, at once where something moved. A file is known by its
inode while it is there, and by its first line for ever: the first line names the source, so a rename, a copy or a
compression is the same source and goes on where that stands. Reading is the streams' work.
"""

from __future__ import annotations

import os
import socket
import stat as modes
from typing import Any, Final

import msgspec

from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.follow.entry import LogEntry
from flowtally.agents.follow.files import FollowedFile
from flowtally.agents.follow.holes import Holes, KnownSources
from flowtally.agents.follow.inputs import Settings
from flowtally.agents.follow.intake import LogReading, Reader
from flowtally.agents.follow.missing import Missing
from flowtally.agents.follow.patterns import Patterns
from flowtally.agents.follow.server import Server
from flowtally.agents.follow.stream import LogStream
from flowtally.agents.follow.tail import Identity, identity_of
from flowtally.agents.follow.telling import Telling
from flowtally.agents.formats import format_of
from flowtally.agents.mapping import Mapper
from flowtally.agents.position import mapping_text
from flowtally.agents.reader import LogDamaged, NotALog, digest
from flowtally.agents.reading import LineReading

LOOK_S: Final = 0.25  # between two looks at what is written
SLOW_LOOK_S: Final = 1.0  # where nothing was written for a while
QUIET_S: Final = 30.0
GLOB_S: Final = 1.0
LEFT_S: Final = 10.0  # between two looks at what rotation left
STIRRED_S: Final = 20.0  # for so long after a rotation it is looked for at each second


def source_of(host: str, name: str, head: bytes) -> str:
    """A log is known by its first line, under the host and the name it has in the configuration."""
    return f"agent:{host}:{name}:{digest(head)}"


class FollowedLog:
    """An `Input`. Nothing is opened before the first turn. ConfigError for options of no use."""

    def __init__(self, entry: LogEntry, settings: Settings, server: Server, known: KnownSources) -> None:
        self.name = entry.name
        self.entry = entry
        self.counts = LineCounts()
        self._host = settings.host or socket.gethostname()
        self._server = server
        self._event_log = server.event_log
        self._telling = Telling(entry.name, server.event_log, self.counts)
        self._patterns = Patterns(entry.paths, entry.rotated)
        self._missing = Missing(entry.paths, self._telling)
        declared, mapping = entry.declared, entry.mapping
        self._mapper: Mapper | None = None
        self._reader()
        self._reading = LogReading(
            name=entry.name,
            options=mapping_text(declared, mapping),
            reader=self._reader,
            linger_s=float(entry.linger),
            once=settings.once,
            server=server,
            counts=self.counts,
            telling=self._telling,
            overlap=entry.overlap == "allow",
        )
        self._files: dict[Identity, FollowedFile] = {}
        self._homes: dict[str, FollowedFile] = {}  # what was last met at each path that is written
        self._streams: dict[str, LogStream] = {}
        self._live_at = self._left_at = self._turned_at = float("-inf")
        self._stirred_until = float("-inf")
        self._live: list[str] = []
        self._looked = False
        prefix = source_of(self._host, entry.name, b"").rpartition(":")[0]
        self._holes: Holes | None = Holes(entry.name, server, known, prefix, self.counts)

    # ── for the loop

    def due(self, now: float) -> float:
        if any(stream.busy for stream in self._streams.values()):
            return now
        quiet = all(now - file.moved_at > QUIET_S for file in self._files.values() if file.live)
        return self._turned_at + (SLOW_LOOK_S if quiet and now > self._stirred_until else LOOK_S)

    def turn(self, now: float) -> None:
        if now - self._turned_at >= LOOK_S or now < self._turned_at:
            self._turned_at = now
            self._look(now)
            for file in list(self._files.values()):
                self._name(file, now)
            self._look_for_holes(now)
        for stream in list(self._streams.values()):
            stream.turn(now)

    def settled(self) -> bool:
        return self._looked and all(stream.idle for stream in self._streams.values())

    @property
    def failing(self) -> bool:
        return any(stream.failing for stream in self._streams.values())

    def finish(self, now: float) -> bool:
        finished = [stream.finish(now) for stream in self._streams.values()]
        return all(finished)

    def facts(self) -> dict[str, Any]:
        streams = list(self._streams.values())
        return {
            **self.counts.facts(),
            "behind_bytes": sum(stream.behind_bytes for stream in streams),
            "waiting": sum(stream.waiting for stream in streams),
            "open_files": sum(file.tail is not None for file in self._files.values()),
            "failing": sum(stream.failing for stream in streams),
            "faults": len(self._missing.faults) + sum(file.fault for file in self._files.values()),
            "half_lines": sum(stream.half_line for stream in streams),
        }

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()
        for file in self._files.values():
            file.close()
            self._server.claims.pop(file.identity, None)

    # ── which files are there

    def _look(self, now: float) -> None:
        if not self._patterns.fixed and now - self._live_at < GLOB_S:
            live = self._live
        else:
            live, self._live_at = self._patterns.live(), now
            self._live = live
            self._missing.unmatched(self._patterns.unmatched(), now, at_once=not self._looked)
        met: set[Identity] = set()
        for path in live:
            self._meet(path, now, met, live=True)
        stirred = now < self._stirred_until and now - self._left_at >= LOOK_S * 4
        if now - self._left_at >= LEFT_S or stirred:
            self._left_at = now
            for path in self._patterns.left():
                self._meet(path, now, met, live=False)
            self._drop_unmet(met)
        self._looked = True
        for file in self._files.values():
            if file.tail is not None and file.identity not in met:
                self._look_at(file, now)

    def _meet(self, path: str, now: float, met: set[Identity], *, live: bool) -> None:
        """What is at this path now?"""
        try:
            stat = os.stat(path)
        except FileNotFoundError:
            self._missing.gone(path, now, at_once=not self._looked)
            if path in self._homes and self._homes[path].live:
                self._homes[path].live = False
                self._stir(now)
            return
        except OSError as error:
            self._missing.hidden(path, error)
            return
        if not modes.S_ISREG(stat.st_mode):
            self._missing.no_file(path, stat.st_mode)
            return
        self._missing.there(path)
        identity = identity_of(stat)
        if identity in met:
            return
        met.add(identity)
        file = self._files.get(identity)
        if file is None:
            file = self._new(path, stat, now, live=live)
            if file is None:
                return
        elif file.path != path or file.live != live:
            file.seen_at(path, live=live)
        if live:
            self._at_home(path, file, now)
        file.look(now, None if file.tail is not None else stat)

    def _new(self, path: str, stat: os.stat_result, now: float, *, live: bool) -> FollowedFile | None:
        identity = identity_of(stat)
        owner = self._server.claims.setdefault(identity, self.name)
        if owner != self.name:
            self._event_log.once(("shared", path), "read_by_another_log", log=self.name, path=path, other=owner)
            return None
        file = FollowedFile(path, stat, now, live=live)
        self._files[identity] = file
        self.counts.files += 1
        return file

    def _at_home(self, path: str, file: FollowedFile, now: float) -> None:
        """This file is written under `path`; the one that was before it is not any more."""
        before = self._homes.get(path)
        if before is file:
            return
        self._homes[path] = file
        if before is not None:
            self._stir(now)
            if before.home == path:
                before.live, before.superseded = False, True

    def _stir(self, now: float) -> None:
        """Something was rotated: look for what is left of it."""
        self._stirred_until = now + STIRRED_S
        self._left_at = float("-inf")

    def _look_at(self, file: FollowedFile, now: float) -> None:
        """A file whose path is gone."""
        try:
            file.look(now)
        except OSError as error:
            self._telling.trouble("lost", "cannot_read", file.path, error)
            file.close()

    def _drop_unmet(self, met: set[Identity]) -> None:
        """Forget files that are nowhere any more and were read."""
        for identity, file in list(self._files.items()):
            if identity not in met and file.tail is None:
                del self._files[identity]
                self._server.claims.pop(identity, None)
                if file.home is not None and self._homes.get(file.home) is file:
                    del self._homes[file.home]
                if (stream := self._streams.get(file.source)) is not None:
                    stream.drop(file)
        kept = {file.source for file in self._files.values()}
        for source in [one for one, stream in self._streams.items() if one not in kept and not stream.active]:
            del self._streams[source]

    # ── which source a file is

    def _name(self, file: FollowedFile, now: float) -> None:
        if file.source:
            stream = self._streams[file.source]
            if file.changed and not stream.has(file):
                stream.add(file)
            elif file.superseded and file.aside == file.seen and file is not stream.file:
                file.close()
            return
        finished = file.finished(now, self._reading.linger_s, by_date=self._reading.once)
        if (file.aside == file.seen and file.void == finished) or now < file.pause.until:
            return
        try:
            tail = file.open()
            head = tail.head(finished=finished)
            file.fault = False
            self._telling.over("trouble", file.path, "can_be_read")
            file.pause.passed()
        except LogDamaged:
            head = None
        except NotALog as error:
            file.fault = True
            self._telling.trouble("not_a_log", "not_a_log", file.path, error)
            head = None
        except FileNotFoundError:  # it is being rotated, and is found again
            file.pause.failed(now)
            return
        except OSError as error:
            file.fault = True
            file.close()
            file.pause.failed(now)
            self._telling.trouble("trouble", "cannot_read", file.path, error)
            return
        if head is None:
            file.aside, file.void = file.seen, finished  # nothing whole yet: again when it changes, or is finished
        else:
            self._join(file, head)
        if not file.home or (head is None and finished):
            file.close()  # opened again when it is its turn, or has changed

    def _join(self, file: FollowedFile, head: bytes) -> None:
        file.head = head
        file.aside = None
        file.source = source_of(self._host, self.name, head)
        read = self._reader()[0].read(head.rsplit(b"\n", 1)[-1])
        file.first_at = (read.time_at or 0) if isinstance(read, LineReading) else file.seen[1] // 1_000_000
        stream = self._streams.get(file.source)
        if stream is None:
            stream = self._streams[file.source] = LogStream(file.source, self._reading)
            stream.first_at = file.first_at
            self._streams = dict(sorted(self._streams.items(), key=lambda one: one[1].first_at))
        elif file.live and (other := stream.live_beside(file)) is not None:
            self._telling.same_first_line(file.path, other.path)
        stream.add(file)

    def _look_for_holes(self, now: float) -> None:
        """Once, when the files that are there are known."""
        if self._holes is not None:
            first_at = min((one.first_at for one in self._streams.values() if one.first_at), default=None)
            if self._holes.turn(now, self._streams.keys(), first_at):
                self._holes = None

    def _reader(self) -> Reader:
        """A mapper for one file; one for all where the format remembers nothing."""
        if self._mapper is not None:
            return self._mapper, None
        made = format_of(self.entry.declared)
        mapper = Mapper(self.entry.mapping, made)
        if made.remember is None:
            self._mapper = mapper
        return mapper, made.remember


class Logs:
    """The kind of input that `[[log]]` names."""

    entry: type[msgspec.Struct] = LogEntry

    def __init__(self) -> None:
        self._known: tuple[Server, KnownSources] | None = None

    def make(self, entry: Any, settings: Settings, server: Server) -> FollowedLog:
        if self._known is None or self._known[0] is not server:
            self._known = server, KnownSources(server)
        return FollowedLog(entry, settings, server, self._known[1])

    def check(self, entries: list[Any]) -> list[str]:
        """Two logs that would read one file."""
        owners: dict[Identity, tuple[str, str]] = {}
        faults = []
        for entry in entries:
            for path in Patterns(entry.paths, entry.rotated).live():
                try:
                    identity = identity_of(os.stat(path))
                except OSError:
                    continue
                owner, other = owners.setdefault(identity, (entry.name, path))
                if owner != entry.name:
                    faults.append(f"log {entry.name!r}: path {path} is read by log {owner!r}, too ({other})")
        return faults
