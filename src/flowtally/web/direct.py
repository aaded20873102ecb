"""The direct door: what sends usage is answered before the framework, whose way to a handler costs more than the event.

Owns nothing but the way: it finds the operation by method and path and asks `operation.answer`, as the framework's
route does, and `problems.answer_problem` where that raises. Whatever is not exactly such a request goes to the
framework: another method or path, a path under a prefix, a host that it has to look at. See decision 0113.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from litestar import Response
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from flowtally.web.bodies import HeadersOnce
from flowtally.web.operation import Operation, answer
from flowtally.web.problems import answer_problem

PLAIN_HOST: Final = re.compile(rb"[A-Za-z0-9.:-]*")  # the framework has nothing to say of it


class Direct:
    """Wraps the framework. Answers those of the operations that read what is sent themselves, at a path that is one
    text."""

    def __init__(self, app: ASGIApp, operations: Iterable[Operation]) -> None:
        self._app = app
        self._found: dict[tuple[str, str], Operation] = {
            (op.method, op.path): op for op in operations if op.raw_body and "{" not in op.path
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            op = self._found.get((scope["method"], scope["path"]))
            if op is not None and not scope.get("root_path") and PLAIN_HOST.fullmatch(_host(scope)):
                await _serve(op, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _serve(op: Operation, scope: HTTPScope, receive: Receive, send: Send) -> None:
    scope["path_params"], scope["path_template"] = {}, op.path
    request = HeadersOnce(scope, receive, send)
    try:
        response = await answer(op, request)
    except Exception as error:
        response = answer_problem(request, error)
    await _send(response, send)


async def _send(response: Response[bytes], send: Send) -> None:
    """As the framework does."""
    body = response.content
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    headers += [
        (b"content-type", str(response.media_type).encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": response.status_code or 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _host(scope: HTTPScope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"host"), b"")
