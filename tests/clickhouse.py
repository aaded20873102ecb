"""The engine of the wheel behind HTTP, in a process of its own: what a ClickHouse server is to flowtally.

There is no ClickHouse server of a usable version to install where the tests run, but its engine is in the wheel (chDB
is ClickHouse in a process). This serves it at the interface that clickhouse-connect speaks: a query in the body, in
the address or in a form, with parameters and settings beside it; an insert with its rows after the first line; an error
as a status with the engine's code in a header. So SQL, types, formats and the client's HTTP half are the real ones. Not
proven by it: a server's own users and rights, its limits, other versions of it, several machines.

A conftest or a test takes the fixture by importing it: `from tests.clickhouse import clickhouse`.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest

INSERT: Final = re.compile(rb"\s*INSERT INTO (.*?) FORMAT (\w+)[ \t]*\n", re.DOTALL | re.IGNORECASE)
FORMAT: Final = re.compile(rb"\bFORMAT\s+\w+\s*;?\s*$", re.IGNORECASE)
PATIENCE_S: Final = 60


class ClickHouse:
    """A server process over a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._numbers = count(1)
        command = [sys.executable, "-m", "tests.clickhouse", str(directory)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def new_url(self) -> str:
        """Of a database that is not there yet."""
        return f"clickhouse://127.0.0.1:{self.port}/moved_{next(self._numbers)}"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    server = ClickHouse(tmp_path_factory.mktemp("clickhouse"))
    yield server
    server.stop()


class _Engines:
    """Connections to the one engine of this process: one for a request at a time."""

    def __init__(self, path: str) -> None:
        from clickhouse_connect.driver._backend import chdb_backend

        backend: Any = chdb_backend.ChdbBackend
        self._make: Callable[[], Any] = lambda: backend(connection_string=path)
        self._free: list[Any] = [self._make()]
        self._lock = threading.Lock()

    def run(
        self, query: bytes, data: bytes, database: str, parameters: dict[str, str], settings: dict[str, str]
    ) -> Any:
        with self._lock:
            engine = self._free.pop() if self._free else self._make()
        try:
            answer = self._answer(engine, query, data, database, parameters, settings)
        except BaseException:
            engine.close()  # after an error the next answer of the same connection may be in another format
            raise
        with self._lock:
            self._free.append(engine)
        return answer

    def _answer(
        self,
        engine: Any,
        query: bytes,
        data: bytes,
        database: str,
        parameters: dict[str, str],
        settings: dict[str, str],
    ) -> tuple[bytes, str]:
        from clickhouse_connect.driver._backend.models import QueryRuntime

        runtime, bare = QueryRuntime(database=database, settings=settings), QueryRuntime(database=database, settings={})
        whole = query + b"\n" + data if data else query
        if found := INSERT.match(whole):
            engine.execute_raw_insert(
                found[1].decode(), None, whole[found.end() :], found[2].decode(), None, runtime, None
            )
            return b"", ""
        if found := FORMAT.search(query):
            known = ", ".join(f"{name} = '{value}'" for name, value in engine._engine_settings(settings).items())
            if known and b"SETTINGS" not in query:  # as a clause they cost nothing; else each is set and set back
                query, runtime = query[: found.start()] + f" SETTINGS {known} ".encode() + found[0], bare
            return engine.execute_raw_query(query, parameters, None, runtime, None), "Native"
        done = engine.execute_command(query.decode(), parameters, None, None, runtime, None)
        return done.body, done.result_format or ""


def handler(engines: _Engines) -> type[BaseHTTPRequestHandler]:
    from clickhouse_connect.driver._backend.chdb_backend import _decompress

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve(b"")

        def do_POST(self) -> None:
            body = self._body()
            if encoding := self.headers.get("Content-Encoding"):
                body = _decompress(body, encoding)
            self._serve(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _serve(self, body: bytes) -> None:
            given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            if self.headers.get_content_maintype() == "multipart":
                given |= self._form(body)
                body = b""
            query, data = (given.pop("query").encode(), body) if "query" in given else (body, b"")
            parameters = {name: given.pop(name) for name in list(given) if name.startswith("param_")}
            database = given.pop("database", "default")
            try:
                answer, shape = engines.run(query, data, database, parameters, given)
            except Exception as error:
                self._answer(
                    500, str(error).encode(), {"X-ClickHouse-Exception-Code": str(getattr(error, "code", "") or 1)}
                )
                return
            self._answer(200, answer, {"X-ClickHouse-Format": shape} if shape else {})

        def _form(self, body: bytes) -> dict[str, str]:
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts: Any = BytesParser().parsebytes(head + body).get_payload()
            return {
                part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode()
                for part in parts
            }

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "X-ClickHouse-Timezone": "UTC", "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def main(directory: str) -> None:
    tempfile.tempdir = directory
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(_Engines(f"{directory}/engine")))
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
