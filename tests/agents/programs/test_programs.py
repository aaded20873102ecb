"""Real programs, configured by their recipes, under a real agent and a real server: what each user is billed is what
the clients counted on their sockets, to the byte where the program counts what is on the wire, and by the documented
difference where it does not. Then the logs are rotated by real logrotate, and it still is.

All programs, the agent and the server are started once. The agent is killed between the two halves.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from tests.agents.journald import journald, why_not
from tests.agents.programs.running import STARTS, Running, program, rotate
from tests.agents.programs.traffic import GONE, Clients, Counted, Site, origin
from tests.live import Live, live_server

from flowtally.client import Client
from flowtally.protocol import AccountRequest

NAMES = (*STARTS, "haproxy")
ROTATED = ("squid", "nginx", "apache", "envoy", "traefik")
PATIENCE_S = 60


class World(msgspec.Struct):
    """`ran`: the clients of each program's port, so far."""

    live: Live
    origin: int
    folder: Path
    running: dict[str, Running] = {}
    ran: dict[int, list[Clients]] = {}
    agent: subprocess.Popen[str] | None = None

    @property
    def told(self) -> str:
        return (self.folder / "agent.log").read_text()

    def start_agent(self) -> None:
        config = self.folder / "agent.toml"
        config.write_text("\n\n".join(one.entry for one in self.running.values()))
        command = [sys.executable, "-m", "flowtally", "agent", str(config)]
        with (self.folder / "agent.log").open("a") as log:
            self.agent = subprocess.Popen(command, env=self.live.environment, stdout=log, stderr=log, text=True)

    def run_clients(self, port: int) -> None:
        one = next(one for one in self.running.values() if one.port == port)
        clients = Clients(Site(port, f"127.0.0.1:{self.origin}" if one.proxy else ""))
        clients.run()
        self.ran.setdefault(port, []).append(clients)

    def run_many(self, port: int, requests: int) -> None:
        """One user alone, again and again."""
        clients = Clients(Site(port))
        clients.repeat(requests)
        self.ran[port].append(clients)

    def usage(self, account: str) -> dict[str, Counted]:
        """Of each user: requests, up and down."""
        with Client(self.live.url, self.live.token) as client:
            rows = client.usage(account, start="2020-01-01", end="2100-01-01", bucket="total", by=("user",)).rows
        figures = ("requests", "bytes_up", "bytes_down")
        return {str(row["user"] or ""): Counted(*(int(row[name] or 0) for name in figures)) for row in rows}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    # Not below pytest's directory, which is root's alone: servers that drop their rights read their files here.
    folder = Path(tempfile.mkdtemp(prefix="flowtally-programs-", dir="/tmp"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        live = stack.enter_context(live_server(folder / "data"))
        one = World(live, stack.enter_context(origin()), folder)
        devlog = None if why_not() else stack.enter_context(journald(tmp_path_factory.mktemp("run"))).devlog
        for name, (binary, start) in STARTS.items():
            if program(binary) is None:
                continue
            place = folder / name
            place.mkdir()
            place.chmod(0o755)
            if binary == "haproxy":
                both = stack.enter_context(start(place, one.origin, devlog))
                one.running.update({each.recipe.name: each for each in both})
            else:
                one.running[name] = stack.enter_context(start(place, one.origin))
        with Client(live.url, live.token) as client:
            for name in one.running:
                client.create_account(AccountRequest(id=name))
        one.start_agent()
        yield one
        assert one.agent is not None
        one.agent.terminate()
        assert one.agent.wait(60) == 0, one.told


def _marked(name: str) -> object:
    """Where journald cannot be started nothing is missing: then HAProxy's lines come by syslog alone."""
    return pytest.param(name, marks=[] if name == "haproxy" else pytest.mark.system)


@pytest.fixture(params=map(_marked, NAMES))
def running(request: pytest.FixtureRequest, world: World) -> Running:
    name: str = request.param
    if name not in world.running:
        pytest.skip(f"not here: {why_not() or name}")
    return world.running[name]


def expected(one: Running, ran: list[Clients]) -> dict[str, Counted]:
    """By user, of all runs."""
    users = {user for clients in ran for user in clients.counted if user}
    return {user: _sum(_measured(one, clients.counted.get(user, Counted())) for clients in ran) for user in users}


def _measured(one: Running, counted: Counted) -> Counted:
    up, down = counted.up, counted.down
    if one.measure == "bodies":
        up, down = counted.body_up, counted.body_down
    elif one.measure == "haproxy":  # its own form of a head: 15 bytes more than HTTP/1, 4 less for each field
        up += 15 * counted.requests - 4 * counted.fields_up
        down += 15 * counted.heads_down - 4 * counted.fields_down
    return Counted(counted.requests, up, down)


def _sum(counted: Iterable[Counted]) -> Counted:
    all_of = list(counted)
    return Counted(*(sum(getattr(one, name) for one in all_of) for name in ("requests", "up", "down")))


def check(world: World, one: Running) -> None:
    """Waits until the server has all of it, and no more."""
    ran = world.ran[one.port]
    right = expected(one, ran)
    gone_away = sum(clients.gone_most > 0 for clients in ran)
    wanted = sum(counted.requests for counted in right.values()) + gone_away
    end = time.monotonic() + PATIENCE_S
    while True:
        usage = world.usage(one.recipe.name)
        nobody = usage.pop("", Counted())  # connections that asked for nothing
        if sum(counted.requests for counted in usage.values()) >= wanted:
            break
        assert world.agent is not None
        assert world.agent.poll() is None, world.told
        assert time.monotonic() < end, f"{usage}\nwanted {right}\n{world.told}"
        time.sleep(0.1)
    gone = usage.pop(GONE)
    assert usage == right
    assert (nobody.up, nobody.down, gone.requests) == (0, 0, gone_away)
    least = sum(clients.gone.body_down if one.measure == "bodies" else clients.gone.down for clients in ran)
    assert least - 100 <= gone.down <= sum(clients.gone_most + 100 for clients in ran)


def test_what_is_billed_is_what_the_clients_counted(world: World, running: Running) -> None:
    if running.port not in world.ran:
        world.run_clients(running.port)
    check(world, running)


@pytest.fixture(scope="module")
def rotated(world: World) -> World:
    """Everything once more: logs were rotated while the agent was dead, and again while it runs."""
    assert world.agent is not None
    world.agent.kill()
    world.agent.wait()
    again = [world.running[name] for name in ROTATED if name in world.running]
    for one in again:
        rotate(one)
        world.run_clients(one.port)
    world.start_agent()
    for one in again:
        rotate(one)
        world.run_clients(one.port)
    return world


@pytest.mark.system
def test_it_is_so_when_caddy_rolls_its_log_itself(rotated: World) -> None:
    if "caddy" not in rotated.running:
        pytest.skip("Caddy is not installed")
    one = rotated.running["caddy"]
    rotated.run_many(one.port, 1_000)
    check(rotated, one)
    assert len(list(one.folder.glob("flowtally-*.log*"))) >= 2


@pytest.mark.system
@pytest.mark.parametrize("name", ROTATED)
def test_it_is_so_after_rotations_and_the_death_of_the_agent(rotated: World, name: str) -> None:
    if name not in rotated.running:
        pytest.skip(f"{name} is not installed")
    one = rotated.running[name]
    check(rotated, one)
    assert len(list(one.folder.glob("flowtally.log*"))) == 3
