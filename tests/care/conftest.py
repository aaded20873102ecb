"""An installation in this process over the real engine, to be damaged and looked at."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.ingest.conftest import Services, make_services  # noqa: F401

from flowtally.care.backup import Backup, MadeBackup
from flowtally.care.job import Progress
from flowtally.care.verify import Report, take_baseline, verify
from flowtally.samples.store import FILE as SAMPLES
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.open import open_usage

_numbers = count()


class Patient:
    """A server whose engine and keys can be operated on behind its back."""

    def __init__(self, services: Services, store: ClickHouseStore) -> None:
        self.services = services
        self.store = store

    @property
    def engine(self) -> Engine:
        """With all that was sent in its table: who asks for it looks at rows and parts."""
        self.store.settle()
        return self.store.engine

    def verify(self) -> Report:
        rows, door = self.store.rows_check, self.services.door
        moment = door.between_blocks(lambda keys: take_baseline(rows, keys.path, door.flusher.records()))
        samples = self.services.data / SAMPLES
        return verify(rows, moment, self.services.ledger, Progress(), self.services.clock(), samples)

    def found(self) -> dict[str, list[str]]:
        """What is found, by code: `where: detail`."""
        report = self.verify()
        assert report.found == len(report.findings) == sum(check.found for check in report.checks)
        found: dict[str, list[str]] = {}
        for one in report.findings:
            found.setdefault(one.code, []).append(f"{one.where}: {one.detail}")
        return found

    def broken(self) -> list[str]:
        """Parts that are not what was written, in words."""
        rows = self.store.rows_check
        return [str(one) for one in rows.broken(lambda *_: None)[1]]

    def back_up(self, place: Path) -> MadeBackup:
        services = self.services
        backup = Backup(
            place, f"b{next(_numbers)}", data=services.data, usage=self.store, ledger=services.ledger,
            between_blocks=services.door.between_blocks, now=services.clock(),
        )  # fmt: skip
        return backup.make(Progress())

    def rows(self, text: str) -> None:
        """A statement of the engine."""
        self.engine.command(text)

    def keys(self, text: str) -> None:
        """A statement to the keys database; `{keys}` is each of the tables that hold keys."""
        with sqlite3.connect(self.services.data / "keys.db") as db:
            for table in ("keys", "log0", "log1"):
                db.execute(text.replace("{keys}", table))

    def digest(self, key: bytes) -> int:
        with sqlite3.connect(self.services.data / "keys.db") as db:
            tables = " UNION ".join(f"SELECT key, digest FROM {table}" for table in ("keys", "log0", "log1"))
            [(digest,)] = db.execute(f"SELECT digest FROM ({tables}) WHERE key = ?", (key,))
        return int(digest)

    def promises(self, text: str) -> None:
        """A statement to the ledger, by a hand that minds no rules."""
        assert self.services.ledger.file is not None
        with sqlite3.connect(self.services.ledger.file) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute(text)


@contextmanager
def refusing_flushes(store: ClickHouseStore) -> Iterator[None]:
    """The engine refuses what is to be flushed for its content, as it would for a fault of ours."""
    flushing = store.flushing
    told = "Code: 53. Type mismatch"

    def refuse(name: str, blocks: object) -> str | None:
        return told

    inner, flushing._stage = flushing._stage, refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        flushing._stage = inner  # type: ignore[method-assign]


@pytest.fixture
def patient(make_services: Callable[..., Services], database_url: str) -> Iterator[Patient]:  # noqa: F811
    store = open_usage(database_url)
    assert isinstance(store, ClickHouseStore)
    patient = Patient(make_services(store), store)
    patient.services.settings["flush_after_s"] = 3600  # nothing is flushed but what a test looks at
    yield patient
    store.close()
