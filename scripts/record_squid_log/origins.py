"""The web sites behind the proxy: one small HTTP server, served plain and with TLS, on loopback.

Paths: /file/<bytes>, /asset/<n> (cacheable), /page/<n>, /api/<n> (JSON), /upload (POST), /slow/<ms>, /status/<code>,
/redirect/<n>, /chunked/<n> (no length), /cut/<bytes> (promises twice as much as it sends, then hangs up).
"""

from __future__ import annotations

import contextlib
import json
import random
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TYPES = ("text/css", "application/javascript", "image/png", "image/webp", "font/woff2")


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        _, kind, *rest = self.path.split("?")[0].split("/")
        number = int(rest[0]) if rest and rest[0].isdecimal() else 0
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            self.routes().get(kind, self.missing)(number)

    do_HEAD = do_GET
    do_DELETE = do_GET

    def do_POST(self) -> None:
        left = int(self.headers.get("Content-Length", "0"))
        received = 0
        while left and (chunk := self.rfile.read(min(left, 65536))):
            left -= len(chunk)
            received += len(chunk)
        self.answer(201, json.dumps({"received": received}).encode(), "application/json")

    do_PUT = do_POST

    def routes(self) -> dict[str, Callable[[int], None]]:
        return {name.removeprefix("get_"): getattr(self, name) for name in dir(self) if name.startswith("get_")}

    def get_file(self, size: int) -> None:
        self.answer(200, random.randbytes(size), "application/octet-stream")  # noqa: S311

    def get_asset(self, number: int) -> None:
        body = random.Random(number).randbytes(800 + number * 977 % 60_000)  # noqa: S311  the same bytes every time
        self.answer(
            200, body, TYPES[number % len(TYPES)], **{"Cache-Control": "public, max-age=120", "ETag": f'"{number}"'}
        )

    def get_page(self, number: int) -> None:
        body = f"<!doctype html><title>{number}</title>".encode() + b"<p>lorem ipsum</p>" * (200 + number * 37 % 3000)
        self.answer(200, body, "text/html; charset=utf-8", **{"Cache-Control": "no-store"})

    def get_api(self, number: int) -> None:
        rows = [{"id": i, "price": i * number % 9973} for i in range(number % 60)]
        self.answer(200, json.dumps({"rows": rows}).encode(), "application/json")

    def get_slow(self, wait_ms: int) -> None:
        time.sleep(wait_ms / 1000)
        self.answer(200, b"done at last\n", "text/plain")

    def get_status(self, code: int) -> None:
        self.answer(code, b"" if code in (204, 304) else f"status {code}\n".encode(), "text/plain")

    def get_redirect(self, number: int) -> None:
        self.answer(302, b"", "text/html", Location=f"/page/{number}")

    def get_chunked(self, number: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for tick in range(number):
            part = f"data: {tick}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def get_cut(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(2 * size))
        self.end_headers()
        self.wfile.write(random.randbytes(size))  # noqa: S311
        self.close_connection = True

    def missing(self, _number: int) -> None:
        self.answer(404, b"no such page\n", "text/plain")

    def answer(self, code: int, body: bytes, media_type: str, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Squid keeps the log; ours would only be noise."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the recording."""


def serve_plain() -> Server:
    return _start(Server(("127.0.0.1", 0), Site))


def serve_tls(directory: Path) -> Server:
    server = Server(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_self_signed(directory))
    # The handshake belongs to the connection's own thread: a client that never finishes it must not stop the others.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return _start(server)


def _start(server: Server) -> Server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _self_signed(directory: Path) -> tuple[Path, Path]:
    certificate, key = directory / "site.crt", directory / "site.key"
    subprocess.run(  # noqa: S603
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.test",  # noqa: S607
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key
