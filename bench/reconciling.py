"""What it costs to reconcile a year: against the two usage questions that it cannot do without.

The vendor cuts its days eight hours early and bills 5 % on top, so that everything is looked for: the calendar by
quarter hours, and what each user used by the calendar that is found.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from bench import targets, told
from bench.process import Actor, BenchError
from bench.report import compare
from bench.rounds import Run, ask, take_turns
from bench.server import Server, serving
from flowtally.core.edges import format_instant
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.protocol import AccountRequest, PlainEvent

ACCOUNT, PROVIDER, SOURCE = "buyer", "vendor", "gate"
START = 1_735_689_600_000  # 2025-01-01
STEP = 1024
BATCH = 10_000
MORNING, EVENING = 3 * HOUR_MS, 20 * HOUR_MS  # the second is of the next day eight hours further east

Use = Mapping[str, list[tuple[int, int]]]  # of each user, bytes in the morning and in the evening of each day


def measure_reconciling(run: Run) -> None:
    """The part `reconcile`."""
    days, users = run.sizes.told_days, run.sizes.told_users
    times = max(run.sizes.queries // 5, 2)  # each takes a second
    case = f"{days} days, {users} sub-users"
    run.say(f"reconcile, {case}")
    with serving(run.place / "reconcile") as server, Actor("load", run.place) as client:
        _fill(run, server, _use(run.seed, days, users), days)
        span = f"from={format_instant(START)}&to={format_instant(START + days * DAY_MS)}"
        usage = f"/v1/accounts/{ACCOUNT}/usage?{span}&tz=UTC&by=user&fill=none"
        reconcile = f"/v1/accounts/{ACCOUNT}/reconciliation?provider={PROVIDER}&{span}"

        def median(*paths: str) -> float:
            return sum(ask(client, server, path, times).median_ms for path in paths)

        subjects = {"ours": lambda: median(reconcile), "usage": lambda: median(usage, f"{usage}&series={PROVIDER}")}
        take_turns(1, subjects)  # once unmeasured: both have read the files
        found = take_turns(run.sizes.rounds, subjects)
        _check(server, days)
    run.report.rows.append(compare("reconcile", case, "ms", found["ours"], targets.USAGE_TWICE, found["usage"]))


def _use(seed: int, days: int, users: int) -> Use:
    chance = random.Random(seed)
    return {
        f"u{number:03d}": [(chance.randrange(10**7), chance.randrange(10**7)) for _ in range(days + 2)]
        for number in range(users)
    }


def _fill(run: Run, server: Server, use: Use, days: int) -> None:
    with server.client() as client:
        client.create_account(AccountRequest(id=ACCOUNT, carry_from="2024-01-01T00:00:00Z"))
        events = list(_events(use))
        for first in range(0, len(events), BATCH):
            client.send_events(events[first : first + BATCH])
    server.stop()
    billed = {
        user: [(of[day + 1][0] + of[day][1]) * 105 // 100 // STEP * STEP for day in range(days)]
        for user, of in use.items()
    }
    job = told.Job(str(server.data), ACCOUNT, PROVIDER, START, STEP, billed)
    with Actor("told", run.place) as vendor:
        vendor.ask(job, told.Told)
    server.start()


def _events(use: Use) -> Iterator[PlainEvent]:
    """From the day before on."""
    for user, of in use.items():
        for day, amounts in enumerate(of):
            for at, amount in zip((MORNING, EVENING), amounts, strict=True):
                time = format_instant(START + (day - 1) * DAY_MS + at)
                key = f"{user}-{time}"
                yield PlainEvent(SOURCE, ACCOUNT, key, time=time, user=user, product=told.PRODUCT, bytes_down=amount)


def _check(server: Server, days: int) -> None:
    """That it was worth it: calendar and overhead are found, and nothing is left."""
    with server.client() as client:
        answer = client.reconciliation(
            ACCOUNT, PROVIDER, start=format_instant(START), end=format_instant(START + days * DAY_MS)
        )
    claimed = answer.cut is not None and answer.cut.outcome == "claimed"
    if answer.match != "matches" or not claimed or answer.overhead.outcome != "claimed":
        raise BenchError(f"the bill {answer.match}; calendar {answer.cut}, overhead {answer.overhead}")
