"""The loop's beat: once a second systemd hears that the agent is alive, and Prometheus gets new numbers.

An address that is taken is told and tried again: nobody is metered less because nobody can watch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Input
from flowtally.agents.follow.server import Server
from flowtally.agents.watch.endpoint import Endpoint
from flowtally.agents.watch.metrics import Lags, MetricsSnapshot
from flowtally.core.endpoints import address
from flowtally.host.notify import Notify

BEAT_S: Final = 1.0
TRY_AGAIN_S: Final = 10.0


class Watch:
    """For the loop's thread."""

    def __init__(self, variables: Mapping[str, str], event_log: EventLog) -> None:
        self._notify = Notify(variables)
        self._event_log = event_log
        self._endpoint: Endpoint | None = None
        self._address: tuple[str, int] | None = None
        self._wanted: tuple[str, int] | None = None
        self._try_at = float("-inf")
        self._beat_at = float("-inf")
        self._lags = Lags()
        self._started_at = time.time()

    def begin(self, address: tuple[str, int] | None) -> None:
        """The configuration is in force: metrics are wanted at this address."""
        self._wanted = address
        self._notify.ready()

    def beat(self, now: float, inputs: Sequence[Input], server: Server) -> None:
        """Called at every turn of the loop; `now` is the loop's clock."""
        self._notify.alive(now)
        if now - self._beat_at < BEAT_S:
            return
        self._beat_at = now
        self._notify.status(f"{len(inputs)} inputs, the server {'is away' if server.away else 'answers'}")
        self._open(now)
        if self._endpoint is not None:
            self._endpoint.snapshot = self._snapshot(inputs, server)

    def end(self) -> None:
        self._notify.stopping()

    def close(self) -> None:
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint, self._address = None, None

    def _open(self, now: float) -> None:
        if self._wanted != self._address:
            self.close()
        if self._wanted is None or self._endpoint is not None or now < self._try_at:
            return
        try:
            self._endpoint, self._address = Endpoint(self._wanted), self._wanted
        except OSError as error:
            self._try_at = now + TRY_AGAIN_S
            self._event_log.once(
                "metrics", "cannot_listen", what="metrics", address=address(*self._wanted), detail=error
            )
        else:
            self._event_log.over("metrics", "listening", what="metrics", address=address(*self._wanted))

    def _snapshot(self, inputs: Sequence[Input], server: Server) -> MetricsSnapshot:
        at = time.time()
        agent = {
            "server_up": float(not server.away),
            "outages": float(server.outages),
            "waiting_bytes": float(server.waiting_bytes),
            "started_at": self._started_at,
        }
        return MetricsSnapshot(at, self._lags.seen({one.name: one.facts() for one in inputs}, at), agent)
