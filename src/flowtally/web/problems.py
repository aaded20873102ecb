"""Every error as one shape: problem details (RFC 9457) with a stable `code` and the request id.

Owns the mapping from exceptions to answers. A problem never carries a trace or anything of another account; what went
wrong inside is logged under the same request id.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException

from flowtally.core import errors
from flowtally.core.media import PROBLEM
from flowtally.web.heads import allowed, method_of

# Where the layers leave things for each other in the ASGI scope.
REQUEST_ID: Final = "flowtally.request_id"
CREDENTIAL_ID: Final = "flowtally.credential_id"
ITS_SECURITY: Final = "flowtally.security"  # the security headers of an answer that has others than the usual
HELD: Final = "flowtally.held"  # an ExitStack: what is given back when the answer has been sent, or will not be

_SECRET: Final = re.compile(r"(://)[^/@\s]*@")

log = structlog.get_logger("flowtally.api")

_BY_STATUS: Final[dict[int, type[errors.FlowtallyError]]] = {
    400: errors.BadRequest,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    406: errors.NotAcceptable,
    408: errors.SlowBody,
    413: errors.TooLarge,
    415: errors.UnsupportedMedia,
    429: errors.RateLimited,
    503: errors.Unavailable,
}


def problem_type(code: str) -> str:
    return f"urn:flowtally:problem:{code}"


def problem_body(error: errors.FlowtallyError, request_id: str) -> dict[str, Any]:
    """The members of the problem document; the error's `extra` cannot replace the standard ones."""
    standard = {
        "type": problem_type(error.code),
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    return standard | {name: value for name, value in error.extra.items() if name not in standard}


def problem_headers(error: errors.FlowtallyError) -> dict[str, str]:
    """What the status obliges us to say besides the body."""
    if isinstance(error, errors.Unavailable):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, errors.RateLimited):
        return {"Retry-After": str(error.extra.get("retry_after_s", 1))}
    if isinstance(error, errors.Unauthenticated):
        return {"WWW-Authenticate": 'Bearer realm="flowtally"'}
    # The rest of a body we gave up on is still on its way: the connection cannot carry another request.
    if isinstance(error, (errors.SlowBody, errors.TooLarge)):
        return {"Connection": "close"}
    return {}


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The exception handler of the whole application."""
    known, headers = _as_ours(request, error)
    request_id = str(request.scope.get(REQUEST_ID, ""))
    return Response(
        msgspec.json.encode(problem_body(known, request_id), enc_hook=str),
        status_code=known.status,
        media_type=PROBLEM,
        headers={**headers, **problem_headers(known)},
    )


def note_store_failed(error: errors.FlowtallyError, request_id: object) -> None:
    """A line about a store that did not do what it was asked: what it said, no trace. Nothing of other errors: the
    caller is told all there is."""
    cause = error.__cause__
    if cause is None or not isinstance(error, (errors.Unavailable, errors.StoreDamaged)):
        return
    say = log.error if isinstance(error, errors.StoreDamaged) else log.warning
    say(error.code, detail=error.detail, cause=said_by(cause), request_id=request_id)


def said_by(cause: BaseException) -> str:
    """What a driver said, on one line, without the secrets of an address it may repeat."""
    own = getattr(cause, "orig", None) or cause  # without the statement that SQLAlchemy adds
    return _SECRET.sub(r"\1...@", f"{type(own).__name__}: {' '.join(str(own).split())}")


def _as_ours(request: Request[Any, Any, Any], error: Exception) -> tuple[errors.FlowtallyError, dict[str, str]]:
    if isinstance(error, errors.FlowtallyError):
        note_store_failed(error, request.scope.get(REQUEST_ID, ""))
        return error, {}
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        return _of_framework(request, error), _headers_of(error)
    if isinstance(error, MemoryError):
        log.error("out_of_memory", request_id=request.scope.get(REQUEST_ID, ""))
        return errors.Unavailable("The server has not the memory this needs now", retry_after_s=5), {}
    log.error("request_failed", request_id=request.scope.get(REQUEST_ID, ""), exc_info=error)
    return errors.FlowtallyError("Something failed inside; the log has it under this request id."), {}


def _of_framework(request: Request[Any, Any, Any], error: HTTPException) -> errors.FlowtallyError:
    kind = _BY_STATUS[error.status_code]
    if kind is errors.NotFound:
        return kind(f"Nothing is served at {request.scope['path']}.")
    if kind is errors.MethodNotAllowed:
        return kind(f"{method_of(request.scope)} is not served at {request.scope['path']}.")
    return kind(error.detail or HTTPStatus(error.status_code).phrase)


def _headers_of(error: HTTPException) -> dict[str, str]:
    found = {name.title(): value for name, value in (error.headers or {}).items()}
    if "Allow" in found:
        found["Allow"] = allowed(found["Allow"].split(", "))
    return found
