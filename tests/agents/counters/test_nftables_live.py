"""A real nft in a network namespace of its own, where this machine's kernel allows one; else its recorded words.

What the test sends is datagrams whose size it knows: 28 bytes of head and what is in them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.agents.counters.live import HOST, account, client, counted, flags, live, poll
from tests.agents.counters.test_nftables import Nft

from flowtally.agents.counters.asking import run
from flowtally.agents.counters.nftables import BOOT, Nftables
from flowtally.agents.counters.poller import Poller
from flowtally.agents.counters.settings import Counters, read_counters
from flowtally.client import Client

__all__ = ["account", "client", "live"]  # fixtures

pytestmark = pytest.mark.system
NEEDED = ("nft", "unshare", "nsenter", "ip")
HEAD = 28
TABLE = re.search(r"## nftables\n.*?```text\n(table .*?)}\n```", Path("docs/pollers.md").read_text(), re.DOTALL)
CHAIN = """
  counter other { }
  chain out {
    type filter hook output priority 0;
    ip daddr 127.0.0.2 counter name alice_up
    ip daddr 127.0.0.3 counter name alice_down
    ip daddr @users accept
  }
}
"""
assert TABLE is not None
RULES = TABLE[1].replace("10.0.0.", "127.0.0.") + CHAIN
SEND = """
import socket, sys
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for size in map(int, sys.argv[2:]):
    line.sendto(bytes(size), (sys.argv[1], 9))
"""


class Network:
    def __init__(self, pid: int) -> None:
        self._inside = ["nsenter", "-t", str(pid), "-n"]

    def run(self, *command: str, text: str = "") -> None:
        done = subprocess.run(
            [*self._inside, *command], input=text, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr

    def send(self, to: str, *sizes: int) -> int:
        """So many bytes are counted of it."""
        self.run(sys.executable, "-c", SEND, to, *map(str, sizes))
        return sum(sizes) + HEAD * len(sizes)

    def ask(self, command: Sequence[str], timeout_s: float) -> bytes:
        return run([*self._inside, *command], timeout_s)


@contextmanager
def network() -> Iterator[Network | None]:
    """None where the machine allows none."""
    if any(shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None for name in NEEDED):
        yield None
        return
    holder = subprocess.Popen(["unshare", "--net", "sleep", "300"], stderr=subprocess.DEVNULL)
    try:
        made: Network | None = Network(holder.pid)
        try:
            assert made is not None
            until_apart(holder)
            made.run("ip", "link", "set", "lo", "up")
            made.run("nft", "-f", "-", text=RULES)
        except AssertionError as error:
            print(error)
            made = None
        yield made
    finally:
        holder.kill()
        holder.wait()


def until_apart(holder: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end and holder.poll() is None:
        with suppress(OSError):
            if os.readlink(f"/proc/{holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"):
                return
        time.sleep(0.02)
    raise AssertionError("no network namespace")


def asked(client: Client, net: Network, account: str, **settings: object) -> Poller:
    counters = read_counters(
        {"name": account, "kind": "nftables", "table": "inet usage", "account": account, **settings}
    )
    return Poller(client, counters, HOST, ask=Nftables(counters, net.ask, lambda: BOOT.read_text().strip()))


def test_named_counters_over_a_reload_of_the_rules(client: Client, account: str) -> None:
    with network() as net:
        if net is None:
            print("nft is not allowed here: its recorded words were read instead")
            counters = Counters(name="n", kind="nftables", table="inet usage", account=account)
            assert len(Nftables(counters, Nft(), lambda: "boot")()) == 2
            return
        print("a real nft was read")
        settings = {"user-from": r"(?P<user>\w+)_(?:(?P<up>up)|(?P<down>down))"}
        one, other = (asked(client, net, account, **settings) for _ in range(2))
        net.send("127.0.0.2", 5)
        done = poll(one)
        assert (done.counters, done.nobodys) == (3, 1)
        up, down = net.send("127.0.0.2", 10, 1_000), net.send("127.0.0.3", 100)
        poll(other)
        poll(one)
        assert counted(client, account) == {"alice": (up, down)}
        net.run("nft", "flush", "ruleset")
        assert "no table" in one.poll().error
        net.run("nft", "-f", "-", text=RULES)
        up += net.send("127.0.0.2", 20, 5_000)
        poll(one)
        down += net.send("127.0.0.3", 1)
        poll(asked(client, net, account, **settings))
        assert counted(client, account) == {"alice": (up, down)}
        assert flags(client, account).count("restarted") == 2


def test_elements_of_a_set(client: Client, account: str) -> None:
    with network() as net:
        if net is None:
            print("nft is not allowed here: its recorded words were read instead")
            counters = Counters(name="n", kind="nftables", table="inet usage", set="users", account=account)
            assert len(Nftables(counters, Nft(), lambda: "boot")()) == 2
            return
        print("a real nft was read")
        one = asked(client, net, account, set="users")
        poll(one)
        down = {"127.0.0.4": net.send("127.0.0.4", 700), "bob": net.send("127.0.0.5", 1, 2)}
        poll(one)
        net.run("nft", "add", "element", "inet", "usage", "users", '{ 127.0.0.6 comment "carol" }')
        down["carol"] = net.send("127.0.0.6", 50)
        poll(one)
        assert counted(client, account) == {user: (0, size) for user, size in down.items()}
