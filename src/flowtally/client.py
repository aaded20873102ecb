"""The HTTP client of our own API, simple and synchronous: typed answers, retries, one error class.

Every call can be repeated: reads change nothing, numbered and named events count once, and every other write carries
an `Idempotency-Key` made once per call. So connection failures, time-outs and 429/502/503/504 are retried for up to
`retry_s` seconds, obeying `Retry-After`. Named events must have their own `id` from the caller for that to hold.
Used by `agents/` and `cli/`; the buffered asynchronous client of applications is another thing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Generic, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import quote

import httpx
import msgspec
import stamina
import stamina.instrumentation
import uuid_utils
import zstandard

from flowtally import protocol as p
from flowtally.errors import ConfigError, FlowtallyError

T = TypeVar("T")
Query = dict[str, str | list[str]]

RETRY_STATUS: Final = frozenset({429, 502, 503, 504})
RETRY_AFTER_MAX_S: Final = 30  # a server that asks for more patience is told to the user instead
_COMPRESS_FROM_BYTES: Final = 1024
_NO_RETRY: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)

_log = logging.getLogger(__name__)


def _tell_retry(details: stamina.instrumentation.RetryDetails) -> None:
    _log.info("attempt %d failed, next in %.1f s: %s", details.retry_num, details.wait_for, details.caused_by)


# By default stamina announces retries through structlog on standard output, where the CLI prints JSON.
stamina.instrumentation.set_on_retry_hooks([_tell_retry])


class ApiError(FlowtallyError):
    """The server's refusal. `problem` holds all members of the problem document; no text of it holds a secret."""

    def __init__(self, code: str, status: int, detail: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.problem = problem or {}
        self.retry_after_s: int | None = None

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})"


class Unreachable(ApiError):
    """There was no answer, also not after retrying."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreachable", 0, detail)


class UsageQuestion(TypedDict, total=False):
    """`start` and `end` (excluded) are dates or RFC 3339; `by` any of user, product, status, source, label:<name>."""

    start: str | None
    end: str | None
    tz: str | None
    bucket: p.Bucket
    by: Iterable[str]
    users: Iterable[str]
    products: Iterable[str]
    series: str
    fill: Literal["zero", "none"]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A page of a list, its items typed."""

    items: list[T]
    next: str | None = None


class _Patience(TypedDict):
    attempts: int | None
    timeout: float | None


