"""An application that serves one test after another is what a server builds, and knows nothing of the test before."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar
from tests.applications import served
from tests.conftest import NOW
from tests.fake_ingest import FakeIngest

from flowtally.config import Config, load_config
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, credentials
from flowtally.server import create_app
from flowtally.usage.memory import MemoryStore
from flowtally.vendors import VENDORS
from flowtally.vendors.bytesflows.settings import Settings


def routes(app: Litestar) -> dict[str, set[str]]:
    return {route.path: {str(method) for method in route.methods} for route in app.routes}


@pytest.mark.parametrize("switched_off", ["", "thordata"])
def test_it_has_the_routes_and_the_document_of_a_server(
    config: Config, usage: MemoryStore, app_ledger: Ledger, ingest: FakeIngest, switched_off: str
) -> None:
    off = {one.name: one.settings(enabled=False) for one in VENDORS if one.name == switched_off}
    config = load_config({}, data=str(config.data_dir), usage_url="memory://", vendors=off)
    with served(config, usage=usage, ledger=app_ledger, ingest=ingest) as client:
        built = create_app(config, usage=usage, ledger=app_ledger, ingest=ingest)
        assert routes(client.app) == routes(built)
        assert client.get("/schema/openapi.json").content == built.state.openapi


def test_it_is_used_again_and_begins_anew(
    config: Config, usage: MemoryStore, app_ledger: Ledger, ingest: FakeIngest
) -> None:
    services: dict[str, Any] = {"usage": usage, "ledger": app_ledger, "ingest": ingest}
    with served(config, **services) as client:
        first, before, client.app.state.mine = client.app, client.app.state.services, 1
        with served(config, **services) as beside:
            assert beside.app is not first
    with served(config, **services) as client:
        assert client.app in (first, beside.app)
    with served(config, **services) as one, served(config, **services) as other:
        assert {one.app, other.app} >= {first}
        assert all(before is not client.app.state.services for client in (one, other))
        assert not any("mine" in client.app.state for client in (one, other))


def test_settings_and_what_was_counted_of_a_caller_end_with_the_client(
    config: Config, usage: MemoryStore, app_ledger: Ledger, ingest: FakeIngest
) -> None:
    vendors = {"bytesflows": Settings(requests_per_minute=2)}
    strict = load_config({}, data=str(config.data_dir), usage_url="memory://", vendors=vendors)
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=NOW)
        token = credentials.issue(tx, "account", "acme", "tests", NOW)[1]

    def codes(config: Config) -> list[int]:
        with served(config, clock=lambda: NOW, usage=usage, ledger=app_ledger, ingest=ingest) as client:
            client.headers["Authorization"] = f"Bearer {token}"
            return [client.get("/api/v1/dashboard/asset").status_code for _ in range(3)]

    assert codes(strict) == codes(strict) == [200, 200, 429]
    assert codes(config) == [200, 200, 200]
