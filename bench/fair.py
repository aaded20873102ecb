"""What one tenant feels of another: a balance and single events beside eight readers of large questions, and alone.

The greedy one has half of all that is stored and asks, from eight connections without a pause, for every user's days of
90 days. The quiet one asks for its balance, and its gateway sends one event at a time; so does the gateway of the
greedy one. Each has credentials of its own. What is compared is the quiet one's time beside the greedy one with its
time alone, on the same server in the same minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from bench import targets
from bench.asker import Asked, Job
from bench.events import LARGEST, MIDDLE
from bench.process import Actor, BenchError
from bench.report import compare
from bench.rounds import Feed, Run, send
from bench.server import AS_IT_COMES, Server, serving
from flowtally.protocol import CredentialRequest, GrantRequest

READERS: Final = 8
GRANTS: Final = 5
SOURCE: Final = "fair-history"
QUESTION: Final = "usage?from=2026-01-01&to=2026-04-01&tz=Europe/Berlin&bucket=day&by=user,product,status&fill=none"


class Case(msgspec.Struct, frozen=True):
    """What the quiet side does, and with which credential."""

    name: str
    path: str
    token: str
    account: str = ""  # of single events


class Sides(msgspec.Struct, frozen=True):
    """Who takes part."""

    run: Run
    server: Server
    quiet: Actor
    greedy: Actor
    greedy_token: str


def measure_fair(run: Run) -> None:
    """The part `fair`: a row for each case."""
    with ExitStack() as closing:
        server = closing.enter_context(serving(run.place / "fair", AS_IT_COMES))
        quiet, greedy = (closing.enter_context(Actor("asker", run.place)) for _ in range(2))
        with Actor("load", run.place) as client:
            _load(run, server, client)
        cases, token = _prepare(server)
        sides = Sides(run, server, quiet, greedy, token)
        for case in cases:
            run.say(f"fair, {case.name}")
            _measure(sides, case)


def _load(run: Run, server: Server, client: Actor) -> None:
    stored = run.sizes.fair_stored
    feed = Feed(run, "numbered", stored)
    send(client, server, [[feed.take(SOURCE, stored)]], run.sizes.large_batch, 1, stored)
    feed.forget()


def _prepare(server: Server) -> tuple[list[Case], str]:
    """Credentials, a few grants of the quiet account, and one event of each gateway: users and sources are there."""
    with server.client() as client:
        for number in range(GRANTS):
            client.give_grant(MIDDLE, GrantRequest(amount=10**9, starts_at=f"2026-01-{1 + 5 * number:02d}T00:00:00Z"))
        reads = {one: client.create_credential(one, CredentialRequest(scope="account")) for one in (LARGEST, MIDDLE)}
        sends = {one: client.create_credential(one, CredentialRequest(scope="ingest")) for one in (LARGEST, MIDDLE)}
    return [
        Case("balance of another", f"/v1/accounts/{MIDDLE}/balance", str(reads[MIDDLE].token)),
        Case("event of another", "/v1/events", str(sends[MIDDLE].token), MIDDLE),
        Case("its own event", "/v1/events", str(sends[LARGEST].token), LARGEST),
    ], str(reads[LARGEST].token)


def _measure(sides: Sides, case: Case) -> None:
    alone: list[Asked] = []
    beside: list[Asked] = []
    for _ in range(sides.run.sizes.rounds):
        alone.append(_ask(sides, case))
        with _greed(sides):
            beside.append(_ask(sides, case))
    ours, base = [one.median_ms for one in beside], [one.median_ms for one in alone]
    notes = {
        "p95_ms": max(one.p95_ms for one in beside),
        "p95_ms_alone": max(one.p95_ms for one in alone),
        "answered": sum(one.answered for one in beside),
        "answered_alone": sum(one.answered for one in alone),
    }
    sides.run.report.rows.append(compare("fair", case.name, "ms", ours, targets.ALONE, base, **notes))


def _ask(sides: Sides, case: Case) -> Asked:
    asked = sides.quiet.ask(
        Job(sides.server.url, case.token, case.path, sides.run.sizes.fair_s, account=case.account), Asked
    )
    if asked.failures or asked.refused:
        raise BenchError(f"{case.name}: {asked.refused} refused; {' | '.join(asked.failures)}")
    return asked


@contextmanager
def _greed(sides: Sides) -> Iterator[None]:
    """Eight readers at work, from a moment before to the end."""
    run, path = sides.run, f"/v1/accounts/{LARGEST}/{QUESTION}"
    sides.greedy.begin(
        Job(sides.server.url, sides.greedy_token, path, run.sizes.fair_s + run.sizes.fair_ahead_s, READERS)
    )
    run.wait(run.sizes.fair_ahead_s)
    try:
        yield
    finally:
        done = sides.greedy.answer(Asked)
    if done.failures:
        raise BenchError(f"the greedy side: {' | '.join(done.failures)}")
    run.report.remarks.append(
        f"fair: meanwhile the greedy side had {done.answered} answers, {done.median_ms:,.0f} ms each,"
        f" and {done.refused} refusals in {done.seconds:.1f} s."
    )
