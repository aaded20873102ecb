"""An installation that is filled once, by asking its application, for many tests: each begins with a copy of it.

`filling(...)`, a fixture of conftest.py, makes one for the tests of a module, which then override what they begin with:

    @pytest.fixture(scope="module")
    def filled(filling: Filling) -> Filled:
        with filling(max_users=0) as filled:
            filled.client.post("/v1/accounts", json={"id": "acme"})
        return filled

    @pytest.fixture(scope="module")
    def ledger_of_admin(filled: Filled) -> tuple[Path, str]:
        return filled.ledger_of_admin

    @pytest.fixture
    def usage(filled: Filled) -> MemoryStore:
        return filled.copy_usage()
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import conftest
from tests.app_client import AppClient
from tests.fake_ingest import FakeIngest

from flowtally.config import load_config
from flowtally.usage.memory import MemoryStore


@dataclass(frozen=True)
class Filled:
    """The client asks as admin, and as long as it is filled."""

    client: AppClient
    clock: conftest.Clock
    usage: MemoryStore
    ingest: FakeIngest
    ledger_of_admin: tuple[Path, str]

    def copy_usage(self) -> MemoryStore:
        return copy_of(self.usage)


def copy_of(store: MemoryStore) -> MemoryStore:
    """It shares the list of rows, which neither changes: each makes a new one."""
    made = MemoryStore()
    made.rows = store.rows
    made.bind(store.identity())
    return made


Filling = Callable[..., AbstractContextManager[Filled]]


@contextmanager
def fill(ledger_of_admin: tuple[Path, str], keys: Path, **settings: Any) -> Iterator[Filled]:
    """That ledger, alone in its folder; a copy of the keys is put beside it."""
    from tests.applications import asked_by  # here, so that tests of pure code do not load the server

    path, token = ledger_of_admin
    shutil.copy(keys, path.parent)
    usage, clock = MemoryStore(), conftest.Clock()
    config = load_config(
        {}, data=str(path.parent), usage_url="memory://", pull_providers=False, deliver_webhooks=False, **settings
    )
    with closing(conftest.open_copy(path)) as ledger:
        ingest = FakeIngest(usage, ledger)
        stores: dict[str, Any] = {"usage": usage, "ledger": ledger, "ingest": ingest}
        with asked_by(token, config, clock=clock, **stores) as client:
            yield Filled(client, clock, usage, ingest, ledger_of_admin)


def fill_two(filled: Filled) -> None:
    """The accounts acme (see `open_acme`) and other."""
    conftest.open_acme(filled.client)
    filled.client.post("/v1/accounts", json={"id": "other"})
