"""V2Ray and Xray: what each user's traffic stands at, from their StatsService.

It needs in their configuration: `stats`, an `api` with StatsService, `statsUserUplink` and `statsUserDownlink` in the
policy of the users' level, and an `email` (of `http` and `socks`: the `user`) for each. Counters are in memory: they
begin with the process. They are never reset here: who else reads them would miss what was taken away.

Uplink is what the user sent. `Uptime` has whole seconds, so the beginning is known to two seconds; the server takes
instants within five for one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

import httpx

from flowtally.agents.counters.grpc import NoSuchMethod, channel, fields, text_field, unary
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked, bounded, hidden
from flowtally.core.clock import now_ms
from flowtally.core.edges import format_instant

# V2Ray 5 has the service under the name of its own only; Xray kept the messages and changed the package.
PACKAGES: Final = {
    "v2ray": ("v2ray.core.app.stats.command", "xray.app.stats.command"),
    "xray": ("xray.app.stats.command", "v2ray.core.app.stats.command"),
}
PATTERN: Final = "user>>>"
_NAME: Final = re.compile(r"user>>>(.+)>>>traffic>>>(uplink|downlink)", re.DOTALL)
SLACK_MS: Final = 2_000
PROMPT_MS: Final = 1_000
TRIES: Final = 3


def running_ms() -> int:
    """As `Uptime` counts: nobody can set it, and it stands still while the machine is suspended."""
    return time.monotonic_ns() // 1_000_000


class V2Ray:
    """One V2Ray or Xray. `wall` and `elapsed` tell the time, in ms; the second one nobody can set."""

    def __init__(
        self,
        counters: Counters,
        *,
        wall: Callable[[], int] = now_ms,
        elapsed: Callable[[], int] = running_ms,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._address = counters.address
        self._packages = PACKAGES[counters.kind]
        self._timeout_s = counters.timeout_s
        self._transport = transport
        self._elapsed = elapsed
        self._beginning = ProcessStart(wall, elapsed)

    def __call__(self) -> list[Stood]:
        with channel(self._timeout_s, self._transport) as http:
            package = self._packages[0]
            try:
                before = self._uptime(http, package)
            except NoSuchMethod:
                package = self._packages[1]
                before = self._uptime(http, package)
            asked = text_field(1, PATTERN)  # `reset` left out is false
            stats = unary(http, self._address, f"{package}.StatsService/QueryStats", asked)
            sent, after = self._timed(http, package)
        if after < before:
            raise Unasked(f"{self._address} restarted while it was asked")
        return stood(stats, self._beginning(after, sent))

    def _timed(self, http: httpx.Client, package: str) -> tuple[int, int]:
        """Uptime, and when it was asked for: an answer that was long on its way says not well enough when it began."""
        for _ in range(TRIES):
            sent = self._elapsed()
            said = self._uptime(http, package)
            if self._elapsed() - sent <= PROMPT_MS:
                return sent, said
        raise Unasked(f"{self._address} took more than {PROMPT_MS} ms to say how long it runs, {TRIES} times")

    def _uptime(self, http: httpx.Client, package: str) -> int:
        return uptime(unary(http, self._address, f"{package}.StatsService/GetSysStats", b""))


class ProcessStart:
    """When a process began, from how long it says that it runs. While that grows as time passes it is the same process,
    so what was said first stands: a clock that is set between two polls must not look like a restart."""

    def __init__(self, wall: Callable[[], int], elapsed: Callable[[], int]) -> None:
        self._wall = wall
        self._elapsed = elapsed
        self._said: tuple[int, str] | None = None  # when it began by `elapsed`, and how that is called

    def __call__(self, uptime_s: int, sent: int) -> str:
        """`sent`: when it was asked, by `elapsed`."""
        began = sent - uptime_s * 1000
        if self._said is None or abs(began - self._said[0]) > SLACK_MS:
            self._said = (began, format_instant(self._wall() - (self._elapsed() - began)))
        return self._said[1]


def stood(answer: bytes, epoch: str) -> list[Stood]:
    """The users of a QueryStatsResponse. Unasked where it is none."""
    users: dict[str, list[int]] = {}
    try:
        for name, value in _stats(answer):
            if found := _NAME.fullmatch(name):
                users.setdefault(found[1], [0, 0])[found[2] == "downlink"] += value
    except ValueError as error:  # no UTF-8 is one too
        raise Unasked(f"the statistics are no message of StatsService: {error}") from None
    return bounded([Stood(name, hidden("user", name), up, down, 0, epoch) for name, (up, down) in users.items()])


def _stats(answer: bytes) -> list[tuple[str, int]]:
    """`stat`: a name and a value, which is left out where it is 0."""
    found = []
    for number, stat in fields(answer):
        if number == 1 and isinstance(stat, bytes):
            of = dict(fields(stat))
            name, value = of.get(1, b""), of.get(2, 0)
            if not isinstance(name, bytes) or not isinstance(value, int) or value >= 2**63:
                raise ValueError("a statistic has no name and value")
            found.append((name.decode(), value))
    return found


def uptime(answer: bytes) -> int:
    """The seconds that a SysStatsResponse says the process runs; left out where they are 0."""
    try:
        value = dict(fields(answer)).get(10, 0)
    except ValueError as error:
        raise Unasked(f"the system's statistics are no message of StatsService: {error}") from None
    if not isinstance(value, int):
        raise Unasked("the system's statistics have no uptime")
    return value
