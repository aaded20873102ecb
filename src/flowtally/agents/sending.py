"""One log as one numbered source: lines become numbered events, batches of them are sent, the position goes along.

The server keeps mark and position with the events of a request, so nothing is remembered here that a restart would
miss. Who reads the lines, and when a batch is sent, is the caller's: an import to the log's end, an agent every second.
One request is on its way at a time; not for threads. Memory is bounded by one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from flowtally.agents.lines import LogLine
from flowtally.agents.look import Looking
from flowtally.agents.position import Position, decoded, encoded, inside
from flowtally.agents.reading import LineReading
from flowtally.agents.report import Reads, Tally
from flowtally.client import ApiError, Client
from flowtally.core.edges import format_if_any
from flowtally.protocol import EventsAnswer, PlainEvent

BATCH_EVENTS: Final = 10_000
BATCH_BYTES: Final = 8 * 1024 * 1024  # of log text; JSON may blow it up six times and stays below the server's 64 MiB


class NothingStored(Exception):
    """No event could be stored, and the source does not exist yet, so the server took no number and nothing can go on.

    Cause: The first lines of the log name an account that does not exist.

    Do: Make the account, or name one with `--account`. Then run the same command again: it starts from the beginning.
    """


class Sending:
    """`options` is the canonical text of what decides how lines are read (`position.mapping_text`); `tally` counts
    from the last `resume`. `start` is where that one stood, `position` what the server has acknowledged since; `ahead`
    is how many events after it the server had at that resume: these are answered as duplicates. `any_options`: the
    source may have been read with others up to here, and `other_options` says so. `looking` makes what the tally looks
    at the lines with; nothing where there is none."""

    def __init__(
        self,
        client: Client,
        source: str,
        reads: Reads,
        options: str,
        batch_events: int = BATCH_EVENTS,
        *,
        any_options: bool = False,
        looking: Callable[[], Looking] | None = None,
    ) -> None:
        self.source = source
        self._client = client
        self._reads = reads
        self._options = options
        self._batch_events = batch_events
        self._any_options = any_options
        self.ahead = 0
        self.other_options = ""
        self._looking = looking
        self.start = self.position = Position(mapping=options)
        self._begin(self.position)

    def resume(self) -> Position:
        """Where the server says the source stands; what was read and not sent is forgotten. Raises CannotResume and the
        client's ApiError."""
        try:
            answer = self._client.source(self.source)
        except ApiError as error:
            if error.code != "not_found":
                raise
            position = Position(mapping=self._options)
            self.ahead = 0
        else:
            position = decoded(
                self.source, answer.sequence, answer.position, self._options, any_options=self._any_options
            )
            self.ahead = (answer.sequence or 0) - position.sequence
        self.other_options = position.mapping if position.mapping != self._options else ""
        position = msgspec.structs.replace(position, mapping=self._options)
        self._begin(position)
        return position

    def _begin(self, position: Position) -> None:
        self.start = self.position = position
        self.tally = Tally(self._looking() if self._looking is not None else None)
        self._clear()

    def _clear(self) -> None:
        self._events: list[PlainEvent] = []
        self._lines: list[tuple[int, bytes]] = []
        self._size_bytes = 0
        self._inside = inside(self.position)

    @property
    def lines(self) -> int:
        """How many lines of the log were read, by earlier runs too."""
        return self.start.lines + self.tally.lines

    @property
    def full(self) -> bool:
        return len(self._events) >= self._batch_events or self._size_bytes >= BATCH_BYTES

    @property
    def size_bytes(self) -> int:
        """Of the text that the events waiting were read from."""
        return self._size_bytes

    @property
    def waiting(self) -> int:
        """Events that are not sent yet."""
        return len(self._events)

    def take(self, line: LogLine) -> None:
        """Read the next line of the log into the batch."""
        reading = self.tally.take(line, self._reads, self.start.lines)
        if reading is not None:
            text = line.text or b""
            self._events.append(self._event(reading))
            self._lines.append((self.lines, text))
            self._size_bytes += len(text)

    @property
    def events(self) -> Sequence[PlainEvent]:
        """Those that are not sent yet."""
        return self._events

    def line_of(self, index: int) -> int:
        """The number of the line that one of them was read from."""
        return self._lines[index][0]

    def send(self, offset: int, check: str) -> EventsAnswer | None:
        """Send the batch, with the position after all that was read so far: `offset` and `check` of the log. None if
        nothing waits. Raises NothingStored and ApiError: the batch is kept, and may have been stored: `resume`."""
        if not self._events:
            return None
        position = Position(
            offset=offset,
            lines=self.lines,
            sequence=self.start.sequence + self.tally.events,
            check=check,
            mapping=self._options,
        )
        self._events[-1].position = encoded(position)
        answer = self._client.send_events(self._events)
        self._count(answer, position)
        self.position = position
        self._clear()
        return answer

    def _count(self, answer: EventsAnswer, position: Position) -> None:
        counted = answer.stored + answer.duplicate + answer.conflict + answer.refused
        if counted != len(self._events):
            detail = f"sent {len(self._events)} events, the answer counts {counted}"
            raise ApiError("unexpected_answer", 200, f"{self.source}: {detail}")
        self.tally.count_answer(answer, self._lines)
        if answer.refused == counted and not answer.held and self._mark() < position.sequence:
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

    def _event(self, reading: LineReading) -> PlainEvent:
        return PlainEvent(
            source=self.source,
            account=reading.account,
            id=reading.id,
            sequence=self.start.sequence + self.tally.events,
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
