"""A server with canned answers on a free port, and a run of the program against it.

For what the command line makes of answers; the real server is driven in `test_live.py`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from flowtally.cli.app import main

TOKEN = "ft_test_0123456789abcdefghijkl"


class Asked(msgspec.Struct, frozen=True):
    method: str
    path: str
    query: dict[str, list[str]]
    body: Any
    authorization: str
    key: str = ""


class Fake:
    """`answers`: "GET /v1/accounts" -> (status, value); bytes are sent as they are; `headers` go with each.
    `asked` keeps what came."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, tuple[int, object]] = {}
        self.asked: list[Asked] = []
        self.headers: dict[str, str] = {}


def _shown(body: bytes, kind: str) -> Any:
    """What is no JSON as the text it is."""
    return body.decode() if kind == "text/csv" else json.loads(body) if body else None


@contextmanager
def serving() -> Iterator[Fake]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            shown = _shown(body, self.headers["Content-Type"] or "") if "Content-Encoding" not in self.headers else None
            who, key = self.headers["Authorization"] or "", self.headers["Idempotency-Key"] or ""
            asked = Asked(self.command, parts.path, parse_qs(parts.query), shown, who, key)
            fake.asked.append(asked)
            problem = {"code": "not_found", "detail": f"no answer for {self.command} {parts.path}"}
            status, value = fake.answers.get(f"{self.command} {parts.path}", (404, problem))
            content = value if isinstance(value, bytes) else msgspec.json.encode(value)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, text in fake.headers.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, format: str, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = Fake(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Ran(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class Program:
    """`flowtally` in this process, in an environment that names the fake."""

    def __init__(self, fake: Fake, capture: pytest.CaptureFixture[str]) -> None:
        self.fake = fake
        self._capture = capture

    def __call__(self, *arguments: str) -> Ran:
        self._capture.readouterr()
        code = main(arguments)
        told = self._capture.readouterr()
        return Ran(code, told.out, told.err)
