"""The seam between the agent's loop and what it reads: logs, and whatever else is followed or asked on a schedule.

An input is turned on the agent's one thread. Its turn never waits for a server or a child (`Server.post` is for that)
and takes little: the others are waiting. It raises nothing that it can tell and try again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from flowtally.agents.follow.server import Server


class Input(Protocol):
    """An agent that reads its configuration again keeps the inputs whose `entry` is the same. A `name` is a part of
    sources, and no two inputs have one."""

    name: str

    @property
    def entry(self) -> msgspec.Struct:
        """What the configuration says of it."""

    def due(self, now: float) -> float:
        """The monotonic instant of its next turn, in seconds; `now` or before: at once."""

    def turn(self, now: float) -> None:
        """Do what is due."""

    def settled(self) -> bool:
        """Whether all that is there was read and has its receipts: an agent that runs once may end."""

    def finish(self, now: float) -> bool:
        """Turned at the end instead of `turn`: read no more, send what waits. Whether nothing is left to do."""

    def facts(self) -> dict[str, Any]:
        """Counts and states for metrics, by name."""

    def close(self) -> None:
        """Let go of files and children. What is unsent is read again by the next agent."""


class Settings(msgspec.Struct, frozen=True):
    """What the configuration says to every input. `once`: read to the end and stop, rather than follow. `variables`:
    those of the process, as they were handed in."""

    host: str
    once: bool = False
    linger_s: float | None = None
    variables: Mapping[str, str] = {}


class Kind(Protocol):
    """A kind of input: an array of tables in the configuration, each an `entry`."""

    entry: type[msgspec.Struct]

    def make(self, entry: Any, settings: Settings, server: Server) -> Input:
        """Ready to be turned, and nothing opened yet. ConfigError for an entry of no use."""

    def check(self, entries: list[Any]) -> list[str]:
        """What is wrong between the entries: a text each. Files may be looked at; nothing is followed yet."""
