"""Syslog over TCP: a thread that takes connections, cuts what comes into messages and spools them.

The protocol has no acknowledgement: what a sender has written may still be in a buffer when either side ends, so this
is best effort, and a file is better. What can be done is done: lines are on disk before anything is read of them; at
the bound of the spool, and while the disk takes nothing, sockets are not read any more, so that the senders wait; what
is in hand stays there until it is spooled. Everything is bounded: connections, bytes of a line, bytes read at a time.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.agents.syslog.frames import Frames, Framing
from flowtally.agents.syslog.spool import SyslogSpool

MAX_CONNECTIONS: Final = 64
_READ_BYTES: Final = 64 * 1024
_WAIT_S: Final = 0.25
_LAST_READS: Final = 16


class Heard(msgspec.Struct):
    """What happened since the start. `lost` messages cannot be had again: halves at the end of a connection, and what
    came after a count of octets that is none."""

    connections: int = 0
    turned_away: int = 0
    messages: int = 0
    halves: int = 0
    framing_lost: int = 0
    waited: int = 0  # how often reading stopped because the spool was full
    disk_errors: int = 0


class Listener:
    """Bound when made, so that a taken address is told at once; `start` begins to listen. `tell` gets a kind and
    one line for people, from the thread; it must not raise."""

    def __init__(
        self,
        address: tuple[str, int],
        spool: SyslogSpool,
        *,
        framing: Framing = "auto",
        max_connections: int = MAX_CONNECTIONS,
        tell: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        self.heard = Heard()
        self.died = ""  # why the thread ended by itself
        self._spool = spool
        self._framing = framing
        self._max_connections = max_connections
        self._tell = tell
        self._open: dict[socket.socket, tuple[Frames, str]] = {}
        self._in_hand: list[bytes] = []
        self._refused = False  # by the disk, the last time
        self._ready = selectors.DefaultSelector()
        self._closing = threading.Event()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._door = socket.create_server(address, family=family)
        self._door.setblocking(False)
        self.port = int(self._door.getsockname()[1])
        self._thread = threading.Thread(target=self._run, name=f"syslog-{self.port}", daemon=True)

    def start(self) -> None:
        self._ready.register(self._door, selectors.EVENT_READ)
        self._thread.start()

    def close(self) -> None:
        """What was read is spooled, unless the disk takes nothing."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
            self._drain()
        for one in (*self._open, self._door):
            one.close()
        self._ready.close()

    def _run(self) -> None:
        try:
            self._listen()
        except Exception as error:
            self.died = f"{type(error).__name__}: {error}"

    def _listen(self) -> None:
        waiting = False
        while not self._closing.is_set():
            full = self._spool.full
            if full != waiting:
                waiting = full
                self.heard.waited += full
                self._tell("spool", "it is full: senders wait" if full else "it has room again: senders go on")
            if self._in_hand or full:
                self._closing.wait(_WAIT_S)
            else:
                for key, _ in self._ready.select(_WAIT_S):
                    self._accept() if key.fileobj is self._door else self._receive(key.fileobj)  # type: ignore[arg-type]
            self._keep()

    def _drain(self) -> None:
        """What has arrived already, as far as the spool takes it: whoever sent it will not send it again."""
        for _ in range(_LAST_READS):
            for one in list(self._open):
                self._receive(one)
            if not self._in_hand or self._spool.full:
                break
            self._keep()

    def _accept(self) -> None:
        try:
            one, (host, port, *_) = self._door.accept()
        except OSError:  # gone again, or no descriptor is left: the next will do
            return
        if len(self._open) >= self._max_connections:
            self.heard.turned_away += 1
            self._tell("turned_away", f"{host}:{port}: {self._max_connections} are connected")
            one.close()
            return
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.heard.connections += 1
        self._open[one] = Frames(self._framing), f"{host}:{port}"
        self._ready.register(one, selectors.EVENT_READ)

    def _receive(self, one: socket.socket) -> None:
        frames, who = self._open[one]
        try:
            data = one.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if frames.pending_bytes:
                self.heard.halves += 1
                self._tell("half", f"{who} ended inside a message: its {frames.pending_bytes} bytes are not counted")
            self._end(one)
            return
        self._in_hand += frames.feed(data)
        if frames.lost:
            self.heard.framing_lost += 1
            self._tell("framing", f"{who}: {frames.lost}; the connection was closed")
            self._end(one)

    def _end(self, one: socket.socket) -> None:
        del self._open[one]
        self._ready.unregister(one)
        with contextlib.suppress(OSError):
            one.close()

    def _keep(self) -> None:
        """On disk; what it does not take stays in hand, and nothing more is read meanwhile."""
        if not self._in_hand:
            return
        try:
            self._spool.append(self._in_hand)
        except OSError as error:
            self.heard.disk_errors += 1
            if not self._refused:
                self._tell("spool", f"it cannot be written: {error}; senders wait")
            self._refused = True
            return
        if self._refused:
            self._tell("spool", "it can be written again: senders go on")
        self._refused = False
        self.heard.messages += len(self._in_hand)
        self._in_hand = []
