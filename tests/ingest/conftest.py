"""An installation of ingest in this process, whose parts fail when a test says so."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest
from tests.clickhouse import clickhouse_server, server_url  # noqa: F401
from tests.conftest import BOUND, Clock, open_copy
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.kinds import WAYS

from flowtally.config import load_config
from flowtally.core.reported import UseSaid
from flowtally.ingest import committer, queue, standing
from flowtally.ingest.door import Ingest
from flowtally.ingest.report_plan import ReportAnswer
from flowtally.ingest.settings import ingest_settings
from flowtally.keys.store import Keys
from flowtally.ledger.database import Ledger
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import CorrectionsAnswer, EventsAnswer, ReadingsAnswer
from flowtally.usage.memory import MemoryStore
from flowtally.usage.records import Record
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Block

TIME: Final = "2026-03-01T00:00:00Z"


class Death(BaseException):
    """The process ends here: nothing that handles errors may handle it."""


class FaultyJournal:
    """A journal that fails as told: `before` a commit, `after` it was durable, or when asked what became of it.

    Each fault is an error to raise, once; they are used up in order."""

    def __init__(self) -> None:
        self.inner: Any = None  # of the process that runs now
        self.before: list[BaseException] = []
        self.after: list[BaseException] = []
        self.asking: list[BaseException] = []
        self.may_write = threading.Event()  # a commit waits for it
        self.may_write.set()
        self.writing = 0  # commits that were begun
        self.poison: str | None = None  # a record with an event of this id is refused for its content
        self.committed: list[Record] = []

    def commit(self, record: Record) -> None:
        self.writing += 1
        assert self.may_write.wait(20)
        _raise_next(self.before)
        if self.poison is not None and record.rows is not None and self.poison in record.rows.column("id").to_pylist():
            raise ValueError(f"cannot keep {self.poison}")
        self.inner.commit(record)
        self.committed.append(record)
        _raise_next(self.after)

    def settle(self, block: int) -> bool:
        _raise_next(self.asking)
        return bool(self.inner.settle(block))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


# What the one writer may call: all of it answers from memory, whatever the engine is at.
FROM_MEMORY: Final = frozenset({"append", "publish", "date_block", "end_block", "unflushed", "compacted_to"})


class Watched:
    """A usage store that remembers the blocks it was given, and lets nobody ask rows on the thread that writes."""

    def __init__(self, inner: UsageStore) -> None:
        self.inner = inner
        self.appended: list[Block] = []
        self.asked_of_rows: list[str] = []

    def append(self, block: Block) -> None:
        self.inner.append(block)
        self.appended.append(block)

    def __getattr__(self, name: str) -> Any:
        if name not in FROM_MEMORY and threading.current_thread().name == "committer":
            self.asked_of_rows.append(name)
            raise AssertionError(f"the one writer asks the usage store: {name}")
        return getattr(self.inner, name)


class FaultyConnection:
    """A database connection that fails to do what a statement begins with, as often as told."""

    def __init__(self, inner: sqlite3.Connection) -> None:
        self.inner = inner
        self.faults: dict[str, list[BaseException]] = {}

    def execute(self, text: str, *values: Any) -> Any:
        for start, errors in self.faults.items():
            if text.startswith(start):
                _raise_next(errors)
        return self.inner.execute(text, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def gather(door: Ingest, count: int) -> None:
    """The next block waits for so many requests, unless no more come: some are answered without a block."""
    waiting: Any = door._queue

    def linger(back: int) -> None:
        here, came_at = 0, time.monotonic()
        while waiting._count < count and time.monotonic() - came_at < 0.5:
            if waiting._count > here:
                here, came_at = waiting._count, time.monotonic()
            time.sleep(0.001)
        del waiting._linger

    waiting._linger = linger


def _raise_next(errors: list[BaseException]) -> None:
    if errors:
        raise errors.pop(0)


T = TypeVar("T")


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner()


def run(asking: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, for 20 seconds at most. What the main thread asks has one event loop: to make one takes as long
    as to ask."""
    main = threading.current_thread() is threading.main_thread()
    return (_runner().run if main else asyncio.run)(_in_time(asking))


async def _in_time(asking: Coroutine[Any, Any, T]) -> T:
    return await asyncio.wait_for(asking, 20)


async def soon(done: Callable[[], bool]) -> None:
    """Let others go on until this holds."""
    for _ in range(10_000):
        if done():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came")


