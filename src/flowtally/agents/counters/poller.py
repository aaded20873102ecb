"""Poller: asks one program again and again, and sends what its counters stand at.

    poller = Poller(client, read_counters(table), host)
    while True: if poller.due(): poller.poll()

It keeps nothing that a restart would need. Whoever runs it calls `poll` from one thread; it ends within the time-outs
of the program and of the client, and raises for nothing that the program or the server may say: that is in what it
answers.

A counter that the server does not know yet counts from where it stands, unless the program was read before: by whoever,
where the server knows the source, or by this poller, though there was nothing to send. Then this counter was not there,
and all of it is new.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from flowtally.agents.counters.haproxy import HAProxy
from flowtally.agents.counters.naming import Naming
from flowtally.agents.counters.nftables import Nftables
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked
from flowtally.agents.counters.v2ray import V2Ray
from flowtally.client import ApiError, Client
from flowtally.clock import elapsed_ms, now_ms
from flowtally.edges import format_instant
from flowtally.errors import FlowtallyError
from flowtally.events import MAX_QUANTITY
from flowtally.readings import MAX_READINGS, Reading
from flowtally.texts import printable

KINDS: Final[dict[str, Callable[[Counters], Callable[[], list[Stood]]]]] = {
    "v2ray": V2Ray,
    "xray": V2Ray,
    "haproxy": HAProxy,
    "nftables": Nftables,
}
LONGEST_PAUSE_S: Final = 300  # after failures that follow one another
SILENCE_S: Final = 60  # a shorter pause between two readings is none that anybody need be told of


class Polled(msgspec.Struct, frozen=True):
    """What a poll came to. `nobodys`: counters whose names say no account, `reason` of the first that was refused.
    `restarted`: the program is another than at the poll before, and what it counted after that is gone with it, of
    counters that were never read too. `error`: why it was broken off."""

    counters: int = 0
    nobodys: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: int = 0
    reason: str = ""
    restarted: bool = False
    error: str = ""


class Poller:
    """One `[[counters]]`. `ask` and the clocks (ms) are seams."""

    def __init__(
        self,
        client: Client,
        counters: Counters,
        host: str,
        *,
        ask: Callable[[], list[Stood]] | None = None,
        wall: Callable[[], int] = now_ms,
        elapsed: Callable[[], int] = elapsed_ms,
    ) -> None:
        self.source = counters.source or f"agent:{host}:{counters.name}"
        self.counters = counters
        self._client = client
        self._naming = Naming(counters)
        self._ask = ask or KINDS[counters.kind](counters)
        self._wall = wall
        self._elapsed = elapsed
        self._next_at = elapsed()
        self._failures = 0
        self._known = False  # whether the program was read before
        self._began = ""  # the program that was read last

    def due(self) -> bool:
        return self._elapsed() >= self._next_at

    @property
    def wait_s(self) -> float:
        """Seconds until it is due."""
        return max(0.0, (self._next_at - self._elapsed()) / 1000)

    def poll(self) -> Polled:
        """Ask, and send. Nothing that is said in vain is lost: the next reading has it."""
        begun = self._elapsed()
        try:
            done = self._polled()
        except (Unasked, FlowtallyError, ApiError) as error:
            done = Polled(error=printable(str(error), 500))
        self._failures = self._failures + 1 if done.error else 0
        self._next_at = begun + int(self._pause_s() * 1000)
        return done

    def look(self) -> list[tuple[Stood, Reading | None]]:
        """What would be sent now, and None for what is nobody's. Unasked."""
        at = self._wall()
        return [(one, self._reading(one, at, from_zero=False)) for one in self._ask()]

    def _polled(self) -> Polled:
        # Asked before the program: a source that is made meanwhile has a reading of another poller, not an older one.
        known = self._known or self._is_known()
        found = self._ask()
        at = self._wall()
        readings = [one for stood in found if (one := self._reading(stood, at, from_zero=known)) is not None]
        began = self._beginning(found)
        restarted = bool(began and self._began and began != self._began)
        done = Polled(counters=len(found), nobodys=len(found) - len(readings), restarted=restarted)
        for part in _parts(readings):
            done = self._sent(part, done)
        self._known, self._began = True, began or self._began
        return done

    def _beginning(self, found: list[Stood]) -> str:
        """Of the process; rules of a kernel have none."""
        return "" if self.counters.kind == "nftables" else max((one.epoch for one in found), default="")

    def _is_known(self) -> bool:
        try:
            self._client.source(self.source)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return False
        return True

    def _reading(self, stood: Stood, at: int, *, from_zero: bool) -> Reading | None:
        whose = self._naming.whose(stood.name)
        if whose is None or max(stood.bytes_up, stood.bytes_down, stood.requests) > MAX_QUANTITY:
            return None
        up, down = stood.bytes_up, stood.bytes_down
        if self.counters.kind == "nftables" and not whose.up:
            up, down = down, up
        return Reading(
            source=self.source,
            time=format_instant(at),
            counter=stood.counter,
            account=whose.account,
            user=whose.user,
            product=whose.product,
            bytes_up=up,
            bytes_down=down,
            requests=stood.requests,
            epoch=stood.epoch,
            from_zero=from_zero,
            interval_s=max(self.counters.interval_s, SILENCE_S),
        )

    def _sent(self, part: Sequence[Reading], done: Polled) -> Polled:
        answer = self._client.send_readings(part, notable=True)
        return msgspec.structs.replace(
            done,
            stored=done.stored + answer.stored,
            duplicate=done.duplicate + answer.duplicate,
            refused=done.refused + answer.refused,
            reason=done.reason or next((one.detail for one in answer.receipts if one.status == "refused"), ""),
        )

    def _pause_s(self) -> float:
        if not self._failures:
            return self.counters.interval_s
        longest = max(LONGEST_PAUSE_S, self.counters.interval_s)
        pause_s = min(longest, self.counters.interval_s << min(self._failures, 10))
        return pause_s * random.uniform(0.8, 1)  # noqa: S311 - that many agents do not come back at one moment


def _parts(readings: Sequence[Reading]) -> Iterator[Sequence[Reading]]:
    for at in range(0, len(readings), MAX_READINGS):
        yield readings[at : at + MAX_READINGS]
