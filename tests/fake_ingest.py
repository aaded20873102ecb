"""A door for events as small as can be: plain JSON arrays straight into a MemoryStore, once per (source, id).

For tests of the API's own behaviour; what ingest really does is tested in tests/ingest. `hold` keeps `take` waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from flowtally.core import errors
from flowtally.core.corrections import Correction
from flowtally.core.edges import parse_instant
from flowtally.core.events import UsageEvent
from flowtally.core.reported import UseSaid
from flowtally.core.words import Logins
from flowtally.ingest.correction_body import decode_corrections
from flowtally.ingest.decompress import decompress
from flowtally.ingest.lookup import Lookup
from flowtally.ingest.reading_body import decode_readings
from flowtally.ingest.report_plan import ReportAnswer, plan, stretch_of
from flowtally.keys.values import Committed
from flowtally.ledger.database import Ledger
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people import users
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import (
    CorrectionReceipt,
    CorrectionsAnswer,
    CounterAnswer,
    EventAnswer,
    EventsAnswer,
    HeldAnswer,
    HeldEvent,
    HeldFilter,
    OverlapsAnswer,
    OverlapsRequest,
    PlainEvent,
    ReadingReceipt,
    ReadingsAnswer,
    SourceAnswer,
    SourceDetail,
)
from flowtally.usage.memory import MemoryStore
from flowtally.web.services import InThread

T = TypeVar("T")


class _NoKeys:
    def committed(self) -> Committed:
        return Committed(1, 0, 0, 0, 0, 0, True)


class FakeIngest:
    flusher = None  # a MemoryStore has its rows at once

    def __init__(self, usage: MemoryStore, ledger: Ledger) -> None:
        self.usage, self.ledger = usage, ledger
        self.seen: dict[tuple[str, str], tuple[PlainEvent, str]] = {}
        self.lookup: Lookup | None = None  # where one is given, held events are its
        self.fault: errors.FlowtallyError | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.open = True

    async def take(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        *,
        atomic: bool,
        receipts_all: bool,
        made: Callable[[int], None] = lambda size: None,
        in_thread: InThread = asyncio.to_thread,
        headers: Sequence[tuple[str, str]] = (),
        logins: Logins | None = None,
    ) -> EventsAnswer:
        await self.hold.wait()
        if self.fault is not None:
            raise self.fault
        try:
            events = msgspec.json.decode(body, type=list[PlainEvent])
        except msgspec.DecodeError as error:
            raise errors.MalformedBody(str(error)) from None
        return self._stored(events, credential.id)

    async def record(self, sender: str, events: Sequence[UsageEvent]) -> EventsAnswer:
        return self._stored(events, sender)

    async def report(self, account: str, series: str, said: UseSaid) -> ReportAnswer:
        """Plans as ingest does; `tests/ingest` has one that stores it so that nothing is lost."""
        stretch = stretch_of(account, series, said)
        stood = self.usage.said_in(stretch) if stretch else self.usage.said_under(series, account, _keys(said))
        planned = plan(account, series, said, stood)
        rest = {"sequence": 0, "block": self.usage.published().block + 1, "received_at": 0}
        rows = [msgspec.structs.asdict(one) | rest for one in planned.rows]
        self.usage.rows = [*self.usage.rows, *rows]
        return planned.answer

    def _stored(self, events: Sequence[UsageEvent], owner: str) -> EventsAnswer:
        new = [event for event in events if (event.source, event.id) not in self.seen]
        if new:
            self.seen |= {(event.source, event.id): (event, owner) for event in new}
            with self.ledger.begin() as tx:
                ids = users.ensure_users(tx, list(dict.fromkeys((event.account, event.user) for event in new)), 0)
            block = self.usage.published().block + 1
            rows = [_row(event, ids[event.account, event.user]) | {"block": block} for event in new]
            self.usage.rows = [*self.usage.rows, *rows]
        return EventsAnswer(len(new), len(events) - len(new), 0, 0, [])

    async def correct(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        record: Callable[[Sequence[Correction]], None] = lambda asked: None,
        made: Callable[[int], None] = lambda size: None,
        in_thread: InThread = asyncio.to_thread,
    ) -> CorrectionsAnswer:
        """Reads them as ingest does; knows no event."""
        corrections = decode_corrections(decompress(body, content_encoding), content_type)
        record(corrections)
        unknown = [
            CorrectionReceipt(index, one.source, one.id, "refused", "unknown_event")
            for index, one in enumerate(corrections)
        ]
        return CorrectionsAnswer(0, 0, 0, len(unknown), unknown)

    async def meter(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        made: Callable[[int], None] = lambda size: None,
        in_thread: InThread = asyncio.to_thread,
    ) -> ReadingsAnswer:
        """Reads them as ingest does; knows no account."""
        found = decode_readings(decompress(body, content_encoding), content_type)
        refused = [
            ReadingReceipt(index, one.source, one.counter, "refused", "unknown_account")
            for index, one in enumerate(found)
        ]
        return ReadingsAnswer(0, 0, len(refused), refused)

    def source(self, name: str, credential: Credential) -> SourceAnswer:
        owners = {owner for (source, _), (_, owner) in self.seen.items() if source == name}
        if not owners or (credential.scope != "admin" and owners != {credential.id}):
            raise errors.NotFound(f"there is no source {name!r}")
        return SourceAnswer(name, None, None)

    def sources(
        self, credential: Credential, sender: str | None, cursor: str | None, limit: int
    ) -> ListPage[SourceDetail]:
        return ListPage([], None) if self.lookup is None else self.lookup.sources(credential, sender, cursor, limit)

    def counters(
        self, source: str, prefix: str, credential: Credential, cursor: str | None, limit: int
    ) -> ListPage[CounterAnswer]:
        if self.lookup is None:
            raise errors.NotFound(f"There is no source {source!r}", source=source)
        return self.lookup.counters(source, prefix, credential, cursor, limit)

    def hand_over(self, source: str, sender: str) -> SourceDetail:
        raise errors.NotFound(f"There is no source {source!r}", source=source)  # tests/ingest has one that can

    def overlaps(self, asked: OverlapsRequest, credential: Credential) -> OverlapsAnswer:
        return OverlapsAnswer([], None)  # tests/ingest has one that finds some

    def event(self, source: str, id: str, credential: Credential) -> EventAnswer:
        event, _ = self.seen.get((source, id), (None, ""))
        if event is None or (credential.scope == "account" and event.account != credential.account):
            raise errors.NotFound(f"there is no event {id!r} of {source!r}")
        return EventAnswer(
            source, id, None, "stored", "", "", "metered", event.account, event.user, "", event.product, event.time,
            None, event.bytes_up, event.bytes_down, event.requests, event.status, event.labels or {}, 1,
        )  # fmt: skip

    def gave(self, account: str) -> None:
        """It remembers nothing of accounts."""

    def look_again(self, account: str) -> None:
        """Nothing is held here."""

    def held(self, asked: HeldFilter, credential: Credential, cursor: str | None, limit: int) -> ListPage[HeldEvent]:
        return ListPage([], None) if self.lookup is None else self.lookup.held(asked, credential, cursor, limit)

    async def retry_held(self, asked: HeldFilter) -> HeldAnswer:
        return HeldAnswer(0, 0, 0)

    async def drop_held(self, asked: HeldFilter, reason: str, credential: Credential) -> HeldAnswer:
        return HeldAnswer(0, 0, 0)

    def tag_held(self, account: str, names: Sequence[str], user_id: str) -> None:
        """Nothing is held here."""

    def forget_held(self, user_ids: Sequence[str]) -> int:
        return 0

    def forget_held_of(self, accounts: Sequence[str]) -> int:
        return 0

    def forget_names(self, account: str) -> None:
        """Nothing is remembered here."""

    def between_blocks(self, work: Callable[[Any], T]) -> T:
        return work(_NoKeys())

    def ready(self) -> tuple[bool, str]:
        return self.open, "" if self.open else "the disk is full"

    def metrics(self) -> dict[str, float]:
        return {"waiting_events": 0.0}

    def close(self) -> None:
        self.open = False


def _keys(said: UseSaid) -> list[str]:
    return [one.key for one in said.figures]


def _row(event: PlainEvent, user: str) -> dict[str, Any]:
    row = msgspec.to_builtins(event) | {"series": "metered", "time": parse_instant(event.time or "")}
    plain = {"product": event.product, "bytes_up": event.bytes_up, "bytes_down": event.bytes_down}
    counts = {"requests": event.requests, "status": event.status, "labels": event.labels or {}}
    counts |= {"kind": "use", "refers_to": "", "key_source": event.source, "sequence": 0}
    return {**row, **plain, **counts, "user": user, "received_at": 0}
