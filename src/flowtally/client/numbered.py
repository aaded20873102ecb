"""NumberedSource: for what can be read again (logs, queues, tables): events carry the source's running number.

The server keeps the number it has reached and the `position` that came with it, in the same commit as the events. So
the sender keeps nothing: it asks for both and goes on there. One request is on its way at a time; not for threads.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from flowtally.client import calls
from flowtally.client.errors import ApiError, InDoubt, TwoWriters
from flowtally.client.pen import Pen, Use
from flowtally.client.sync import Client
from flowtally.protocol import MAX_EVENTS, EventsAnswer, PlainEvent


class NumberedSource:
    """Asks the server where the source stands when it is made (ApiError where it cannot)."""

    def __init__(self, client: Client, source: str) -> None:
        self._client = client
        self._pen = Pen(source)
        self.pending: list[PlainEvent] = []
        self.mark = 0
        self.position: str | None = None
        self.resume()

    @property
    def source(self) -> str:
        return self._pen.source

    def resume(self) -> int:
        """Ask the server: `mark` is the last number it has (0 before the first), `position` what came with it. A batch
        in doubt is forgotten, so go on reading from `position`."""
        mark, position = self._ask()
        self.mark, self.position, self.pending = mark, position, []
        return mark

    def send(self, uses: Iterable[Use], position: str | None = None) -> EventsAnswer:
        """Number and send at most 100,000 uses; `position` says where their reading ended. Refused ones consume their
        number: the answer's receipts tell.

        After an ApiError the batch is in doubt and `pending`: `settle()` sends the same numbers again, `resume()` asks
        the server and forgets the batch. Handing the same uses to `send` instead would count them twice, so that
        raises InDoubt. TwoWriters: somebody else moved the mark."""
        if self.pending:
            raise InDoubt(f"{len(self.pending)} events of {self.source!r} are in doubt: settle() or resume() first")
        numbered = [self._numbered(number, use) for number, use in enumerate(uses, self.mark + 1)]
        if not numbered:
            return EventsAnswer(0, 0, 0, 0, [])
        if len(numbered) > MAX_EVENTS:
            raise ValueError(f"{len(numbered)} uses in one request; at most {MAX_EVENTS}")
        if position is not None:
            numbered[-1].position = position
        self.pending = numbered
        return self._deliver(heard_before=False)

    def settle(self) -> EventsAnswer:
        """Send the batch in doubt again, as it was. What had arrived answers `duplicate` and counts once."""
        if not self.pending:
            return EventsAnswer(0, 0, 0, 0, [])
        return self._deliver(heard_before=True)

    def _deliver(self, *, heard_before: bool) -> EventsAnswer:
        last = self.mark + len(self.pending)
        answer, attempts = self._client.do_counted(calls.send_events(self.pending))
        counted = answer.stored + answer.duplicate + answer.conflict + answer.refused
        if counted != len(self.pending):
            detail = f"sent {len(self.pending)} events, the answer counts {counted}"
            raise ApiError("unexpected_answer", 200, f"{self.source}: {detail}")
        if answer.duplicate:
            self._check_duplicates(last, possible=heard_before or attempts > 1)
        position = self.pending[-1].position
        self.mark, self.position, self.pending = last, position, []
        return answer

    def _check_duplicates(self, last: int, *, possible: bool) -> None:
        """Numbers the server knows already were sent from here and their answer was lost, or they are another's events
        and ours were not counted: the mark and the position tell."""
        if possible and self._ask() == (last, self.pending[-1].position):
            return
        self.pending = []
        detail = f"numbers up to {last} of {self.source!r} were in part used by another sender; these were not counted"
        raise TwoWriters(detail)

    def _ask(self) -> tuple[int, str | None]:
        try:
            answer = self._client.source(self.source)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return 0, None
        if answer.sequence is None:
            raise ApiError("source_kind_mismatch", 409, f"{self.source!r} names its events; it has no numbers")
        return answer.sequence, answer.position

    def _numbered(self, number: int, use: Use) -> PlainEvent:
        return msgspec.structs.replace(self._pen.event(use, named=False), sequence=number)
