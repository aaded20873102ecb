"""A poller against the server's own rules: whatever is lost, doubled or restarted, the total is the truth.

The program is a model that counts what it is told to; the server is the rules for readings (`counters.step`) without
anything around them. What the pollers make of both is compared with what was really used.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from h2.exceptions import H2Error
from hypothesis import given
from hypothesis import strategies as st

from flowtally.agents.counters.poller import Polled, Poller
from flowtally.agents.counters.program import Program
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked
from flowtally.client import ApiError, Unreachable
from flowtally.core.corrections import NOTHING
from flowtally.core.counters import Seen, Standing, step
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.readings import Reading, fault_of
from flowtally.protocol import ReadingReceipt, ReadingsAnswer, SourceAnswer

START = 1_795_000_000_000
XRAY = Counters(name="xray-1", kind="xray", address="127.0.0.1:1", account="acme")


class Server:
    """What the API does with readings of one source; `lose`: so many answers are lost after they were stored."""

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.added: dict[str, int] = {}
        self.codes: list[str] = []
        self.lose = 0
        self.away = 0

    def source(self, source: str) -> SourceAnswer:
        if not self.standings:
            raise ApiError("not_found", 404, "no source")
        return SourceAnswer(source, None, None)

    def send_readings(self, readings: Iterable[Reading], *, notable: bool = False) -> ReadingsAnswer:
        if self.away:
            self.away -= 1
            raise Unreachable("the server does not answer")
        receipts = [self.take(index, one) for index, one in enumerate(readings)]
        if self.lose:
            self.lose -= 1
            raise Unreachable("the answer was lost")
        stored, duplicate, refused = (
            sum(one.status == status for one in receipts) for status in ("stored", "duplicate", "refused")
        )
        notable_ones = [one for one in receipts if one.status == "refused" or one.code]
        return ReadingsAnswer(stored, duplicate, refused, notable_ones)

    def take(self, index: int, one: Reading) -> ReadingReceipt:
        assert fault_of(one) is None
        if one.account != "acme":
            return ReadingReceipt(index, one.source, one.counter, "refused", "unknown_account", "there is no account")
        seen = Seen(parse_instant(one.time), one.stated, one.epoch, one.width, one.final, one.from_zero)
        seen = msgspec.structs.replace(seen, epoch_derived=one.epoch_derived)
        done = step(self.standings.get(one.counter), seen)
        self.standings[one.counter] = done.standing
        if done.added != NOTHING:
            self.added[one.user] = self.added.get(one.user, 0) + done.added.bytes_up
        self.codes.append(done.code)
        return ReadingReceipt(index, one.source, one.counter, "stored" if done.stores else "duplicate", done.code)


class Gateway:
    """Counts what users send, until it dies: then all is zero again."""

    def __init__(self) -> None:
        self.began_at = START
        self.counted: dict[str, int] = {}

    def use(self, user: str, size: int) -> None:
        self.counted[user] = self.counted.get(user, 0) + size

    def restart(self, at: int) -> None:
        self.began_at, self.counted = at, {}

    def stood(self) -> list[Stood]:
        epoch = format_instant(self.began_at)
        return [Stood(user, f"user/{user}", size, 0, 0, epoch) for user, size in self.counted.items()]


class World:
    def __init__(self) -> None:
        self.at = START + 60_000
        self.program, self.server = Gateway(), Server()
        self.used: dict[str, int] = {}
        self.unread: dict[str, int] = {}  # by the program that runs, since a reading of it was stored
        self.lost: dict[str, int] = {}  # what a program had counted that nobody read before it died
        self.told_restart = False

    def poller(self, counters: Counters = XRAY) -> Poller:
        client: Any = self.server
        return Poller(client, counters, "gw", ask=self.program.stood, wall=lambda: self.at, elapsed=lambda: self.at)

    def use(self, user: str, size: int) -> None:
        self.program.use(user, size)
        self.used[user] = self.used.get(user, 0) + size
        self.unread[user] = self.unread.get(user, 0) + size

    def poll(self, poller: Poller) -> Polled:
        away = self.server.away
        done = poller.poll()
        self.told_restart |= done.restarted or "restarted" in self.server.codes
        if not away:
            self.unread.clear()
        return done

    def restart(self) -> None:
        for user, size in self.unread.items():
            self.lost[user] = self.lost.get(user, 0) + size
        self.unread.clear()
        self.program.restart(self.at)


USERS = st.sampled_from(["alice", "bob", "carol"])
VERBS = st.one_of(
    st.tuples(st.just("use"), USERS, st.integers(1, 10_000)),
    st.tuples(st.just("poll"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("lost answer"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("away"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("restart of the program"), st.just(0), st.just(0)),
    st.tuples(st.just("restart of a poller"), st.integers(0, 1), st.just(0)),
)


@given(st.lists(VERBS, max_size=40))
def test_the_total_is_what_was_used_less_what_nobody_could_read(story: list[tuple[str, Any, int]]) -> None:
    world = World()
    world.use("alice", 7)
    pollers = [world.poller(), world.poller()]
    first = world.poll(pollers[0])  # what was used before anybody read it does not count
    assert first.stored == 1
    world.used.clear()
    for verb, which, size in story:
        world.at += 10_000
        match verb:
            case "use":
                world.use(which, size)
            case "restart of the program":
                world.restart()
            case "restart of a poller":
                pollers[which] = world.poller()
            case _:
                world.server.lose, world.server.away = int(verb == "lost answer"), int(verb == "away")
                if world.program.counted or verb == "poll":
                    world.poll(pollers[which])
                world.server.lose = world.server.away = 0
    world.at += 10_000
    world.poll(pollers[0])
    wanted = {user: size - world.lost.get(user, 0) for user, size in world.used.items()}
    assert {user: size for user, size in wanted.items() if size} == world.server.added
    if world.lost and not any(verb == "restart of a poller" for verb, *_ in story):
        assert world.told_restart or not world.program.counted, "what is missing is told"


def test_a_user_who_came_after_the_first_poll_counts_from_nothing() -> None:
    world = World()
    poller = world.poller()
    world.use("alice", 100)
    world.poll(poller)
    world.use("bob", 50)
    world.poll(world.poller())
    assert world.server.added == {"bob": 50}
    assert world.server.codes.count("baseline") == 1


def test_what_is_said_to_the_server_is_about_the_configured_account() -> None:
    world = World()
    counters = msgspec.structs.replace(XRAY, account="", user_from=r"(?P<account>\w+)-(?P<user>.+)", product="res")
    for name in ("acme-alice", "amce-bob", "nobody"):
        world.program.use(name, 1)
    done = world.poller(counters).poll()
    assert (done.counters, done.nobodys, done.stored, done.refused) == (3, 1, 1, 1)
    assert done.reason == "there is no account"


def test_a_counter_of_one_direction_counts_that_way() -> None:
    nft = Counters(name="n", kind="nftables", table="inet u", account="acme", user_from="(?P<user>.+)_((?P<up>in)|out)")
    ask = [Stood("bob_in", "c1", 5, 0), Stood("bob_out", "c2", 7, 0)]
    made = Program(nft, "gw", lambda: ask, wall=lambda: START).asked().readings
    assert [(one.user, one.bytes_up, one.bytes_down) for one in made] == [("bob", 5, 0), ("bob", 0, 7)]


def test_a_slow_answer_is_dated_in_its_middle() -> None:
    """Two ask at once; the one that is answered first is told last, and what it has is less: no reset."""
    at = [START]

    def slow() -> list[Stood]:
        at[0] += 1_500
        return [Stood("alice", "c", 100, 0, 0, "")]

    server = Server()
    quick = Program(XRAY, "gw", lambda: [Stood("alice", "c", 90, 0, 0, "")], lambda: at[0], lambda: at[0]).asked()
    late = Program(XRAY, "gw", slow, lambda: at[0], lambda: at[0]).asked()
    assert parse_instant(late.readings[0].time) - START == 750
    server.send_readings(late.readings)
    server.send_readings(quick.readings)
    assert server.codes == ["baseline", "late"]


@pytest.mark.parametrize(
    "error",
    [ValueError("5,000 digits"), RecursionError(), KeyError("bin"), csv.Error("long"), OSError("no boot"), H2Error()],
)
def test_an_answer_that_nobody_can_read_is_told_and_asked_for_again(error: Exception) -> None:
    def ask() -> list[Stood]:
        raise error

    done = Poller(Server(), XRAY, "gw", ask=ask).poll()  # type: ignore[arg-type]
    assert done.error.startswith(f"the answer cannot be read: {type(error).__name__}")


def test_an_agent_that_starts_again_after_the_clock_was_set_counts_nothing_twice() -> None:
    server = Server()

    def poll(used: int, wall: int, began: int) -> None:
        ask = [Stood("alice", "c", used, 0, 0, format_instant(began))]
        server.send_readings(Program(XRAY, "gw", lambda: ask, lambda: wall, lambda: 0).asked().readings)

    hour = 3_600_000
    poll(500, START, START - 24 * hour)
    poll(700, START + 2 * hour, START - 22 * hour)
    poll(900, START - hour, START - 25 * hour)
    assert (server.codes, server.added) == (["baseline", "clock_set", "clock_set"], {"alice": 400})


def test_failures_are_waited_out_longer_and_longer() -> None:
    at = [0]
    failing = [True]

    def ask() -> list[Stood]:
        if failing[0]:
            raise Unasked("127.0.0.1:1: refused")
        return []

    client: Any = Server()
    poller = Poller(client, XRAY, "gw", ask=ask, wall=lambda: START, elapsed=lambda: at[0])
    waits = []
    for _ in range(9):
        assert poller.due()
        assert poller.poll().error == "127.0.0.1:1: refused"
        assert not poller.due()
        waits.append(poller.wait_s)
        at[0] += int(poller.wait_s * 1000) + 1
    failing[0] = False
    assert not poller.poll().error
    assert 10 < waits[0] < waits[1] < waits[2] < waits[3]
    assert 200 < max(waits) <= 300
    assert poller.wait_s == 10


def test_many_counters_are_sent_in_parts() -> None:
    sizes: list[int] = []

    class Counting(Server):
        def send_readings(self, readings: Iterable[Reading], *, notable: bool = False) -> ReadingsAnswer:
            sizes.append(len(list(readings)))
            return ReadingsAnswer(sizes[-1], 0, 0, [])

    client: Any = Counting()
    ask = [Stood(str(number), f"c{number}", 1, 1) for number in range(20_001)]
    done = Poller(client, XRAY, "gw", ask=lambda: ask, wall=lambda: START).poll()
    assert sizes == [10_000, 10_000, 1]
    assert done.stored == 20_001
