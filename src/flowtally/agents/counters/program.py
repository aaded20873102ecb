"""Program: one `[[counters]]`, asked once: what its counters stand at, as readings. Knows no server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.agents.counters.haproxy import HAProxy
from flowtally.agents.counters.naming import Naming
from flowtally.agents.counters.nftables import Nftables
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked
from flowtally.agents.counters.v2ray import V2Ray
from flowtally.core.clock import elapsed_ms, now_ms
from flowtally.core.edges import format_instant
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.readings import Reading
from flowtally.core.texts import printable

Ask = Callable[[], list[Stood]]
KINDS: Final[dict[str, Callable[[Counters], Ask]]] = {
    "v2ray": V2Ray,
    "xray": V2Ray,
    "haproxy": HAProxy,
    "nftables": Nftables,
}
DERIVED: Final = ("v2ray", "xray")  # kinds that say how long they run, not when they began
SILENCE_S: Final = 60  # a shorter pause between two readings is none that anybody need be told of


class Asked(msgspec.Struct, frozen=True):
    """`others`: names of counters that are nobody's. `began`: the process, where it has a beginning; rules of a kernel
    have none."""

    readings: list[Reading]
    others: list[str]
    began: str


class Program:
    """`ask` and the clocks (ms) are seams. ConfigError for settings of no use."""

    def __init__(
        self,
        counters: Counters,
        host: str,
        ask: Ask | None = None,
        wall: Callable[[], int] = now_ms,
        elapsed: Callable[[], int] = elapsed_ms,
    ) -> None:
        self.source = counters.source or f"agent:{host}:{counters.name}"
        self._counters = counters
        self._naming = Naming(counters)
        self._ask = ask or KINDS[counters.kind](counters)
        self._wall = wall
        self._elapsed = elapsed

    def asked(self, *, from_zero: bool = False) -> Asked:
        """Unasked. The readings are dated in the middle of the question: of two agents that ask at once, one whose
        answer is slow must not look as if it had been later."""
        begun = self._elapsed()
        try:
            found = self._ask()
        except Unasked:
            raise
        except Exception as error:
            # Whatever it says, the agent goes on: a number of 5,000 digits, JSON of 5,000 arrays, frames out of order.
            raise Unasked(f"the answer cannot be read: {printable(f'{type(error).__name__}: {error}', 200)}") from None
        at = self._wall() - (self._elapsed() - begun) // 2
        made = [(one, self._reading(one, at, from_zero)) for one in found]
        began = "" if self._counters.kind == "nftables" else max((one.epoch for one in found), default="")
        return Asked(
            [reading for _, reading in made if reading is not None],
            [stood.name for stood, reading in made if reading is None],
            began,
        )

    def _reading(self, stood: Stood, at: int, from_zero: bool) -> Reading | None:
        whose = self._naming.whose(stood.name)
        if whose is None or max(stood.bytes_up, stood.bytes_down, stood.requests) > MAX_QUANTITY:
            return None
        up, down = stood.bytes_up, stood.bytes_down
        if self._counters.kind == "nftables" and not whose.up:
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
            epoch_derived=self._counters.kind in DERIVED and bool(stood.epoch),
            from_zero=from_zero,
            interval_s=max(self._counters.interval_s, SILENCE_S),
        )
