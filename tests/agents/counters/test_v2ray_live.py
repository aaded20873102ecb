"""A real V2Ray: what two users move through it is what is counted, whatever happens to V2Ray, pollers and answers."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.agents.counters.live import (
    Stream,
    Target,
    account,
    client,
    counted,
    flags,
    is_open,
    live,
    poll,
    poller,
    running,
    socks,
    target,
)
from tests.live import Live
from tests.nginx import free_port

from flowtally.agents.follow.agent import Agent
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.watch.check import check
from flowtally.client import Client

__all__ = ["account", "client", "live", "target"]  # fixtures

V2RAY = shutil.which("v2ray")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(V2RAY is None or shutil.which("v2ctl") is None, reason="V2Ray is not installed"),
]
PAGE = Path("docs/pollers.md")
USERS = ("alice", "bob")
APART_S = 6.0  # starts that are nearer are one to the server


class V2Ray:
    """Two users over SOCKS, and the API."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.socks, self.api = folder, free_port(), free_port()
        (folder / "v2ray.json").write_text(json.dumps(self._configuration()))

    def _configuration(self) -> dict[str, Any]:
        """The page's, with ports of ours and one user more."""
        found = re.search(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
        assert found is not None
        made: dict[str, Any] = json.loads(found[1])
        api, users = made["inbounds"]
        api["port"] = self.api
        users |= {"listen": "127.0.0.1", "port": self.socks}
        users["settings"]["accounts"].append({"user": "bob@example.com", "pass": "secret"})
        return made | {"log": {"loglevel": "none"}}

    def running(self) -> Any:
        assert V2RAY is not None
        return running([V2RAY, "-config", "v2ray.json"], self.folder, lambda: is_open(self.socks) and is_open(self.api))

    def settings(self, account: str) -> dict[str, object]:
        address = f"127.0.0.1:{self.api}"
        user_from = r"(?P<user>.+)@example\.com"
        return {"name": account, "kind": "v2ray", "address": address, "account": account, "user_from": user_from}


@pytest.fixture
def v2ray(tmp_path: Path) -> V2Ray:
    return V2Ray(tmp_path)


@pytest.fixture
def streams(v2ray: V2Ray, target: Target) -> Iterator[dict[str, Stream]]:
    """Filled by `connect`, closed at the end."""
    made: dict[str, Stream] = {}
    yield made
    for one in made.values():
        one.close()


def connect(v2ray: V2Ray, target: Target, streams: dict[str, Stream]) -> None:
    """Anew, with what was counted before."""
    for user in USERS:
        one = socks(v2ray.socks, f"{user}@example.com", "secret", target.port)
        if (before := streams.get(user)) is not None:
            before.close()
            one.up, one.down = before.up, before.down
        streams[user] = one


def used(streams: dict[str, Stream]) -> dict[str, tuple[int, int]]:
    return {user: (one.up, one.down) for user, one in streams.items()}


def test_the_sum_is_what_the_users_moved(
    v2ray: V2Ray, target: Target, streams: dict[str, Stream], client: Client, account: str
) -> None:
    """Streams stay open; two pollers read the same; V2Ray is killed between two polls after the first had all."""
    settings = v2ray.settings(account)
    one, other = poller(client, **settings), poller(client, **settings)
    with v2ray.running() as first:
        began = time.monotonic()
        assert poll(one).counters == 0
        poll(one)
        connect(v2ray, target, streams)
        streams["alice"].use(1_000, 2_000_000)
        poll(one)
        poll(other)
        streams["alice"].use(70_000, 16)
        streams["bob"].use(500, 9)
        poll(other)
        poll(one)
        assert counted(client, account) == {**used(streams), "alice": (71_000, 2_000_016)} == used(streams)
        time.sleep(max(0, APART_S - (time.monotonic() - began)))
        first.kill()
    with v2ray.running():
        connect(v2ray, target, streams)
        streams["alice"].use(3_000_000, 4)
        poll(other)
        streams["bob"].use(17, 1)
        poll(one)
    assert counted(client, account) == used(streams)
    assert set(flags(client, account)) <= {"baseline", "restarted"}
    assert "restarted" in flags(client, account)


def test_a_lost_answer_and_a_poller_that_begins_anew_change_nothing(
    v2ray: V2Ray, target: Target, streams: dict[str, Stream], live: Live, client: Client, account: str
) -> None:
    settings = v2ray.settings(account)
    lossy = Lossy()
    with v2ray.running(), Client(live.url, live.token, retry_s=0, transport=lossy) as losing:
        first = poller(client, **settings)
        poll(first)
        connect(v2ray, target, streams)
        streams["bob"].use(16, 16)
        poll(first)
        for size in (100, 200):
            streams["alice"].use(size, size * 1_000)
            lossy.lose = 1
            assert "does not answer" in poller(losing, **settings).poll().error
            poll(poller(losing, **settings))
    assert counted(client, account) == used(streams)


class Lossy(httpx.HTTPTransport):
    """Loses the next answers to readings, after the server has given them."""

    lose = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self.lose and request.url.path == "/v1/readings":
            self.lose -= 1
            response.read()
            raise httpx.ReadError("the answer was lost", request=request)
        return response


def test_two_that_poll_at_once_under_load_count_once(
    v2ray: V2Ray, target: Target, streams: dict[str, Stream], live: Live, client: Client, account: str
) -> None:
    settings = v2ray.settings(account)
    over = threading.Event()
    failed: list[str] = []

    def polls(asking: Client) -> None:
        one = poller(asking, **settings)
        while not over.is_set():
            done = one.poll()
            failed.extend([done.error] if done.error else [])

    with v2ray.running(), Client(live.url, live.token) as other:
        first = poller(client, **settings)
        poll(first)
        connect(v2ray, target, streams)
        poll(first)
        threads = [threading.Thread(target=polls, args=(asking,)) for asking in (client, other)]
        for thread in threads:
            thread.start()
        try:
            for number in range(150):
                streams[USERS[number % 2]].use(16 + number * 7, number * 1_009)
        finally:
            over.set()
            for thread in threads:
                thread.join(60)
        poll(first)
    assert not failed
    assert counted(client, account) == used(streams)


def test_what_was_used_before_anybody_read_it_does_not_count(
    v2ray: V2Ray, target: Target, streams: dict[str, Stream], client: Client, account: str
) -> None:
    with v2ray.running():
        connect(v2ray, target, streams)
        streams["alice"].use(1_000, 1_000)
        one = poller(client, **v2ray.settings(account))
        poll(one)
        streams["alice"].use(20, 30)
        poll(one)
    assert counted(client, account) == {"alice": (20, 30)}
    assert set(flags(client, account)) == {"baseline"}


def test_v2ray_that_is_away_or_hangs_is_told_and_waited_for(v2ray: V2Ray, client: Client, account: str) -> None:
    one = poller(client, **v2ray.settings(account), timeout_s=0.5)
    assert "refused" in one.poll().error
    assert 10 < one.wait_s <= 20
    with socket.create_server(("127.0.0.1", v2ray.api)):  # takes a connection and says nothing
        assert "Timeout" in one.poll().error


def test_the_agent_polls_what_its_configuration_says(
    v2ray: V2Ray, target: Target, streams: dict[str, Stream], live: Live, client: Client, account: str, tmp_path: Path
) -> None:
    settings = {name.replace("_", "-"): value for name, value in v2ray.settings(account).items()}
    entry = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    config = tmp_path / "agent.toml"
    config.write_text(f'server = "{live.url}"\nhost = "gw"\n[[counters]]\ninterval-s = 1\n{entry}\n')
    with v2ray.running():
        connect(v2ray, target, streams)
        streams["bob"].use(1_000, 16)
        server, ours = check(config, {"FLOWTALLY_TOKEN": live.token})
        assert not server.faults
        assert (ours.kind, ours.faults, ours.facts[0]) == ("counters", (), "2 counters, of 2 users")
        assert ours.facts[1].endswith("bob: 1 kB up, 16 B down")
        assert ours.facts[-1].startswith("new at the server")
    assert counted(client, account) == {}, "looking counts nothing"
    assert check_faults(config, live) == 1
    for user in USERS:
        streams.pop(user).close()
    said = io.StringIO()
    agent = Agent(config, {"FLOWTALLY_TOKEN": live.token}, event_log=EventLog(said))
    running = threading.Thread(target=agent.run)
    with v2ray.running():
        connect(v2ray, target, streams)
        running.start()
        try:
            until(lambda: facts(agent)["polls"] > 0)
            streams["alice"].use(100, 2_000)
            until(lambda: counted(client, account) == {"alice": (100, 2_000)})
        finally:
            agent.stop()
            running.join(60)
    assert live.token not in said.getvalue()


def check_faults(config: Path, live: Live) -> int:
    return sum(len(one.faults) for one in check(config, {"FLOWTALLY_TOKEN": live.token}))


def facts(agent: Agent) -> dict[str, Any]:
    return agent.loop.inputs[0].facts()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)
