"""Where a vendor may be: at public addresses, looked at once and connected to as looked at, and under its own name."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from tests.providers import stub as stubs
from tests.providers.stub import Stub, ok
from tests.providers.waits import ONCE, PACE, SHORT, Waits, client_of
from tests.test_tls import certified

from flowtally.providers.asking import Bounds, VendorClient
from flowtally.providers.connecting import OffLimits, Place, ServerStops, is_public, look_up
from flowtally.providers.puller import Failed

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fd00::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2002:a00:1::1", "2001:0:7f00:1::", "192.0.0.8", "192.0.0.9", "192.88.99.1", "168.63.129.16",
    "::ffff:168.63.129.16", "64:ff9b::c058:6301",
]  # fmt: skip
PUBLIC = [
    "8.8.8.8", "1.1.1.1", "168.63.129.17", "192.0.1.1", "172.32.0.1",
    "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_whole_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_of_the_whole_internet_is_public(address: str) -> None:
    assert is_public(address)


class Names:
    """Looks names up as a test says, one answer after another."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[Place]:
        self.asked.append(host)
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [(socket.AF_INET6, (one, port, 0, 0)) if ":" in one else (socket.AF_INET, (one, port)) for one in found]


@pytest.mark.parametrize("found", [["127.0.0.1"], ["::1", "10.1.2.3"], []])
def test_a_name_that_means_a_private_address_is_not_asked(found: list[str]) -> None:
    """Nor is it tried again, and nothing is sent."""
    waits = Waits()
    with (
        Stub(ok()) as stub,
        client_of(f"http://vendor.example:{stub.port}", PACE, waits, private=False, look_up=Names(found)) as ask,
    ):
        with pytest.raises(
            OffLimits, match=r"^GET http://vendor.example:\d+/x cannot be asked: vendor.example is "
        ) as at:
            ask("GET", "/x")
        assert ", ".join(sorted(found)) in str(at.value)
        assert (stub.connections, waits.waited) == (0, [])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.1", "2130706433", "0x7f000001"])
def test_an_address_of_this_machine_is_none_however_it_is_written(host: str) -> None:
    with (
        Stub(ok()) as stub,
        client_of(f"http://{host}:{stub.port}", private=False) as ask,
        pytest.raises(Failed, match=r"only public addresses are asked|is not known"),
    ):
        ask("GET", "/x")
    assert stub.connections == 0


def test_a_name_is_looked_up_once_for_a_connection_and_what_was_looked_at_is_connected_to() -> None:
    """A second look could find something else: 192.0.2.1 would be what was not looked at."""
    names = Names(["127.0.0.1"], ["192.0.2.1"])
    with Stub(ok()) as stub, client_of(f"http://vendor.example:{stub.port}", look_up=names) as ask:
        assert ask("GET", "/x").status == 200
        assert stub.heard[0].headers["host"] == f"vendor.example:{stub.port}"
    assert names.asked == ["vendor.example"]


def test_of_several_addresses_the_first_that_answers_is_asked() -> None:
    with Stub(ok()) as stub:
        closed = Names(["::1", "127.0.0.1"])  # nobody listens on the first
        with client_of(f"http://vendor.example:{stub.port}", look_up=closed) as ask:
            assert ask("GET", "/x").status == 200


def test_a_name_that_nobody_knows_is_told() -> None:
    def unknown(host: str, port: int) -> list[Place]:
        raise socket.gaierror(-2, "Name or service not known")

    known = r"vendor.example is not known: .* Name or service not known"
    with client_of("http://vendor.example", look_up=unknown) as ask, pytest.raises(Failed, match=known):
        ask("GET", "/x")


def test_a_name_that_is_looked_up_for_ever_ends_with_the_server() -> None:
    stop, looking, over = threading.Event(), threading.Event(), threading.Event()

    def hang(host: str, port: int) -> list[Place]:
        looking.set()
        over.wait(30)
        return []

    def stop_when_looking() -> None:
        looking.wait(30)
        stop.set()

    with VendorClient("http://vendor.example", ONCE, plain=True, stop=stop, look_up=hang) as ask:
        threading.Thread(target=stop_when_looking).start()
        with pytest.raises(ServerStops):
            ask("GET", "/x")
        over.set()


def test_a_server_that_takes_no_connection_is_not_waited_for() -> None:
    """Its backlog is full: a connection is neither taken nor refused."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with client_of(url, bounds=Bounds(connect_s=0.1)) as ask, pytest.raises(Failed, match="ConnectTimeout"):
            ask("GET", "/x")
        for one in waiting:
            one.close()


# -- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate of localhost and 127.0.0.1, and a server's context with it."""
    cert, key = certified(tmp_path_factory.mktemp("tls"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def test_a_server_that_is_vouched_for_is_asked(
    served: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(served[0]))
    big = b"x" * SHORT.answer_bytes
    with Stub(ok(big), tls=served[1]) as stub, client_of(f"https://localhost:{stub.port}") as ask:
        assert ask("GET", "/x").body == big
        assert ask("POST", "/x", form={"a": "x" * 100_000}).body == big
    assert [len(one.body) for one in stub.heard] == [0, 100_002]
    assert stub.connections == 1


@pytest.mark.parametrize(("trusted", "host"), [(False, "localhost"), (True, "vendor.example")])
def test_who_is_not_vouched_for_is_told_nothing(
    served: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, trusted: bool, host: str
) -> None:
    """Nobody knows its certificate, or it is that of another name than the one that was asked for."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(served[0]))
    waits = Waits()
    with (
        Stub(ok(), tls=served[1]) as stub,
        client_of(f"https://{host}:{stub.port}", PACE, waits, look_up=Names(["127.0.0.1"])) as ask,
        pytest.raises(OffLimits, match="its certificate is not to be trusted"),
    ):
        ask("GET", "/x", headers={"X-Key": "secret"})
    assert (stub.heard, waits.waited) == ([], [])


def test_who_speaks_no_tls_is_told_nothing() -> None:
    with (
        Stub(stubs.garbage()) as stub,
        client_of(f"https://127.0.0.1:{stub.port}", bounds=Bounds(connect_s=0.2)) as ask,
        pytest.raises(Failed, match=r"ConnectError|ConnectTimeout"),
    ):
        ask("GET", "/x", headers={"X-Key": "secret"})
    assert all("x-key" not in one.headers for one in stub.heard)


def test_names_are_looked_up_as_the_machine_does() -> None:
    assert {place[0] for _, place in look_up("127.0.0.1", 80)} == {"127.0.0.1"}
