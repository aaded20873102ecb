"""One installation that grows: at each stage its ingest, its usage and balance queries, its start and its memory.

The events are ingested over HTTP like any others. Before questions are measured the merges have come to rest, the
server is stopped and the directory of the engine copied, so that the same SQL can be asked of the same parts in a
process that has nothing but the engine.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from statistics import median
from typing import Final

import msgspec

from bench import load, raw, targets
from bench.dialects import measure_dialects
from bench.events import LARGEST, MIDDLE
from bench.process import Actor
from bench.report import Row, compare
from bench.rounds import Feed, Run, ask, engine_alone, insert, send, take_turns
from bench.server import Server, serving
from flowtally.protocol import GrantRequest

PARTS: Final = frozenset({"usage", "balance", "dialects", "growth", "start"})
GRANTS: Final = 20
SOURCES: Final = ("history-0", "history-1")
START, END, ZONE = "2026-01-01", "2026-04-01", "Europe/Berlin"  # 90 days, one of them of 23 hours
PORTION: Final = 500_000  # events loaded at a time: what the client holds in memory
REST_S: Final = 90
ACCOUNTS: Final = {"middle": MIDDLE, "largest": LARGEST}


class Stage(msgspec.Struct):
    """What was found at one size."""

    stored: int
    ingest: list[float] = []
    engine: list[float] = []
    query_ms: float = 0.0
    peak_bytes: int = 0


class Grown(msgspec.Struct):
    """The installation and who works with it."""

    run: Run
    parts: Collection[str]
    feed: Feed
    server: Server
    client: Actor
    engine: Actor | None
    stored: int = 0


def measure_grown(run: Run, parts: Collection[str]) -> None:
    """Those of PARTS that are asked for."""
    with ExitStack() as closing:
        server = closing.enter_context(serving(run.place / "grown"))
        client = closing.enter_context(Actor("load", run.place))
        engine = closing.enter_context(engine_alone(run, run.place / "beside")) if "growth" in parts else None
        grown = Grown(run, parts, Feed(run, "numbered", run.sizes.stages[0]), server, client, engine)
        _give_grants(server)
        stages = [_measure_stage(grown, stored) for stored in run.sizes.stages]
    if "growth" in parts:
        _report_growth(run, stages)


def _measure_stage(grown: Grown, stored: int) -> Stage:
    run, server, stage = grown.run, grown.server, Stage(stored)
    run.say(f"loading up to {stored:,} events")
    _load(grown, stored)
    if grown.engine is not None:
        run.say(f"growth, {stored:,} stored")
        _measure_ingest(grown, stage)
    grown.feed.forget()
    _rest(server, run.sizes.rest_s)
    stage.peak_bytes = server.resident_bytes(peak=True)
    server.stop()
    copied = run.place / f"copy-{stored}"
    shutil.copytree(server.data / "usage", copied, symlinks=True, ignore=shutil.ignore_patterns("status"))  # its lock
    _measure_start(grown, stage)
    with engine_alone(run, copied) as engine:
        _measure_usage(grown, stage, engine)
    shutil.rmtree(copied)
    if "balance" in grown.parts:
        _measure_balance(grown, stage)
    if "dialects" in grown.parts:
        measure_dialects(run, server, grown.client, stored)
    if "start" in grown.parts:
        peak = max(stage.peak_bytes, server.resident_bytes(peak=True)) / 1e6
        resident = [server.resident_bytes() / 1e6]
        run.report.rows.append(compare("start", f"memory, {stored:,} stored", "MB", resident, peak_MB=peak))
    return stage


def _load(grown: Grown, stored: int) -> None:
    while grown.stored < stored:
        count = min(PORTION, stored - grown.stored) // len(SOURCES)
        _send(grown, count, grown.run.sizes.large_batch)
        grown.feed.forget()


def _send(grown: Grown, count: int, batch: int) -> tuple[load.Load, list[list[str]]]:
    lanes = [[grown.feed.take(source, count)] for source in SOURCES]
    done = send(grown.client, grown.server, lanes, batch, 1, count * len(SOURCES))
    grown.stored += done.stored
    return done, lanes


def _measure_ingest(grown: Grown, stage: Stage) -> None:
    """Both sides get the same events. The engine's own table stays small: it tells how fast the machine is now."""
    sizes, engine = grown.run.sizes, grown.engine
    assert engine is not None
    for _ in range(sizes.rounds):
        done, lanes = _send(grown, sizes.bulk // len(SOURCES), sizes.batch)
        stage.ingest.append(done.stored / done.seconds)
        stage.engine.append(done.stored / insert(engine, lanes, sizes.batch))


def _rest(server: Server, quiet_s: float) -> None:
    """Until merges have come to rest: the number of parts stays the same for so long."""
    until, seen, since = time.monotonic() + REST_S, -1, time.monotonic()
    while time.monotonic() < until and time.monotonic() - since < quiet_s:
        now = server.usage_parts()
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.5)


