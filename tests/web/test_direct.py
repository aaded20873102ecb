"""The direct door and the framework's route give one answer: status, headers, body, numbers and log line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar.exceptions import HTTPException, NotFoundException
from tests.conftest import Client
from tests.fake_ingest import FakeIngest

from flowtally.core import errors
from flowtally.protocol import EventsAnswer, Receipt
from flowtally.web.direct import Direct

EVENT = b'[{"source": "s", "id": "e", "account": "acme", "time": "2026-03-01T12:00:00Z", "bytes_up": 1}]'
JSON = (b"content-type", b"application/json")
HOST = (b"host", b"localhost:8120")
PATHS = ("/v1/events", "/v1/readings", "/v1/corrections", "/v1/radius/accounting")
NEVER: dict[str, Any] = {"type": "nothing more"}  # of a body: it stands still
GONE: dict[str, Any] = {"type": "http.disconnect"}
Headers = tuple[tuple[bytes, bytes], ...]


class Sent(NamedTuple):
    """One request. `token` is the admin's, another one, or none; `pieces` of its body, or messages."""

    method: str = "POST"
    path: str = "/v1/events"
    query: bytes = b""
    headers: Headers = (HOST, JSON)
    pieces: tuple[bytes | dict[str, Any], ...] = (EVENT,)
    token: str | None = "admin"
    more: Mapping[str, Any] = MappingProxyType({})

    def scope(self, admin_token: str) -> dict[str, Any]:
        token = admin_token if self.token == "admin" else self.token
        shown: Headers = () if token is None else ((b"authorization", f"Bearer {token}".encode()),)
        fixed = () if any(name == b"x-request-id" for name, _ in self.headers) else ((b"x-request-id", b"fixed"),)
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "root_path": "",
            "query_string": self.query,
            "headers": [*self.headers, *shown, *fixed],
            "client": ("127.0.0.1", 5555),
            "server": ("127.0.0.1", 8120),
            "extensions": {},
            **self.more,
        }


class Doors:
    """One application whose direct door can be closed."""

    def __init__(self, client: Client, admin_token: str, ingest: FakeIngest) -> None:
        self.client, self.ingest = client, ingest
        self._admin_token = admin_token
        self._direct: Any = client.app.asgi_handler
        while not isinstance(self._direct, Direct):
            self._direct = self._direct._app
        assert self._direct._found, "the application may be another test's, too: it is left as it was"

    def ask(self, sent: Sent, *, direct: bool) -> Any:
        """Everything that can be seen of an answer from outside."""
        with pytest.MonkeyPatch.context() as patch:
            if not direct:
                patch.setattr(self._direct, "_found", {})
            return self._seen(sent)

    def _seen(self, sent: Sent) -> Any:
        self.ingest.seen.clear()
        self.ingest.usage.rows = []
        messages: list[Any] = []
        metrics = self.client.app.state.services.metrics
        before = metrics.text()
        with structlog.testing.capture_logs() as lines:
            try:
                self.client._loop.run(self._asked(sent, messages))
            except Exception as error:
                messages.append(type(error))
        counted = set(_counters(metrics.text())) - set(_counters(before))
        shown = [{name: said for name, said in line.items() if name not in ("ms", "exc_info")} for line in lines]
        return messages, sorted(name.rpartition(" ")[0] for name in counted), shown

    async def _asked(self, sent: Sent, messages: list[Any]) -> None:
        waiting = [
            piece
            if isinstance(piece, dict)
            else {"type": "http.request", "body": piece, "more_body": number < len(sent.pieces) - 1}
            for number, piece in enumerate(sent.pieces)
        ]

        async def receive() -> Any:
            if not waiting or waiting[0] is NEVER:
                await asyncio.Event().wait()
            return waiting.pop(0)

        async def send(message: Any) -> None:
            messages.append(dict(message))

        await self.client.app(sent.scope(self._admin_token), receive, send)

    def same(self, sent: Sent) -> int:
        """The status of the answer that both give."""
        one, other = self.ask(sent, direct=True), self.ask(sent, direct=False)
        assert one == other
        messages = one[0]
        assert messages
        return int(messages[0]["status"])


def _counters(text: bytes) -> list[str]:
    lines = (line for line in text.decode().splitlines() if line.startswith("flowtally_http_requests_total"))
    return list(lines)


@pytest.fixture
def make_doors(make_client: Callable[..., Client], acme: str, admin_token: str, ingest: FakeIngest) -> Any:
    return lambda **settings: Doors(make_client(**settings), admin_token, ingest)


