"""The loop: whoever is due is turned, an input that raises is told once and turned again later, and no other waits."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from flowtally.agents.follow.dispatcher import Backoff, Dispatcher
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Input
from flowtally.agents.follow.loop import Loop


class Entry(msgspec.Struct, frozen=True):
    name: str = "one"


class Counting:
    """An input that counts its turns, and raises in the first of them."""

    def __init__(self, name: str, raises: int = 0) -> None:
        self.name, self.entry = name, Entry(name)
        self.turns, self.closed, self._raises = 0, False, raises
        self._at = 0.0

    def due(self, now: float) -> float:
        return self._at

    def turn(self, now: float) -> None:
        self.turns += 1
        self._at = now + 0.01
        if self.turns <= self._raises:
            raise RuntimeError("broken")

    def settled(self) -> bool:
        return self.turns > 5

    def finish(self, now: float) -> bool:
        return True

    def facts(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.closed = True


def run(inputs: Sequence[Input]) -> str:
    said = io.StringIO()
    loop = Loop(EventLog(said))
    loop.inputs = list(inputs)
    loop.run(lambda: None, until=lambda inputs, now: all(one.settled() for one in inputs))
    loop.finish(inputs)
    return said.getvalue()


def test_an_input_that_raises_is_told_once_and_hinders_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.agents.follow.loop.Backoff", lambda: Backoff(first_s=0.05))
    broken, whole = Counting("broken", raises=2), Counting("whole")
    said = run([broken, whole])
    assert said.count("failed") == said.count("going_on") == 1
    assert "RuntimeError: broken" in said
    assert broken.turns > 5
    assert broken.closed
    assert whole.closed


def test_a_loop_that_is_stopped_ends_at_once() -> None:
    loop = Loop(EventLog(io.StringIO()))
    threading.Timer(0.1, loop.stop).start()
    begin = time.monotonic()
    loop.run(lambda: None, until=lambda inputs, now: False)
    assert time.monotonic() - begin < 30


def test_jobs_are_carried_out_beside_and_wake_the_loop() -> None:
    woken = threading.Semaphore(0)
    dispatcher = Dispatcher(2, woken.release)
    good, bad = dispatcher.submit(lambda: 1), dispatcher.submit(lambda: 1 // 0)
    for _ in range(2):
        assert woken.acquire(timeout=30)
    assert good.result() == 1
    try:
        bad.result()
    except ZeroDivisionError:
        return
    raise AssertionError("the job's error is raised where its result is asked for")
