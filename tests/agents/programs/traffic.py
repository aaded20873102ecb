"""Traffic that counts itself: clients on sockets of their own, so that every byte sent and received is known.

Several users, small and large bodies in both directions, connections kept alive, an upload its client gives up, a
download its origin cuts, requests without and with wrong credentials. `Counted` has both what went over the wire and
what of it were bodies, for programs that know only those.
"""

from __future__ import annotations

import base64
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

PASSWORD = "correct horse"
ANN, BOB, ZOE, CUT, SHORT, TOM, GONE = "ann", "bob", 'zoë "z" s\\mith', "cut", "short", "tom", "gone"
USERS = (ANN, BOB, ZOE, CUT, SHORT, TOM, GONE)
PATIENCE_S = 30


class Counted(msgspec.Struct):
    """Of one user: bytes up and down, head and body; of them the bodies'; how many heads, with how many fields."""

    requests: int = 0
    up: int = 0
    down: int = 0
    body_up: int = 0
    body_down: int = 0
    heads_down: int = 0
    fields_up: int = 0
    fields_down: int = 0


class Site(msgspec.Struct, frozen=True):
    """Where clients send requests. `proxy` names the origin where the server is a forward proxy, else empty."""

    port: int
    proxy: str = ""


class Clients:
    """`counted` by user name; empty for whoever named none or proved none."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.counted: dict[str, Counted] = {}
        self.gone = Counted()  # what one received at least who went away in the middle of an answer
        self.gone_most = 0

    def run(self) -> None:
        """All of it, once, one after another: a log's lines are then in a known order, too."""
        with self._connection() as ann:
            for path, body in (("/bytes/20000", 0), ("/bytes/0", 0), ("/bytes/10", 5_000), ("/bytes/1", 0)):
                self._exchange(ann, ANN, path, body)
        with self._connection() as bob:
            self._exchange(bob, BOB, "/bytes/64", 300_000)
            self._exchange(bob, BOB, "/bytes/500000", 0)
        with self._connection() as zoe:
            self._exchange(zoe, ZOE, "/bytes/1234", 77)
        with self._connection() as nobody:
            self._exchange(nobody, "", "/bytes/5", 0)
        with self._connection() as liar:
            self._exchange(liar, ANN, "/bytes/6", 0, password="wrong")
        self._give_up()
        self._cut_short()
        self._go_away()
        if self.site.proxy:
            self._tunnel()

    def repeat(self, requests: int) -> None:
        """Those of one user, on one connection, with an address that fills a log."""
        with self._connection() as one:
            for _ in range(requests):
                self._exchange(one, BOB, f"/{'long' * 500}/bytes/3", 0)

    def _give_up(self) -> None:
        """An upload of which a part arrives. Its client is known already: who goes away while Squid still asks its
        helper for the password is nobody."""
        with self._connection() as one:
            self._exchange(one, CUT, "/bytes/2", 0)
        with self._connection() as one:
            self._send(one, CUT, "/bytes/9", 50_000, of_body=20_000)
            one.shutdown(socket.SHUT_WR)
            self._receive(one, CUT)

    def _cut_short(self) -> None:
        """A download of which the origin sends a part."""
        with self._connection() as one:
            self._send(one, SHORT, "/cut/40000", 0)
            self._receive(one, SHORT)

    def _go_away(self) -> None:
        """In the middle of an answer: how much was on its way nobody knows."""
        size = 3_000_000
        with self._connection() as one:
            self._send(one, GONE, f"/bytes/{size}", 0)
            received = b""
            while len(received) < 100_000 and (piece := _read(one)):
                received += piece
        self.gone = self.counted.pop(GONE)
        self.gone.body_down = len(received.partition(b"\r\n\r\n")[2])
        self.gone.down = len(received)
        self.gone_most = size + len(received) - self.gone.body_down

    def _tunnel(self) -> None:
        """Through CONNECT what the proxy cannot read: two requests to the origin, and their answers."""
        with self._connection() as one:
            self._send(one, TOM, "", 0, method="CONNECT")
            self._receive(one, TOM, whole=False)
            counted = self._of(TOM)
            inside = b"POST x/bytes/7000 HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"t" * 1000
            answer = b""
            for _ in range(2):
                one.sendall(inside)
                while not answer.endswith(b"\r\n\r\n" + b"y" * 7000) and (piece := _read(one)):
                    answer += piece
                counted.up, counted.down, answer = counted.up + len(inside), counted.down + len(answer), b""

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.site.port), timeout=PATIENCE_S) as one:
            yield one

    def _exchange(self, one: socket.socket, user: str, path: str, body: int, password: str = PASSWORD) -> None:
        whose = user if password == PASSWORD else ""
        self._send(one, user, path, body, password=password)
        self._receive(one, whose)

    def _send(
        self,
        one: socket.socket,
        user: str,
        path: str,
        body: int,
        *,
        of_body: int | None = None,
        password: str = PASSWORD,
        method: str = "",
    ) -> None:
        sent = b"x" * (body if of_body is None else of_body)
        head = self._head(user, path, body, password, method or ("POST" if body else "GET"))
        counted = self._of(user if password == PASSWORD else "")
        counted.requests += 1
        counted.up += len(head) + len(sent)
        counted.fields_up += head.count(b"\r\n") - 2
        counted.body_up += len(sent)
        one.sendall(head + sent)

    def _head(self, user: str, path: str, body: int, password: str, method: str) -> bytes:
        name = "Proxy-Authorization" if self.site.proxy else "Authorization"
        proof = base64.b64encode(f"{user}:{password}".encode()).decode()
        where = f"http://{self.site.proxy}{path}" if self.site.proxy else path
        lines = [
            f"{method} {self.site.proxy if method == 'CONNECT' else where} HTTP/1.1",
            f"Host: {self.site.proxy or 'site.test'}",
            *([f"{name}: Basic {proof}"] if user else []),
            *([f"Content-Length: {body}"] if body else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def _receive(self, one: socket.socket, user: str, *, whole: bool = True) -> None:
        """One answer: to the end of its body, or of the connection; not `whole`: its head alone."""
        data = b""
        while b"\r\n\r\n" not in data and (piece := _read(one)):
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        wanted = _length(head) if whole else 0
        while data and (wanted is None or len(rest) < wanted) and (piece := _read(one)):
            rest += piece
        counted = self._of(user)
        counted.down += len(head) + 4 + len(rest) if data else 0
        counted.body_down += len(rest)
        counted.heads_down += bool(data)
        counted.fields_down += head.count(b"\r\n")

    def _of(self, user: str) -> Counted:
        return self.counted.setdefault(user, Counted())


def _read(one: socket.socket) -> bytes:
    try:
        return one.recv(1 << 16)
    except ConnectionResetError:
        return b""


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None


class _Origin(socketserver.StreamRequestHandler):
    """`/bytes/N` answers N bytes, `/cut/N` promises them and sends half."""

    def handle(self) -> None:
        while request := self.rfile.readline(1 << 16):
            length = self._length()
            if len(self.rfile.read(length)) < length:
                return
            path = request.split(b" ")[1].split(b"//")[-1].decode()
            kind, size = path.split("/")[-2], int(path.rsplit("/", 1)[1])
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % size
            self.wfile.write(head + b"y" * (size // 2 if kind == "cut" else size))
            if kind == "cut":
                return

    def _length(self) -> int:
        length = 0
        while (line := self.rfile.readline(1 << 16)).strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return length


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A proxy that goes away in the middle is part of the play."""


@contextmanager
def origin() -> Iterator[int]:
    """A site; its port."""
    with _Server(("127.0.0.1", 0), _Origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()