@cache
def _new_keys() -> bytes:
    """The file of keys as a first start leaves them that was cut short when they were bound. Made once: their schema
    comes in four steps."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "keys.db"
        with closing(Keys(path)) as keys:
            keys.bind(*BOUND)
        return path.read_bytes()


def lay_keys(data: Path) -> None:
    """Into the data directory of a new installation."""
    data.mkdir(mode=0o700)
    (data / "keys.db").write_bytes(_new_keys())


class Services:
    """One installation: its stores outlive the process that `open` and `die` stand for."""

    def __init__(self, data: Path, store: UsageStore, ledger: Ledger, credential: Credential, clock: Clock) -> None:
        self.data, self.ledger, self.credential = data, ledger, credential
        self.clock: Any = clock
        self.store = Watched(store)
        self.journal = FaultyJournal()
        self.ingest: Ingest | None = None
        self.settings: dict[str, object] = {"min_free_bytes": 0}

    def open(self, **settings: object) -> Ingest:
        config = load_config({}, data=str(self.data), **(self.settings | settings))
        self.ingest = Ingest.open(ingest_settings(config), self.store, self.ledger, clock=self.clock)
        self.journal.inner = self.ingest._journal
        self.ingest._committer._journal = self.journal  # type: ignore[assignment]
        return self.ingest

    @property
    def door(self) -> Ingest:
        return self.ingest or self.open()

    @property
    def keys(self) -> Any:
        return self.door._keys

    def fail_keys(self, start: str, *errors: BaseException) -> None:
        connection = FaultyConnection(self.keys._db)
        connection.faults[start] = list(errors)
        self.keys._db = connection

    def send(self, *events: dict[str, Any], atomic: bool = False, credential: Credential | None = None) -> EventsAnswer:
        body, who = msgspec.json.encode(events), credential or self.credential
        return run(self.door.take(body, "application/json", None, who, atomic=atomic, receipts_all=True))

    def statuses(self, *events: dict[str, Any]) -> list[str]:
        return [receipt.status for receipt in self.send(*events).receipts]

    def correct(self, *asked: dict[str, Any], credential: Credential | None = None) -> CorrectionsAnswer:
        body, who = msgspec.json.encode(asked), credential or self.credential
        return run(self.door.correct(body, "application/json", None, who))

    def meter(self, *readings: dict[str, Any], credential: Credential | None = None) -> ReadingsAnswer:
        body, who = msgspec.json.encode(readings), credential or self.credential
        return run(self.door.meter(body, "application/json", None, who))

    def report(self, said: UseSaid, account: str = "acme", series: str = "thor") -> ReportAnswer:
        return run(self.door.report(account, series, said))

    def die_reporting(self, said: UseSaid, account: str = "acme", series: str = "thor") -> None:
        """As `die`, with what a provider says."""

        async def ask() -> None:
            reporting = asyncio.ensure_future(self.door.report(account, series, said))
            await asyncio.to_thread(self.door._committer._thread.join, 20)
            reporting.cancel()

        asyncio.run(ask())
        self.crash()

    def die_metering(self, *readings: dict[str, Any]) -> None:
        """As `die`, with readings."""

        async def ask() -> None:
            metering = self.door.meter(msgspec.json.encode(readings), "application/json", None, self.credential)
            waiting = asyncio.ensure_future(metering)
            await asyncio.to_thread(self.door._committer._thread.join, 20)
            waiting.cancel()

        asyncio.run(ask())
        self.crash()

    def die(self, *events: dict[str, Any]) -> None:
        """Send these into the fault that was prepared; the committer's thread does not live through it."""

        async def ask() -> None:
            taking = self.door.take(msgspec.json.encode(events), "application/json", None, self.credential)
            waiting = asyncio.ensure_future(taking)
            await asyncio.to_thread(self.door._committer._thread.join, 20)
            waiting.cancel()

        asyncio.run(ask())
        self.crash()

    def die_correcting(self, *asked: dict[str, Any]) -> None:
        """The same with corrections."""

        async def ask() -> None:
            correcting = self.door.correct(msgspec.json.encode(asked), "application/json", None, self.credential)
            waiting = asyncio.ensure_future(correcting)
            await asyncio.to_thread(self.door._committer._thread.join, 20)
            waiting.cancel()

        asyncio.run(ask())
        self.crash()

    def crash(self) -> None:
        """Let go of everything as a dead process does: no clean mark."""
        if self.ingest is not None:
            self.ingest._committer.stop()
            self.ingest._flusher.stop()
            self.ingest._journal.close()
            self.ingest._keys.close()
            self.ingest = None

    def close(self) -> None:
        if self.ingest is not None:
            self.ingest.close()
            self.ingest = None

    def whole(self) -> None:
        """What was acknowledged and what is there are the same."""
        place, totals = self.keys.committed(), self.store.totals()
        assert place.rows_total == totals.rows
        assert place.block >= totals.last_block == self.store.published().block


