"""NumberedSource: for what can be read again (logs, queues, tables): events carry the source's running number.

The server keeps the number it has reached and the `position` that came with it, in the same commit as the events. So
the sender keeps nothing: it asks for both and goes on there. One request is on its way at a time; not for threads.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from flowtally.client import calls
from flowtally.client.asynchronous import AsyncClient
from flowtally.client.call import ClientCall
from flowtally.client.errors import ApiError, InDoubt, TwoWriters
from flowtally.client.event_maker import EventMaker, Use
from flowtally.client.sync import Client
from flowtally.protocol import MAX_EVENTS, EventsAnswer, PlainEvent, SourceAnswer

_NOTHING = EventsAnswer(0, 0, 0, 0, [])


class Numbering:
    """What both numbered sources know: where the server stands, and the batch that has no answer yet."""

    def __init__(self, source: str) -> None:
        self._maker = EventMaker(source)
        self.mark = 0
        self.position: str | None = None
        self.pending: list[PlainEvent] = []
        self._in_doubt = False  # a request was sent whose answer never came: it may have been heard, or be heard yet

    @property
    def source(self) -> str:
        return self._maker.source

    def _number(self, uses: Iterable[Use], position: str | None) -> None:
        if self.pending:
            raise InDoubt(f"{len(self.pending)} events of {self.source!r} are in doubt: settle() or resume() first")
        numbered = [self._numbered(number, use) for number, use in enumerate(uses, self.mark + 1)]
        if len(numbered) > MAX_EVENTS:
            raise ValueError(f"{len(numbered)} uses in one request; at most {MAX_EVENTS}")
        if numbered and position is not None:
            numbered[-1].position = position
        self.pending = numbered

    def _numbered(self, number: int, use: Use) -> PlainEvent:
        return msgspec.structs.replace(self._maker.event(use, named=False), sequence=number)

    def _begin(self) -> tuple[ClientCall[EventsAnswer], bool]:
        """The request, and whether the server may have heard these numbers from here before."""
        heard, self._in_doubt = self._in_doubt, True
        return calls.send_events(self.pending), heard

    def _needs_a_look(self, answer: EventsAnswer, heard: bool) -> bool:
        """Numbers the server knows already were sent from here and their answer was lost, or they are another's events
        and ours were not counted. In the first case mark and position tell."""
        counted = answer.stored + answer.duplicate + answer.conflict + answer.refused
        if counted != len(self.pending):
            detail = f"sent {len(self.pending)} events, the answer counts {counted}"
            raise ApiError("unexpected_answer", 200, f"{self.source}: {detail}")
        self._in_doubt = heard
        if answer.duplicate and not heard:
            raise self._two_writers()
        return bool(answer.duplicate)

    def _may_be_left(self, answer: EventsAnswer) -> bool:
        """Nothing of it was stored or is held: of a source that is not there no number is taken either."""
        return answer.refused == len(self.pending) and not answer.held

    def _left(self, stands: tuple[int, str | None]) -> bool:
        """Whether no number was taken."""
        if stands[0] != self.mark:
            return False
        self._stand((self.mark, self.position))
        self._in_doubt = False
        return True

    def _look(self, stands: tuple[int, str | None]) -> None:
        if stands != (self._last, self.pending[-1].position):
            raise self._two_writers()

    def _arrived(self, answer: EventsAnswer) -> EventsAnswer:
        self._stand((self._last, self.pending[-1].position))
        self._in_doubt = False
        return answer

    def _stand(self, stands: tuple[int, str | None]) -> None:
        (self.mark, self.position), self.pending = stands, []

    @property
    def _last(self) -> int:
        return self.mark + len(self.pending)

    def _two_writers(self) -> TwoWriters:
        numbers = f"numbers up to {self._last} of {self.source!r}"
        self.pending = []
        return TwoWriters(f"{numbers} were in part used by another sender; these were not counted: resume()")

    def _read(self, answer: SourceAnswer) -> tuple[int, str | None]:
        if answer.sequence is None:
            raise ApiError("source_kind_mismatch", 409, f"{self.source!r} names its events; it has no numbers")
        return answer.sequence, answer.position

    def _unknown(self, error: ApiError) -> tuple[int, str | None]:
        if error.code != "not_found":
            raise error
        return 0, None


class NumberedSource(Numbering):
    """Asks the server where the source stands when it is made (ApiError where it cannot)."""

    def __init__(self, client: Client, source: str) -> None:
        super().__init__(source)
        self._client = client
        self.resume()

    def resume(self) -> int:
        """Ask the server: `mark` is the last number it has (0 before the first), `position` what came with it. A batch
        in doubt is forgotten, so go on reading from `position`."""
        self._stand(self._ask())
        return self.mark

    def send(self, uses: Iterable[Use], position: str | None = None) -> EventsAnswer:
        """Number and send at most 100,000 uses; `position` says where their reading ended. Refused ones consume their
        number: the answer's receipts tell. Those that are `retriable` are held by the server and count later. Only of a
        source of which nothing was stored yet a batch that is refused whole takes no number: `mark` stays.

        After an ApiError the batch is in doubt and `pending`: `settle()` sends the same numbers again, `resume()` asks
        the server and forgets the batch. Handing the same uses to `send` instead would count them twice, so that
        raises InDoubt. TwoWriters: the server has other events under these numbers."""
        self._number(uses, position)
        return self._deliver()

    def settle(self) -> EventsAnswer:
        """Send the batch in doubt again, as it was. What had arrived answers `duplicate` and counts once."""
        return self._deliver()

    def _deliver(self) -> EventsAnswer:
        if not self.pending:
            return _NOTHING
        call, heard = self._begin()
        answer, attempts = self._client.do_counted(call)
        if self._needs_a_look(answer, heard or attempts > 1):
            self._look(self._ask())
        elif self._may_be_left(answer) and self._left(self._ask()):
            return answer
        return self._arrived(answer)

    def _ask(self) -> tuple[int, str | None]:
        try:
            return self._read(self._client.source(self.source))
        except ApiError as error:
            return self._unknown(error)


class AsyncNumberedSource(Numbering):
    """The same on an event loop: `source = await AsyncNumberedSource.open(client, "log")`."""

    def __init__(self, client: AsyncClient, source: str) -> None:
        super().__init__(source)
        self._client = client

    @classmethod
    async def open(cls, client: AsyncClient, source: str) -> AsyncNumberedSource:
        """Asks the server where the source stands (ApiError where it cannot)."""
        opened = cls(client, source)
        await opened.resume()
        return opened

    async def resume(self) -> int:
        """As `NumberedSource.resume`."""
        self._stand(await self._ask())
        return self.mark

    async def send(self, uses: Iterable[Use], position: str | None = None) -> EventsAnswer:
        """As `NumberedSource.send`."""
        self._number(uses, position)
        return await self._deliver()

    async def settle(self) -> EventsAnswer:
        """As `NumberedSource.settle`."""
        return await self._deliver()

    async def _deliver(self) -> EventsAnswer:
        if not self.pending:
            return _NOTHING
        call, heard = self._begin()
        answer, attempts = await self._client.do_counted(call)
        if self._needs_a_look(answer, heard or attempts > 1):
            self._look(await self._ask())
        elif self._may_be_left(answer) and self._left(await self._ask()):
            return answer
        return self._arrived(answer)

    async def _ask(self) -> tuple[int, str | None]:
        try:
            return self._read(await self._client.source(self.source))
        except ApiError as error:
            return self._unknown(error)
