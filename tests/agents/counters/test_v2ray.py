"""V2Ray's and Xray's statistics as they come over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.counters.grpc import channel, fields, text_field, unary
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked
from flowtally.agents.counters.v2ray import ProcessStart, V2Ray, stood, uptime
from flowtally.core.edges import format_instant, parse_instant

# QueryStats(pattern "user>>>") and GetSysStats of V2Ray 4.34 (Debian 12), recorded: alice loaded 100,000 bytes.
STATS = bytes.fromhex(
    "0a270a21757365723e3e3e616c6963653e3e3e747261666669633e3e3e646f776e6c696e6b10ec8e06"
    "0a230a1f757365723e3e3e616c6963653e3e3e747261666669633e3e3e75706c696e6b1069"
)
SYSTEM = bytes.fromhex("0813100118809e3b20f8ac4f2890f8aa0630b65738aa2b408c2c48859d015001")
# Xray leaves out a value of 0 as protobuf does: `xray api statsquery` shows such a user as a name alone.
SILENT = bytes.fromhex("0a210a1f757365723e3e3e6361726f6c3e3e3e747261666669633e3e3e75706c696e6b")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: ">>>" not in name)


def test_both_ways_of_a_user_are_one_counter() -> None:
    alice, carol = stood(STATS + SILENT, "2026-03-01T12:00:00Z")
    assert (alice.name, alice.bytes_up, alice.bytes_down) == ("alice", 105, 100_204)
    assert (carol.name, carol.bytes_up, carol.bytes_down) == ("carol", 0, 0)
    assert alice.epoch == "2026-03-01T12:00:00Z"
    assert "alice" not in alice.counter


def test_how_long_it_runs_is_the_tenth_field() -> None:
    assert uptime(SYSTEM) == 1
    assert uptime(b"") == 0


@given(st.dictionaries(NAMES, st.tuples(*[st.integers(0, 2**63 - 1)] * 2), max_size=5), st.randoms())
def test_what_is_written_is_read(users: dict[str, tuple[int, int]], order: object) -> None:
    stats = [
        (f"user>>>{name}>>>traffic>>>{way}", value)
        for name, ways in users.items()
        for way, value in zip(("uplink", "downlink"), ways, strict=True)
    ]
    order.shuffle(stats)  # type: ignore[attr-defined]
    others = [("inbound>>>http>>>traffic>>>uplink", 7), ("user>>>alice>>>online", 1)]
    found = stood(encoded([*stats, *others]), "")
    assert {one.name: (one.bytes_up, one.bytes_down) for one in found} == users
    assert len({one.counter for one in found}) == len(users)


def test_what_xray_says_of_its_users_is_read_alike() -> None:
    """In the shape that `xray api statsquery` prints, put on the wire by the names and numbers of Xray's command.proto,
    which are V2Ray's: beside users there are inbounds, outbounds, and counters of who is online."""
    shown = """
        {"stat": [{"name": "inbound>>>vless>>>traffic>>>downlink", "value": "100391432"},
                  {"name": "user>>>love@xray.com>>>traffic>>>uplink", "value": "18446744"},
                  {"name": "user>>>love@xray.com>>>traffic>>>downlink", "value": "6442450944"},
                  {"name": "user>>>idle@xray.com>>>traffic>>>downlink"},
                  {"name": "user>>>love@xray.com>>>online", "value": "1"},
                  {"name": "outbound>>>direct>>>traffic>>>uplink", "value": "12"}]}"""
    stats = [(one["name"], int(one.get("value", 0))) for one in json.loads(shown)["stat"]]
    found = {one.name: (one.bytes_up, one.bytes_down) for one in stood(encoded(stats), "")}
    assert found == {"love@xray.com": (18_446_744, 6_442_450_944), "idle@xray.com": (0, 0)}


@given(st.binary(max_size=60), st.integers(0, len(STATS)))
def test_anything_else_is_told_and_counts_nothing(noise: bytes, cut: int) -> None:
    for answer in (noise, STATS[:cut] + noise):
        try:
            found = stood(answer, "")
        except Unasked:
            continue
        assert all(isinstance(one, Stood) for one in found)


def encoded(stats: list[tuple[str, int]]) -> bytes:
    out = b""
    for name, value in stats:
        one = text_field(1, name) + (b"\x10" + varint(value) if value else b"")
        out += b"\x0a" + varint(len(one)) + one
    assert all(number == 1 for number, _ in fields(out))
    return out


def varint(number: int) -> bytes:
    low = number & 127
    return bytes([low]) if number < 128 else bytes([low | 128]) + varint(number >> 7)


