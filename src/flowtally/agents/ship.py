"""Import a log: read lines from where the server says the source stands, send numbered events, once and for ever.

Every event carries the next number of the source; the last of each request carries the position (see `position`). The
server answers after the batch is durable, so stopping anywhere (or losing an answer) loses nothing: the next run asks
for mark and position and goes on. Memory is bounded by one batch, whatever the log's size. A source belongs to the
sender that first wrote it, whichever of its keys is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from flowtally.agents.formats import FORMATS
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.position import Position, decoded, encoded, inside, mapping_text, source_name
from flowtally.agents.reader import MAX_LINE_BYTES, LogDamaged, LogFile, LogLine
from flowtally.agents.reading import Reading, Unreadable
from flowtally.agents.report import ImportReport, Tally
from flowtally.client import ApiError, Client
from flowtally.edges import format_if_any
from flowtally.errors import ConfigError
from flowtally.protocol import PlainEvent
from flowtally.texts import text_fault

BATCH_EVENTS: Final = 10_000
BATCH_BYTES: Final = 8 * 1024 * 1024  # of log text; JSON may blow it up six times and stays below the server's 64 MiB
RESTARTS: Final = 3
_TOO_LONG: Final = Unreadable("too_long", f"longer than {MAX_LINE_BYTES} bytes")


class NothingStored(Exception):
    """No event could be stored and the source is not there yet, so the server took no number: nothing can go on. What
    must be done is in the message; the same run again begins anew."""


class Progress(msgspec.Struct, frozen=True):
    """Bytes of the log as stored (compressed where it is); `total_bytes` None for a pipe."""

    done_bytes: int
    total_bytes: int | None
    lines: int
    events: int


class Batch:
    """Events of one request, the log line of each, and where the log stands after the last line read."""

    def __init__(self) -> None:
        self.events: list[PlainEvent] = []
        self.lines: list[int] = []
        self.size_bytes = 0
        self.position = Position()

    def add(self, event: PlainEvent, line: int, size_bytes: int) -> None:
        self.events.append(event)
        self.lines.append(line)
        self.size_bytes += size_bytes


class Importer:
    """One run over one log. `report()` may be asked at any time, also after an exception or a Ctrl-C."""

    def __init__(
        self,
        client: Client,
        log: LogFile,
        format_name: str,
        mapping: Mapping,
        *,
        source: str = "",
        progress: Callable[[Progress], None] | None = None,
        batch_events: int = BATCH_EVENTS,
        finished: bool = True,
    ) -> None:
        """`finished` False: the log is still written to, so a last line without newline is left for the next run."""
        if format_name not in FORMATS:
            raise ConfigError(f"--format {format_name!r}: known are {', '.join(FORMATS)}")
        if not source and not log.seekable:
            raise ConfigError("a pipe has no name of its own: give --source, the same for every run")
        if fault := text_fault(source):
            raise ConfigError(f"--source {source!r} {fault}")
        self._client = client
        self._log = log
        self._mapper = Mapper(mapping, FORMATS[format_name])
        self._options = mapping_text(format_name, mapping)
        self.source = source or source_name(format_name, log.head())
        self._progress = progress or (lambda _: None)
        self._batch_events = batch_events
        self._finished = finished
        self._tally = Tally()
        self._start = self._position = Position()
        self._inside = ""

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
                self._tally = Tally()
        return self.report()

    def report(self) -> ImportReport:
        return self._tally.report(self.source, self._position.sequence, self._start.offset, self._start.lines)

    def _run_once(self) -> None:
        self._start = self._position = self._resume()
        self._inside = inside(self._position)
        for batch in self._batches():
            self._send(batch)
            self._position = batch.position
            self._inside = inside(self._position)
            self._tell()
        self._tell()

    def _resume(self) -> Position:
        try:
            answer = self._client.source(self.source)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return self._placed(Position(mapping=self._options))
        return self._placed(decoded(self.source, answer.sequence, answer.position, self._options))

    def _placed(self, position: Position) -> Position:
        self._log.start_at(position.offset, position.check)
        return position

    def _send(self, batch: Batch) -> None:
        answer = self._client.send_events(batch.events)
        counted = answer.stored + answer.duplicate + answer.conflict + answer.refused
        if counted != len(batch.events):
            detail = f"sent {len(batch.events)} events, the answer counts {counted}"
            raise ApiError("unexpected_answer", 200, f"{self.source}: {detail}")
        self._tally.count_answer(answer, batch.lines)
        if answer.refused == counted and not answer.held and self._mark() < batch.position.sequence:
            why = answer.receipts[0].detail if answer.receipts else "all were refused"
            raise NothingStored(
                f"{self.source}: nothing of it was stored yet, and no event of the first batch can be ({why})"
            )

    def _mark(self) -> int:
        try:
            return self._client.source(self.source).sequence or 0
        except ApiError as error:
            if error.code != "not_found":
                raise
            return 0

    def _tell(self) -> None:
        self._progress(Progress(self._log.done_bytes, self._log.total_bytes, self._tally.lines, self._tally.events))

    def _batches(self) -> Iterator[Batch]:
        """Full batches, then the rest; damage is raised after the rest was handed out."""
        batch, damage = Batch(), None
        try:
            for line in self._log.lines(finished=self._finished):
                self._take(line, batch)
                if len(batch.events) >= self._batch_events or batch.size_bytes >= BATCH_BYTES:
                    yield self._closed(batch)
                    batch = Batch()
        except LogDamaged as error:
            damage = error
        if batch.events:
            yield self._closed(batch)
        if damage is not None:
            raise damage

    def _take(self, line: LogLine, batch: Batch) -> None:
        self._tally.lines += 1
        number = self._start.lines + self._tally.lines
        read = _TOO_LONG if line.text is None else self._mapper.read(line.text)
        if isinstance(read, Reading):
            self._tally.events += 1
            batch.add(self._event(read), number, len(line.text or b""))
        elif isinstance(read, Unreadable):
            self._tally.count_unreadable(number, read, line.text)
        else:
            self._tally.skipped += 1
        if self._tally.lines % BATCH_EVENTS == 0:
            self._tell()  # a long stretch of unreadable lines makes no batch and still takes time

    def _event(self, reading: Reading) -> PlainEvent:
        return PlainEvent(
            source=self.source,
            account=reading.account,
            id=reading.id,
            sequence=self._start.sequence + self._tally.events,
            time=format_if_any(reading.time_at),
            user=reading.user,
            product=reading.product,
            bytes_up=reading.bytes_up,
            bytes_down=reading.bytes_down,
            requests=reading.requests,
            status=reading.status,
            labels=reading.labels,
            position=self._inside,
        )

    def _closed(self, batch: Batch) -> Batch:
        """The batch with the position after everything read so far, on its last event."""
        batch.position = Position(
            offset=self._log.offset,
            lines=self._start.lines + self._tally.lines,
            sequence=self._start.sequence + self._tally.events,
            check=self._log.check(),
            mapping=self._options,
        )
        batch.events[-1].position = encoded(batch.position)
        return batch
