"""Wire: one server and who asks it. What both clients say and hear alike: URL, headers, errors, patience.

Connection failures, time-outs and 429/502/503/504 are retried for up to `retry_s` seconds, obeying `Retry-After`.
"""

from __future__ import annotations

import logging
import math
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypedDict, TypeVar

import httpx
import msgspec
import stamina.instrumentation

from flowtally.client.call import ClientCall
from flowtally.client.errors import ApiError, Unreachable
from flowtally.core.errors import ConfigError

T = TypeVar("T")

RETRY_STATUS: Final = frozenset({429, 502, 503, 504})
RETRY_AFTER_MAX_S: Final = 30  # a server that asks for more patience is told to the user instead
REPLAYED: Final = "Idempotent-Replayed"  # the header of an answer that was given before
NO_ANSWER: Final = (httpx.TransportError, httpx.DecodingError)
_NO_RETRY: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)

_log = logging.getLogger("flowtally.client")


def _tell_retry(details: stamina.instrumentation.RetryDetails) -> None:
    _log.info("attempt %d failed, next in %.1f s: %s", details.retry_num, details.wait_for, details.caused_by)


# By default stamina announces retries through structlog on standard output, where the CLI prints JSON.
stamina.instrumentation.set_on_retry_hooks([_tell_retry])


class Patience(TypedDict):
    """How long to go on trying, in stamina's words."""

    attempts: int | None
    timeout: float | None
    wait_jitter: float


class Wire:
    """`retry_s` 0: every call is tried once. ConfigError where URL or token are of no use; it never repeats them."""

    def __init__(self, url: str, token: str | None, retry_s: float) -> None:
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigError("the token has characters that no token has (a line break or a blank?)")
        base = httpx.URL(url)
        if base.scheme not in ("http", "https") or not base.host or base.userinfo:
            raise ConfigError("the server's URL must be http://host:port or https://host:port, without a user name")
        # To read the authorities that may vouch for a server takes as long as ten requests. Over clear text there is
        # nobody to vouch for: nobody is trusted.
        self.verify = True if base.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._token = token or ""
        self.patience: Patience = (
            {"attempts": None, "timeout": retry_s, "wait_jitter": 0.2}
            if retry_s
            else {"attempts": 1, "timeout": None, "wait_jitter": 0.2}
        )
        self.base = str(base).rstrip("/")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, http: httpx.Client | httpx.AsyncClient, call: ClientCall[Any]) -> httpx.Request:
        url = self.base + call.path
        timeout = httpx.USE_CLIENT_DEFAULT if call.timeout_s is None else call.timeout_s
        return http.build_request(
            call.method, url, params=call.query or None, content=call.content, headers=call.headers, timeout=timeout
        )

    def answer(self, call: ClientCall[T], response: httpx.Response) -> T:
        """The typed answer, or the ApiError the server meant."""
        self.check(response)
        return call.read(response.content, response.status_code)

    def check(self, response: httpx.Response) -> None:
        """The ApiError the server meant, if it is not a good answer; its body must have been read."""
        if not response.is_success:
            raise self._error(response)

    def unreachable(self, error: Exception) -> Unreachable:
        return self._lost("does not answer", error)

    def broken_off(self, error: Exception) -> Unreachable:
        return self._lost("broke its answer off", error)

    def _lost(self, what: str, error: Exception) -> Unreachable:
        return Unreachable(self._clean(f"{self.base} {what}: {type(error).__name__} {error}".rstrip()))

    def _error(self, response: httpx.Response) -> ApiError:
        try:
            problem = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.DecodeError:
            problem = {}  # a proxy in between answers in HTML; its page helps nobody
        detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
        code = str(problem.get("code") or f"http_{response.status_code}")
        error = ApiError(code, response.status_code, self._clean(detail), problem)
        error.retry_after_s = retry_after_s(response.headers.get("Retry-After", ""), time.time())
        return error

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "[token]") if self._token else text


def retry_after_s(text: str, now_s: float) -> int | None:
    """The `Retry-After` header (RFC 9110, 10.2.3) in seconds: a number of them or a date; None if it is neither."""
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        return max(0, math.ceil(parsedate_to_datetime(text).timestamp() - now_s))
    except (ValueError, TypeError, OverflowError):
        return None


def pause_s(error: Exception) -> bool | float:
    """stamina's question: retry after this error, and after how long (True: its own back-off)?"""
    if isinstance(error, NO_ANSWER):
        return not isinstance(error, _NO_RETRY)
    if not isinstance(error, ApiError) or error.status not in RETRY_STATUS:
        return False
    if error.retry_after_s is None:
        return True
    return float(error.retry_after_s) if error.retry_after_s <= RETRY_AFTER_MAX_S else False
