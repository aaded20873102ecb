"""The ledger under test: every test that takes `ledger` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.conftest import open_copy
from tests.postgres import Postgres, postgres

from flowtally.ledger.database import Ledger

__all__ = ["postgres"]  # a fixture, found by name

NewUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Of database."""
    return str(request.param)


@pytest.fixture
def new_url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[NewUrl]:
    """Makes URLs of empty databases."""
    if kind == "sqlite":
        numbers = count(1)
        yield lambda: f"sqlite:///{tmp_path}/ledger{next(numbers)}.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    given: list[str] = []

    def give() -> str:
        given.append(server.new_database())
        return given[-1]

    yield give
    for url in given:
        server.give_back(url)


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[str]:
    """Of a ledger of today that nobody has used. Copied or emptied, not upgraded for every test: what an upgrade does
    is the subject of test_migrations, whose `url` is that of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('new_ledger'), tmp_path / 'ledger.db')}"
        return
    server: Postgres = request.getfixturevalue("postgres")
    given = server.new_ledger()
    yield given
    server.give_back_ledger(given)


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    path = Path(url.removeprefix("sqlite:///"))  # where there is no such file, it is to be made
    opened = open_copy(path) if path.exists() else Ledger.open(url)
    yield opened
    opened.close()


@pytest.fixture
def postgres_ledger(postgres: Postgres) -> Iterator[Ledger]:
    """For what only PostgreSQL does."""
    url = postgres.new_ledger()
    opened = Ledger.open(url)
    yield opened
    opened.close()
    postgres.give_back_ledger(url)
