"""`[[counters]]` of an agent's configuration as inputs of its loop: polled when due, by threads of their own.

A program may take its whole time-out to say nothing, so who asks it is apart from who sends what logs say, and more
than a few that hang wait for one another, not the logs for them.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from flowtally.agents.counters.poller import Polled, Poller
from flowtally.agents.counters.settings import Counters, fault_of
from flowtally.agents.follow.dispatcher import Delivery, Dispatcher
from flowtally.agents.follow.inputs import Settings
from flowtally.agents.follow.server import Server
from flowtally.core.errors import ConfigError

THREADS: Final = 4


class PolledCounters:
    """The kind of input that `[[counters]]` names."""

    entry: type[msgspec.Struct] = Counters

    def __init__(self) -> None:
        self._threads: Dispatcher | None = None

    def make(self, entry: Any, settings: Settings, server: Server) -> PolledProgram:
        if fault := fault_of(entry):
            raise ConfigError(fault)
        if self._threads is None:
            self._threads = Dispatcher(THREADS, lambda: None)
        return PolledProgram(entry, settings, server, self._threads)

    def check(self, entries: list[Any]) -> list[str]:
        """Two that would be one source: each would see the other's counters as its own."""
        faults = [f"counters {one.name!r}: {fault}" for one in entries if (fault := fault_of(one))]
        owners: dict[str, str] = {}
        for one in entries:
            if one.source and (owner := owners.setdefault(one.source, one.name)) != one.name:
                faults.append(f"counters {one.name!r}: source {one.source!r} is that of counters {owner!r}, too")
        return faults


class PolledProgram:
    """One `[[counters]]`."""

    def __init__(self, entry: Counters, settings: Settings, server: Server, threads: Dispatcher) -> None:
        self.name = entry.name
        self.entry = entry
        self._poller = Poller(server.client, entry, settings.host)
        self._event_log = server.event_log
        self._threads = threads
        self._job: Delivery[Polled] | None = None
        self._last = Polled()
        self._stored = 0
        self._polls = 0
        self._failures = 0

    def due(self, now: float) -> float:
        """While it is asked somebody else waits: what came of it is looked at once a second."""
        return now + (1.0 if self._job is not None else self._poller.wait_s) if not self._is_done() else now

    def turn(self, now: float) -> None:
        if self._is_done():
            self._heard()
        if self._job is None and self._poller.due():
            self._job = self._threads.submit(self._poller.poll)

    def settled(self) -> bool:
        """Once it was polled well."""
        return self._polls > self._failures and self._job is None

    def finish(self, now: float) -> bool:
        if self._is_done():
            self._heard()
        return self._job is None

    def facts(self) -> dict[str, Any]:
        last = self._last
        return {
            "polls": self._polls,
            "failures": self._failures,
            "counters": last.counters,
            "nobodys": last.nobodys,
            "refused_counters": last.refused,
            "readings": self._stored,
        }

    def close(self) -> None:
        pass

    def _is_done(self) -> bool:
        return self._job is not None and self._job.done

    def _heard(self) -> None:
        assert self._job is not None
        job, self._job = self._job, None
        self._polls += 1
        try:
            done = job.result()
        except Exception:
            self._failures += 1
            raise
        self._failures += bool(done.error)
        self._stored += done.stored
        self._tell(done)
        self._last = done if not done.error else self._last

    def _tell(self, done: Polled) -> None:
        """Each trouble when it begins and when it is over."""
        key = ("counters", self.name)
        if done.error:
            self._event_log.once((*key, "away"), "cannot_poll", input=self.name, detail=done.error)
            return
        self._event_log.over((*key, "away"), "polled_again", input=self.name)
        if done.restarted:
            self._event_log.warn(
                "program_restarted", input=self.name, consequence="what it counted after the last poll is gone"
            )
        for what, number in (("nobodys", done.nobodys), ("refused", done.refused)):
            if number:
                self._event_log.once(
                    (*key, what), f"counters_{what}", input=self.name, count=number, detail=done.reason
                )
            else:
                self._event_log.over((*key, what))
