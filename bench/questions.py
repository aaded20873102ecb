"""Questions to an installation at one size: 90 days of usage beside their own SQL, and a balance beside one day."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Final

import msgspec

from bench import load, raw, targets
from bench.events import LARGEST, MIDDLE, SMALL
from bench.process import Actor
from bench.report import Row, compare
from bench.rounds import Run, ask, take_turns
from bench.server import Server
from flowtally.protocol import GrantRequest

GRANTS: Final = 20
START, END, ZONE = "2026-01-01", "2026-04-01", "Europe/Berlin"  # 90 days, one of them of 23 hours
DAY, NEXT_DAY = "2026-02-15", "2026-02-16"
ACCOUNTS: Final = {"middle": MIDDLE, "largest": LARGEST}


class Asking(msgspec.Struct, frozen=True):
    """Who asks whom, with so many events stored."""

    run: Run
    server: Server
    client: Actor
    stored: int

    def case(self, name: str) -> str:
        return f"{name}, {self.stored:,} stored"

    def over_http(self, path: str, into: list[load.Load]) -> float:
        """The median in milliseconds; all that was found goes `into`."""
        into.append(ask(self.client, self.server, path, self.run.sizes.queries))
        return into[-1].median_ms

    def in_process(self, engine: Actor, account: str) -> float:
        """The median in milliseconds of the SQL that the account's 90 days become."""
        job = raw.Job(account=account, start=START, end=END, zone=ZONE, times=self.run.sizes.queries)
        return 1000 * median(engine.ask(job, raw.Done).each)

    def take_turns(self, subjects: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
        take_turns(1, subjects)  # once unmeasured: both have read the files
        return take_turns(self.run.sizes.rounds, subjects)


def give_grants(server: Server) -> None:
    """Grants that follow one another, so that use is spread over many of them."""
    with server.client() as client:
        for account in ACCOUNTS.values():
            for number in range(GRANTS):
                starts = f"2026-{1 + number // 7:02d}-{1 + number % 7 * 4:02d}T00:00:00Z"
                client.give_grant(account, GrantRequest(amount=10**9, starts_at=starts, reference=f"order-{number}"))


def compare_usage(asking: Asking, engine: Actor, name: str) -> Row:
    """Days over HTTP against the very SQL they become."""
    case, account, done = asking.case(name), ACCOUNTS[name], list[load.Load]()
    asking.run.say(f"usage, {case}")
    subjects: dict[str, Callable[[], float]] = {
        "ours": lambda: asking.over_http(_usage(account, START, END), done),
        "sql": lambda: asking.in_process(engine, account),
    }
    found = asking.take_turns(subjects)
    return compare("usage", case, "ms", found["ours"], targets.SQL, found["sql"], p95_ms=_p95(done))


def compare_accounts(asking: Asking, engine: Actor) -> Row:
    """The SQL of an account against that of one with a hundredth of its events."""
    case = asking.case("SQL of middle")
    asking.run.say(f"usage, {case}")
    subjects: dict[str, Callable[[], float]] = {
        "middle": lambda: asking.in_process(engine, MIDDLE),
        "small": lambda: asking.in_process(engine, SMALL),
    }
    found = asking.take_turns(subjects)
    return compare("usage", case, "ms", found["middle"], targets.SQL_OF_SMALL, found["small"])


def compare_balance(asking: Asking, name: str) -> Row:
    """A balance against one day of the same account's usage, both over HTTP."""
    case, account, done = asking.case(name), ACCOUNTS[name], list[load.Load]()
    asking.run.say(f"balance, {case}")
    subjects: dict[str, Callable[[], float]] = {
        "ours": lambda: asking.over_http(f"/v1/accounts/{account}/balance", done),
        "day": lambda: asking.over_http(_usage(account, DAY, NEXT_DAY), []),
    }
    found = asking.take_turns(subjects)
    return compare(
        "balance", case, "ms", found["ours"], targets.ONE_DAY, found["day"], p95_ms=_p95(done), grants=GRANTS
    )


def _usage(account: str, start: str, end: str) -> str:
    return f"/v1/accounts/{account}/usage?from={start}&to={end}&tz={ZONE}&bucket=day"


def _p95(done: list[load.Load]) -> float:
    """Of the rounds that count: the first was unmeasured."""
    return median(one.p95_ms for one in done[1:])