class Client:
    """`retry_s` 0: every call is tried once. `transport` is the seam of httpx: a MockTransport, or the app itself."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 30,
        retry_s: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigError("the token has characters that no token has (a line break or a blank?)")
        base = httpx.URL(url)
        if base.scheme not in ("http", "https") or not base.host or base.userinfo:
            raise ConfigError("the server's URL must be http://host:port or https://host:port, without a user name")
        self._token = token or ""
        self._base = str(base).rstrip("/")
        self._patience: _Patience = (
            {"attempts": None, "timeout": retry_s} if retry_s else {"attempts": 1, "timeout": None}
        )
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(timeout=timeout_s, headers=headers, transport=transport)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # ── the server

    def healthy(self) -> bool:
        """Whether the process answers; not retried."""
        return self._is_ok("/healthz")

    def ready(self) -> bool:
        """Whether it takes writes; not retried."""
        return self._is_ok("/readyz")

    # ── usage in

    def send_events(
        self, events: Iterable[p.PlainEvent] | bytes, *, atomic: bool = False, all_receipts: bool = False
    ) -> p.EventsAnswer:
        """Send at most 100,000 events as one request; bytes are taken as NDJSON as they are."""
        body = events if isinstance(events, bytes) else msgspec.json.Encoder().encode_lines(events)
        query: Query = {}
        if atomic:
            query["atomic"] = "true"
        if all_receipts:
            query["receipts"] = "all"
        return self._ask("POST", "/v1/events", p.EventsAnswer, query, body=body, media_type="application/x-ndjson")

    def event(self, source: str, id: str) -> p.EventAnswer:
        return self._ask("GET", "/v1/events", p.EventAnswer, {"source": source, "id": id})

    def source(self, source: str) -> p.SourceAnswer:
        """Where a numbered source stands."""
        return self._ask("GET", "/v1/sources", p.SourceAnswer, {"source": source})

    # ── questions

    def usage(self, account: str, **question: Unpack[UsageQuestion]) -> p.UsageAnswer:
        """What the account used, over a calendar."""
        return self._ask("GET", f"/v1/accounts/{_path(account)}/usage", p.UsageAnswer, _usage_query(question))

    def usage_csv(self, account: str, **question: Unpack[UsageQuestion]) -> bytes:
        """The same answer as CSV, as the server wrote it."""
        query, headers = _usage_query(question), {"Accept": "text/csv"}
        path = f"/v1/accounts/{_path(account)}/usage"
        return self._with_retries(lambda: self._send("GET", path, query, headers=headers)).content

    def balance(self, account: str, at: str | None = None) -> p.BalanceAnswer:
        return self._ask("GET", f"/v1/accounts/{_path(account)}/balance", p.BalanceAnswer, {"at": at} if at else {})

    # ── accounts, users, grants

    def create_account(self, request: p.AccountRequest) -> p.AccountAnswer:
        return self._write("POST", "/v1/accounts", p.AccountAnswer, request)

    def account(self, account: str) -> p.AccountAnswer:
        return self._ask("GET", f"/v1/accounts/{_path(account)}", p.AccountAnswer)

    def accounts(self) -> Iterator[p.AccountAnswer]:
        return self._pages("/v1/accounts", Page[p.AccountAnswer])

    def change_account(self, account: str, change: p.AccountChange) -> p.AccountAnswer:
        given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
        return self._write("PATCH", f"/v1/accounts/{_path(account)}", p.AccountAnswer, given)

    def users(self, account: str) -> Iterator[p.UserAnswer]:
        return self._pages(f"/v1/accounts/{_path(account)}/users", Page[p.UserAnswer])

    def give_grant(self, account: str, request: p.GrantRequest) -> p.GrantAnswer:
        return self._write("POST", f"/v1/accounts/{_path(account)}/grants", p.GrantAnswer, request)

    def grant(self, account: str, grant: str) -> p.GrantAnswer:
        return self._ask("GET", f"/v1/accounts/{_path(account)}/grants/{_path(grant)}", p.GrantAnswer)

    def grants(self, account: str) -> Iterator[p.GrantAnswer]:
        return self._pages(f"/v1/accounts/{_path(account)}/grants", Page[p.GrantAnswer])

    def void_grant(self, account: str, grant: str) -> p.GrantAnswer:
        return self._write("POST", f"/v1/accounts/{_path(account)}/grants/{_path(grant)}/void", p.GrantAnswer)

    # ── credentials: of an account, or (account None) of the operator

    def create_credential(self, account: str | None, request: p.CredentialRequest) -> p.CredentialAnswer:
        """The answer is the only one that ever holds `token` and `key`."""
        return self._write("POST", _credentials(account), p.CredentialAnswer, request)

    def credential(self, id: str) -> p.CredentialAnswer:
        return self._ask("GET", f"/v1/credentials/{_path(id)}", p.CredentialAnswer)

    def credentials(self, account: str | None = None) -> Iterator[p.CredentialAnswer]:
        return self._pages(_credentials(account), Page[p.CredentialAnswer])

    def revoke_credential(self, id: str, account: str | None = None) -> p.CredentialAnswer:
        """Takes effect at once. An admin needs no `account`."""
        return self._write("POST", f"{_credentials(account)}/{_path(id)}/revoke", p.CredentialAnswer)

    # ── pools and products

    def pools(self) -> Iterator[p.PoolAnswer]:
        return self._pages("/v1/pools", Page[p.PoolAnswer])

    def create_pool(self, pool: str, request: p.PoolRequest) -> p.PoolAnswer:
        return self._write("PUT", f"/v1/pools/{_path(pool)}", p.PoolAnswer, request)

    def products(self) -> Iterator[p.ProductAnswer]:
        return self._pages("/v1/products", Page[p.ProductAnswer])

    def map_product(self, product: str, request: p.ProductRequest) -> p.ProductAnswer:
        return self._write("PUT", f"/v1/products/{_path(product)}", p.ProductAnswer, request)

    # ── how

    def _write(self, method: str, path: str, answer: type[T], request: object = None) -> T:
        return self._ask(method, path, answer, body=b"" if request is None else msgspec.json.encode(request))

    def _pages(self, path: str, page: type[Page[T]]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            got = self._ask("GET", path, page, {"cursor": cursor} if cursor else {})
            yield from got.items
            if got.next is None or got.next == cursor:
                return
            cursor = got.next

    def _ask(
        self, method: str, path: str, answer: type[T], query: Query | None = None, *, body: bytes | None = None,
        media_type: str = "application/json",
    ) -> T:  # fmt: skip
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Idempotency-Key"] = str(uuid_utils.uuid7())  # one per call, the same in every attempt
        if body:
            headers["Content-Type"] = media_type
            body = _compressed(body, headers)
        response = self._with_retries(lambda: self._send(method, path, query, body=body, headers=headers))
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            detail = f"{method} {path}: the server's answer is not the expected {answer.__name__}: {error}"
            raise ApiError("unexpected_answer", response.status_code, detail) from None

    def _with_retries(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            for attempt in stamina.retry_context(on=_pause_s, wait_jitter=0.2, **self._patience):
                with attempt:
                    return send()
        except httpx.TransportError as error:
            detail = f"{self._base} does not answer: {type(error).__name__} {error}".rstrip()
            raise Unreachable(self._clean(detail)) from None
        raise AssertionError("the last attempt returns or raises")

    def _send(
        self, method: str, path: str, query: Query | None = None, *, body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:  # fmt: skip
        response = self._http.request(method, self._base + path, params=query or None, content=body, headers=headers)
        if response.is_success:
            return response
        raise self._error(response)

    def _error(self, response: httpx.Response) -> ApiError:
        try:
            problem = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.DecodeError:
            problem = {}  # a proxy in between answers in HTML; its page helps nobody
        detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
        code = str(problem.get("code") or f"http_{response.status_code}")
        error = ApiError(code, response.status_code, self._clean(detail), problem)
        wait = response.headers.get("Retry-After", "")
        error.retry_after_s = int(wait) if wait.isascii() and wait.isdigit() else None
        return error

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "[token]") if self._token else text

    def _is_ok(self, path: str) -> bool:
        try:
            return self._http.get(self._base + path).is_success
        except httpx.TransportError:
            return False


def _pause_s(error: Exception) -> bool | float:
    """stamina's question: retry after this error, and after how long (True: its own back-off)?"""
    if isinstance(error, httpx.TransportError):
        return not isinstance(error, _NO_RETRY)
    if not isinstance(error, ApiError) or error.status not in RETRY_STATUS:
        return False
    if error.retry_after_s is None:
        return True
    return float(error.retry_after_s) if error.retry_after_s <= RETRY_AFTER_MAX_S else False


def _compressed(body: bytes, headers: dict[str, str]) -> bytes:
    if len(body) < _COMPRESS_FROM_BYTES:
        return body
    headers["Content-Encoding"] = "zstd"
    return zstandard.ZstdCompressor(level=3).compress(body)


def _path(name: str) -> str:
    """One path segment. Dots are written out too, because `.` and `..` alone would name another resource."""
    return quote(name, safe="").replace(".", "%2E") if set(name) == {"."} else quote(name, safe="")


def _credentials(account: str | None) -> str:
    return "/v1/credentials" if account is None else f"/v1/accounts/{_path(account)}/credentials"


def _usage_query(question: UsageQuestion) -> Query:
    """The question in the API's words; lists become repeated parameters, what is not said is left out."""
    words = {"start": "from", "end": "to", "users": "user", "products": "product"}
    query: Query = {}
    for name, value in question.items():
        if isinstance(value, str):
            query[words.get(name, name)] = value
        elif isinstance(value, Iterable) and (values := list(value)):
            query[words.get(name, name)] = values
    return query
