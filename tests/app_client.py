"""A client of an application in the test's own thread: a request is a call, and nothing waits for another thread.

Litestar's own test client keeps a loop in a thread of its own and hands it two calls for each request; that waiting
was a third of the time of the tests that ask an application. Here the loop runs while a request is being answered and
stands still between two. Where several threads of a test ask at once, one of them runs the loop for all, and the next
takes over when that one has its answer.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, MutableMapping
from concurrent.futures import Future
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar
from urllib.parse import unquote

import httpx
from httpx import ByteStream

if TYPE_CHECKING:
    from litestar import Litestar

T = TypeVar("T")
Message = MutableMapping[str, Any]

BASE: Final = "http://testserver.local"


class AppClient(httpx.Client):
    """Serves `app` from its start to its end, as `with` bounds them."""

    def __init__(self, app: Litestar, *, raise_server_exceptions: bool = True) -> None:
        self.app: Any = app
        self._loop = _SharedLoop()
        self._ended = asyncio.Event()
        transport = _Transport(app, self._loop, raise_server_exceptions)
        headers = {"user-agent": "testclient"}
        super().__init__(base_url=BASE, headers=headers, transport=transport, timeout=None)

    def __enter__(self) -> Self:
        self._life = self._loop.run(self._start())
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._ended.set()
        try:
            self._loop.run(_end(self._life))
        finally:
            self._loop.close()

    def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        """Without what only a client of the whole web needs, which takes a fifth of the time of a small question: the
        application sets no cookies, sends nobody elsewhere, and asks for no password."""
        assert not more.get("stream"), "an answer is whole"
        began = perf_counter()
        response = self._transport.handle_request(request)
        assert not response.has_redirect_location, "nobody is sent elsewhere"
        response.default_encoding = self._default_encoding
        for hook in self._event_hooks["response"]:
            hook(response)
        response.read()
        response.elapsed = timedelta(seconds=perf_counter() - began)
        return response

    def in_loop(self, work: Callable[[], object]) -> None:
        """Does this in the loop: now when it runs, and otherwise before the next request."""
        self._loop.soon(work)

    async def _start(self) -> asyncio.Task[None]:
        started = asyncio.Event()
        life = asyncio.create_task(self._live(started))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({waiting, life}, return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            waiting.cancel()
            life.result()  # raises what kept it from starting
        return life

    async def _live(self, started: asyncio.Event) -> None:
        """The application's lifespan: in one task from its start to its end, as its task groups want it."""
        async with self.app.lifespan():
            started.set()
            await self._ended.wait()


async def _end(life: asyncio.Task[None]) -> None:
    await life
    await asyncio.get_running_loop().shutdown_default_executor()


class _SharedLoop:
    """Runs what is asked of it in the thread that asks; one thread at a time runs it for all that wait."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._turn = threading.Condition()
        self._is_run = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._turn:
            alone = not self._is_run
            self._is_run = True
        if alone:
            return self._drive(work)
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        asked.add_done_callback(self._wake)
        with self._turn:
            self._turn.wait_for(lambda: asked.done() or not self._is_run)
            mine = not asked.done()
            self._is_run |= mine
        return self._drive(_result(asked)) if mine else asked.result()

    def soon(self, work: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(work)

    def close(self) -> None:
        self._loop.close()

    def _drive(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(work)
        finally:
            with self._turn:
                self._is_run = False
                self._turn.notify_all()

    def _wake(self, asked: Future[Any]) -> None:
        with self._turn:
            self._turn.notify_all()


async def _result(asked: Future[T]) -> T:
    return await asyncio.wrap_future(asked)


class _Transport(httpx.BaseTransport):
    def __init__(self, app: Litestar, loop: _SharedLoop, raise_server_exceptions: bool) -> None:
        self._app = app
        self._loop = loop
        self._raise = raise_server_exceptions

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(request.method, request.read())
        try:
            self._loop.run(self._ask(_scope(request), exchange))
        except Exception:
            if self._raise:
                raise
            return httpx.Response(500, request=request)
        return httpx.Response(
            exchange.status, headers=exchange.headers, stream=ByteStream(bytes(exchange.content)), request=request
        )

    async def _ask(self, scope: Any, exchange: _Exchange) -> None:
        await self._app(scope, exchange.receive, exchange.send)  # type: ignore[arg-type]


class _Exchange:
    """One request and its answer, as ASGI hands them over."""

    def __init__(self, method: str, body: bytes) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.content = bytearray()
        self._without_content = method == "HEAD"
        self._body: bytes | None = body
        self._answered = asyncio.Event()

    async def receive(self) -> Message:
        body, self._body = self._body, None
        if body is None:
            await self._answered.wait()
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not self.status, "an answer begins once"
            self.status, self.headers = message["status"], list(message.get("headers", []))
            return
        assert self.status, "an answer begins with its status"
        assert not self._answered.is_set(), "nothing comes after the end of an answer"
        if not self._without_content:
            self.content += message.get("body", b"")
        if not message.get("more_body", False):
            self._answered.set()


def _scope(request: httpx.Request) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": unquote(url.path),
        "raw_path": url.raw_path,
        "root_path": "",
        "query_string": url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("testclient", 50000),
        "server": (url.host, url.port or 80),
        "extensions": {},
    }
