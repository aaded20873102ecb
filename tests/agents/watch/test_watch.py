"""A whole agent, watched: systemd hears when it is ready and that it is alive, and its numbers are served."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from tests.nginx import free_port

from flowtally.agents.follow.agent import Agent
from flowtally.agents.follow.event_log import EventLog
from flowtally.core.errors import ConfigError

PATIENCE_S = 60


@pytest.fixture(autouse=True)
def short_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are served, and systemd hears of the agent, once in a beat."""
    monkeypatch.setattr("flowtally.agents.watch.watch.BEAT_S", 0.05)


def config(folder: Path, port: int, lines: int = 3) -> Path:
    line = "1740000001.123 42 10.0.0.1 TCP_MISS/200 9 GET http://a.test/ ann HIER_DIRECT/10.0.0.9 text/html\n"
    (folder / "access.log").write_text(line * lines)
    file = folder / "agent.toml"
    file.write_text(f"""
server = "http://127.0.0.1:{free_port()}"
metrics = "127.0.0.1:{port}"
[[log]]
name = "squid"
path = "{folder}/access.log"
format = "squid"
account = "acme"
""")
    return file


@contextmanager
def running(file: Path, variables: dict[str, str], told: io.StringIO) -> Iterator[Agent]:
    agent = Agent(file, {"FLOWTALLY_TOKEN": "t", **variables}, event_log=EventLog(told))
    thread = threading.Thread(target=agent.run)
    thread.start()
    try:
        yield agent
    finally:
        agent.stop()
        thread.join(PATIENCE_S)


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def answers(port: int, text: str) -> bool:
    try:
        return text in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except httpx.TransportError:
        return False


def test_it_is_ready_alive_and_counted_while_the_server_is_away(tmp_path: Path) -> None:
    port, told, heard = free_port(), io.StringIO(), list[str]()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_S)
        variables = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "100000",
            "WATCHDOG_PID": str(os.getpid()),
        }
        with running(config(tmp_path, port), variables, told):
            while heard.count("WATCHDOG=1") < 3 or "STATUS=1 inputs, the server is away" not in heard:
                heard.append(systemd.recv(4096).decode())
            wait_for(lambda: answers(port, "flowtally_agent_server_up 0.0"))
            assert answers(port, 'flowtally_agent_lines_total{log="squid"}')
            assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        while heard[-1] != "STOPPING=1":
            heard.append(systemd.recv(4096).decode())
    assert heard[0] == "READY=1"


def test_an_address_that_is_taken_costs_only_the_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.agents.watch.watch.TRY_AGAIN_S", 0.0)
    told = io.StringIO()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        agent = running(config(tmp_path, port), {}, told)
        agent.__enter__()
        wait_for(lambda: "cannot_listen" in told.getvalue())
    wait_for(lambda: answers(port, "flowtally_agent_server_up"))
    agent.__exit__(None, None, None)
    assert told.getvalue().count("cannot_listen") == 1
    assert "listening" in told.getvalue()


def test_metrics_go_where_a_configuration_read_again_says(tmp_path: Path) -> None:
    first, second, told = free_port(), free_port(), io.StringIO()
    with running(config(tmp_path, first), {}, told) as agent:
        wait_for(lambda: answers(first, "flowtally_agent_server_up"))
        config(tmp_path, second)
        agent.reload()
        wait_for(lambda: answers(second, "flowtally_agent_server_up"))
        assert not answers(first, "flowtally_agent")


def test_what_is_no_address_is_refused(tmp_path: Path) -> None:
    file = config(tmp_path, 1)
    file.write_text(file.read_text().replace("127.0.0.1:1", "everywhere"))
    with pytest.raises(ConfigError, match="metrics 'everywhere'"):
        Agent(file, {"FLOWTALLY_TOKEN": "t"})
