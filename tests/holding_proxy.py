"""A proxy that holds bytes: what a client sent arrives when a test says so, though the client is long gone.

It stands before any server that speaks TCP (in most cases `tests.clickhouse`) and passes on what it gets. Told to
`hold` a text, it keeps what a client sends from there on until `let_go`: that is a statement of a dead writer, on its
way through some network. Told to `lose` the answer to a text, it passes the request on, waits for the answer, and
hangs up.

    with HoldingProxy(server.port) as proxy:
        late = proxy.hold(b"MOVE PARTITION")  # to be said to clickhouse_server.new_url(proxy.port)
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Final, Self

PATIENCE_S: Final = 60
PIECE: Final = 1 << 16


class Caught:
    """The next request that has this text."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.came, self.may_go, self.answered = threading.Event(), threading.Event(), threading.Event()

    def wait(self) -> None:
        """Until it is held, or until its answer was lost."""
        assert self.came.wait(PATIENCE_S), f"nobody sent {self.text!r}"

    def let_go(self) -> None:
        """Now it arrives. The server has done it when this returns, and answered to whoever is still there."""
        self.may_go.set()
        assert self.answered.wait(PATIENCE_S), f"{self.text!r} got no answer"


class HoldingProxy:
    """`port`: where clients ask; `connections`: how many they have opened."""

    def __init__(self, port: int) -> None:
        self.connections = 0
        self._behind = port
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self._open: list[socket.socket] = [self._listening]
        self._holding: list[Caught] = []
        self._losing: list[Caught] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing that is held arrives any more."""
        with self._lock:
            for one in self._open:
                _hang_up(one)

    def hold(self, text: bytes) -> Caught:
        self._holding.append(Caught(text))
        return self._holding[-1]

    def lose(self, text: bytes) -> Caught:
        self._losing.append(Caught(text))
        return self._losing[-1]

    def _accept(self) -> None:
        with suppress(OSError):  # until it is closed
            while True:
                client, _ = self._listening.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        """As the server does: where it is away, the client is turned away."""
        with self._lock:
            self.connections += 1
            self._open.append(client)
            try:
                self._open.append(socket.create_connection(("127.0.0.1", self._behind)))
            except OSError:
                _hang_up(client)
                return
            _Pair(self, *self._open[-2:]).start()

    def caught(self, before: bytes, piece: bytes) -> tuple[Caught | None, Caught | None]:
        """What this piece brings that is to be held, and whose answer is to be lost."""
        with self._lock:
            return _taken(self._holding, before, piece), _taken(self._losing, before, piece)


def _taken(waiting: list[Caught], before: bytes, piece: bytes) -> Caught | None:
    """A text may come in two pieces; one that was wholly there before is of an earlier request."""
    for one in waiting:
        if one.text in before[max(0, len(before) - len(one.text) + 1) :] + piece:
            waiting.remove(one)
            return one
    return None


class _Pair:
    """A connection of a client, and ours to the server for it. No more than one request of it is caught at a time."""

    def __init__(self, proxy: HoldingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._gone: Caught | None = None  # it was held, and is on its way to the server
        self._lost: Caught | None = None
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for work in (self._ask, self._answer):
            threading.Thread(target=work, daemon=True).start()

    def _ask(self) -> None:
        before = b""
        with suppress(OSError):
            while piece := self._client.recv(PIECE):
                held, lost = self._proxy.caught(before, piece)
                before = piece
                self._lost = lost or self._lost
                if held:
                    held.came.set()
                    held.may_go.wait()
                    self._gone = held
                self._server.sendall(piece)
            self._server.shutdown(socket.SHUT_WR)  # it may still answer what it has

    def _answer(self) -> None:
        with suppress(OSError):
            while piece := self._server.recv(PIECE):
                if lost := self._lost:
                    _hang_up(self._client)
                    lost.came.set()
                    break
                if self._gone:
                    self._gone.answered.set()
                with suppress(OSError):  # nobody is there any more
                    self._client.sendall(piece)
        for one in (self._client, self._server):
            _hang_up(one)


def _hang_up(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
