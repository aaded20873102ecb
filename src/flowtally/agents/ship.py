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
from flowtally.agents.position import mapping_text, source_name
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
        finished: bool = True,
    ) -> None:
        """`finished` False: the log is still written to, so a last line without newline is left for the next run."""
        mapper = Mapper(mapping, format_of(declared))
        if not source and not log.seekable:
            raise ConfigError("a pipe has no name of its own: give --source, the same for every run")
        if fault := text_fault(source):
            raise ConfigError(f"--source {source!r} {fault}")
        self.source = source or source_name(declared.format, log.head())
        self._log = log
        self._sending = Sending(client, self.source, mapper, mapping_text(declared, mapping), batch_events)
        self._progress = progress or (lambda _: None)
        self._finished = finished

    def run(self) -> ImportReport:
        """Import to the log's end. Raises CannotResume, NothingStored, LogChanged, LogDamaged (after sending what came
        before the damage) and the client's ApiError; in every case what was acknowledged stays and a later run goes on
        there."""
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
        sending = self._sending
        return sending.tally.report(self.source, sending.position.sequence, sending.start.offset, sending.start.lines)

    def _run_once(self) -> None:
        position = self._sending.resume()
        self._log.start_at(position.offset, position.check)
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
