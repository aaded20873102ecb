"""A server that does nothing: the same framework under the same HTTP server with the same settings as ours.

`POST /noop` reads the body and answers a small JSON document; `GET /noop` answers it. No credential, no log line, no
database: what is left is what a request costs before any work.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Request, Response, get, post

from flowtally import server

ANSWER = msgspec.json.encode({"stored": 0, "duplicate": 0, "conflict": 0, "refused": 0, "receipts": []})


@post("/noop", status_code=200)
async def take(request: Request[Any, Any, Any]) -> Response[bytes]:
    await request.body()
    return Response(ANSWER, media_type="application/json")


@get("/noop")
async def give() -> Response[bytes]:
    return Response(ANSWER, media_type="application/json")


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    app = Litestar([take, give], openapi_config=None, logging_config=None, request_max_body_size=None)
    with server.bind("127.0.0.1", 0) as listener:
        # The private function on purpose: exactly the server that `flowtally serve` runs, whatever becomes of it.
        asyncio.run(server._serve(app, listener, lambda url: print(f'{{"url":"{url}"}}', flush=True)))


if __name__ == "__main__":
    main()
