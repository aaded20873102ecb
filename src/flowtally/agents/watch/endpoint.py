"""Where Prometheus asks: `/metrics` and `/healthz` over plain HTTP, from a thread of its own, one question at a time.

`/healthz` is 200 while the loop turns, whatever the server says; an agent that hangs gives 503. Nothing in it is a
secret, but who is metered can be guessed from names of logs: it binds where it is told, usually to 127.0.0.1.
"""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from socket import AF_INET, AF_INET6
from typing import Any, Final

from flowtally.agents.watch.metrics import MEDIA_TYPE, MetricsSnapshot, empty, shown

HUNG_S: Final = 30.0
_SLOW_S: Final = 5  # for who asks and does not go on
_ENDS_S: Final = 0.2  # at most until the thread hears that it is closed


class Endpoint:
    """Bound when made: OSError where the address is taken. `snapshot` is replaced whole, by the loop."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.snapshot: MetricsSnapshot = empty()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            timeout = _SLOW_S
            server_version = "flowtally"
            sys_version = ""

            def do_GET(self) -> None:
                status, media_type, body = endpoint.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Who asks is no news."""

        class Server(HTTPServer):
            address_family = AF_INET6 if ":" in address[0] else AF_INET

            def handle_error(self, *_: Any) -> None:
                """Who asked is gone, or said what is no HTTP."""

        self._server = Server(address, Handler)
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(_ENDS_S,), name="metrics", daemon=True).start()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, media type and body."""
        path = path.partition("?")[0]
        snapshot = self.snapshot
        if path == "/metrics":
            return 200, MEDIA_TYPE, shown(snapshot)
        if path == "/healthz":
            hung = time.time() - snapshot.at > HUNG_S
            return (503, "text/plain", b"hung\n") if hung else (200, "text/plain", b"ok\n")
        return 404, "text/plain", b"/metrics or /healthz\n"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
