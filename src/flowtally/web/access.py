"""What is the same for every request, known route or not: its id, its log line, its numbers and the security headers.

An ASGI layer around the whole application, because the framework answers unknown paths before its own middleware. The
log has the path and the caller's address: query strings and headers may carry secrets.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

import msgspec
import structlog
import uuid_utils
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from flowtally.core.errors import ClientGone, HeadTooLarge
from flowtally.core.media import PROBLEM
from flowtally.core.texts import printable
from flowtally.web.capacity.connection_limits import peer_of
from flowtally.web.connection import Connection, Lookout
from flowtally.web.cors import answered
from flowtally.web.heads import method_of
from flowtally.web.problems import CREDENTIAL_ID, HELD, ITS_SECURITY, REQUEST_ID, problem_body
from flowtally.web.request_lines import RequestLine
from flowtally.web.sending import BodySender
from flowtally.web.services import Services, address_of

log = structlog.get_logger("flowtally.access")

SANE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
PATH_CHARS: Final = 400
MAX_HEAD_BYTES: Final = 32 * 1024
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds
SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


class Access:
    """Wraps the application: `Access(app.asgi_handler)`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._lookout = Lookout()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        services: Services = scope["litestar_app"].state.services
        request_id = request_id_of(scope["headers"])
        scope[REQUEST_ID] = request_id  # type: ignore[typeddict-unknown-key]
        path, status, ended = scope["path"], 500, True
        every = ((b"x-request-id", request_id.encode()), *answered(scope["headers"], services.config.origins))
        caller = Connection(receive, scope, self._lookout)

        async def send_marked(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "http.response.start":
                status, ended = message["status"], False
                security: Iterable[tuple[bytes, bytes]] = scope.get(ITS_SECURITY, SECURITY)  # type: ignore[assignment]
                message["headers"] = [*message["headers"], *every, *security]
                if caller.gone:
                    status = ClientGone.status  # nobody hears this answer
            elif message["type"] == "http.response.body":
                ended = not message.get("more_body", False)
                await sending.body(message)
                return
            await send(message)

        scope[HELD] = held = ExitStack()  # type: ignore[typeddict-unknown-key]
        sending = BodySender(send, services.config.send_idle_s)
        connection_limits, peer = services.connection_limits, peer_of(scope["client"])
        connection_limits.begin(peer)
        try:
            if (size := head_bytes(scope)) > MAX_HEAD_BYTES:
                await _refuse_head(size, request_id, send_marked)
            else:
                await self._app(scope, caller.receive, send_marked)
            if not ended:
                status = ClientGone.status  # given up half-way, and not by us
        except Exception:
            if not sending.stalled:
                raise
            status = ClientGone.status
            log.warning("answer_given_up", path=printable(path, PATH_CHARS), request_id=request_id)
            await asyncio.to_thread(connection_limits.break_off, peer, scope["server"])
        finally:
            held.close()
            caller.close()
            connection_limits.end(peer)
            if caller.gave_up:
                connection_limits.give_up(peer)
            self._note(scope, path, status, time.perf_counter() - started, request_id)

    def _note(self, scope: HTTPScope, path: str, status: int, seconds: float, request_id: str) -> None:
        said = method_of(scope)
        method = said if said in METHODS else "other"
        route = scope.get("path_template") or "unmatched"
        services: Services = scope["litestar_app"].state.services
        services.metrics.answered(method, route, status, seconds)
        services.request_lines.say(
            RequestLine(
                method,
                printable(path, PATH_CHARS),
                status,
                round(seconds * 1000, 1),
                address_of(scope, services.config),
                request_id,
                scope.get(CREDENTIAL_ID, ""),  # type: ignore[arg-type]
                path in QUIET and status < 400,
            )
        )


def head_bytes(scope: HTTPScope) -> int:
    """How large the head of this request was, about."""
    headers = scope["headers"]
    lines = sum([len(name) + len(value) + 4 for name, value in headers])  # ": " and the end of the line
    return lines + len(scope["raw_path"]) + len(scope["query_string"])


async def _refuse_head(size: int, request_id: str, send: Send) -> None:
    """Whoever asks, and whatever: nothing of it is looked at."""
    error = HeadTooLarge(f"The head has {size} bytes; {MAX_HEAD_BYTES} are allowed.", limit=MAX_HEAD_BYTES)
    body = msgspec.json.encode(problem_body(error, request_id))
    headers = [(b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode())]
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's X-Request-Id if it is short and plain, else a new UUIDv7."""
    for name, value in headers:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if SANE_ID.fullmatch(text):
                return text
    return str(uuid_utils.uuid7())
