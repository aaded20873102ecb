"""The only way out to a vendor: one provider's calls, bounded in time, size, number and in where they may go.

Owns the connection, the pace, what is tried again and when, and that nothing secret is in what is told of a call.
Leaves what answers mean to the pullers, and which addresses may be reached to `connecting`.

Over httpcore and with waits of its own, not over httpx and stamina: docs/decisions/0118.
"""

from __future__ import annotations

import random
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Final, NoReturn, TypeVar
from urllib.parse import urlencode

import httpcore
import httpx
import msgspec

from flowtally.client.wire import retry_after_s
from flowtally.core.media import FORM
from flowtally.core.reported import Statement, Unsayable, UseSaid, check_said
from flowtally.core.texts import printable
from flowtally.core.unshown import repr_without
from flowtally.providers.connecting import Connecting, LookUp, OffLimits, ServerStops, Waiting, look_up
from flowtally.providers.hiding import Secrets
from flowtally.providers.puller import (
    MAX_ANSWER,
    MAX_SAMPLE,
    AskVendor,
    ChangedShape,
    Denied,
    Failed,
    Limited,
    Pace,
    Puller,
    Sight,
    ToPull,
    VendorAnswer,
    VendorFault,
)

T = TypeVar("T")

MAX_PATIENCE_S: Final = 120  # a vendor that wants to be asked later than that is asked at a later pull
MAX_SHOWN: Final = 1000  # characters of what went wrong
_JITTER: Final = 0.25  # how much longer a pause may be, so that two installations do not ask in step for ever
_ACCEPTED: Final = "gzip"
_NO_ANSWER: Final = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)
_UNSENT: Final = (httpcore.ConnectError, httpcore.ConnectTimeout)


class Bounds(msgspec.Struct, frozen=True):
    """Of one call, without the pauses between its tries: seconds, and bytes of an answer, also when it is expanded.
    `whole_s`: of all calls of a client together, pauses included; None: they may take as long as they do."""

    connect_s: float = 10.0
    read_s: float = 30.0
    total_s: float = 90.0
    answer_bytes: int = MAX_ANSWER
    whole_s: float | None = None


USUAL: Final = Bounds()


class _CutOff(Exception):
    """The answer ended before its end."""


class _Request(msgspec.Struct, frozen=True):
    """`told`: what people may read of it."""

    method: str
    url: httpx.URL
    headers: list[tuple[bytes, bytes]]
    content: bytes | None
    told: str

    def __repr__(self) -> str:
        return repr_without(self, "url", "headers", "content")


def check_base_url(text: str, *, plain: bool = False) -> httpx.URL:
    """The address of a vendor's API. ValueError, without what may be secret in it, where it is none to be asked."""
    try:
        url = httpx.URL(text.rstrip("/"))
    except (httpx.InvalidURL, TypeError, ValueError):
        raise ValueError("the address cannot be read") from None
    if url.scheme != "https" and not (plain and url.scheme == "http"):
        raise ValueError("the address must begin with https://" + (" or http://" if plain else ""))
    if not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("the address must be a host and a path, without a user, a query or a fragment")
    return url


class SharedPace:
    """When one provider may be asked again, whoever asks: all calls with its secrets keep one pace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_at = float("-inf")

    def take(self, now: float, between_s: float) -> float:
        """Seconds until a turn, which is the caller's."""
        with self._lock:
            at = max(now, self._next_at)
            self._next_at = at + between_s
        return at - now