def _measure_start(grown: Grown, stage: Stage) -> None:
    times = []
    for _ in range(grown.run.sizes.rounds if "start" in grown.parts else 1):
        grown.server.stop()
        times.append(grown.server.start())
    if "start" in grown.parts:
        resident = grown.server.resident_bytes() / 1e6
        case = f"ready, {stage.stored:,} stored"
        grown.run.report.rows.append(compare("start", case, "s", times, resident_MB=resident))


def _measure_usage(grown: Grown, stage: Stage, engine: Actor) -> None:
    for name, account in ACCOUNTS.items():
        if not {"usage", "growth"} & set(grown.parts) or (name == "largest" and "usage" not in grown.parts):
            continue
        row = _compare_question(grown, engine, account, f"{name}, {stage.stored:,} stored")
        if name == "middle":
            stage.query_ms = row.ours
        if "usage" in grown.parts:
            grown.run.report.rows.append(row)


def _compare_question(grown: Grown, engine: Actor, account: str, case: str) -> Row:
    grown.run.say(f"usage, {case}")
    times = grown.run.sizes.queries
    path = f"/v1/accounts/{account}/usage?from={START}&to={END}&tz={ZONE}&bucket=day"
    p95: list[float] = []

    def over_http() -> float:
        done = ask(grown.client, grown.server, path, times)
        p95.append(done.p95_ms)
        return done.median_ms

    def in_process() -> float:
        job = raw.Job(account=account, start=START, end=END, zone=ZONE, times=times)
        return 1000 * median(engine.ask(job, raw.Done).each)

    subjects: dict[str, Callable[[], float]] = {"ours": over_http, "sql": in_process}
    take_turns(1, subjects)  # once unmeasured: both have read the files
    p95.clear()
    found = take_turns(grown.run.sizes.rounds, subjects)
    return compare("usage", case, "ms", found["ours"], targets.SQL, found["sql"], p95_ms=median(p95))


def _give_grants(server: Server) -> None:
    """Grants that follow one another, so that use is spread over many of them."""
    with server.client() as client:
        for account in ACCOUNTS.values():
            for number in range(GRANTS):
                starts = f"2026-{1 + number // 7:02d}-{1 + number % 7 * 4:02d}T00:00:00Z"
                client.give_grant(account, GrantRequest(amount=10**9, starts_at=starts, reference=f"order-{number}"))


def _measure_balance(grown: Grown, stage: Stage) -> None:
    for name, account in ACCOUNTS.items():
        case = f"{name}, {stage.stored:,} stored"
        grown.run.say(f"balance, {case}")
        path = f"/v1/accounts/{account}/balance"
        ask(grown.client, grown.server, path, 3)
        done = [ask(grown.client, grown.server, path, grown.run.sizes.queries) for _ in range(grown.run.sizes.rounds)]
        p95 = median(one.p95_ms for one in done)
        row = compare("balance", case, "ms", [one.median_ms for one in done], p95_ms=p95, grants=GRANTS)
        grown.run.report.rows.append(row)


def _report_growth(run: Run, stages: list[Stage]) -> None:
    """Later stages against the first. Ingest is put in proportion to the engine at that moment, because between two
    stages a shared machine changes more than ingest does; the plain ratio stands beside it."""
    first = stages[0]
    for stage in stages[1:]:
        for what, row in (("ingest", _ingest_row(first, stage)), ("query", _query_row(first, stage))):
            case = f"{what}, {stage.stored:,} stored"
            run.report.rows.append(msgspec.structs.replace(row, case=case, baseline=f"at {first.stored:,}"))


def _ingest_row(first: Stage, stage: Stage) -> Row:
    plain = median(stage.ingest) / median(first.ingest)
    machine = median(stage.engine) / median(first.engine)
    return Row(
        part="growth",
        case="",
        unit="events/s",
        ours=median(stage.ingest),
        base=median(first.ingest),
        ratio=plain / machine,
        notes={"plain_ratio": plain, "engine_beside": machine},
    )


def _query_row(first: Stage, stage: Stage) -> Row:
    ratio = stage.query_ms / first.query_ms
    return Row(part="growth", case="", unit="ms", ours=stage.query_ms, base=first.query_ms, ratio=ratio)
