"""Who may be connected, over real sockets: silent ones, too many of one address, heads without end, HTTP/2."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from tests.live import Live, live_server

from flowtally.config import load_config
from flowtally.server import HEADER_READ_MS, OTHER_FILES, room_for
from flowtally.web.access import MAX_HEAD_BYTES
from flowtally.web.capacity.connection_limits import HERE, MOST_S, STUCK_S, ConnectionLimits, Peer
from flowtally.web.forwarded import Networks

H2C = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live") / "data", {"FLOWTALLY_MAX_CONNECTIONS": "64"}) as served:
        yield served


def connect(live: Live, *, from_address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(live.place, timeout=20, source_address=(from_address, 0))


def answer_to(live: Live, request: bytes) -> bytes:
    """All that comes until the server closes; nothing if it does at once."""
    got = b""
    with connect(live) as own:
        try:
            own.sendall(request)
            while chunk := own.recv(65_536):
                got += chunk
        except ConnectionError:
            pass
    return got


def healthy(live: Live, timeout: float = 30) -> bool:
    return httpx.get(f"{live.url}/healthz", timeout=timeout).status_code == 200


def test_http_2_is_not_spoken(live: Live) -> None:
    before = live.memory_mb()
    block = bytes((0x00, 0x40, 0x00, 0x01, 0x04, 0, 0, 0, 1)) + b"\x82" * 0x4000  # a head of HTTP/2
    assert not answer_to(live, H2C + block * 8).startswith(b"\0")
    assert live.memory_mb() - before < 50
    assert healthy(live)


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES + 1, 60_000, 200_000, 3_000_000])
def test_a_head_beyond_the_limit_is_refused(live: Live, size: int) -> None:
    before = live.memory_mb()
    got = answer_to(live, b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Pad: " + b"a" * size + b"\r\n\r\n")
    assert got == b"" or got.startswith(b"HTTP/1.1 431 ")  # what is sent on may reset the connection before it is read
    assert live.memory_mb() - before < 50
    assert healthy(live)


def test_a_head_just_beyond_the_limit_is_told_what_the_limit_is(live: Live) -> None:
    refused = httpx.get(f"{live.url}/v1/accounts", headers={"X-Pad": "a" * MAX_HEAD_BYTES})
    assert (refused.status_code, refused.json()["code"]) == (431, "head_too_large")
    assert refused.json()["limit"] == MAX_HEAD_BYTES
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert refused.headers["connection"] == "close"
    assert httpx.get(f"{live.url}/healthz", headers={"X-Pad": "a" * (MAX_HEAD_BYTES - 400)}).status_code == 200


def test_more_silent_connections_than_there_may_be_shut_nobody_out(live: Live) -> None:
    with ExitStack() as closing:
        silent = [closing.enter_context(connect(live)) for _ in range(200)]
        assert healthy(live)
        ended = 0
        for one in silent:
            one.setblocking(False)
            with suppress(BlockingIOError):
                ended += one.recv(1) == b""
        assert ended > 64


def test_who_asked_something_is_not_ended_with_the_silent(live: Live) -> None:
    limits = httpx.Limits(keepalive_expiry=None)
    with httpx.Client(base_url=live.url, limits=limits, timeout=30) as kept, ExitStack() as closing:
        before = port_of(kept.get("/healthz"))
        for _ in range(60):
            closing.enter_context(connect(live))
        time.sleep(3)
        assert port_of(kept.get("/healthz")) == before


def port_of(answer: httpx.Response) -> int:
    """Of which connection it came over."""
    return int(answer.extensions["network_stream"].get_extra_info("socket").getsockname()[1])


class Listening:
    """A socket of this process that takes what connects to it, as the server has it."""

    def __init__(self, closing: ExitStack) -> None:
        self._closing = closing
        self._listener = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._listener.getsockname()[1]
        self.open: list[tuple[socket.socket, Peer]] = []

    def take(self, address: str) -> Peer:
        """One more from this address, which must be of this machine."""
        near = socket.create_connection(("127.0.0.1", self.port), timeout=20, source_address=(address, 0))
        self._closing.enter_context(near)
        own, (host, port) = self._listener.accept()
        self._closing.enter_context(own)
        peer = (str(host), int(port))
        self.open.append((near, peer))
        return peer

    def ended(self) -> list[Peer]:
        """Who reads the end of its connection."""
        found = []
        for near, peer in self.open:
            near.setblocking(False)
            with suppress(BlockingIOError):
                found += [peer] if near.recv(1) == b"" else []
        return found


@pytest.fixture
def listening() -> Iterator[Listening]:
    with ExitStack() as closing:
        yield Listening(closing)


def crowd(
    per_address: int = 4,
    most: int = 1000,
    proxies: str = "",
    here: Networks = (),
    clock: Callable[[], float] = time.monotonic,
) -> ConnectionLimits:
    settings = {"max_connections": most, "max_connections_per_address": per_address, "trusted_proxies": proxies}
    return ConnectionLimits(load_config({}, data="/nowhere", **settings), here, clock)


def test_one_address_has_so_many_connections_and_others_keep_theirs(listening: Listening) -> None:
    others = [listening.take(f"127.0.0.{last}") for last in (3, 4, 5) for _ in range(4)]
    greedy = [listening.take("127.0.0.2") for _ in range(10)]
    watch = crowd()
    assert watch.sweep(listening.port) == 6
    assert len(set(listening.ended()) & set(greedy)) == 6
    assert not set(listening.ended()) & set(others)


def test_what_is_in_work_ends_last_and_the_silent_first(listening: Listening) -> None:
    watch = crowd()
    in_work, idle = [[listening.take("127.0.0.2") for _ in range(3)] for _ in range(2)]
    for peer in (*in_work, *idle):
        watch.begin(peer)
    for peer in idle:
        watch.end(peer)
    silent = [listening.take("127.0.0.2") for _ in range(3)]
    watch.sweep(listening.port)
    assert set(silent) < set(listening.ended())
    assert not set(in_work) & set(listening.ended())
    assert len(listening.ended()) == 5


@pytest.mark.parametrize(("proxies", "here"), [("127.0.0.0/30", ()), ("", HERE)], ids=["proxy", "this machine"])
def test_who_speaks_for_many_is_not_counted(listening: Listening, proxies: str, here: Networks) -> None:
    for _ in range(10):
        listening.take("127.0.0.2")
    assert crowd(proxies=proxies, here=here).sweep(listening.port) == 0


def test_no_bound_is_no_bound(listening: Listening) -> None:
    for _ in range(10):
        listening.take("127.0.0.2")
    assert crowd(per_address=0).sweep(listening.port) == 0


def test_silent_ones_end_at_the_second_sweep_and_only_when_there_are_many(listening: Listening) -> None:
    watch = crowd(per_address=0, most=16)
    served = [listening.take("127.0.0.2") for _ in range(4)]
    for peer in served:
        watch.begin(peer)
        watch.end(peer)
    early = [listening.take("127.0.0.2") for _ in range(8)]
    assert [watch.sweep(listening.port) for _ in range(3)] == [0, 0, 0]  # twelve of sixteen
    late = listening.take("127.0.0.2")
    assert watch.sweep(listening.port) == len(early)
    assert set(listening.ended()) == set(early)
    assert late not in listening.ended()


def test_idle_ones_end_when_there_are_many_the_longest_idle_first_and_none_in_work(listening: Listening) -> None:
    now = [1000.0]
    watch = crowd(per_address=0, most=16, clock=lambda: now[0])
    idle = [listening.take("127.0.0.2") for _ in range(10)]
    busy = [listening.take("127.0.0.2") for _ in range(4)]
    for peer in (*busy, *idle[5:], *idle[:5]):  # the second five are idle for longer
        now[0] += 0.01
        watch.begin(peer)
        watch.end(peer)
    for peer in busy:
        watch.begin(peer)
    now[0] += 1
    assert watch.sweep(listening.port) == 0  # they are new to it
    now[0] += 1
    assert watch.sweep(listening.port) == 2
    assert set(listening.ended()) == set(idle[5:7])


def test_one_that_was_answered_since_the_sweep_before_is_not_ended(listening: Listening) -> None:
    now = [1000.0]
    watch = crowd(per_address=0, most=16, clock=lambda: now[0])
    served = [listening.take("127.0.0.2") for _ in range(14)]
    for _ in range(3):
        for peer in served:
            watch.begin(peer)
            watch.end(peer)
        now[0] += 1
        assert watch.sweep(listening.port) == 0  # each was answered since the sweep before


def test_idle_ones_are_not_ended_for_those_that_say_nothing(listening: Listening) -> None:
    now = [1000.0]
    watch = crowd(per_address=0, most=16, clock=lambda: now[0])
    served = [listening.take("127.0.0.2") for _ in range(12)]
    for peer in served:
        watch.begin(peer)
        watch.end(peer)
    for _ in range(2):
        now[0] += 1
        assert watch.sweep(listening.port) == 0
    silent = [listening.take("127.0.0.2") for _ in range(4)]
    for ended in (0, 4):  # they are new at first
        now[0] += 1
        assert watch.sweep(listening.port) == ended
    assert set(listening.ended()) == set(silent)


def test_what_was_asked_over_connections_that_are_gone_is_forgotten_and_of_others_kept(listening: Listening) -> None:
    watch = crowd(per_address=0, most=16)
    idle = [listening.take("127.0.0.2") for _ in range(13)]
    for peer in (*idle, *(("192.0.2.1", port) for port in range(40))):
        watch.begin(peer)
        watch.end(peer)
    for _ in range(2):
        watch.sweep(listening.port)
    assert set(watch._served) == set(idle)
    assert len(listening.ended()) <= 1  # the one that is beyond, and none as if it had never asked


def test_a_new_connection_under_the_number_of_an_old_one_is_not_idle(listening: Listening) -> None:
    now = [1000.0]
    watch = crowd(per_address=0, most=16, clock=lambda: now[0])
    peers = [listening.take("127.0.0.2") for _ in range(13)]
    for peer in peers:
        watch.begin(peer)
        watch.end(peer)
    now[0] += 5
    watch.sweep(0)  # none of them is seen
    now[0] += 1
    assert watch.sweep(listening.port) == 0
    now[0] += 1
    assert watch.sweep(listening.port) == 1


def test_connections_that_asked_once_do_not_fill_the_server(live: Live) -> None:
    with ExitStack() as closing:
        began = time.monotonic()
        for _ in range(64):
            one = closing.enter_context(connect(live))
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            with suppress(TimeoutError, ConnectionError):
                one.settimeout(5)
                one.recv(1000)
        assert healthy(live)
        assert time.monotonic() - began < HEADER_READ_MS / 1000  # else they would have ended by themselves


def test_a_long_look_at_many_with_nothing_to_do_is_taken_less_often(listening: Listening) -> None:
    ticks = iter(range(0, 1000, 2))  # each look at the clock is two seconds later than the one before
    watch = crowd(per_address=8, most=100, clock=lambda: next(ticks))
    for _ in range(8):
        listening.take("127.0.0.2")
    assert watch.sweep(listening.port) == 0
    assert watch.pause_s == MOST_S
    for _ in range(2):
        listening.take("127.0.0.2")
    assert watch.sweep(listening.port) == 2
    assert watch.pause_s == 1


def test_one_whose_answer_is_stuck_ends_when_there_are_many(listening: Listening) -> None:
    now = [1000.0]
    watch = crowd(per_address=0, most=16, clock=lambda: now[0])
    stuck, busy, fresh = [[listening.take("127.0.0.2") for _ in range(5)] for _ in range(3)]
    for peer in (*stuck, *busy):
        watch.begin(peer)
        watch.end(peer)
    now[0] += STUCK_S + 1
    for peer in (*busy, *fresh):
        watch.begin(peer)
    for peer in fresh:
        watch.end(peer)
    assert watch.sweep(listening.port) == len(stuck)
    assert set(listening.ended()) == set(stuck)


def test_a_connection_that_ended_by_itself_and_other_sockets_are_left_alone(listening: Listening) -> None:
    watch = crowd()
    other = socket.socketpair()
    with other[0], other[1]:
        for _ in range(10):
            listening.take("127.0.0.2")
        for near, _ in listening.open:
            near.close()
        watch.sweep(listening.port)
        other[0].sendall(b"x")
        assert other[1].recv(1) == b"x"


def test_fewer_open_files_than_wanted_are_fewer_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, refuse = [1024, 4096], False

    def setrlimit(_: int, to: tuple[int, int]) -> None:
        if refuse:
            raise ValueError("not allowed")
        limits[:] = to

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert (room_for(1000), limits) == (1000, [1000 + OTHER_FILES, 4096])
    assert (room_for(10_000), limits) == (4096 - OTHER_FILES, [4096, 4096])
    limits, refuse = [1024, 4096], True
    assert room_for(1000) == 512  # half of the files at least
