"""Syslog as an input: what a socket took is at the server once, whatever ends in between, and leaves the spool then."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.agents.fake import FakeServer
from tests.agents.feeds.driving import Driven, sizes, squid_line
from tests.nginx import free_port

from flowtally.agents.feeds.syslog import SyslogEntry, Syslogs
from flowtally.core.errors import ConfigError

SOURCE = "agent:gw:proxy:syslog"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long a listener waits before it hears that it is closed."""
    monkeypatch.setattr("flowtally.agents.syslog.listener._WAIT_S", 0.01)


def entry(tmp_path: Path, port: int = 0, spool: str | None = None) -> SyslogEntry:
    folder = str(tmp_path / "spool") if spool is None else spool
    listen = f"127.0.0.1:{port or free_port()}"
    return SyslogEntry(name="proxy", listen=listen, spool=folder, format="squid", account="acme")


def connect(one: SyslogEntry) -> socket.socket:
    return socket.create_connection(one.address, timeout=30)


def lines(numbers: range) -> bytes:
    return b"".join(squid_line(number) + b"\n" for number in numbers)


def spooled(tmp_path: Path) -> int:
    return sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())


def until_spooled(driven: Driven, messages: int) -> None:
    driven.until(lambda: driven.input.facts()["messages"] == messages)


def test_every_line_once_whoever_dies_in_between(tmp_path: Path) -> None:
    fake, written = FakeServer(), 0
    for fault in ("", "lose_answers", "store_only", "busy", ""):
        one = entry(tmp_path)
        driven = Driven(Syslogs(), one, fake)
        driven.turn()
        if fault == "lose_answers":
            fake.lose_answers = 1
        if fault == "store_only":
            fake.store_only = 20
        if fault == "busy":
            fake.busy = 2
        with connect(one) as sender:
            sender.sendall(lines(range(written, written + 50)))
            written += 50
            driven.until_stored(written)
            sender.sendall(lines(range(written, written + 50)))
            written += 50
        until_spooled(driven, 100)
        driven.input.close()  # what was spooled and not sent is sent by the next
    driven = Driven(Syslogs(), entry(tmp_path), fake, once=True)
    driven.until_stored(written)
    driven.end()
    assert sizes(fake, SOURCE) == list(range(written))
    assert len(list((tmp_path / "spool").iterdir())) == 1


def test_lines_are_taken_while_the_server_is_away(tmp_path: Path) -> None:
    fake, one = FakeServer(), entry(tmp_path)
    fake.busy = 1000
    driven = Driven(Syslogs(), one, fake)
    driven.turn(3)
    with connect(one) as sender:
        sender.sendall(lines(range(100)))
    until_spooled(driven, 100)
    assert driven.input.facts()["spool_bytes"] == spooled(tmp_path) > 0
    assert sizes(fake, SOURCE) == []
    fake.busy = 0
    driven.until(lambda: len(sizes(fake, SOURCE)) == 100)
    driven.end()


def test_a_spool_of_lines_that_cannot_be_read_does_not_fill(tmp_path: Path) -> None:
    fake, one = FakeServer(), entry(tmp_path)
    driven = Driven(Syslogs(), one, fake)
    driven.turn()
    with connect(one) as sender:
        for _ in range(3):
            sender.sendall(b"no such line %0660d\n" % 0 * 9_000)
            driven.turn(3)
    driven.until(lambda: driven.input.facts()["lines"] == 27_000)
    driven.turn(2)
    driven.end()
    assert spooled(tmp_path) < 9_000_000


def test_a_taken_port_is_told_and_tried_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        one = entry(tmp_path, taken.getsockname()[1])
        driven = Driven(Syslogs(), one, FakeServer())
        driven.turn(20)
        assert driven.told.getvalue().count("cannot_listen") == 1
    driven.until(lambda: "listening" in driven.told.getvalue())
    driven.end()


