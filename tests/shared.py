"""An installation that the tests of one file share, where they only read it or can be told apart.

To open one for each test and fill it takes longer than most questions to it. Whoever breaks something in it does so
with `monkeypatch`, which mends it again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests import promised
from tests.app_client import AppClient
from tests.applications import served
from tests.conftest import Clock, open_acme, wait_for_no_disk
from tests.fake_ingest import FakeIngest

from flowtally.config import load_config
from flowtally.ledger.database import Ledger
from flowtally.usage.memory import MemoryStore


class Shared(NamedTuple):
    client: AppClient
    usage: MemoryStore
    ledger: Ledger


@contextmanager
def installation(ledger_of_admin: tuple[Path, str], place: Path, **settings: Any) -> Iterator[Shared]:
    """With the accounts acme (see `open_acme`) and other; `client` asks as admin."""
    given, token = ledger_of_admin
    with closing(Ledger.open(f"sqlite:///{shutil.copy(given, place / 'ledger.db')}")) as ledger:
        wait_for_no_disk(ledger)
        usage = MemoryStore()
        services = {"clock": Clock(), "usage": usage, "ledger": ledger, "ingest": FakeIngest(usage, ledger)}
        config = load_config({}, data=str(place / "data"), usage_url="memory://", **settings)
        with served(config, raise_server_exceptions=False, **services) as client:
            client.headers["Authorization"] = f"Bearer {token}"
            client.event_hooks["response"].append(promised.check)
            open_acme(client)
            client.post("/v1/accounts", json={"id": "other"})
            yield Shared(client, usage, ledger)
