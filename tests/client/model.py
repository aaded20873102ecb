"""The events door, slow and obvious: counts each event once, and can misbehave.

It stands behind a httpx.MockTransport (`client()`, `async_client()`) or on a port (`serving`). `faults` are used up one
per request, then it is well; `down` lasts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, Literal, get_args

import httpx
import msgspec
import zstandard

from flowtally.client import AsyncClient, Client
from flowtally.protocol import EventsAnswer, PlainEvent, Receipt, SourceAnswer

Fault = Literal[
    "well", "slow", "request lost", "answer lost", "timed out", "busy", "bad gateway", "out of order", "key revoked",
    "garbled answer", "answer miscounts", "too large", "proxy says too large", "redirected",
]  # fmt: skip
FAULTS: Final = get_args(Fault)
ACCOUNTS: Final = ("acme", "globex")
URL: Final = "http://flowtally.test"


class ModelServer:
    def __init__(self) -> None:
        self.named: dict[tuple[str, str], PlainEvent] = {}
        self.numbered: dict[str, list[PlainEvent]] = {}  # refused ones included
        self.faults: list[Fault] = []
        self.down = False
        self.requests: list[httpx.Request] = []
        self._lock = threading.Lock()

    def client(self, retry_s: float = 0) -> Client:
        return Client(URL, "secret", retry_s=retry_s, transport=httpx.MockTransport(self.handle))

    def async_client(self) -> AsyncClient:
        return AsyncClient(URL, "secret", retry_s=0, transport=httpx.MockTransport(self.handle))

    @property
    def bytes_up(self) -> int:
        return sum(event.bytes_up for event in self.named.values())

    def bodies(self) -> list[bytes]:
        return [_body(request) for request in self.requests if request.method == "POST"]

    def handle(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests.append(request)
            if self.down:
                raise httpx.ConnectError("refused", request=request)
            if request.method == "GET":
                return self._source(request.url.params["source"])
            return self._misbehave(request, self.faults.pop(0) if self.faults else "well")

    def _misbehave(self, request: httpx.Request, fault: Fault) -> httpx.Response:
        match fault:
            case "slow":
                time.sleep(0.005)
            case "request lost":
                raise httpx.ConnectError("refused", request=request)
            case "timed out":
                raise httpx.ReadTimeout("slow", request=request)
            case "busy":
                return problem(503, "queue_full", {"Retry-After": "0"})
            case "bad gateway":
                return httpx.Response(502, html="<h1>nginx</h1>")
            case "redirected":
                return httpx.Response(302, headers={"Location": "/login"})
            case "out of order":
                return problem(500, "internal")
            case "key revoked":
                return problem(401, "unauthenticated")
            case "proxy says too large":
                return httpx.Response(413, html="<h1>nginx</h1>")
            case "too large" if len(_body(request).splitlines()) > 1:
                return problem(413, "too_large")
        answer = self._take(request)
        match fault:
            case "answer lost":
                raise httpx.ReadError("reset", request=request)
            case "garbled answer":
                return httpx.Response(200, html="<h1>Welcome to the hotel's network</h1>")
            case "answer miscounts":
                return httpx.Response(
                    200, json={"stored": 0, "duplicate": 0, "conflict": 0, "refused": 0, "receipts": []}
                )
        return answer

    def _take(self, request: httpx.Request) -> httpx.Response:
        events = msgspec.json.Decoder(PlainEvent).decode_lines(_body(request))
        if events[0].sequence is not None:
            return self._take_numbered(events)
        return _answer([self._count(index, event) for index, event in enumerate(events)])

    def _count(self, index: int, event: PlainEvent) -> Receipt:
        known = self.named.get((event.source, event.id))
        if known is not None:
            status: Literal["duplicate", "conflict"] = "duplicate" if known == event else "conflict"
            return Receipt(index, event.source, event.id, status, "" if known == event else "other_content")
        if event.account not in ACCOUNTS:
            return Receipt(index, event.source, event.id, "refused", "unknown_account", f"no account {event.account}")
        self.named[event.source, event.id] = event
        return Receipt(index, event.source, event.id, "stored")

    def _take_numbered(self, events: list[PlainEvent]) -> httpx.Response:
        held = self.numbered.setdefault(events[0].source, [])
        first = int(events[0].sequence or 0)
        assert [event.sequence for event in events] == list(range(first, first + len(events)))
        if first > len(held) + 1:
            return problem(409, "sequence_gap", sequence=len(held))
        receipts = []
        for index, event in enumerate(events):
            known = int(event.sequence or 0) <= len(held)
            if not known:
                held.append(event)
            receipts.append(Receipt(index, event.source, str(event.sequence), "duplicate" if known else "stored"))
        return _answer(receipts)

    def _source(self, source: str) -> httpx.Response:
        held = self.numbered.get(source)
        if not held:
            return problem(404, "not_found")
        return httpx.Response(200, content=msgspec.json.encode(SourceAnswer(source, len(held), held[-1].position)))


def problem(status: int, code: str, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "detail": f"{code} it is", **more}, headers=headers)


def _answer(receipts: list[Receipt]) -> httpx.Response:
    counts = dict.fromkeys(("stored", "duplicate", "conflict", "refused"), 0)
    for receipt in receipts:
        counts[receipt.status] += 1
    told = [receipt for receipt in receipts if receipt.status != "stored"]
    stored, duplicate, conflict, refused = counts.values()
    return httpx.Response(200, content=msgspec.json.encode(EventsAnswer(stored, duplicate, conflict, refused, told)))


def _body(request: httpx.Request) -> bytes:
    if request.headers.get("Content-Encoding") == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(request.content)
    return request.content


@contextmanager
def serving(model: ModelServer) -> Iterator[str]:
    """The model on a port, for programs of their own. Lost requests and answers end the connection."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = httpx.Request(self.command, URL + self.path, headers=dict(self.headers), content=body)
            try:
                response = model.handle(asked)
            except httpx.TransportError:
                self.close_connection = True
                return
            self.send_response(response.status_code)
            for name in ("Retry-After", "Location"):
                if name in response.headers:
                    self.send_header(name, response.headers[name])
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
