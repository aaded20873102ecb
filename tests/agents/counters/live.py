"""What the tests of pollers against real programs share: a server that counts, a poller of it, and a target of traffic.

Traffic is made over plain sockets, and whoever makes it counts its bytes: that is what the sums are held against.
"""

from __future__ import annotations

import csv
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest
from tests.live import Live, live_server

from flowtally.agents.counters.poller import Polled, Poller
from flowtally.agents.counters.settings import read_counters
from flowtally.client import Client
from flowtally.protocol import AccountRequest

HOST = "gw"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("server") / "data") as server:
        yield server


@pytest.fixture
def client(live: Live, request: pytest.FixtureRequest) -> Iterator[Client]:
    """Of an account of this test's own, `account(client)`."""
    with Client(live.url, live.token) as asking:
        asking.create_account(AccountRequest(id=account_of(request)))
        yield asking


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    return account_of(request)


def account_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.name).replace("[", "-").replace("]", "")[:60]


def poller(client: Client, **settings: object) -> Poller:
    return Poller(client, read_counters({name.replace("_", "-"): value for name, value in settings.items()}), HOST)


def poll(one: Poller) -> Polled:
    done = one.poll()
    assert not done.error
    assert not done.refused
    return done


def counted(client: Client, account: str) -> dict[str, tuple[int, int]]:
    """Bytes up and down of each user, of all time."""
    sums: dict[str, tuple[int, int]] = {}
    for row in rows(client, account):
        up, down = sums.get(row["user"], (0, 0))
        sums[row["user"]] = up + int(row["bytes_up"]), down + int(row["bytes_down"])
    return {user: sizes for user, sizes in sums.items() if any(sizes)}


def flags(client: Client, account: str) -> list[str]:
    """By which rules rows were counted, beyond the usual one."""
    return [row["reason"] for row in rows(client, account) if row["reason"]]


def rows(client: Client, account: str) -> list[dict[str, str]]:
    return list(csv.DictReader(client.export(account, format="csv").decode().splitlines()))


@contextmanager
def running(command: Sequence[str], folder: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """A program in the foreground, until the end of the block; it is there when `ready` says so."""
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        one = start(command, folder, log, ready)
        try:
            yield one
        finally:
            stop(one)


def start(command: Sequence[str], folder: Path, log: IO[bytes], ready: Callable[[], bool]) -> subprocess.Popen[bytes]:
    one = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if one.poll() is not None or time.monotonic() > end:
            stop(one)
            raise AssertionError(f"{command[0]} did not start: {Path(log.name).read_text()[-2000:]}")
        time.sleep(0.05)
    return one


def stop(one: subprocess.Popen[bytes]) -> None:
    one.terminate()
    try:
        one.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        one.kill()
        one.wait()


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Target:
    """Answers each connection: eight bytes say how many it takes and eight how many it sends; then it does."""

    def __init__(self) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._door.accept()
                threading.Thread(target=self._answer, args=(line,), daemon=True).start()

    def _answer(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            while head := exactly(line, 16):
                exactly(line, int.from_bytes(head[:8], "big"))
                line.sendall(bytes(int.from_bytes(head[8:], "big")))


@pytest.fixture
def target() -> Iterator[Target]:
    one = Target()
    yield one
    one.close()


def exactly(line: socket.socket, size: int) -> bytes:
    """So many bytes; fewer only where the other side has gone."""
    pieces, left = [], size
    while left and (piece := line.recv(min(left, 65_536))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


class Stream:
    """A connection to the target through something, that counts what it sends and gets."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.line.settimeout(PATIENCE_S)
        self.up = self.down = 0

    def use(self, up: int, down: int) -> None:
        """`up` bytes are at least 16."""
        self.line.sendall((up - 16).to_bytes(8, "big") + down.to_bytes(8, "big") + bytes(up - 16))
        assert len(exactly(self.line, down)) == down
        self.up, self.down = self.up + up, self.down + down

    def close(self) -> None:
        self.line.close()


def socks(proxy: int, user: str, password: str, port: int) -> Stream:
    """Through SOCKS 5 with a password (RFC 1928, 1929)."""
    line = socket.create_connection(("127.0.0.1", proxy), timeout=PATIENCE_S)
    line.sendall(b"\x05\x01\x02")
    assert exactly(line, 2) == b"\x05\x02"
    name, secret = user.encode(), password.encode()
    line.sendall(b"\x01" + bytes([len(name)]) + name + bytes([len(secret)]) + secret)
    assert exactly(line, 2) == b"\x01\x00"
    line.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
    assert exactly(line, 10)[1] == 0
    return Stream(line)
