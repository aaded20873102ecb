"""One installation that grows: at each stage its ingest, its usage and balance queries, its start and its memory.

The events are ingested over HTTP like any others. Before questions are measured the merges have come to rest, the
server is stopped and the directory of the engine copied, so that the same SQL can be asked of the same parts in a
process that has nothing but the engine. What is asked is in `questions`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Final

import msgspec

from bench import load
from bench.dialects import measure_dialects
from bench.process import Actor
from bench.questions import ACCOUNTS, Asking, compare_accounts, compare_balance, compare_usage, give_grants
from bench.report import Row, compare
from bench.rounds import Feed, Run, engine_alone, insert, send
from bench.server import Server, serving

PARTS: Final = frozenset({"usage", "balance", "dialects", "growth", "start"})
SOURCES: Final = ("history-0", "history-1")
MEMORY_REQUESTS: Final = 4  # of 50,000 events, under way at the same time
MEMORY_SOURCES: Final = tuple(f"memory-{number}" for number in range(MEMORY_REQUESTS))
PORTION: Final = 500_000  # events loaded at a time: what the client holds in memory
REST_S: Final = 90


class Stage(msgspec.Struct):
    """What was found at one size."""

    stored: int
    ingest: list[float] = []
    engine: list[float] = []
    cpu_us: float = 0.0  # of the server for an event of `ingest`, its flushes and their merges included
    query_ms: float = 0.0
    balance_ms: dict[str, float] = {}  # by account
    loading_bytes: int = 0  # the most it had until the questions


class Grown(msgspec.Struct):
    """The installation and who works with it."""

    run: Run
    parts: Collection[str]
    feed: Feed
    server: Server
    client: Actor
    engine: Actor | None
    stored: int = 0

    @property
    def asking(self) -> Asking:
        return Asking(self.run, self.server, self.client, self.stored)


def measure_grown(run: Run, parts: Collection[str]) -> None:
    """Those of PARTS that are asked for."""
    with ExitStack() as closing:
        server = closing.enter_context(serving(run.place / "grown"))
        client = closing.enter_context(Actor("load", run.place))
        engine = closing.enter_context(engine_alone(run, run.place / "beside")) if "growth" in parts else None
        grown = Grown(run, parts, Feed(run, "numbered", run.sizes.stages[0]), server, client, engine)
        give_grants(server)
        stages = [_measure_stage(grown, stored) for stored in run.sizes.stages]
    _report_growth(run, stages)


def _measure_stage(grown: Grown, stored: int) -> Stage:
    run, server, stage = grown.run, grown.server, Stage(stored)
    run.say(f"loading up to {stored:,} events")
    _load(grown, stored - (run.sizes.rounds * run.sizes.bulk if grown.engine is not None else 0))
    if grown.engine is not None:
        run.say(f"growth, {stored:,} stored")
        _measure_ingest(grown, stage, grown.engine)
    else:
        _rest(server, run.sizes.rest_s)
    assert grown.stored == stored, "what is asked meets as many events as its row says"
    grown.feed.forget()
    stage.loading_bytes = server.resident_bytes(peak=True)
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
        _measure_memory(grown, stage)
    return stage


def _load(grown: Grown, stored: int) -> None:
    while grown.stored < stored:
        count = min(PORTION, stored - grown.stored) // len(SOURCES)
        _send(grown, SOURCES, count, grown.run.sizes.large_batch)
        grown.feed.forget()


def _send(grown: Grown, sources: Sequence[str], count: int, batch: int) -> tuple[load.Load, list[list[str]]]:
    """So many of each source, all sources at the same time."""
    lanes = [[grown.feed.take(source, count)] for source in sources]
    done = send(grown.client, grown.server, lanes, batch, 1, count * len(sources))
    grown.stored += done.stored
    return done, lanes


def _measure_ingest(grown: Grown, stage: Stage, engine: Actor) -> None:
    """Both sides get the same events. The engine's own table stays small: it tells how fast the machine is now. Every
    stage begins at rest, or the later one would also pay for what was loaded before it."""
    sizes, server = grown.run.sizes, grown.server
    _rest(server, sizes.rest_s)
    cpu = server.cpu_seconds()
    for _ in range(sizes.rounds):
        done, lanes = _send(grown, SOURCES, sizes.bulk // len(SOURCES), sizes.batch)
        stage.ingest.append(done.stored / done.seconds)
        stage.engine.append(done.stored / insert(engine, lanes, sizes.batch))
    _rest(server, sizes.rest_s)
    stage.cpu_us = (server.cpu_seconds() - cpu) * 1e6 / (sizes.rounds * sizes.bulk)


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
    rows = grown.run.report.rows
    if {"usage", "growth"} & set(grown.parts):
        row = compare_usage(grown.asking, engine, "middle")
        stage.query_ms = row.ours
        rows += [row] if "usage" in grown.parts else []
    if "usage" in grown.parts:
        rows.append(compare_usage(grown.asking, engine, "largest"))
        rows.append(compare_accounts(grown.asking, engine))


def _measure_balance(grown: Grown, stage: Stage) -> None:
    for name in ACCOUNTS:
        row = compare_balance(grown.asking, name)
        stage.balance_ms[name] = row.ours
        grown.run.report.rows.append(row)


def _measure_memory(grown: Grown, stage: Stage) -> None:
    """The most it had: while events were loaded, and since the start after that, when questions were asked and now four
    large requests come at a time, several times over."""
    run, server = grown.run, grown.server
    run.say(f"memory, {stage.stored:,} stored")
    loading, asking = stage.loading_bytes / 1e6, server.resident_bytes(peak=True) / 1e6
    _send(grown, MEMORY_SOURCES, run.sizes.rounds * run.sizes.large_batch, run.sizes.large_batch)
    grown.feed.forget()
    row = compare(
        "start",
        f"memory, {stage.stored:,} stored",
        "MB",
        [server.resident_bytes() / 1e6],
        peak_MB=max(loading, server.resident_bytes(peak=True) / 1e6),
        loading_MB=loading,
        asking_MB=asking,
        requests_under_way=MEMORY_REQUESTS,
    )
    run.report.rows.append(row)
    server.stop()  # the next stage has a peak of its own
    server.start()


def _report_growth(run: Run, stages: list[Stage]) -> None:
    """Later stages against the first, in what was measured. Ingest is put in proportion to the engine at that moment,
    because between two stages a shared machine changes more than ingest does; the plain ratio stands beside it."""
    first = stages[0]
    for stage in stages[1:]:
        found = []
        if stage.ingest:
            found += [_ingest_row(first, stage), _plain_row("growth", "query", first.query_ms, stage.query_ms)]
        for name, ours in stage.balance_ms.items():
            found.append(_plain_row("balance", f"growth of {name}", first.balance_ms[name], ours))
        for row in found:
            case = f"{row.case}, {stage.stored:,} stored"
            run.report.rows.append(msgspec.structs.replace(row, case=case, baseline=f"at {first.stored:,}"))


def _ingest_row(first: Stage, stage: Stage) -> Row:
    plain = median(stage.ingest) / median(first.ingest)
    machine = median(stage.engine) / median(first.engine)
    return Row(
        part="growth",
        case="ingest",
        unit="events/s",
        ours=median(stage.ingest),
        base=median(first.ingest),
        ratio=plain / machine,
        notes={
            "plain_ratio": plain,
            "engine_beside": machine,
            "server_cpu_us_per_event": stage.cpu_us,
            "at_first": first.cpu_us,
        },
    )


def _plain_row(part: str, case: str, base: float, ours: float) -> Row:
    return Row(part=part, case=case, unit="ms", ours=ours, base=base, ratio=ours / base)
