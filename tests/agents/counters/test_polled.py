"""`[[counters]]` in the agent's loop: who hangs holds up nobody, and each trouble is told once."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flowtally.agents.counters.polled import PolledCounters, PolledProgram
from flowtally.agents.counters.poller import Polled
from flowtally.agents.counters.settings import Counters
from flowtally.agents.follow.agent import KINDS
from flowtally.agents.follow.config import parsed
from flowtally.agents.follow.dispatcher import AtOnce
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.inputs import Settings
from flowtally.agents.follow.server import Server
from flowtally.agents.watch.metrics import FACTS
from flowtally.client import Client
from flowtally.core.errors import ConfigError

XRAY = Counters(name="x", kind="xray", address="127.0.0.1:1", account="acme")


def made(said: io.StringIO, entry: Counters = XRAY, kind: PolledCounters | None = None) -> PolledProgram:
    server = Server(Client("http://127.0.0.1:1", "secret", retry_s=0), AtOnce(), AtOnce(), EventLog(said))
    return (kind or PolledCounters()).make(entry, Settings(host="gw"), server)


def turned(one: PolledProgram, outcome: Any) -> None:
    """A poll that comes to this."""

    def poll() -> Polled:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    one._poller.poll = poll  # type: ignore[method-assign]
    one._poller._next_at = 0
    one.turn(time.monotonic())
    wait(lambda: one.due(0.0) <= 0)
    one._poller._next_at = 10**18
    one.turn(time.monotonic())


def wait(true: Any) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_each_trouble_is_told_when_it_begins_and_when_it_is_over() -> None:
    said = io.StringIO()
    one = made(said)
    for outcome in (
        Polled(error="refused"),
        Polled(error="refused again"),
        Polled(counters=3, nobodys=1, refused=1, stored=1, reason="there is no account 'amce'"),
        Polled(counters=3, nobodys=1, refused=1, stored=1),
        Polled(counters=3, stored=3, restarted=True),
    ):
        turned(one, outcome)
    events = [line.split("] ")[1].split()[0] for line in said.getvalue().splitlines()]
    assert events == ["cannot_poll", "polled_again", "counters_nobodys", "counters_refused", "program_restarted"]
    facts = one.facts()
    assert (facts["polls"], facts["failures"], facts["readings"], facts["counters"]) == (5, 2, 5, 3)
    assert set(facts) <= set(FACTS)
    assert one.settled()


def test_programs_that_hang_hold_up_the_loop_for_no_moment() -> None:
    kind, said = PolledCounters(), io.StringIO()
    go, threads = threading.Event(), threading.active_count()
    hanging = [
        made(said, Counters(name=f"x{number}", kind="xray", address="h:1", account="a"), kind) for number in range(9)
    ]

    def poll() -> Polled:
        go.wait(60)
        return Polled(counters=1, stored=1)

    for one in hanging:
        one._poller.poll = poll  # type: ignore[method-assign]
        one.turn(time.monotonic())
        now = time.monotonic()
        assert one.due(now) > now, "it is not turned again and again meanwhile"
        assert not one.settled()
    assert threading.active_count() - threads <= len(hanging)
    go.set()
    wait(lambda: all(one.finish(time.monotonic()) for one in hanging))
    assert [one.facts()["polls"] for one in hanging] == [1] * 9


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ('[[counters]]\nname="a"\nkind="xray"\naccount="x"', "counters 'a': address is missing"),
        ('[[counters]]\nname="a"\nkind="xray"\naddress="h:1"\naccount="x"\nset="s"', "set means nothing for xray"),
        ('[[counters]]\nname="a"\nkind="xray"\naddress="h:1"\naccount="x"\nset_="s"', "set_"),
        (
            '[[counters]]\nname="a"\nkind="xray"\naddress="h:1"\naccount="x"\nsource="s"\n'
            '[[counters]]\nname="b"\nkind="xray"\naddress="h:2"\naccount="x"\nsource="s"',
            "source 's' is that of counters 'a', too",
        ),
    ],
)
def test_what_is_of_no_use_is_told_before_anything_is_polled(entries: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parsed(entries.encode(), "agent.toml", KINDS, {})


def test_the_configuration_of_the_page_is_one_of_the_agents() -> None:
    text = Path("docs/pollers.md").read_text().split("```toml\n")[1].split("```")[0]
    assert len(parsed(text.encode(), "agent.toml", KINDS, {}).entries["counters"]) == 3
