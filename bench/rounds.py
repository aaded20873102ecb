"""What all parts share: the run they belong to, turns, and the sending of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from bench import load, raw
from bench.events import Ids, Slice
from bench.process import Actor, BenchError
from bench.report import Report
from bench.server import TOKEN, Server
from bench.sizes import Sizes


class Run(msgspec.Struct, frozen=True):
    """One run of the bench. `place` is a temporary directory; everything measured lives there."""

    sizes: Sizes
    seed: int
    place: Path
    report: Report

    def say(self, text: str) -> None:
        """Progress, for whoever waits."""
        print(f"  {text} ...", flush=True)

    def wait(self, seconds: float) -> None:
        """While somebody else works."""
        time.sleep(seconds)


class Feed:
    """Hands out the next events of a source as files, so that nothing is sent twice."""

    def __init__(self, run: Run, ids: Ids, lap: int = 0) -> None:
        self._run = run
        self._ids = ids
        self._lap = lap
        self._next: dict[str, int] = {}
        self._directory = run.place / "events"
        self._directory.mkdir(exist_ok=True)

    def take(self, source: str, count: int) -> str:
        first = self._next.get(source, 0)
        self._next[source] = first + count
        return str(Slice(self._ids, source, first, count, self._lap, self._run.seed).write(self._directory))

    def forget(self) -> None:
        """Remove the files handed out so far."""
        for path in self._directory.iterdir():
            path.unlink()


def take_turns(
    rounds: int, subjects: Mapping[str, Callable[[], float]], prepare: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """What each subject reaches in each round, which `prepare` begins. Who goes first changes, so that no side has the
    quieter half."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds):
        prepare()
        names = list(subjects) if number % 2 == 0 else list(subjects)[::-1]
        for name in names:
            found[name].append(subjects[name]())
    return found


def engine_alone(run: Run, path: Path) -> Actor:
    """The engine in a process of its own on this directory."""
    return Actor("raw", run.place, str(path))


def send(client: Actor, server: Server, lanes: list[list[str]], batch: int, connections: int, count: int) -> load.Load:
    """Send all events; BenchError unless every one of them was stored."""
    done = client.ask(load.Job(server.url, TOKEN, lanes, batch, connections), load.Load)
    if done.failures or done.stored != count:
        raise BenchError(f"{done.stored} of {count} events were stored; {' | '.join(done.failures)}")
    return done


def ask(client: Actor, server: Server, path: str, times: int, headers: Mapping[str, str] | None = None) -> load.Load:
    """The same question over one connection, one after the other; as admin, unless other headers say who asks."""
    done = client.ask(load.Job(server.url, TOKEN, [], 1, 1, path, times, headers or {}), load.Load)
    if done.failures:
        raise BenchError(f"GET {path}: {done.failures[0]}")
    return done


def insert(engine: Actor, lanes: list[list[str]], batch: int) -> float:
    """Seconds the engine takes for these files."""
    return engine.ask(raw.Job(lanes=lanes, batch=batch), raw.Done).seconds
