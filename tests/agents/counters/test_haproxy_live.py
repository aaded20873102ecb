"""A real HAProxy: what its users move is what is counted, over restarts, reloads and connections that outlive them."""

from __future__ import annotations

import base64
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.agents.counters.live import (
    PATIENCE_S,
    Stream,
    Target,
    account,
    client,
    counted,
    exactly,
    flags,
    live,
    poll,
    poller,
    running,
    target,
)
from tests.nginx import free_port

from flowtally.agents.counters.poller import Poller
from flowtally.client import Client

__all__ = ["account", "client", "live", "target"]  # fixtures

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
pytestmark = [pytest.mark.system, pytest.mark.skipif(HAPROXY is None, reason="HAProxy is not installed")]
APART_S = 6.0
CONFIGURATION = """
global
  stats socket {folder}/stats.sock mode 600 level operator
  stats socket {folder}/user.sock mode 600 level user
defaults
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  option contstats
frontend web
  mode http
  bind 127.0.0.1:{web}
  http-request track-sc0 http_auth_user table users if {{ http_auth_user -m found }}
  http-request return status 200 content-type text/plain string "hello world" if {{ path / }}
  http-request return status 200 content-type text/plain lf-string "%[path,length]%[path]"
frontend raw
  mode tcp
  bind 127.0.0.1:{raw}
  default_backend target
backend target
  mode tcp
  server one 127.0.0.1:{target}
backend users
  stick-table type string len 64 size 100k expire 1h store bytes_in_cnt,bytes_out_cnt,http_req_cnt
"""


class HAProxy:
    def __init__(self, folder: Path, target: Target) -> None:
        self.folder, self.web, self.raw = folder, free_port(), free_port()
        text = CONFIGURATION.format(folder=folder, web=self.web, raw=self.raw, target=target.port)
        (folder / "haproxy.cfg").write_text(text)

    @contextmanager
    def running(self, *options: str) -> Iterator[Callable[[], None]]:
        """Gives what reloads it."""
        assert HAPROXY is not None
        command = [HAPROXY, "-f", "haproxy.cfg", *options]
        sockets = [self.folder / "stats.sock", *([self.folder / "master.sock"] if options else [])]
        with running(command, self.folder, lambda: all(map(is_served, sockets))) as one:

            def reload() -> None:
                one.send_signal(signal.SIGUSR2)

            yield reload


@pytest.fixture
def haproxy(tmp_path: Path, target: Target) -> HAProxy:
    return HAProxy(tmp_path, target)


class Web:
    """A client of the frontend for HTTP, that counts what it sends and gets: as HAProxy does, which keeps no `: ` and
    no line's end of a header and so counts four bytes less of each (bodies, and TCP, it counts as they are)."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.moved: dict[str, tuple[int, int]] = {}

    def ask(self, user: str, path: str = "/") -> None:
        key = base64.b64encode(f"{user}:secret".encode()).decode()
        text = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {key}\r\nConnection: close\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as line:
            line.sendall(text)
            answer = exactly(line, 10**9)
        assert answer.startswith(b"HTTP/1.1 200")
        up, down = self.moved.get(user, (0, 0))
        self.moved[user] = up + kept(text), down + kept(answer)


def kept(message: bytes) -> int:
    return len(message) - 4 * message.partition(b"\r\n\r\n")[0].count(b"\r\n")


def test_users_of_a_stick_table_over_a_restart(haproxy: HAProxy, client: Client, account: str) -> None:
    web = Web(haproxy.web)
    settings = {"name": account, "kind": "haproxy", "table": "users", "account": account}
    one = poller(client, **settings, address=f"{haproxy.folder}/stats.sock")
    began = time.monotonic()
    with haproxy.running():
        poll(one)
        web.ask("alice")
        web.ask("al ice=\\é")
        poll(one)
        web.ask("alice", "/a/longer/path")
        poll(one)
        poll(one)
        assert counted(client, account) == web.moved
        time.sleep(max(0, APART_S - (time.monotonic() - began)))
    assert one.poll().error
    with haproxy.running():
        for _ in range(3):
            web.ask("alice")
        poll(one)
        web.ask("bob")
        poll(poller(client, **settings, address=f"{haproxy.folder}/stats.sock"))
    assert counted(client, account) == web.moved
    assert flags(client, account) == ["restarted"]


def test_connections_that_outlive_a_reload_are_read_over_the_masters_socket(
    haproxy: HAProxy, client: Client, account: str
) -> None:
    settings = {"name": account, "kind": "haproxy", "master": True, "lines": "frontend", "interval_s": 1}
    settings |= {"account": account, "user_from": r"(?P<user>raw)/FRONTEND"}
    one = poller(client, **settings, address=f"{haproxy.folder}/master.sock")
    began = time.monotonic()
    with haproxy.running("-W", "-S", f"{haproxy.folder}/master.sock") as reload:
        poll(one)
        long = through(haproxy)
        long.use(1_000, 50_000)
        wait_for(client, account, one, [long])
        time.sleep(max(0, APART_S - (time.monotonic() - began)))
        reload()
        until(lambda: one.poll().counters == 2 * 2, "the old worker stays")  # the master is away for a moment
        new = through(haproxy)
        long.use(300, 7_000)
        new.use(90, 20)
        wait_for(client, account, one, [long, new])
        long.use(16, 1)
        wait_for(client, account, one, [long, new])
        new.close()
        long.close()
        until(lambda: one.poll().counters == 2, "the old worker ends")
    assert counted(client, account) == {"raw": (long.up + new.up, long.down + new.down)}
    assert set(flags(client, account)) == {"baseline", "restarted", "late"}


def is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


def through(haproxy: HAProxy) -> Stream:
    return Stream(socket.create_connection(("127.0.0.1", haproxy.raw), timeout=PATIENCE_S))


def wait_for(client: Client, account: str, one: Poller, streams: list[Stream]) -> None:
    """Counters of open streams move every five seconds (`option contstats`)."""
    wanted = {"raw": (sum(one.up for one in streams), sum(one.down for one in streams))}

    def is_counted() -> bool:
        one.poll()  # the master may be away for a moment
        return counted(client, account) == wanted

    until(is_counted, f"{wanted}, not {counted(client, account)}")


def until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def test_what_cannot_be_asked_is_told(haproxy: HAProxy, client: Client, account: str) -> None:
    settings = {"name": account, "kind": "haproxy", "account": account, "address": f"{haproxy.folder}/stats.sock"}
    with haproxy.running():
        assert "table nope" in poller(client, **settings, table="nope").poll().error
        assert "is it the master's socket" in poller(client, **settings, master=True).poll().error
        user = {**settings, "address": f"{haproxy.folder}/user.sock"}
        assert "level operator" in poller(client, **user, table="users").poll().error
        assert poll(poller(client, **user, lines="server")).counters == 1
    assert "refused" in poller(client, **settings).poll().error


def test_the_page_says_what_was_run() -> None:
    found = re.search(r"## HAProxy\n.*?```text\n(.*?)```", Path("docs/pollers.md").read_text(), re.DOTALL)
    assert found is not None
    ran = CONFIGURATION.format(folder="/run/haproxy", web=1, raw=1, target=1)
    told = found[1].replace("admin.sock mode 660", "stats.sock mode 600").replace("24h", "1h")
    assert [line for line in told.splitlines() if line not in ran.splitlines()] == []