class VendorClient:
    """`ask` for the pullers, of one provider. `plain`: without TLS, too; `private`: also where only this machine or its
    networks are. Each of them only where an administrator has set the address. Not for two threads at once.

    secrets: Values that no error shows, in any spelling.
    stop: When it is set every wait ends in ServerStops.
    wait: Waits so many seconds, True if the server stops: the event's own, or a test's.
    shared: The pace of all who ask with the same secrets.
    calls: How many requests were made, with those that were tried again.
    """

    def __init__(
        self,
        base_url: str,
        pace: Pace,
        secrets: Collection[str] = (),
        *,
        plain: bool = False,
        private: bool = False,
        bounds: Bounds = USUAL,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
        chance: Callable[[], float] = random.random,
        look_up: LookUp = look_up,
        shared: SharedPace | None = None,
    ) -> None:
        self._base = check_base_url(base_url, plain=plain)
        self._pace = pace
        self._secrets = Secrets(secrets)
        self._bounds = bounds
        self._clock = clock
        stopping = stop or threading.Event()
        self._wait = wait or stopping.wait
        self._chance = chance
        self._over_at = float("inf") if bounds.whole_s is None else clock() + bounds.whole_s
        self._shared = shared or SharedPace()
        self.calls = 0
        self._last: VendorAnswer | None = None
        self._waiting = Waiting(stopping)
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context() if self._base.scheme == "https" else None,
            max_connections=1,
            keepalive_expiry=30,
            network_backend=Connecting(self._waiting, private=private, look_up=look_up),
        )

    def __enter__(self) -> VendorClient:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.close()

    def check(self, puller: Puller, to_pull: ToPull) -> Sight:
        """What the secrets can see. What is told or raised shows none of them."""
        with self._for_people():
            sight = puller.check(self, to_pull)
        return Sight(tuple(map(self._shown, sight.works)), tuple(map(self._shown, sight.cannot)))

    def pull(self, puller: Puller, to_pull: ToPull) -> Iterator[Statement]:
        """All statements, one at a time. What is raised shows no secret."""
        with self._for_people():
            for one in puller.pull(self, to_pull):
                yield self._checked(one)

    def asked(self, work: Callable[[AskVendor], T]) -> T:
        """What this makes of asking. What is raised shows no secret."""
        with self._for_people():
            return work(self)

    def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] = {},
        form: Mapping[str, str] | None = None,
        safe: bool = False,
        again: Callable[[VendorAnswer], float | None] | None = None,
    ) -> VendorAnswer:
        request = self._request(method, path, query, headers, form)
        repeatable = safe or method == "GET"
        for pause_s in (*self._pace.pauses_s, None):  # None: it is the last try
            self._keep_pace()
            try:
                answer = self._attempt(request)
            except (*_NO_ANSWER, _CutOff) as error:
                if pause_s is None or not (repeatable or isinstance(error, _UNSENT)):
                    self._no_answer(request, error)
                self._pause(pause_s)
                continue
            after_s = _later_s(answer, again)
            if after_s is None or pause_s is None or after_s > MAX_PATIENCE_S or not repeatable:
                return self._final(request, answer)
            self._pause(max(pause_s, after_s))
        raise AssertionError("the last try returns or raises")

    def scrub(self, text: str) -> str:
        """The text without secrets."""
        return self._secrets.hide(text)

    # -- One call ------------------------------------------------------------------------------------------------------

    def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
    ) -> _Request:
        assert path.startswith("/"), "a path is joined to the base URL"
        assert not set("?#\\") & set(path), "what is asked stands in `query`"
        url = httpx.URL(f"{self._base}{path}")
        told = f"{method} {url}"
        if query:
            url = url.copy_merge_params(list(query))
        content = None if form is None else urlencode(form).encode()
        sent = {"Accept": "application/json", "Accept-Encoding": _ACCEPTED, "User-Agent": "flowtally"}
        if content is not None:
            sent["Content-Type"] = FORM
        return _Request(method, url, _as_sent({**sent, **headers}), content, self.scrub(told))

    def _attempt(self, request: _Request) -> VendorAnswer:
        """ChangedShape for what must not be followed or does not end."""
        self.calls += 1
        self._waiting.begin(min(self._bounds.total_s, self._left_s()))
        try:
            return self._exchange(request)
        except OffLimits as error:
            raise OffLimits(f"{request.told} cannot be asked: {error}") from None

    def _exchange(self, request: _Request) -> VendorAnswer:
        bounds = self._bounds
        timeouts = {"connect": bounds.connect_s, "read": bounds.read_s, "write": bounds.read_s, "pool": bounds.read_s}
        with self._pool.stream(
            request.method,
            _as_core(request.url),
            headers=request.headers,
            content=request.content,
            extensions={"timeout": timeouts},
        ) as response:
            headers = _read_headers(response.headers)
            if not 200 <= response.status < 300 and response.status < 400:
                raise ChangedShape(f"{request.told}: HTTP {response.status}{self._elsewhere(request, headers)}")
            body = self._read(request, response, headers.get("content-encoding", ""))
        self._last = VendorAnswer(response.status, headers, body, self.scrub)
        return self._last

    def _read(self, request: _Request, response: httpcore.Response, encoding: str) -> bytes:
        got = bytearray()
        for piece in response.iter_stream():
            got += piece
            if len(got) > self._bounds.answer_bytes:
                self._too_long(request, bytes(got))
        if encoding.strip().lower() in ("", "identity") or not got:
            return bytes(got)
        if encoding.strip().lower() not in ("gzip", "x-gzip"):
            written = self.scrub(encoding)[:40]
            raise ChangedShape(f"{request.told}: the answer is written as {written}, which was not asked for")
        return self._expand(request, bytes(got))

    def _expand(self, request: _Request, body: bytes) -> bytes:
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            found = reader.decompress(body, self._bounds.answer_bytes + 1)
        except zlib.error as error:
            raise _CutOff(f"it is no gzip: {error}") from None
        if len(found) > self._bounds.answer_bytes:
            self._too_long(request, found)
        if not reader.eof:
            raise _CutOff("it ends before its end")
        return found

    def _too_long(self, request: _Request, so_far: bytes) -> NoReturn:
        sample = VendorAnswer(200, {}, so_far, self.scrub).text
        raise ChangedShape(f"{request.told}: the answer is longer than {self._bounds.answer_bytes} bytes", sample)

    def _elsewhere(self, request: _Request, headers: Mapping[str, str]) -> str:
        """Where a redirect goes, without what may be secret there: query, fragment and user."""
        if not (location := headers.get("location", "")):
            return ", which is no answer"
        try:
            target = request.url.join(location).copy_with(query=None, fragment=None, userinfo=b"")
        except (httpx.InvalidURL, UnicodeError, ValueError):
            return " to somewhere, which is not followed"
        return f" to {self.scrub(str(target))[:MAX_SAMPLE]}, which is not followed"

    # -- What becomes of it --------------------------------------------------------------------------------------------

    def _final(self, request: _Request, answer: VendorAnswer) -> VendorAnswer:
        if answer.status < 500 and answer.status != 429:
            return answer
        told = f"{request.told}: HTTP {answer.status}: {answer.text[:MAX_SAMPLE]}"
        if answer.status == 429:
            raise Limited(told, _retry_after_s(answer))
        raise Failed(told)

    def _no_answer(self, request: _Request, error: Exception) -> NoReturn:
        kind = type(error).__name__.lstrip("_")
        raise Failed(self.scrub(f"{request.told} was not answered: {kind} {error}".rstrip())) from None

    # -- When ----------------------------------------------------------------------------------------------------------

    def _keep_pace(self) -> None:
        self._sleep(self._shared.take(self._clock(), self._pace.between_s))

    def _pause(self, seconds: float) -> None:
        self._sleep(seconds * (1 + _JITTER * self._chance()))

    def _sleep(self, seconds: float) -> None:
        if self._left_s() <= seconds:
            raise Failed(f"it takes longer than {self._bounds.whole_s:g} s, and is asked no further")
        if self._wait(seconds):
            raise ServerStops

    def _left_s(self) -> float:
        return self._over_at - self._clock()

    @contextmanager
    def _for_people(self) -> Iterator[None]:
        """Pullers tell what a vendor said, and vendors repeat what they were sent, or send what no terminal should see
        and no store can keep."""
        try:
            yield
        except VendorFault as error:
            error.args = (self._shown(str(error)),)
            if isinstance(error, ChangedShape):
                error.sample = printable(self._secrets.hide_cut(error.sample), MAX_SAMPLE)
            raise error from None

    def _checked(self, said: Statement) -> Statement:
        """ChangedShape for what no series can hold, with the answer that came last."""
        if not isinstance(said, UseSaid):
            return said
        try:
            check_said(said)
        except Unsayable as error:
            raise ChangedShape(str(error), "" if self._last is None else self._last.text) from None
        return msgspec.structs.replace(said, doubts=tuple(map(self._shown, said.doubts)))

    def _shown(self, text: str) -> str:
        return printable(self.scrub(text), MAX_SHOWN)


def _later_s(answer: VendorAnswer, again: Callable[[VendorAnswer], float | None] | None) -> float | None:
    """After how many seconds it is worth asking again; None: what came is the answer. `again` may raise."""
    after_s = again(answer) if again is not None else None
    if after_s is None and answer.status != 429 and answer.status < 500:
        return None
    return max(after_s or 0.0, _retry_after_s(answer) or 0.0)


def _retry_after_s(answer: VendorAnswer) -> float | None:
    """By the vendor's own clock, where it tells it: ours may be another."""
    try:
        now_s = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        now_s = time.time()
    return retry_after_s(answer.headers.get("retry-after", ""), now_s)


def _as_core(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _as_sent(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Denied for a value that no header can hold: it is a secret that was pasted with something else in it."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise Denied(
                f"what is to be sent as {name} holds characters that no header can: blanks around it, or others"
            )
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _read_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
