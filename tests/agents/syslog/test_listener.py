"""Real sockets: what was sent is spooled; senders wait where the spool is full, and nobody takes more than his part."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowtally.agents.syslog.feed import SpoolFeed
from flowtally.agents.syslog.listener import Listener
from flowtally.agents.syslog.spool import SyslogSpool


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long it waits for room in a full spool, for a disk, and to hear that it is closed."""
    monkeypatch.setattr("flowtally.agents.syslog.listener._WAIT_S", 0.01)


@contextmanager
def listening(spool: SyslogSpool, told: list[str] | None = None, connections: int = 64) -> Iterator[Listener]:
    def tell(kind: str, text: str) -> None:
        if told is not None:
            told.append(f"{kind}: {text}")

    one = Listener(("127.0.0.1", 0), spool, max_connections=connections, tell=tell)
    one.start()
    try:
        yield one
    finally:
        one.close()


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def connected(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=30)


def lines(spool: SyslogSpool) -> list[bytes | None]:
    return [line.text for line in SpoolFeed(spool).lines()]


def test_both_framings_at_once(tmp_path: Path) -> None:
    spool = SyslogSpool(tmp_path, 1_000_000)
    with listening(spool) as listener, connected(listener) as one, connected(listener) as two:
        one.sendall(b"<1>lines\n<1>more\n")
        two.sendall(b"8 <1>count")
        two.sendall(b"ed 7 <1>next")
        wait_for(lambda: listener.heard.messages == 3)
    assert sorted(one or b"" for one in lines(spool)) == [b"<1>count", b"<1>lines", b"<1>more"]
    assert listener.heard.halves == 0


def test_half_a_message_is_told_and_not_kept(tmp_path: Path) -> None:
    spool, told = SyslogSpool(tmp_path, 1_000_000), list[str]()
    with listening(spool, told) as listener:
        with connected(listener) as one:
            one.sendall(b"<1>whole\n<1>ha")
        wait_for(lambda: listener.heard.halves == 1)
    assert lines(spool) == [b"<1>whole"]
    assert "ended inside a message" in told[0]


def test_a_count_that_is_none_closes_the_connection(tmp_path: Path) -> None:
    spool, told = SyslogSpool(tmp_path, 1_000_000), list[str]()
    with listening(spool, told) as listener, connected(listener) as one:
        one.sendall(b"7 <1>good<1>bad")
        assert one.recv(10) == b""
        wait_for(lambda: listener.heard.messages == 1)
    assert "not a count of octets" in told[0]


def test_one_connection_too_many_is_turned_away(tmp_path: Path) -> None:
    with listening(SyslogSpool(tmp_path, 1_000_000), connections=1) as listener, connected(listener) as one:
        wait_for(lambda: listener.heard.connections == 1)
        with connected(listener) as two:
            assert two.recv(10) == b""
        one.sendall(b"<1>still heard\n")
        wait_for(lambda: listener.heard.messages == 1)


def test_a_full_spool_makes_senders_wait_and_loses_nothing(tmp_path: Path) -> None:
    spool = SyslogSpool(tmp_path, 300_000, segment_bytes=100_000)
    feed = SpoolFeed(spool)
    told: list[str] = []
    count = 30_000
    with listening(spool, told) as listener, connected(listener) as one:
        one.settimeout(120)
        data = b"".join(b"<1>%099d\n" % n for n in range(count))
        sender = threading.Thread(target=one.sendall, args=(data,))
        sender.start()
        wait_for(lambda: listener.heard.waited > 0)
        assert spool.used_bytes < 500_000
        got: list[bytes | None] = []
        end = time.monotonic() + 120
        while len(got) < count and time.monotonic() < end:
            got += [line.text for line in feed.lines()]
            feed.release()
            time.sleep(0.005)
        sender.join(30)
    assert got == [b"<1>%099d" % n for n in range(count)]
    assert told[0] == "spool: it is full: senders wait"


def test_a_disk_that_takes_nothing_for_a_while_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, told = SyslogSpool(tmp_path, 1_000_000), list[str]()
    real, refuse = os.fdatasync, threading.Event()
    refuse.set()

    def fdatasync(file: int) -> None:
        if refuse.is_set():
            raise OSError(28, "the disk is full")
        real(file)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    with listening(spool, told) as listener, connected(listener) as one:
        one.sendall(b"<1>one\n")
        wait_for(lambda: listener.heard.disk_errors > 1)
        one.sendall(b"<1>two\n")
        refuse.clear()
        wait_for(lambda: listener.heard.messages == 2)
    assert lines(spool) == [b"<1>one", b"<1>two"]
    assert [text.split(":")[1] for text in told] == [" it cannot be written", " it can be written again"]


def test_what_has_arrived_when_it_is_closed_is_spooled(tmp_path: Path) -> None:
    spool = SyslogSpool(tmp_path, 1_000_000)
    with listening(spool) as listener, connected(listener) as one:
        one.sendall(b"<1>first\n")
        wait_for(lambda: listener.heard.messages == 1)
        one.sendall(b"<1>last\n" * 1000)
    assert len(lines(spool)) == 1001
