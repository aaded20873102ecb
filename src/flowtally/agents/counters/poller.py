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

from flowtally.agents.counters.program import Ask, Program
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Unasked
from flowtally.client import ApiError, Client
from flowtally.core.clock import elapsed_ms, now_ms
from flowtally.core.errors import FlowtallyError
from flowtally.core.readings import MAX_READINGS, Reading
from flowtally.core.texts import printable

LONGEST_PAUSE_S: Final = 300  # after failures that follow one another


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
        ask: Ask | None = None,
        wall: Callable[[], int] = now_ms,
        elapsed: Callable[[], int] = elapsed_ms,
    ) -> None:
        self.program = Program(counters, host, ask, wall, elapsed)
        self._interval_s = counters.interval_s
        self._client = client
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

    def _polled(self) -> Polled:
        # Asked before the program: a source that is made meanwhile has a reading of another poller, not an older one.
        known = self._known or is_known(self._client, self.program.source)
        asked = self.program.asked(from_zero=known)
        restarted = bool(asked.began and self._began and asked.began != self._began)
        counters, nobodys = len(asked.readings) + len(asked.others), len(asked.others)
        done = Polled(counters=counters, nobodys=nobodys, restarted=restarted)
        for part in _parts(asked.readings):
            done = self._sent(part, done)
        self._known, self._began = True, asked.began or self._began
        return done

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
            return self._interval_s
        longest = max(LONGEST_PAUSE_S, self._interval_s)
        pause_s = min(longest, self._interval_s << min(self._failures, 10))
        return pause_s * random.uniform(0.8, 1)  # noqa: S311 - that many agents do not come back at one moment


def is_known(client: Client, source: str) -> bool:
    """Whether the server has readings of this source. ApiError."""
    try:
        client.source(source)
    except ApiError as error:
        if error.code != "not_found":
            raise
        return False
    return True


def _parts(readings: Sequence[Reading]) -> Iterator[Sequence[Reading]]:
    for at in range(0, len(readings), MAX_READINGS):
        yield readings[at : at + MAX_READINGS]
