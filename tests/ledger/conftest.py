"""The ledger under test: every test that takes `ledger` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.postgres import postgres

from flowtally.ledger.database import Ledger

__all__ = ["postgres"]  # a fixture, found by name

NewUrl = Callable[[], str]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Makes URLs of empty databases."""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        return lambda: str(server.new_database())
    numbers = count(1)
    return lambda: f"sqlite:///{tmp_path}/ledger{next(numbers)}.db"


@pytest.fixture
def url(new_url: NewUrl) -> str:
    return new_url()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger.open(url)
    yield opened
    opened.close()
