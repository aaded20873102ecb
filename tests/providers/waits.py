"""Time as a test of calls says it: waiting takes none, and is written down."""

from __future__ import annotations

from typing import Any

from flowtally.providers.asking import Bounds, VendorClient
from flowtally.providers.puller import Pace

SHORT = Bounds(connect_s=5, read_s=5, total_s=5, answer_bytes=200_000)
PACE = Pace(1.0, (3.0, 6.0, 12.0))
ONCE = Pace(0.0, ())


class Waits:
    """`clock` and `wait` of a VendorClient. `stops_at`: at which wait the server stops."""

    def __init__(self, stops_at: int | None = None) -> None:
        self.now = 1000.0
        self.waited: list[float] = []
        self._stops_at = stops_at

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        if seconds:
            self.waited.append(round(seconds, 3))
        self.now += seconds
        return self._stops_at is not None and len(self.waited) >= self._stops_at


def client_of(url: str, pace: Pace = ONCE, waits: Waits | None = None, **more: Any) -> VendorClient:
    """Of a server of this machine, whose waits take no time and are not jittered."""
    waits = waits or Waits()
    given = {"plain": True, "private": True, "bounds": SHORT, "chance": lambda: 0.0, **more}
    return VendorClient(url, pace, given.pop("secrets", ()), clock=waits.clock, wait=waits.wait, **given)
