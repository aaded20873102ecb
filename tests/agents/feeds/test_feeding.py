"""Whatever fails and in whatever order: the server has every line of a feed once, in the order they were written."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agents.fake import FakeServer
from tests.agents.feeds.driving import Driven, sizes, squid_line

from flowtally.agents.feeds.entry import FeedEntry
from flowtally.agents.feeds.feeding import Feeding
from flowtally.agents.follow.inputs import Input, Settings
from flowtally.agents.follow.server import Server
from flowtally.agents.reader import LogLine

SOURCE = "agent:gw:proxy:memory"
STEPS = ("write", "noise", "turn", "lose", "half", "busy", "kill", "hour", "save", "restore")


class Memory:
    """A feed that can be read again from anywhere, as the journal is."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._at = 0

    def start_at(self, offset: int, check: str, *, sure: bool) -> None:
        assert check == (f"cursor-{offset}" if offset else "")
        self._at = offset

    def read(self, now: float, most: int) -> tuple[list[LogLine], bool]:
        found = self._lines[self._at : self._at + min(most, 7)]
        self._at += len(found)
        return [LogLine(text, self._at) for text in found], bool(found)

    def place(self) -> tuple[int, str]:
        return self._at, f"cursor-{self._at}"

    def release(self) -> None:
        """Nothing is kept."""

    def settled(self) -> bool:
        return self._at == len(self._lines)

    def facts(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        """Nothing is open."""


class Memories:
    entry: type[msgspec.Struct] = FeedEntry

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def make(self, entry: Any, settings: Settings, server: Server) -> Input:
        return Feeding(entry, Memory(self._lines), SOURCE, "memory", server)

    def check(self, entries: list[Any]) -> list[str]:
        return []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_every_line_is_stored_once(steps: list[str]) -> None:
    lines: list[bytes] = []
    fake, written = FakeServer(), 0
    entry = FeedEntry(name="proxy", format="squid", account="acme")
    driven = Driven(Memories(lines), entry, fake)
    state = fake.state()
    for step in [*steps, "write"]:
        if step == "write":
            lines += [squid_line(number) for number in range(written, written + 10)]
            written += 10
        elif step == "noise":
            lines += [b"no such line"] * 3
        elif step == "lose":
            fake.lose_answers = 1
        elif step == "half":
            fake.store_only = 3
        elif step == "busy":
            fake.busy = 2
        elif step == "kill":
            driven.input.close()
            driven = Driven(Memories(lines), entry, fake)
        elif step == "hour":
            driven.now += 4000
        elif step == "save":
            state = fake.state()
        elif step == "restore":
            fake.restore(state)
            driven.server.outages += 1  # it was away meanwhile
        driven.turn(2)
    driven.now += 4000
    driven.until(lambda: sizes(fake, SOURCE) == list(range(written)))
    driven.turn(20)
    driven.end()
    assert sizes(fake, SOURCE) == list(range(written))
