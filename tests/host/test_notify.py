"""What systemd is told, over a real socket of either kind."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowtally.host.notify import Notify


@pytest.fixture(params=["a path", "an abstract name"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        address = str(tmp_path / "notify") if request.param == "a path" else f"@flowtally-{os.getpid()}"
        one.bind("\0" + address[1:] if address.startswith("@") else address)
        one.setblocking(False)
        yield address, one


def heard(one: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(one.recv(4096).decode())
        except BlockingIOError:
            return found


def test_it_is_ready_alive_and_stopping(listening: tuple[str, socket.socket]) -> None:
    address, one = listening
    notify = Notify({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
    notify.ready()
    notify.status("2 inputs")
    for now in range(100, 131):
        notify.alive(float(now))
    notify.stopping()
    assert heard(one) == ["READY=1", "STATUS=2 inputs", *["WATCHDOG=1"] * 4, "STOPPING=1"]


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
def test_nobody_is_barked_at_who_does_not_watch(listening: tuple[str, socket.socket], watchdog: dict[str, str]) -> None:
    address, one = listening
    Notify({"NOTIFY_SOCKET": address, **watchdog}).alive(100.0)
    assert heard(one) == []


def test_without_systemd_and_with_one_that_is_gone_nothing_happens(tmp_path: Path) -> None:
    Notify({}).ready()
    Notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
