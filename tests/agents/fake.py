"""The events door of the server, small and obvious: what the contract says a numbered source does.

A httpx.MockTransport stands on `handle`. Faults can be queued: `lose_answers` stores and then drops the connection,
`busy` answers 503 first, `store_only` keeps just the first n events of a request, as a death between two blocks would;
`hold_only` does so and answers that no more may be held.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx
import msgspec
import zstandard

from flowtally.client import Client
from flowtally.core.events import UsageEvent
from flowtally.protocol import (
    EventAnswer,
    EventsAnswer,
    Overlap,
    OverlapsAnswer,
    OverlapsRequest,
    PlainEvent,
    Receipt,
    SourceAnswer,
    SourceDetail,
)

ACCOUNT = {"name": "", "timezone": "UTC", "status": "active", "carry_from": "2025-01-01T00:00:00Z"}
ACCOUNT |= {"overage": "carry", "created_at": "2025-01-01T00:00:00Z"}
State = tuple[dict[str, list[PlainEvent]], dict[str, str | None]]


class FakeServer:
    def __init__(self, accounts: tuple[str, ...] = ("acme", "globex", "initech")) -> None:
        self.accounts = accounts
        self.events: dict[str, list[PlainEvent]] = {}  # by source, in order of their numbers, refused ones included
        self.positions: dict[str, str | None] = {}
        self.requests: list[httpx.Request] = []
        self.lose_answers = 0
        self.busy = 0
        self.store_only: int | None = None
        self.hold_only: int | None = None
        self.most_events: int | None = None  # of a request, as where each had a new user
        self.tells_overlaps = True
        self.tells_accounts = True
        self.before_store: Callable[[], None] = lambda: None

    def client(self, retry_s: float = 5) -> Client:
        return Client("http://flowtally.test", "secret", retry_s=retry_s, transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.busy:
            self.busy -= 1
            return httpx.Response(503, headers={"Retry-After": "0"}, json={"code": "queue_full", "detail": "wait"})
        if request.url.path == "/v1/events/accounts":
            return self._taken(request.url.params.get_list("account"))
        if request.url.path == "/v1/accounts":
            items = [ACCOUNT | {"id": one} for one in self.accounts]
            return httpx.Response(200, json={"items": items, "next": None})
        if request.url.path == "/v1/sources/overlaps":
            return self._overlaps(request)
        if request.url.path == "/v1/sources":
            return self._source(request.url.params["source"]) if "source" in request.url.params else self._list()
        if (request.method, request.url.path) == ("GET", "/v1/events"):
            return self._event(request.url.params["source"], int(request.url.params["id"]))
        assert (request.method, request.url.path) == ("POST", "/v1/events")
        return self._take(request)

    def stored(self, source: str) -> list[PlainEvent]:
        return [event for event in self.events.get(source, []) if event.account in self.accounts]

    def all_stored(self) -> list[PlainEvent]:
        return [event for source in self.events for event in self.stored(source)]

    def state(self) -> State:
        """For a later `restore`."""
        return {source: list(events) for source, events in self.events.items()}, dict(self.positions)

    def restore(self, state: State) -> None:
        """As a backup is restored: what came since is forgotten."""
        events, positions = state
        self.events = {source: list(kept) for source, kept in events.items()}
        self.positions = dict(positions)

    def _taken(self, asked: list[str]) -> httpx.Response:
        if not self.tells_accounts:
            return httpx.Response(404, json={"code": "not_found", "detail": "an earlier version"})
        unknown = {"takes": False, "code": "unknown_account"}
        told = [
            {"account": one, "takes": True}
            if one in self.accounts
            else {"account": one, "detail": f"there is no account {one!r}"} | unknown
            for one in asked
        ]
        return httpx.Response(200, json={"accounts": told})

    def _source(self, source: str) -> httpx.Response:
        if source not in self.events:
            return httpx.Response(404, json={"code": "not_found", "detail": f"no source {source}"})
        answer = SourceAnswer(source, len(self.events[source]), self.positions.get(source))
        return httpx.Response(200, content=msgspec.json.encode(answer))

    def _list(self) -> httpx.Response:
        items = [
            SourceDetail(source, "numbered", "", len(events), self.positions.get(source))
            for source, events in self.events.items()
        ]
        return httpx.Response(200, content=msgspec.json.encode({"items": items, "next": None}))

    def _event(self, source: str, number: int) -> httpx.Response:
        event = self.events[source][number - 1]
        answer = EventAnswer(
            source=source, id=str(number), sequence=number, status="stored", code="", detail="", series="live",
            account=event.account, user=event.user, user_id="", product=event.product, time=event.time,
            received_at=None, bytes_up=event.bytes_up, bytes_down=event.bytes_down, requests=event.requests,
            http_status=event.status, labels={}, block=1,
        )  # fmt: skip
        return httpx.Response(200, content=msgspec.json.encode(answer))

    def _overlaps(self, request: httpx.Request) -> httpx.Response:
        if not self.tells_overlaps:
            return httpx.Response(403, json={"code": "forbidden", "detail": "it has not the right events:write"})
        asked = msgspec.json.decode(_body(request), type=OverlapsRequest)
        found = []
        used = {name: {_use(one) for one in self.stored(name)} for name in self.events if name != asked.source}
        for index, event in enumerate(asked.events):
            there = {name for name in used if _use(event) in used[name]}
            found += [Overlap(index, sorted(there)[:5])] if there else []
        return httpx.Response(200, content=msgspec.json.encode(OverlapsAnswer(found, None)))

    def _take(self, request: httpx.Request) -> httpx.Response:
        self.before_store()
        events = msgspec.json.Decoder(PlainEvent).decode_lines(_body(request))
        if self.most_events is not None and len(events) > self.most_events:
            return httpx.Response(413, json={"code": "too_many_new", "detail": "too many new users"})
        if self.store_only is not None:
            self._store(events[: self.store_only])
            self.store_only = None
            raise httpx.ReadError("the server died", request=request)
        if self.hold_only is not None:
            if self.hold_only:
                self._store(events[: self.hold_only])
            return httpx.Response(503, headers={"Retry-After": "60"}, json={"code": "holds_full", "detail": "full"})
        answer = self._store(events)
        if isinstance(answer, httpx.Response):
            return answer
        if self.lose_answers:
            self.lose_answers -= 1
            raise httpx.ReadError("the answer was lost", request=request)
        return httpx.Response(200, content=msgspec.json.encode(answer))

    def _store(self, events: list[PlainEvent]) -> EventsAnswer | httpx.Response:
        source = events[0].source
        held = self.events.setdefault(source, [])
        numbers = [int(event.sequence or 0) for event in events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        if numbers[0] > len(held) + 1:
            return httpx.Response(409, json={"code": "sequence_gap", "detail": "a gap", "sequence": len(held)})
        receipts = []
        counts = {"stored": 0, "duplicate": 0, "conflict": 0, "refused": 0}
        for index, (number, event) in enumerate(zip(numbers, events, strict=True)):
            known = number <= len(held)
            status = "refused" if event.account not in self.accounts else "duplicate" if known else "stored"
            counts[status] += 1
            if status == "refused":
                receipts.append(Receipt(index, source, str(number), "refused", "unknown_account", event.account))
            if not known:
                held.append(event)
                self.positions[source] = event.position  # of the last event, whether it carried one or not
        return EventsAnswer(counts["stored"], counts["duplicate"], 0, counts["refused"], receipts)


def _use(event: UsageEvent) -> tuple[object, ...]:
    return event.account, event.user, event.time, event.bytes_up, event.bytes_down, event.requests, event.status


def _body(request: httpx.Request) -> bytes:
    if request.headers.get("Content-Encoding") == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(request.content)
    return request.content
