"""One attempt: a message to a URL, once, within its time, and what came of it.

Owns the request and the reading of the answer. Redirects are not followed, no proxy is used, and of
an answer the first bytes are read; all of it together ends after one deadline.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Final

import httpcore
import httpx
import msgspec

from flowtally.alerts.places import Network, Reaching
from flowtally.core.times import DAY_S
from flowtally.ledger.messages.deliveries import Attempt
from flowtally.providers.connecting import LookUp, OffLimits, Waiting, look_up

DEADLINE_S: Final = 15.0  # of all of it together
MAX_ANSWER: Final = 64 * 1024  # bytes that are read
SHOWN: Final = 1_024  # bytes of them that are kept, for who may see them
MAX_HOLD_S: Final = float(DAY_S)
_LATER: Final = frozenset({429, 502, 503, 504})
_FAILURES: Final = (
    *(httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ReadError, httpcore.ReadTimeout),
    *(httpcore.WriteError, httpcore.WriteTimeout, httpcore.RemoteProtocolError, httpcore.LocalProtocolError),
    *(httpcore.PoolTimeout, httpcore.UnsupportedProtocol, httpcore.ProxyError, OSError),
)


class Answer(msgspec.Struct, frozen=True):
    """attempt: What is kept of it. body: The beginning of what came: never for who only typed the URL."""

    attempt: Attempt
    body: bytes = b""


class MessageSender:
    """Safe to use from any thread. `opened`: networks that the operator's own webhooks may be in, too. `stop`: when it
    is set each attempt ends in ServerStops."""

    def __init__(
        self,
        opened: Sequence[Network] = (),
        *,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        look_up: LookUp = look_up,
        context: ssl.SSLContext | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._opened = opened
        self._stop = stop or threading.Event()
        self._clock = clock
        self._look_up = look_up
        self._context = context
        self._deadline_s = deadline_s

    def send(self, url: str, headers: Mapping[str, str], body: bytes, *, whole: bool) -> Answer:
        """`whole`: it is the operator's. Raises ServerStops."""
        began = self._clock()
        try:
            status, answered, found = self._exchange(httpx.URL(url), headers, body, whole=whole)
        except OffLimits as error:
            return Answer(Attempt(False, None, str(error), self._since(began)))
        except _FAILURES as error:
            # Where somebody looks from outside, what a port of some machine answered is not told to the letter.
            return Answer(Attempt(False, None, f"no answer: {type(error).__name__}", self._since(began)))
        good = 200 <= status < 300
        detail = "" if good else f"HTTP {status}"
        hold_s = _retry_after_s(answered) if status in _LATER else None
        return Answer(Attempt(good, status, detail, self._since(began), hold_s), found[:SHOWN])

    def _exchange(
        self, url: httpx.URL, headers: Mapping[str, str], body: bytes, *, whole: bool
    ) -> tuple[int, dict[str, str], bytes]:
        waiting = Waiting(self._stop, self._clock)
        waiting.begin(self._deadline_s)
        plain = url.scheme == "http"
        opened = self._opened if whole else ()
        pool = httpcore.ConnectionPool(
            ssl_context=None if plain else self._context or _context(),
            max_connections=1,
            network_backend=Reaching(waiting, opened, plain=plain, look_up=self._look_up),
        )
        sent: dict[bytes | str, bytes | str] = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": "flowtally",
            "Connection": "close",
        }
        sent.update(headers)
        core = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        with pool, pool.stream("POST", core, headers=sent, content=body) as response:
            found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            return response.status, found, _read(response)

    def _since(self, began: float) -> int:
        return int((self._clock() - began) * 1000)


def _read(response: httpcore.Response) -> bytes:
    """As much as is wanted. The status says what came of it, so one who breaks off, or never ends, changes nothing."""
    got = bytearray()
    try:
        for piece in response.iter_stream():
            got += piece
            if len(got) >= MAX_ANSWER:
                break
    except _FAILURES:
        pass
    return bytes(got[:MAX_ANSWER])


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), MAX_HOLD_S)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, min(wait_s, MAX_HOLD_S))


@cache
def _context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