@contextmanager
def services_in(directory: Path, ledger_of_two: tuple[Path, Credential]) -> Iterator[Services]:
    """An installation of its own in an empty directory, for a test that needs many one after the other."""
    given, credential = ledger_of_two
    lay_keys(directory / "data")
    opened = open_copy(Path(shutil.copy(given, directory / "ledger.db")))
    with closing(opened) as ledger, pytest.MonkeyPatch.context() as patch:
        cut_no_power(patch)
        services = Services(directory / "data", MemoryStore(), ledger, credential, Clock())
        try:
            yield services
        finally:
            services.crash()


def cut_no_power(patch: pytest.MonkeyPatch) -> None:
    """A doubt is settled soon, and nobody waits for the disks of the whole machine."""
    patch.setattr(committer, "SETTLE_AGAIN_S", (0.001, 0.002))
    patch.setattr("os.sync", lambda: None)


STORES: Final = {"chdb": "database_url", "server": "server_url"}
# How a block is committed, what is done where nobody knows whether it was, and what readers are told meanwhile. The
# world (tests/world) has all that ingest does over the server, too.
OVER_SERVER: Final = frozenset({"test_commit_protocol", "test_published", "test_standing", "test_stated_blocks"})
# What is written on the ground of rows, wherever these lie.
IN_ALL_WAYS: Final = frozenset({"test_corrections", "test_corrections_model", "test_reports"})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "empty_store" in metafunc.fixturenames:
        module = metafunc.module.__name__.rpartition(".")[2]
        over = ["server"] if module in OVER_SERVER else []
        engines = WAYS if module in IN_ALL_WAYS else ["chdb"]
        metafunc.parametrize("empty_store", ["memory", *engines, *over], indirect=True)


@pytest.fixture
def empty_store(request: pytest.FixtureRequest) -> Iterator[UsageStore]:
    if request.param == "memory":
        yield MemoryStore()
        return
    if request.param in WAYS:
        from tests.usage.ways import opened_in_a_way

        with opened_in_a_way(request.param, request.getfixturevalue("database_url")) as lying:
            yield lying
        return
    from flowtally.usage.open import open_usage

    with closing(open_usage(request.getfixturevalue(STORES[request.param]))) as opened:
        yield opened


@pytest.fixture
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer sees twenty times a second what it does by itself. For tests that wait for it, and no others: it also
    settles by itself what another test finds in doubt."""
    monkeypatch.setattr(queue, "IDLE_S", 0.05)
    monkeypatch.setattr(standing, "TRY_EVERY_S", 0.05)


@pytest.fixture
def make_services(
    tmp_path: Path,
    app_ledger: Ledger,
    ledger_of_two: tuple[Path, Credential],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[UsageStore], Services]]:
    cut_no_power(monkeypatch)
    credential = ledger_of_two[1]
    made: list[Services] = []

    def make(store: UsageStore) -> Services:
        data = tmp_path / "data"
        if not data.exists():
            lay_keys(data)
        made.append(Services(data, store, app_ledger, credential, clock))
        return made[-1]

    yield make
    for one in made:
        one.crash()


@pytest.fixture
def services(make_services: Callable[[UsageStore], Services], empty_store: UsageStore) -> Services:
    """Over both stores."""
    return make_services(empty_store)


@pytest.fixture
def light(make_services: Callable[[UsageStore], Services]) -> Services:
    """Over the list alone, where the engine makes no difference."""
    return make_services(MemoryStore())


def named(*ids: str, source: str = "gw", **more: Any) -> list[dict[str, Any]]:
    return [{"source": source, "id": id, "account": "acme", "time": TIME, "bytes_up": 1, **more} for id in ids]


def numbered(first: int, last: int, source: str = "log", **more: Any) -> list[dict[str, Any]]:
    event = {"source": source, "account": "acme", "time": TIME, "bytes_up": 1, **more}
    return [event | {"sequence": number, "position": f"p{number}"} for number in range(first, last + 1)]