class Api:
    """An API as V2Ray's or Xray's answers, over httpx's seam."""

    def __init__(self, package: str = "v2ray.core", uptimes: tuple[int, ...] = (100,)) -> None:
        self.package = package
        self.uptimes = list(uptimes)
        self.asked: list[tuple[str, bytes]] = []
        self.spoil: Callable[[httpx.Response], httpx.Response] = lambda response: response

    def __call__(self, request: httpx.Request) -> httpx.Response:
        package, _, method = request.url.path[1:].partition(".app.stats.command.StatsService/")
        self.asked.append((method, request.content))
        if package != self.package:
            return httpx.Response(200, headers={"grpc-status": "12", "grpc-message": "unknown service"})
        if method == "QueryStats":
            return self.spoil(httpx.Response(200, content=framed(STATS)))
        now = self.uptimes.pop(0) if len(self.uptimes) > 1 else self.uptimes[0]
        return httpx.Response(200, content=framed(b"\x50" + varint(now)))


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def poll(api: Api, kind: str = "v2ray", at: int = 1_000_000_000_000) -> list[Stood]:
    counters = Counters(name="x", kind=kind, address="127.0.0.1:1")  # type: ignore[arg-type]
    return V2Ray(counters, wall=lambda: at, elapsed=lambda: 500_000, transport=httpx.MockTransport(api))()


@pytest.mark.parametrize("package", ["v2ray.core", "xray"])
@pytest.mark.parametrize("kind", ["v2ray", "xray"])
def test_both_names_of_the_service_are_tried_and_nothing_is_reset(package: str, kind: str) -> None:
    api = Api(package)
    assert [one.name for one in poll(api, kind)] == ["alice"]
    assert [asked for method, asked in api.asked if method == "QueryStats"] == [framed(text_field(1, "user>>>"))]


def test_the_epoch_is_when_the_process_began() -> None:
    assert poll(Api())[0].epoch == "2001-09-09T01:45:00Z"


def test_a_restart_while_it_is_asked_is_no_answer() -> None:
    with pytest.raises(Unasked, match="restarted while it was asked"):
        poll(Api(uptimes=(100, 0)))


@pytest.mark.parametrize(
    "spoilt",
    [
        httpx.Response(200, content=framed(STATS)[:-1]),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=framed(STATS) * 2),
        httpx.Response(200, headers={"grpc-status": "2", "grpc-message": "no%0Astats"}),
        httpx.Response(404, content=b"<html>"),
    ],
)
def test_an_answer_that_is_not_whole_is_none(spoilt: httpx.Response) -> None:
    api = Api()
    api.spoil = lambda _: spoilt
    with pytest.raises(Unasked) as told:
        poll(api)
    assert "\n" not in str(told.value)


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(-3_600_000, 3_600_000)), min_size=1, max_size=30))
def test_one_process_has_one_beginning_however_the_clock_is_set(polls: list[tuple[int, int]]) -> None:
    """It began at 0 of the clock that nobody sets; `Uptime` is in whole seconds."""
    now = [0, 0]
    beginning = ProcessStart(lambda: now[1], lambda: now[0])
    said = set()
    for elapsed, step in sorted(polls):
        now[:] = elapsed, 1_700_000_000_000 + elapsed + step
        said.add(beginning(elapsed // 1000, elapsed))
    assert len(said) == 1


def test_another_process_has_another_beginning() -> None:
    now = [0]
    beginning = ProcessStart(lambda: now[0], lambda: now[0])
    now[0] = 60_000
    first = beginning(60, now[0])
    now[0] = 70_000
    assert beginning(5, now[0]) != first


@given(st.integers(0, 10**9), st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 1_000), st.integers(0, 1_000))))
def test_pollers_that_know_nothing_of_each_other_say_one_beginning(
    began: int, polls: list[tuple[int, int, int]]
) -> None:
    """Whenever they ask, and however long (up to a second) question and answer are on their way."""
    said = []
    for after, there, back in polls:
        asked = began + after
        now = asked + there + back
        beginning = ProcessStart(lambda now=now: 10**12 + now, lambda now=now: now)  # type: ignore[misc]
        said.append(parse_instant(beginning((asked + there - began) // 1000, asked)))
    assert all(abs(one - (10**12 + began)) <= 1_000 for one in said)


def test_an_answer_that_is_long_on_its_way_is_asked_for_again() -> None:
    times = iter([0, 3_000, 5_000, 5_010, 5_010])
    counters = Counters(name="x", kind="v2ray", address="127.0.0.1:1")
    api = Api(uptimes=(1, 2, 4))
    one = V2Ray(counters, wall=lambda: 10**12, elapsed=lambda: next(times), transport=httpx.MockTransport(api))
    assert {stat.epoch for stat in one()} == {format_instant(10**12 - 4_010)}


def test_one_that_never_answers_promptly_is_told() -> None:
    times = iter(range(0, 100_000, 2_000))
    counters = Counters(name="x", kind="v2ray", address="127.0.0.1:1")
    with pytest.raises(Unasked, match="more than 1000 ms"):
        V2Ray(counters, elapsed=lambda: next(times), transport=httpx.MockTransport(Api()))()


def test_an_answer_that_dribbles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dribbling(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(100):
                now[0] += 1.0
                yield b"\0"

    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Dribbling()))
    with channel(5, transport) as http, pytest.raises(Unasked, match="in time"):
        unary(http, "127.0.0.1:1", "a.B/C", b"")
    assert now[0] <= 7
