"""The caller at the other end of one request: is somebody still listening?

Servers tell it by `http.disconnect`, to whoever asks for more of the request. Nobody does while the work goes on, so
this asks once the body is whole and the work has taken a moment; most requests are answered before that.
"""

from __future__ import annotations

import asyncio
from typing import Final

from litestar.types import HTTPReceiveMessage, HTTPScope, Receive

LOOK_AFTER_S: Final = 0.05
BODY: Final = (b"content-length", b"transfer-encoding")


class Lookout:
    """The connections that are to be looked at, if they are still there then: one timer for all of them, because one of
    its own costs more than most steps of a small request. One event loop at a time."""

    def __init__(self) -> None:
        self._due: dict[Connection, float] = {}  # and when, the next one first
        self._loop: asyncio.AbstractEventLoop | None = None  # whose timer is set

    def add(self, one: Connection) -> None:
        loop = asyncio.get_running_loop()
        self._due[one] = loop.time() + LOOK_AFTER_S
        if self._loop is loop:
            return
        if self._loop is not None:  # it ended, and those with it
            self._due = {one: self._due[one]}
        self._loop = loop
        loop.call_later(LOOK_AFTER_S, self._look)

    def forget(self, one: Connection) -> None:
        self._due.pop(one, None)

    def _look(self) -> None:
        loop, self._loop = asyncio.get_running_loop(), None
        while self._due:
            one, due = next(iter(self._due.items()))
            if due > loop.time():
                self._loop = loop
                loop.call_at(due, self._look)
                return
            del self._due[one]
            one.look()


class Connection:
    """Stands where `receive` stood. `close` when the answer was sent."""

    def __init__(self, receive: Receive, scope: HTTPScope, lookout: Lookout) -> None:
        self._receive = receive
        self._lookout = lookout
        self._to_look = False
        self._looking: asyncio.Task[None] | None = None
        self._held: list[HTTPReceiveMessage] = []  # taken while looking, for whoever asks after all
        self._asking = (
            False  # the work itself, which a stream does while it sends: it is told, and one may ask at a time
        )
        self.gone = False
        self.gave_up = False  # whoever waited for more of the body waits no longer: the HTTP server still does
        if scope["method"] in ("GET", "HEAD") and not any(name in BODY for name, _ in scope["headers"]):
            self._look_later()

    async def receive(self) -> HTTPReceiveMessage:
        if self._held:
            return self._held.pop(0)
        if self._looking is not None:
            await asyncio.wait({self._looking})  # it ends with the connection
            return {"type": "http.disconnect"}
        self._asking = True
        try:
            message = await self._ask()
        except asyncio.CancelledError:
            self.gave_up = True
            raise
        finally:
            self._asking = False
        if message["type"] == "http.request" and not message.get("more_body", False) and not self._to_look:
            self._look_later()
        return message

    def close(self) -> None:
        if self._to_look:
            self._lookout.forget(self)
        if self._looking is not None:
            self._looking.cancel()

    async def _ask(self) -> HTTPReceiveMessage:
        message: HTTPReceiveMessage = await self._receive()  # type: ignore[assignment]
        self.gone = self.gone or message["type"] == "http.disconnect"
        return message

    def _look_later(self) -> None:
        self._to_look = True
        self._lookout.add(self)

    def look(self) -> None:
        """From now on, until somebody asks or the connection ends."""
        if not self._asking:
            self._looking = asyncio.ensure_future(self._wait_for_end())

    async def _wait_for_end(self) -> None:
        while (message := await self._ask())["type"] == "http.request":
            self._held.append(message)
