"""The engine of the wheel behind ClickHouse's HTTP interface: `python -m tests.clickhouse_server DIRECTORY PORT`.

It serves what clickhouse-connect speaks: a query in the body, in the address or in a form, with parameters and settings
beside it; an insert with its rows after the first line; bodies packed as told; answers packed as asked; an error as a
status, with the engine's code in a header; a query that runs is known by its query id. So SQL, types, formats, what
runs at the same time, what a server has after it was killed, and the client's half of HTTP are the real ones.

Not proven by it: users and rights, limits and configuration of a server, other versions, its disks, several machines.
Sessions are refused: flowtally uses none.

It prints its port, and ends when its standard input does: when the process that started it is no more.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import chdb
import lz4.frame  # type: ignore[import-untyped]
import zstandard

INSERT: Final = re.compile(rb"\s*(INSERT INTO .*?) FORMAT (\w+)[ \t]*\n", re.DOTALL | re.IGNORECASE)
FORMAT: Final = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
CODE: Final = re.compile(r"Code: (\d+)\. ")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What a request says to the interface, and not to the engine.
OF_HTTP: Final = frozenset(
    {
        "buffer_size",
        "client_protocol_version",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "wait_end_of_query",
    }
)
NOT_IMPLEMENTED, UNKNOWN_SETTING, SAME_ID = 48, 115, 216
UNAVAILABLE: Final = frozenset({76, 209})  # CANNOT_OPEN_FILE and SOCKET_TIMEOUT are answered with status 503
# The engine in the wheel names queries itself, so the id that was asked for stands before the text of each.
LISTS_QUERIES: Final = re.compile(rb"\s*KILL QUERY\b|\bsystem\.processes\b", re.IGNORECASE)
ID_OF_QUERY: Final = rb"extract(query, '^/\\* (\\S*) \\*/')"
Packing = Callable[[bytes], bytes]
PACKINGS: Final[Mapping[str, tuple[Packing, Packing]]] = {
    "lz4": (lz4.frame.compress, lz4.frame.decompress),
    "zstd": (zstandard.compress, lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed)),
    "gzip": (gzip.compress, gzip.decompress),
}


class Refused(Exception):
    """By the interface, not by the engine."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {text}")


class Engine:
    """Each query has a connection of its own, and nothing of what another had set. `_kept` keeps the engine open."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._kept: Any = chdb.connect(path)
        self._lock = threading.Lock()
        self._running: set[str] = set()

    def ask(self, text: bytes, given: Mapping[str, str]) -> tuple[bytes, str]:
        """The answer and its format, which is empty where a query has no answer. `given`: what was in the address."""
        settings = {name: value for name, value in given.items() if name not in OF_HTTP}
        if "session_id" in settings:
            raise Refused(NOT_IMPLEMENTED, "sessions are not served here. (NOT_IMPLEMENTED)")
        database, query_id = settings.pop("database", "default"), settings.pop("query_id", "")
        values = {name[6:]: settings.pop(name) for name in list(settings) if name.startswith("param_")}
        if unknown := [name for name in settings if not NAME.fullmatch(name)]:
            raise Refused(UNKNOWN_SETTING, f"Unknown setting {unknown[0]!r}. (UNKNOWN_SETTING)")
        with self._named(query_id), closing(chdb.connect(self._path)) as connection:
            connection.query(f"USE `{database}`")
            if settings:
                connection.query("SET " + ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items()))
            return _answer(connection, text, query_id.encode(), values)

    @contextmanager
    def _named(self, query_id: str) -> Iterator[None]:
        with self._lock:
            if query_id in self._running:
                told = f"Query with id = {query_id} is already running. (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)"
                raise Refused(SAME_ID, told)
            self._running |= {query_id} - {""}
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(query_id)


def _answer(connection: Any, text: bytes, query_id: bytes, values: dict[str, str]) -> tuple[bytes, str]:
    named = b"/* %s */ " % query_id if query_id else b""
    if found := INSERT.match(text):
        with tempfile.NamedTemporaryFile() as rows:
            rows.write(text[found.end() :])
            rows.flush()
            connection.query(named + b"%s FROM INFILE '%s' FORMAT %s" % (found[1], rows.name.encode(), found[2]))
        return b"", ""
    if LISTS_QUERIES.search(text):
        text = re.sub(rb"\bquery_id\b", lambda _: ID_OF_QUERY, text)
    if found := FORMAT.search(text):
        shape = found[1].decode()
        return connection.query(named + text, shape, params=values).bytes() or b"", shape
    # What has an answer has at least the names of its columns.
    told = connection.query(named + text, "TabSeparatedWithNames", params=values).bytes() or b""
    return told.partition(b"\n")[2], "TabSeparated" if told else ""


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer go out together
    engine: Engine

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/ping":
            self._answer(200, b"Ok.\n", {})
        else:
            self._serve(b"")

    def do_POST(self) -> None:
        body, packing = self._body(), self.headers.get("Content-Encoding")
        self._serve(PACKINGS[packing][1](body) if packing else body)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self, body: bytes) -> None:
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get_content_maintype() == "multipart":
            given |= self._form(body)
            body = b""
        text = b"\n".join(part for part in (given.pop("query", "").encode(), body) if part)
        try:
            answer, shape = self.engine.ask(text, given)
        except Exception as error:
            told = str(error)
            found = CODE.search(told)
            code, told = (int(found[1]), told[found.start() :]) if found else (1, told)
            self._answer(503 if code in UNAVAILABLE else 500, told.encode(), {"X-ClickHouse-Exception-Code": str(code)})
            return
        headers = {"X-ClickHouse-Format": shape} if shape else {}
        accepted = self.headers.get("Accept-Encoding", "").split(",") if given.get("enable_http_compression") else []
        if packing := next((one.strip() for one in accepted if one.strip() in PACKINGS), None):
            answer, headers["Content-Encoding"] = PACKINGS[packing][0](answer), packing
        self._answer(200, answer, headers)

    def _form(self, body: bytes) -> dict[str, str]:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts: Any = BytesParser().parsebytes(head + body).get_payload()
        return {
            part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode()
            for part in parts
        }

    def _body(self) -> bytes:
        """All of it: what comes in part is no request."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self._read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
            chunks.append(self._read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _read(self, size: int) -> bytes:
        found = self.rfile.read(size)
        if len(found) != size:
            raise ConnectionError("the client went away")
        return found

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "X-ClickHouse-Timezone": "UTC", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tests let go of connections."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def main(directory: str, port: str) -> None:
    tempfile.tempdir = directory
    Handler.engine = Engine(f"{directory}/engine")
    server = Server(("127.0.0.1", int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
