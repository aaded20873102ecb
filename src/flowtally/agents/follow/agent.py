"""The agent put together: a configuration becomes inputs, which are turned until the agent is told to end.

Owns starting, reading the configuration again, and ending. Keeps nothing on disk: the server says what was read.
"""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flowtally.agents.counters.polled import PolledCounters
from flowtally.agents.feeds.journal import Journals
from flowtally.agents.feeds.syslog import Syslogs
from flowtally.agents.follow.config import AgentConfig, load, token_of
from flowtally.agents.follow.dispatcher import Dispatcher
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Input, Kind, Settings
from flowtally.agents.follow.log import Logs
from flowtally.agents.follow.loop import Loop
from flowtally.agents.follow.server import Server
from flowtally.agents.watch.watch import Watch
from flowtally.client import Client
from flowtally.core.errors import ConfigError

# Every array of tables of the configuration, and what it makes.
KINDS: Final[dict[str, Kind]] = {
    "log": Logs(),
    "journal": Journals(),
    "syslog": Syslogs(),
    "counters": PolledCounters(),
}
SENDERS: Final = 16  # requests on their way at once: what arrives together is stored together
SHELVES: Final = 2
TIMEOUT_S: Final = 30.0
ONCE_PATIENCE_S: Final = 60.0  # a single run goes on for so long while nothing gets better


class Agent:
    """ConfigError for a configuration of no use. `run` is for the main thread, `stop` and `reload` for signals."""

    def __init__(
        self,
        path: Path,
        variables: Mapping[str, str],
        *,
        once: bool = False,
        event_log: EventLog | None = None,
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        self._path = path
        self._variables = variables
        self._kinds = KINDS if kinds is None else kinds
        self._once = once
        self.event_log = event_log or EventLog()
        self.config = load(path, self._kinds, self._variables)
        self.loop = Loop(self.event_log)
        self._token = token_of(self.config, self._variables)
        self.server = self._connected(self.config, self._token)
        self.loop.inputs = self._made(self.config, self.server, {})
        self._watch = Watch(variables, self.event_log)
        self._reload = False
        self._moved_at = time.monotonic()
        self._last: Any = None

    # ── for signals

    def stop(self) -> None:
        self.loop.stop()

    def reload(self) -> None:
        self._reload = True
        self.loop.wake()

    # ── life

    def run(self) -> bool:
        """Until it is told to stop, or all is read where it runs `once`. Whether nothing was left undone: of a file
        that cannot be read something is."""
        raise_file_limit()
        names = [one.name for one in self.loop.inputs]
        self.event_log.info("agent_started", server=self.config.server, host=self.config.host, inputs=len(names))
        self._watch.begin(self.config.metrics)
        self.loop.run(self._between, until=self._is_over if self._once else lambda inputs, now: False)
        done = not self._once or all(one.settled() and not one.facts().get("faults") for one in self.loop.inputs)
        self._watch.end()
        self.loop.finish(self.loop.inputs)
        self._watch.close()
        self.server.client.close()
        self.event_log.info("agent_stopped")
        return done

    @property
    def not_counted(self) -> int:
        """Lines that could not be read, and events that the server refused for good."""
        facts = [one.facts() for one in self.loop.inputs]
        return sum(sum(one.get("unreadable", {}).values()) + one.get("refused", 0) for one in facts)

    def close(self) -> None:
        """Of an agent that is not run."""
        for one in self.loop.inputs:
            one.close()
        self.server.client.close()

    def _between(self) -> None:
        self._watch.beat(time.monotonic(), self.loop.inputs, self.server)
        if not self._reload:
            return
        self._reload = False
        try:
            self._read_again()
        except ConfigError as error:
            self.event_log.warn("configuration_refused", detail=error, consequence="the old one stays in force")

    def _read_again(self) -> None:
        config = load(self._path, self._kinds, self._variables)
        same = config.server == self.config.server and config.host == self.config.host
        token = token_of(config, self._variables)
        server = self.server if same and token == self._token else self._connected(config, token)
        kept = {one.name: one for one in self.loop.inputs} if server is self.server else {}
        inputs = self._made(config, server, kept)
        gone = [one for one in self.loop.inputs if all(one is not other for other in inputs)]
        self.loop.finish(gone)
        self.loop.inputs, self.config, self.server, self._token = inputs, config, server, token
        self._watch.begin(config.metrics)
        self.event_log.info("configuration_read", inputs=len(inputs), changed=len(gone))

    def _made(self, config: AgentConfig, server: Server, kept: Mapping[str, Input]) -> list[Input]:
        """An input for each entry; one that is there already for an entry that has not changed."""
        settings = Settings(host=config.host, once=self._once, variables=self._variables)
        inputs = []
        for kind, entries in config.entries.items():
            for entry in entries:
                one = kept.get(entry.name)
                if one is not None and one.entry == entry:
                    inputs.append(one)
                    continue
                try:
                    inputs.append(self._kinds[kind].make(entry, settings, server))
                except ConfigError as error:
                    raise ConfigError(f"{self._path}: {kind} {entry.name!r}: {error}") from None
        return inputs

    def _connected(self, config: AgentConfig, token: str) -> Server:
        try:
            client = Client(config.server, token, timeout_s=TIMEOUT_S, retry_s=0)
        except (ValueError, ConfigError) as error:
            raise ConfigError(f"{self._path}: server or token: {error}") from None
        wake: Callable[[], None] = self.loop.wake
        return Server(client, Dispatcher(SENDERS, wake), Dispatcher(SHELVES, wake), self.event_log, config.server)

    def _is_over(self, inputs: Sequence[Input], now: float) -> bool:
        if all(one.settled() for one in inputs):
            return True
        state = [(one.facts()["lines"], one.facts()["stored"]) for one in inputs if "lines" in one.facts()]
        if state != self._last:
            self._last, self._moved_at = state, now
        return now - self._moved_at > ONCE_PATIENCE_S


def raise_file_limit() -> None:
    """Every log that is followed is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
