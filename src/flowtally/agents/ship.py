"""Import a log: read lines from where the server says the source stands, send numbered events, once and for ever.

The server answers after a batch is durable, so stopping anywhere (or losing an answer) loses nothing: the next run asks
for mark and position and goes on (`sending`). A source belongs to the sender that first wrote it, whichever of its keys
is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.position import earlier_names, mapping_text, source_name
from flowtally.agents.reader import LogDamaged, LogFile
from flowtally.agents.report import ImportReport
from flowtally.agents.sending import BATCH_EVENTS, Sending
from flowtally.client import ApiError, Client
from flowtally.errors import ConfigError
from flowtally.texts import text_fault

RESTARTS: Final = 3


class Progress(msgspec.Struct, frozen=True):
    """Bytes of the log as stored (compressed where it is); `total_bytes` None for a pipe."""

    done_bytes: int
    total_bytes: int | None
    lines: int
    events: int


class Importer:
    """One run over one log. `report()` may be asked at any time, also after an exception or a Ctrl-C."""

    def __init__(
        self,
        client: Client,
        log: LogFile,
        declared: Declared,
        mapping: Mapping,
        *,
        source: str = "",
        progress: Callable[[Progress], None] | None = None,
        batch_events: int = BATCH_EVENTS,
        finished: bool = False,
    ) -> None:
        """`finished`: nobody writes the log any more, so a last line without newline is whole too."""
        self._format = format_of(declared)
        mapper = Mapper(mapping, self._format)
        if not source and not log.seekable:
            raise ConfigError("a pipe has no name of its own: give --source, the same for every run")
        if fault := text_fault(source):
            raise ConfigError(f"--source {source!r} {fault}")
        self._client = client
        self._log = log
        self._declared = declared
        self._is_named = bool(source)
        self._progress = progress or (lambda _: None)
        self._finished = finished
        name = source or _name_of(log, finished)
        self._sending = Sending(client, name, mapper, mapping_text(declared, mapping), batch_events)

    @property
    def source(self) -> str:
        """Empty while the log has no line that could name it."""
        return self._sending.source

    def run(self) -> ImportReport:
        """Import to the log's end. Raises CannotResume, NothingStored, LogChanged, NotALog, LogDamaged (after sending
        what came before the damage) and the client's ApiError; in every case what was acknowledged stays and a later
        run goes on there."""
        if not self.source:
            self._read_unnamed()
            return self.report()
        if not self._is_named:
            self._sending.source = self._name_it_has()
        for restart in range(RESTARTS + 1):
            try:
                self._run_once()
                break
            except ApiError as error:
                # Another run over the same source got ahead, or the server was restored to an earlier state.
                if error.code != "sequence_gap" or restart == RESTARTS or not self._log.seekable:
                    raise
        return self.report()

    def report(self) -> ImportReport:
        sending, log = self._sending, self._log
        return sending.tally.report(
            self.source, sending.position.sequence, sending.start.offset, sending.start.lines,
            kind=log.kind, waiting_bytes=log.waiting, nul_bytes=log.nuls,
        )  # fmt: skip

    def _name_it_has(self) -> str:
        """The name under which the server knows this log, the one of today where it does not."""
        if not self._is_known(self.source):
            for name in earlier_names(self._log.first_kilobyte(), self._declared.format):
                if self._is_known(name):
                    self._log.count_mark()
                    return name
        return self.source

    def _is_known(self, source: str) -> bool:
        try:
            self._client.source(source)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return False
        return True

    def _read_unnamed(self) -> None:
        """No line that tells this log from others is there: it is new, or no log that this format reads."""
        for line in self._log.lines(finished=self._finished):
            self._sending.take(line)
            if self._sending.waiting:
                raise ConfigError(
                    f"{self._log.name}: no line of it tells it from other logs (none has a digit): give --source, "
                    "the same for every run"
                )

    def _run_once(self) -> None:
        position = self._sending.resume()
        self._log.start_at(position.offset, position.check, self._format.remember)
        damage: LogDamaged | None = None
        try:
            self._read()
        except LogDamaged as error:  # what came before it is sent first
            damage = error
        self._send()
        if damage is not None:
            raise damage

    def _read(self) -> None:
        for line in self._log.lines(finished=self._finished):
            self._sending.take(line)
            if self._sending.full:
                self._send()
            elif self._sending.tally.lines % BATCH_EVENTS == 0:
                self._tell()  # a long stretch of unreadable lines makes no batch and still takes time

    def _send(self) -> None:
        self._sending.send(self._log.offset, self._log.check())
        self._tell()

    def _tell(self) -> None:
        tally = self._sending.tally
        self._progress(Progress(self._log.done_bytes, self._log.total_bytes, tally.lines, tally.events))


def _name_of(log: LogFile, finished: bool) -> str:
    head = log.head(finished=finished)
    return "" if head is None else source_name(head)
