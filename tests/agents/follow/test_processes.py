"""The agent as a process of its own over a real server: signals, a single run, two at once; and real logrotate under a
program that writes all the while, with kill -9 of who reads and of who stores: stored is what was written. What
copytruncate throws away is at most what was written between a copy and its cut, and is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.agents.follow.machines import LOGROTATE, Agent, Rotation, Server, Writer, wait_for

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
format = "squid-io"
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


@pytest.mark.system
@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not installed")
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


def squid(number: int, user: str) -> bytes:
    now = time.time()
    return (
        b"%d.000 5 10.0.0.1 TCP_MISS/200 %d GET http://n.test/ %s HIER_DIRECT/10.0.0.2 text/html 7\n"
        % (now, number, user.encode())
    )  # fmt: skip


def append(path: Path, user: str, start: int, end: int) -> None:
    with path.open("ab") as file:
        for number in range(start, end):
            file.write(squid(number, user))


def holds(server: Server, user: str, count: int) -> bool:
    return sorted(server.stored().get(user, [])) == list(range(count))


def test_a_single_run_reads_all_that_is_there_and_ends(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "single.log"
    append(path.with_name("single.log.1"), "single", 0, 1500)
    append(path, "single", 1500, 3000)
    agent = Agent(tmp_path, server, entries([path]))
    for _ in range(2):
        agent.start("--once")
        assert agent.wait() == 0, agent.said
        assert holds(server, "single", 3000)


def test_a_single_run_over_nothing_ends(server: Server, tmp_path: Path) -> None:
    agent = Agent(tmp_path, server, entries([tmp_path / "none.log"]))
    agent.start("--once")
    assert agent.wait() == 0, agent.said


def test_signals_send_what_waits_and_read_the_configuration_again(
    server: Server, tmp_path: Path, stack: ExitStack
) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    append(first, "first", 0, 10)
    append(second, "second", 0, 10)
    agent = Agent(tmp_path, server, entries([first]))
    stack.callback(agent.stop)
    agent.start()
    wait_for(lambda: holds(server, "first", 10), lambda: agent.said)
    agent.configure(entries([first, second]) + "nonsense")
    agent.send(signal.SIGHUP)
    wait_for(lambda: "configuration_refused" in agent.said, lambda: agent.said)
    agent.configure(entries([first, second]))
    agent.send(signal.SIGHUP)
    wait_for(lambda: holds(server, "second", 10), lambda: agent.said)
    append(first, "first", 10, 20)
    wait_for(lambda: holds(server, "first", 20), lambda: agent.said)
    append(second, "second", 10, 20)
    time.sleep(0.4)  # it has been read by now, and may wait
    assert agent.end(signal.SIGTERM) == 0
    assert holds(server, "second", 20)


def test_two_agents_at_once_count_each_line_once(server: Server, tmp_path: Path, stack: ExitStack) -> None:
    path = tmp_path / "both.log"
    agents = [Agent(tmp_path, server, entries([path])) for _ in range(2)]
    for agent in agents:
        stack.callback(agent.stop)
        agent.start()
    for start in range(0, 3000, 100):
        append(path, "both", start, start + 100)
        time.sleep(0.1)
    wait_for(lambda: holds(server, "both", 3000), lambda: agents[0].said)
    time.sleep(2)
    assert holds(server, "both", 3000)


@pytest.mark.parametrize(
    ("kind", "code"), [("nothing", 0), ("one unreadable line", 3), ("no log", 1), ("a pipe", 1), ("a loop", 1)]
)
def test_a_single_run_says_by_its_end_what_was_not_counted(
    server: Server, tmp_path: Path, kind: str, code: int
) -> None:
    path = tmp_path / "ends.log"
    if kind == "one unreadable line":
        path.write_bytes(b"what is 1 here\n")
        append(path, "ends", 0, 3)
    elif kind == "no log":
        path.write_bytes(b"\x7fELF\2\1\1" + bytes(range(128, 256)) * 100)
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a loop":
        path.symlink_to(path)
    agent = Agent(tmp_path, server, entries([path]))
    agent.start("--once")
    assert agent.wait() == code, agent.said
    agent.start("--check")
    assert agent.wait() == int(kind != "one unreadable line")
