"""Real logrotate, a program that writes all the while, and kill -9 of who reads and of who stores: stored is what was
written. What copytruncate throws away is at most what was written between a copy and its cut, and is told."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.agents.follow.machines import LOGROTATE, Agent, Rotation, Server, Writer, wait_for

pytestmark = [pytest.mark.system, pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")]

CREATE = {
    "create": "create\nnocompress",
    "compress": "create\ncompress",
    "delayed": "create\ncompress\ndelaycompress",
    "dated": "create\ndateext\ndateformat -%Y%m%d-%s",
}
COPY = {"copied": "copytruncate\nnocompress", "copiedzip": "copytruncate\ncompress"}
RATE = 500.0  # lines a second and log, six logs
CONFIG = """
[defaults]
format = "squid"
account = "acme"
linger = 2
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    one = Server(tmp_path_factory.mktemp("server"))
    yield one
    one.stop()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def entries(paths: list[Path]) -> str:
    return CONFIG + "".join(f'[[log]]\nname = "{path.stem}"\npath = "{path}"\n' for path in paths)


def missing(server: Server, names: Iterable[str], written: int) -> dict[str, list[int]]:
    """The numbers of lines that are not stored, by log."""
    stored = server.stored()
    found = {name: sorted(set(range(written)) - set(stored.get(name, ()))) for name in names}
    return {name: numbers for name, numbers in found.items() if numbers}


def test_every_rotation_under_load_while_agent_and_server_are_killed(
    server: Server, tmp_path: Path, stack: ExitStack
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    kinds = {**CREATE, **COPY}
    paths = [folder / f"{name}.log" for name in kinds]
    agent = Agent(tmp_path, server, entries(paths))
    stack.callback(agent.stop)
    agent.start()
    writer = Writer(paths, RATE)
    stack.callback(writer.stop)
    rotation = Rotation(tmp_path, {path: kinds[path.stem] for path in paths}, writer.pid)
    for round_ in range(7):
        time.sleep(1)
        rotation.rotate()
        if round_ == 3:  # two rotations while it is down
            agent.end()
            continue
        if round_ == 5:
            server.kill()
            server.start()
        agent.stop()
        agent.start()
    written = writer.end()
    # Where nothing is missing this is the end; of the copies only the agent's silence tells.
    wait_for(lambda: not missing(server, CREATE, written), lambda: f"stored: {missing(server, CREATE, written)}")
    before = -1
    while before != (before := server.requests()):
        time.sleep(2)
    assert agent.end(signal.SIGTERM) == 0, agent.said
    stored = server.stored()
    for name in CREATE:
        assert sorted(stored[name]) == list(range(written)), name
    for name in COPY:
        found = stored[name]
        assert len(found) == len(set(found)), f"{name}: a line counts twice"
        assert set(found) <= set(range(written))
        assert written - len(found) < written / 10, f"{name}: {written - len(found)} of {written} lost"
    assert "log_was_cut" in agent.said