def test_a_message_inside_its_envelope(tmp_path: Path) -> None:
    fake = FakeServer()
    one = SyslogEntry(
        name="proxy",
        listen=f"127.0.0.1:{free_port()}",
        spool=str(tmp_path),
        format="squid",
        envelope="syslog",
        account="acme",
    )
    driven = Driven(Syslogs(), one, fake)
    driven.turn()
    head = b"<134>1 2026-11-29T17:23:40.646695+00:00 - squid 27832 - - "
    with connect(one) as sender:
        for number in range(10):
            message = head + squid_line(number)
            sender.sendall(b"%d %s" % (len(message), message))
        driven.until(lambda: len(sizes(fake, SOURCE)) == 10)
    driven.end()
    assert sizes(fake, SOURCE) == list(range(10))


def test_two_that_would_listen_at_one_address_are_refused(tmp_path: Path) -> None:
    one = entry(tmp_path, 6514, "/a")
    other = SyslogEntry(name="other", listen="127.0.0.1:6514", spool="/b", format="squid")
    assert Syslogs().check([one, other]) == ["syslog 'other': listen 127.0.0.1:6514 is that of 'proxy', too"]


@pytest.mark.parametrize("listen", ["6514", "localhost:6514", "127.0.0.1:66000", "::1:6514", "127.0.0.1"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match="listen"):
        Driven(Syslogs(), SyslogEntry(name="proxy", listen=listen, spool="/x", format="squid"), FakeServer())


def test_where_to_spool_must_be_known(tmp_path: Path) -> None:
    one = SyslogEntry(name="proxy", listen="127.0.0.1:6514", format="squid")
    with pytest.raises(ConfigError, match="where to spool"):
        Driven(Syslogs(), one, FakeServer())
    Driven(Syslogs(), one, FakeServer(), STATE_DIRECTORY=str(tmp_path))


def test_a_server_that_takes_few_new_names_at_once_gets_smaller_requests(tmp_path: Path) -> None:
    fake, one = FakeServer(), entry(tmp_path)
    fake.most_events = 100
    driven = Driven(Syslogs(), one, fake)
    driven.turn()
    with connect(one) as sender:
        sender.sendall(lines(range(3000)))
        until_spooled(driven, 3000)
    driven.until_stored(3000)
    driven.end()
    assert sizes(fake, SOURCE) == list(range(3000))


def test_a_spool_that_can_be_opened_only_later_is_not_read_from_its_beginning(tmp_path: Path) -> None:
    fake, one = FakeServer(), entry(tmp_path)
    driven = Driven(Syslogs(), one, fake)
    driven.turn()
    with connect(one) as sender:
        sender.sendall(lines(range(10)))
        until_spooled(driven, 10)
    driven.until_stored(10)
    driven.end()
    spool, away = tmp_path / "spool", tmp_path / "away"
    spool.rename(away)
    spool.write_text("in the way")
    driven = Driven(Syslogs(), one, fake)
    driven.turn(20)
    assert "cannot_listen" in driven.told.getvalue()
    spool.unlink()
    away.rename(spool)
    driven.until(lambda: "listening" in driven.told.getvalue())
    with connect(one) as sender:
        sender.sendall(lines(range(10, 20)))
        until_spooled(driven, 10)
    driven.until_stored(20)
    driven.turn(5)
    driven.end()
    assert sizes(fake, SOURCE) == list(range(20))


def test_a_listener_that_died_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, one = FakeServer(), entry(tmp_path)
    driven = Driven(Syslogs(), one, fake)
    driven.turn()
    with monkeypatch.context() as patch:
        patch.setattr("flowtally.agents.syslog.listener.Listener._accept", _die)
        with connect(one):
            driven.until(lambda: "syslog_died" in driven.told.getvalue())
    with connect(one) as sender:
        sender.sendall(lines(range(10)))
        driven.until_stored(10)
    driven.end()
    assert sizes(fake, SOURCE) == list(range(10))


def _die(_: object) -> None:
    raise RuntimeError("unforeseen")