@pytest.fixture
def doors(client: Client, acme: str, admin_token: str, ingest: FakeIngest) -> Doors:
    return Doors(client, admin_token, ingest)


def headers(*more: tuple[bytes, bytes]) -> Headers:
    return (HOST, JSON, *more)


REQUESTS: dict[str, tuple[int, Sent]] = {
    "good": (200, Sent()),
    "all receipts": (200, Sent(query=b"receipts=all")),
    "in pieces": (200, Sent(pieces=(EVENT[:10], b"", EVENT[10:], b""))),
    "no body": (400, Sent(pieces=(b"",))),
    "no JSON": (400, Sent(pieces=(b"[{",))),
    "gone at once": (499, Sent(pieces=(GONE,))),
    "gone half-way": (
        499,
        Sent(pieces=({"type": "http.request", "body": EVENT[:10], "more_body": True}, GONE)),
    ),
    "nobody": (401, Sent(token=None)),
    "a stranger": (401, Sent(token="somebody-elses-token")),
    "an empty token": (401, Sent(token="")),
    "another scheme": (401, Sent(token=None, headers=headers((b"authorization", b"Basic eDp5")))),
    "two tokens": (401, Sent(headers=headers((b"authorization", b"Bearer other")))),
    "unknown parameter": (400, Sent(query=b"what=1")),
    "a parameter twice": (400, Sent(query=b"atomic=true&atomic=true")),
    "a wrong value": (400, Sent(query=b"atomic=perhaps")),
    "a query that is no UTF-8": (400, Sent(query=b"atomic=%ff")),
    "announced too large": (413, Sent(headers=headers((b"content-length", b"999999999999")))),
    "announced as no number": (200, Sent(headers=headers((b"content-length", b"many")))),
    "a head too large": (431, Sent(headers=headers((b"x-long", b"x" * 40_000)))),
    "an id of its own": (200, Sent(headers=headers((b"x-request-id", b"trace-1")))),
    "no host": (200, Sent(headers=(JSON,))),
    "a host that is none": (400, Sent(headers=((b"host", b"a b/c"), JSON))),
    "a host in brackets": (200, Sent(headers=((b"host", b"[::1]:8120"), JSON))),
    "two hosts": (200, Sent(headers=headers((b"host", b"a b")))),
    "no type": (200, Sent(headers=(HOST,))),
    "a type that is none": (200, Sent(headers=(HOST, (b"content-type", b"\xff\xfe")))),
    "an encoding": (200, Sent(headers=headers((b"content-encoding", b"br")))),
    "what it accepts": (200, Sent(headers=headers((b"accept", b"text/csv")))),
    "another origin": (200, Sent(headers=headers((b"origin", b"https://example.org")))),
    "HEAD": (400, Sent("HEAD", pieces=(b"",))),
    "GET": (400, Sent("GET", pieces=(b"",))),
    "PUT": (405, Sent("PUT")),
    "DELETE": (405, Sent("DELETE")),
    "OPTIONS": (204, Sent("OPTIONS")),
    "TRACE": (405, Sent("TRACE")),
    "a slash behind": (200, Sent(path="/v1/events/")),
    "two slashes": (200, Sent(path="//v1/events")),
    "a prefix": (200, Sent(more={"root_path": "/api", "path": "/api/v1/events"})),
    "an escape": (200, Sent(more={"raw_path": b"/v1/%65vents"})),
    "a slash in a name": (404, Sent(more={"raw_path": b"/v1%2Fevents"})),
    "a path that is no UTF-8": (404, Sent(more={"raw_path": b"/v1/events%ff"})),
    "no raw path": (200, Sent(more={"raw_path": b""})),
    "no client": (200, Sent(more={"client": None})),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_both_doors_answer_alike(name: str, doors: Doors) -> None:
    status, sent = REQUESTS[name]
    assert doors.same(sent) == status


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", [b"", b"[]", b"{", EVENT, b"{}"])
def test_both_doors_answer_alike_at_all_their_paths(path: str, body: bytes, doors: Doors) -> None:
    assert doors.same(Sent(path=path, pieces=(body,))) < 500


def _errors(kind: type[errors.FlowtallyError] = errors.FlowtallyError) -> Sequence[type[errors.FlowtallyError]]:
    """Those of the server: of its client there are more, where another test has imported it."""
    ours = (child for child in kind.__subclasses__() if child.__module__ == errors.__name__)
    return [kind, *(one for child in ours for one in _errors(child))]


OTHERS = (RuntimeError("secret"), MemoryError(), NotFoundException(), HTTPException(status_code=418), TimeoutError())


@pytest.mark.parametrize("fault", [*_errors(), *OTHERS], ids=lambda one: getattr(one, "__name__", repr(one)))
def test_both_doors_tell_every_error_alike(fault: Any, doors: Doors) -> None:
    if isinstance(fault, type):
        try:
            fault = fault("what happened")
        except TypeError:
            fault = fault("what happened", retry_after_s=3)
        fault.extra = {"stored": 0, "duplicate": 0, "conflict": 0, "refused": 0, "receipts": [], **fault.extra}
    doors.ingest.fault = fault
    assert doors.same(Sent()) >= 400


def test_both_doors_refuse_alike_who_may_not(doors: Doors) -> None:
    client = doors.client
    read = client.post("/v1/credentials", json={"scope": "reports", "name": "r"}).json()
    assert doors.same(Sent(token=read.get("token", "none"))) in (401, 403)
    own = client.post("/v1/accounts/acme/credentials", json={"scope": "account", "name": "a"}).json()
    assert doors.same(Sent(token=own["token"])) == 403


def test_both_doors_give_up_a_body_alike(make_doors: Callable[..., Doors]) -> None:
    doors = make_doors(body_idle_s=1, body_total_s=1, max_body_bytes=200, cors_origins="https://example.org")
    more = {"type": "http.request", "body": b"[", "more_body": True}
    assert doors.same(Sent(pieces=(more, NEVER))) == 408
    assert doors.same(Sent(pieces=(b"[" * 150, b"[" * 150))) == 413
    assert doors.same(REQUESTS["another origin"][1]) == 200


def test_both_doors_hold_their_bounds_alike(make_doors: Callable[..., Doors]) -> None:
    doors = make_doors(max_sends_per_credential=1)
    services = doors.client.app.state.services
    assert doors.same(Sent()) == 200
    [(credential, _)] = services.doorkeeper._known.values()
    with services.shares.admit(credential, sends=True):
        assert doors.same(Sent()) == 429
    services.request_slots.taken = services.request_slots.limit
    assert doors.same(Sent()) == 503


def test_both_doors_send_a_large_answer_in_the_same_pieces(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = [Receipt(number, "s", "x" * 50, "duplicate") for number in range(5_000)]

    async def take(*_: Any, **__: Any) -> EventsAnswer:
        return EventsAnswer(0, len(receipts), 0, 0, receipts)

    monkeypatch.setattr(doors.ingest, "take", take)
    assert doors.same(Sent()) == 200


def test_only_what_is_exactly_such_a_request_is_answered_directly(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    through: list[str] = []
    behind = doors._direct._app

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        through.append(scope["path"])
        await behind(scope, receive, send)

    monkeypatch.setattr(doors._direct, "_app", framework)
    direct = {"good", "nobody", "unknown parameter", "an escape", "no host", "no raw path", "in pieces"}
    for name in direct:
        doors.ask(REQUESTS[name][1], direct=True)
    assert through == []
    others = ["GET", "HEAD", "PUT", "a slash behind", "two slashes", "a prefix", "a host that is none"]
    for name in others:
        doors.ask(REQUESTS[name][1], direct=True)
    assert len(through) == len(others)


NAMES = st.sampled_from(
    [b"host", b"content-type", b"content-length", b"content-encoding", b"accept", b"origin", b"ce-id", b"x-a"]
)
VALUES = st.binary(max_size=20).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b""))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["POST", "POST", "GET", "HEAD", "OPTIONS", "PATCH"]),
    st.sampled_from([*PATHS, "/v1/events/", "/v1/events/x", "/V1/events", "/"]),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.sampled_from([b"", b"atomic=true", b"receipts=all", b"&&", b"%00=1"]) | st.binary(max_size=10),
    st.lists(st.sampled_from([b"", EVENT, b"[", b"]", b"{}"]), min_size=1, max_size=3),
)
def test_whatever_is_asked_both_doors_answer_alike(
    doors: Doors,
    method: str,
    path: str,
    more: list[tuple[bytes, bytes]],
    query: bytes,
    pieces: list[bytes],
) -> None:
    doors.same(Sent(method, path, query, tuple(more), tuple(pieces)))
