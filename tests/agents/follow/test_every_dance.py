"""A program writes, rotation does what it likes, the agent and the server die: every line that could be seen is stored
once. A model of files as lists of line numbers knows which those are."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.agents.fake import FakeServer, State
from tests.agents.follow.bench import Bench, line

HALF = 20


class World:
    """The files of one log, and which numbers must, or may, be stored at the end. A file is its numbers; the writer
    has the last one open, whatever it is called by then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "access.log"
        self.must: set[int] = set()
        self.may: set[int] = set()
        self.next = 0
        self.was_cut = False
        self.inside: dict[str, list[int]] = {}  # what each file that has a path holds
        self.nameless: list[int] = []  # what only descriptors hold, the agent's among them
        self.watched: Callable[[os.stat_result], bool] = lambda _: False  # whether the agent has a file open
        self.open()

    def open(self) -> None:
        """The program opens its log, as after a signal."""
        self.writer = self.path.open("ab", buffering=0)
        self.name: str | None = self.path.name
        self.inside.setdefault(self.path.name, [])
        self.half: int | None = None

    def write(self, count: int) -> None:
        self.end_half()
        for number in range(self.next, self.next + count):
            self.writer.write(line(number))
            self.wrote(number)
        self.next += count

    def wrote(self, number: int) -> None:
        unseen = self.name is None and not self.watched(os.fstat(self.writer.fileno()))
        (self.may if unseen else self.must).add(number)
        (self.nameless if self.name is None else self.inside[self.name]).append(number)

    def write_half(self) -> None:
        self.end_half()
        self.half, self.next = self.next, self.next + 1
        self.writer.write(line(self.half)[:HALF])

    def end_half(self) -> None:
        if self.half is not None:
            self.writer.write(line(self.half)[HALF:])
            self.may.add(self.half)  # where it took longer than the time to linger it is two pieces
            self.half = None

    def shift(self) -> None:
        """Make room for `.1`, as logrotate does."""
        for number in range(40, 0, -1):
            for end in ("", ".gz"):
                old = f"access.log.{number}{end}"
                if old in self.inside:
                    self.rename(old, f"access.log.{number + 1}{end}")

    def rename(self, old: str, new: str) -> None:
        (self.folder / old).rename(self.folder / new)
        self.inside[new] = self.inside.pop(old)
        if self.name == old:
            self.name = new

    def copy_and_cut(self, between: int) -> None:
        self.was_cut = True
        self.end_half()
        self.shift()
        name = "access.log.1"
        shutil.copy(self.path, self.folder / name)
        copied = list(self.inside[self.path.name])
        self.write(between)
        self.lose([number for number in self.inside[self.path.name] if number not in copied])
        self.inside[name], self.inside[self.path.name] = copied, []
        os.truncate(self.path, 0)

    def compress(self, name: str) -> None:
        packed = f"{name}.gz"
        with (self.folder / name).open("rb") as plain, gzip.open(self.folder / packed, "wb") as out:
            shutil.copyfileobj(plain, out)
        (self.folder / name).unlink()
        self.inside[packed] = self.inside.pop(name)

    def lose(self, numbers: list[int]) -> None:
        self.must -= set(numbers)
        self.may |= set(numbers)


class Dance(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        folder = Path(self.home.name)
        self.world = World(folder)
        self.fake = FakeServer()
        self.away = False
        handle = self.fake.handle

        def heard(request: httpx.Request) -> httpx.Response:
            if self.away:
                raise httpx.ConnectError("refused", request=request)
            return handle(request)

        self.fake.handle = heard  # type: ignore[method-assign]
        self.bench = Bench(folder, self.fake)
        self.up = True
        self.backup: State | None = None
        self.world.watched = self.watched

    def watched(self, stat: os.stat_result) -> bool:
        return self.up and self.bench.holds(stat)

    def stored(self) -> set[int]:
        return set(self.bench.stored())

    # ── the program

    @rule(count=st.integers(1, 5))
    def write(self, count: int) -> None:
        self.world.write(count)

    @rule()
    def write_half(self) -> None:
        self.world.write_half()

    @rule()
    def reopen(self) -> None:
        if self.world.name != self.world.path.name:
            self.world.end_half()
            self.world.writer.close()
            self.world.open()

    # ── rotation

    @rule()
    def rename(self) -> None:
        world = self.world
        if world.path.name in world.inside:
            world.shift()
            world.rename(world.path.name, "access.log.1")

    @rule()
    def create(self) -> None:
        """logrotate's `create`, before the program was told."""
        if self.world.path.name not in self.world.inside:
            self.world.path.touch()
            self.world.inside[self.world.path.name] = []

    @rule(between=st.integers(0, 3))
    def copy_and_cut(self, between: int) -> None:
        if self.world.name == self.world.path.name:
            self.world.copy_and_cut(between)

    @rule(number=st.integers(1, 4))
    def compress(self, number: int) -> None:
        name = f"access.log.{number}"
        if name in self.world.inside and name != self.world.name and f"{name}.gz" not in self.world.inside:
            self.world.compress(name)

    @precondition(lambda self: self.world.inside)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        world = self.world
        name = data.draw(st.sampled_from(sorted(world.inside)))
        watched = self.watched((world.folder / name).stat())
        numbers = world.inside.pop(name)
        (world.folder / name).unlink()
        if watched:
            world.nameless += numbers
        else:
            world.lose([number for number in numbers if number not in self.stored()])
        if name == world.name:
            world.name = None

    # ── agent and server

    @rule(seconds=st.integers(1, 8))
    def time_passes(self, seconds: int) -> None:
        if self.up:
            self.bench.run(seconds)
        else:
            self.bench.now += seconds

    @rule()
    def kill(self) -> None:
        if self.up:
            self.up = False
            self.bench.log.close()
            self.world.lose([number for number in self.world.nameless if number not in self.stored()])

    @rule()
    def start(self) -> None:
        if not self.up:
            self.up = True
            self.bench.start()

    @rule()
    def lose_an_answer(self) -> None:
        self.fake.lose_answers = 1

    @rule(kept=st.integers(0, 3))
    def die_between_blocks(self, kept: int) -> None:
        self.fake.store_only = kept

    @rule()
    def be_busy(self) -> None:
        self.fake.busy = 1

    @rule(away=st.booleans())
    def be_away(self, away: bool) -> None:
        self.away = away

    @rule()
    def back_up(self) -> None:
        self.backup = self.fake.state()

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        """What the server forgets by it and no file has any more is gone."""
        assert self.backup is not None
        self.fake.restore(self.backup)
        there = {number for numbers in self.world.inside.values() for number in numbers}
        self.world.lose([number for number in self.world.must - self.stored() if number not in there])

    # ── what must be true

    def teardown(self) -> None:
        if not hasattr(self, "bench"):
            return
        try:
            self.away, self.fake.busy, self.fake.lose_answers, self.fake.store_only = False, 0, 0, None
            self.world.end_half()
            self.start()
            self.bench.run(60)
            self.bench.now += 3600  # now and then it asks whether the server still has what was read long ago
            self.bench.run(60)
            found = self.bench.stored()
            assert len(found) == len(set(found)), "a line counts twice"
            assert self.world.must <= set(found), f"not stored: {sorted(self.world.must - set(found))}"
            assert set(found) <= self.world.must | self.world.may
            assert self.world.was_cut or "log_was_cut" not in self.bench.events(), "a cut that never was is told"
        finally:
            self.bench.log.close()
            self.world.writer.close()
            self.home.cleanup()


Dance.TestCase.settings = settings(
    max_examples=80, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestDance = Dance.TestCase
