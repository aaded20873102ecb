"""A server on 127.0.0.1 that answers whatever it is told to, byte by byte: for what vendors are not supposed to do.

    with Stub(ok('{"a": 1}'), cut_off(), ...) as stub:   # one reply for each request, the last one for all others

A reply is handed the connection and does with it what it wants; when it returns true the connection goes on.
"""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

import msgspec

CHUNK: Final = b"x" * 65_536


class Heard(msgspec.Struct, frozen=True):
    """A request as it came. Names of headers are in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Reply = Callable[[socket.socket, "Stub"], bool]


class Stub:
    """`ended`: it is over, for replies that wait. `heard`: the requests, in order."""

    def __init__(self, *replies: Reply, tls: Any = None) -> None:
        self._replies = list(replies)
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._server.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.heard: list[Heard] = []
        self.connections = 0
        self.ended = threading.Event()
        self.asked = threading.Event()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *raised: object) -> None:
        self.ended.set()
        self._server.close()
        with socket.socket() as waking:  # `close` wakes nobody who accepts
            waking.settimeout(1)
            waking.connect_ex(("127.0.0.1", self.port))
        for one in self._threads:
            one.join(10)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            if self.ended.is_set():
                connection.close()
                return
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while not self.ended.is_set() and (heard := _hear(connection)) is not None:
                self.heard.append(heard)
                self.asked.set()
                reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
                if not reply(connection, self):
                    break
        except OSError:
            pass  # the other side has left, as it should
        finally:
            connection.close()


def _hear(connection: socket.socket) -> Heard | None:
    got = b""
    while b"\r\n\r\n" not in got:
        if not (piece := connection.recv(65_536)):
            return None
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65_536)
    method, target, _ = first.split(" ")
    return Heard(method, target, headers, body)


# -- Replies ----------------------------------------------------------------------------------------------------------


def head(status: int, **headers: str | int) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Something", *lines, "", ""]).encode("latin-1")


def say(status: int, body: str | bytes = "", content_type: str = "application/json", **headers: str) -> Reply:
    content = body.encode() if isinstance(body, str) else body
    whole = head(status, Content_Type=content_type, Content_Length=len(content), **headers) + content

    def reply(connection: socket.socket, stub: Stub) -> bool:
        connection.sendall(whole)
        return True

    return reply


def ok(body: str | bytes = "{}", **headers: str) -> Reply:
    return say(200, body, **headers)


def page(status: int = 200) -> Reply:
    """A page for people."""
    return say(status, "<!doctype html><title>Maintenance</title>", "text/html; charset=utf-8")


def zipped(content: bytes, **headers: str) -> Reply:
    return ok(content, **{"Content_Encoding": "gzip", **headers})


def bomb(size: int) -> Reply:
    """A small answer that grows."""
    return zipped(gzip.compress(bytes(size)))


def cut_off(said: bytes = b'{"a": [1, 2') -> Reply:
    """Half of what its head promises."""

    def reply(connection: socket.socket, stub: Stub) -> bool:
        connection.sendall(head(200, Content_Type="application/json", Content_Length=len(said) * 2) + said)
        return False

    return reply


def reset(after: bytes = b"") -> Reply:
    """Not a goodbye but a reset."""

    def reply(connection: socket.socket, stub: Stub) -> bool:
        connection.sendall(after)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return reply


def garbage(said: bytes = b"\x00\x01 what is this\r\n\r\n") -> Reply:
    def reply(connection: socket.socket, stub: Stub) -> bool:
        connection.sendall(said)
        return False

    return reply


def silent() -> Reply:
    """Nothing, for ever."""

    def reply(connection: socket.socket, stub: Stub) -> bool:
        stub.ended.wait(60)
        return False

    return reply


def drip(every_s: float = 0.02) -> Reply:
    """A byte at a time, for ever: each read has something."""

    def reply(connection: socket.socket, stub: Stub) -> bool:
        connection.sendall(head(200, Content_Type="application/json", Content_Length=10**6))
        while not stub.ended.wait(every_s):
            connection.sendall(b" ")
        return False

    return reply


def endless(chunked: bool = True) -> Reply:
    """As much as the other side takes."""

    def reply(connection: socket.socket, stub: Stub) -> bool:
        if chunked:
            connection.sendall(head(200, Content_Type="application/json", Transfer_Encoding="chunked"))
        else:
            connection.sendall(head(200, Content_Type="application/json", Content_Length=10**12))
        while not stub.ended.is_set():
            connection.sendall(b"10000\r\n" + CHUNK + b"\r\n" if chunked else CHUNK)
        return False

    return reply
