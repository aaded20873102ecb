"""Ingest over HTTP beside the engine alone and PostgreSQL; single events beside a server that does nothing, too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from bench import by_hand, load, targets
from bench.events import BEGINS, STEP_MS, Ids, bodies
from bench.postgres import Postgres, find_binaries
from bench.process import Actor
from bench.report import compare
from bench.rounds import Feed, Run, engine_alone, insert, send, take_turns
from bench.server import TOKEN, Server, hold_keys, serving, serving_nothing
from bench.sizes import Sizes

CONNECTIONS: Final = 64  # of those who send one event at a time
RAW_SINGLES: Final = 100  # inserts of one row by the engine alone take milliseconds each: a few tell the rate
SOURCE: Final = "gateway"


class Case(msgspec.Struct, frozen=True):
    """`batch` events a request, `width` requests at a time: as many numbered sources, or connections of a named one."""

    batch: int
    width: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.batch:,} x {self.width}"


class Sides(msgspec.Struct, frozen=True):
    """Everybody who takes part, alive at the same time and taking turns."""

    run: Run
    ids: Ids
    feed: Feed
    server: Server
    client: Actor
    engine: Actor
    postgres: Postgres | None

    def lanes(self, case: Case) -> list[list[str]]:
        """Fresh events: a lane per numbered source, or one lane that all connections share."""
        if self.ids == "numbered":
            sources = [f"{SOURCE}-{number}" for number in range(case.width)]
            return [[self.feed.take(source, case.count // case.width)] for source in sources]
        files = min(case.width, 2)
        return [[self.feed.take(SOURCE, case.count // files) for _ in range(files)]]

    def send(self, case: Case, lanes: list[list[str]]) -> load.Load:
        connections = 1 if self.ids == "numbered" else case.width
        return send(self.client, self.server, lanes, case.batch, connections, case.count)


def measure_ingest(run: Run, ids: Ids) -> None:
    """The part `ingest-<ids>`: every case against the engine, batches of 10,000 ids against PostgreSQL too."""
    part, place = f"ingest-{ids}", run.place / f"ingest-{ids}"
    place.mkdir()
    with ExitStack() as closing:
        server = closing.enter_context(serving(place / "data"))
        client = closing.enter_context(Actor("load", run.place))
        engine = closing.enter_context(engine_alone(run, place / "raw"))
        postgres = None if ids == "numbered" else _postgres(run, part, ids, run.sizes.keys_held, closing)
        sides = Sides(run, ids, Feed(run, ids), server, client, engine, postgres)
        _warm_up(sides)
        if ids != "numbered":
            _hold(sides)
        for case in cases_of(run.sizes, ids):
            run.say(f"{part}, {case.name}")
            _measure(part, case, sides)
            sides.feed.forget()


def cases_of(sizes: Sizes, ids: Ids) -> list[Case]:
    large = max(sizes.bulk, 4 * sizes.large_batch)
    widths = (1, 2) if ids == "numbered" else (1, 4)
    return [
        Case(1, CONNECTIONS, sizes.singles),
        Case(100, 1 if ids == "numbered" else 8, sizes.hundreds),
        *(Case(sizes.batch, width, sizes.bulk) for width in widths),
        *(Case(sizes.large_batch, width, large) for width in widths),
    ]


def _measure(part: str, case: Case, sides: Sides) -> None:
    loads: list[load.Load] = []
    cpu: list[float] = []
    lanes: list[list[str]] = []  # of this round, the same for everybody

    def prepare() -> None:
        lanes[:] = sides.lanes(case)

    def ours() -> float:
        before = sides.server.cpu_seconds()
        loads.append(sides.send(case, lanes))
        cpu.append(sides.server.cpu_seconds() - before)
        return case.count / loads[-1].seconds

    subjects: dict[str, Callable[[], float]] = {"ours": ours, "raw": lambda: _raw_rate(sides, case, lanes)}
    if sides.postgres is not None and case.batch == sides.run.sizes.batch and case.width > 1:
        subjects["postgres"] = lambda: _postgres_rate(sides, case, lanes)
        subjects["favoured"] = lambda: _postgres_rate(sides, case, sides.lanes(case), favoured=True)
    rates = take_turns(sides.run.sizes.rounds, subjects, prepare)
    notes = {
        "median_ms": median(one.median_ms for one in loads),
        "server_cpu_us_per_event": median(cpu) * 1e6 / case.count,
        "server_cores": median(used / one.seconds for used, one in zip(cpu, loads, strict=True)),
        "client_cores": median(one.cpu_seconds / one.seconds for one in loads),
        "peak_MB": sides.server.resident_bytes(peak=True) / 1e6,
    }
    report = sides.run.report
    report.rows.append(compare(part, case.name, "events/s", rates["ours"], targets.RAW, rates["raw"], **notes))
    if "postgres" in rates:
        for name, shown in (("postgres", targets.PG), ("favoured", targets.PG_FAVOURED)):
            report.rows.append(compare(part, case.name, "events/s", rates["ours"], shown, rates[name]))


def _raw_rate(sides: Sides, case: Case, lanes: list[list[str]]) -> float:
    if case.batch == 1:
        few = sides.feed.take("few", RAW_SINGLES)
        return RAW_SINGLES / insert(sides.engine, [[few]], 1)
    files = [file for lane in lanes for file in lane]
    return case.count / insert(sides.engine, [[file] for file in files], case.batch)


def _postgres_rate(sides: Sides, case: Case, lanes: list[list[str]], *, favoured: bool = False) -> float:
    assert sides.postgres is not None
    batches = bodies([Path(file) for file in lanes[0]], case.batch)
    before = sides.postgres.count()
    seconds = sides.postgres.store(batches, favoured=favoured)
    assert sides.postgres.count() - before == case.count, "PostgreSQL stored every event"
    return case.count / seconds


def _warm_up(sides: Sides) -> None:
    """Every side meets its code paths, accounts, users and the source once before anything is measured."""
    case = Case(sides.run.sizes.batch, 1, sides.run.sizes.warm_up)
    lanes = sides.lanes(case)
    sides.send(case, lanes)
    _raw_rate(sides, case, lanes)
    if sides.postgres is not None:
        _postgres_rate(sides, case, lanes)


def _hold(sides: Sides) -> None:
    """Ten million keys that came before, put there while the server is stopped; then the same warm-up again."""
    sizes, server = sides.run.sizes, sides.server
    sides.run.say(f"ingest-{sides.ids}: {sizes.keys_held:,} keys already held")
    server.stop()
    hold_keys(server.data / "keys.db", SOURCE, sides.ids, sizes.keys_held, sides.run.seed)
    server.start()
    _warm_up(sides)


def _postgres(run: Run, part: str, ids: Ids, rows: int, closing: ExitStack) -> Postgres | None:
    """One that holds so many rows already; None where there is none."""
    binaries = find_binaries()
    if binaries is None:
        run.report.remarks.append(f"{part}: no PostgreSQL server is installed, so its comparison is left out.")
        return None
    run.say(f"{part}: {rows:,} rows in PostgreSQL")
    postgres = closing.enter_context(Postgres(binaries, run.place))
    postgres.hold_keys(SOURCE, ids, rows, BEGINS, STEP_MS)
    return postgres


class Single(msgspec.Struct, frozen=True):
    """Who is asked one event at a time: the same events, each the next ones."""

    run: Run
    feed: Feed
    server: Server
    client: Actor
    noop: str
    postgres: Postgres | None
    hand: Actor

    def measure(self, connections: int, count: int, rounds: int) -> dict[str, list[load.Load]]:
        """Rounds of all who take part."""
        file: list[str] = []
        loads: dict[str, list[load.Load]] = {"ours": [], "noop": [], "postgres": []}

        def prepare() -> None:
            file[:] = [self.feed.take(SOURCE, count)]

        def noted(name: str, done: load.Load) -> float:
            loads[name].append(done)
            return done.seconds

        def ours() -> float:
            return noted("ours", send(self.client, self.server, [file], 1, connections, count))

        def nothing() -> float:
            job = load.Job(self.noop, TOKEN, [file], 1, connections, "/noop")
            return noted("noop", self.client.ask(job, load.Load))

        def postgres() -> float:
            assert self.postgres is not None
            before = self.postgres.count()
            done = self.hand.ask(by_hand.Job(self.postgres.conninfo, file, connections), load.Load)
            assert self.postgres.count() - before == count, "PostgreSQL stored every event"
            return noted("postgres", done)

        subjects = {"ours": ours, "noop": nothing, **({"postgres": postgres} if self.postgres is not None else {})}
        take_turns(rounds, subjects, prepare)
        return loads


def measure_single(run: Run) -> None:
    """One event a request, over 64 connections and over one, beside the same bodies to a server that does nothing and
    the same events into PostgreSQL, a transaction each."""
    sizes, feed = run.sizes, Feed(run, "v7")
    with ExitStack() as closing:
        server = closing.enter_context(serving(run.place / "single"))
        noop = closing.enter_context(serving_nothing(run.place))
        client = closing.enter_context(Actor("load", run.place))
        postgres = _postgres(run, "single", "v7", sizes.warm_up, closing)
        single = Single(run, feed, server, client, noop, postgres, closing.enter_context(Actor("by_hand", run.place)))
        # Users are made at their first event, which is rare in a day's traffic: not what is measured here.
        warm_up = Feed(run, "v7").take("warm-up", sizes.warm_up)
        send(client, server, [[warm_up]], sizes.batch, 1, sizes.warm_up)
        single.measure(CONNECTIONS, sizes.singles, 1)
        run.say(f"single, 1 x {CONNECTIONS}")
        _report_crowd(run, single.measure(CONNECTIONS, sizes.singles, sizes.rounds), sizes.singles)
        run.say("single, 1 x 1")
        _report_lone(run, single.measure(1, sizes.lone, sizes.rounds))


def _report_crowd(run: Run, loads: dict[str, list[load.Load]], count: int) -> None:
    """How many of them a second."""
    case, rates = f"1 x {CONNECTIONS}", {name: [count / one.seconds for one in done] for name, done in loads.items()}
    notes = {
        "median_ms": median(one.median_ms for one in loads["ours"]),
        "p95_ms": median(one.p95_ms for one in loads["ours"]),
        "client_cores_at_no-op": median(one.cpu_seconds / one.seconds for one in loads["noop"]),
    }
    row = compare("single", case, "requests/s", rates["ours"], targets.NOOP, rates["noop"], **notes)
    run.report.rows.append(row)
    if by_hand_rates := rates["postgres"]:
        cores = median(one.cpu_seconds / one.seconds for one in loads["postgres"])
        base = median(one.median_ms for one in loads["postgres"])
        row = compare(
            "single",
            case,
            "requests/s",
            rates["ours"],
            targets.PG_BY_HAND,
            by_hand_rates,
            its_median_ms=base,
            its_client_cores=cores,
        )
        run.report.rows.append(row)


def _report_lone(run: Run, loads: dict[str, list[load.Load]]) -> None:
    """How long each of them takes."""
    medians = {name: [one.median_ms for one in done] for name, done in loads.items()}
    for name, shown in (("noop", targets.NOOP), ("postgres", targets.PG_BY_HAND)):
        if base := medians[name]:
            p95 = {"p95_ms": median(one.p95_ms for one in loads["ours"])}
            run.report.rows.append(compare("single", "1 x 1", "ms", medians["ours"], shown, base, **p95))


def measure_client(run: Run) -> None:
    """What the client could send if the server did nothing: it must be far above what is measured with it."""
    feed = Feed(run, "v7")
    cases = [Case(1, CONNECTIONS, run.sizes.singles), Case(run.sizes.batch, 2, run.sizes.bulk)]
    with serving_nothing(run.place) as noop, Actor("load", run.place) as client:
        for case in cases:
            run.say(f"client, {case.name}")
            job = load.Job(noop, TOKEN, [[feed.take(SOURCE, case.count)]], case.batch, case.width, "/noop")
            done = [client.ask(job, load.Load) for _ in range(run.sizes.rounds)]
            cores = median(one.cpu_seconds / one.seconds for one in done)
            rates = [case.count / one.seconds for one in done]
            run.report.rows.append(compare("client", case.name, "events/s", rates, client_cores=cores))
