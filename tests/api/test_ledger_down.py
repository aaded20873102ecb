"""The ledger's PostgreSQL stops and starts again while the real application goes on: every route, every dialect."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from tests.app_client import AppClient
from tests.conftest import NOW, Client
from tests.fake_ingest import FakeIngest
from tests.live import live_server
from tests.postgres import Postgres, postgres
from tests.vendors.asking import Shown, issue
from tests.vendors.tongues import ROUTES, assert_refused

from flowtally.config import load_config
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials
from flowtally.server import create_app
from flowtally.usage.memory import MemoryStore
from flowtally.web.operation import OPERATIONS, Operation

__all__ = ["postgres"]

# The lease's session is seen to every two seconds: from then on it is what is named.
NOT_NOW = {(503, "unavailable"), (503, "lease_lost")}
NEEDS_NOTHING = ("/", "/docs", "/healthz", "/schema/openapi.json", "/metrics")


@pytest.fixture
def down(postgres: Postgres, tmp_path: Path) -> Iterator[tuple[Client, Shown]]:
    """An application whose ledger is gone, and a credential of the account it has."""
    url = postgres.new_database()
    ledger, usage = Ledger.open(url), MemoryStore()
    config = load_config({}, data=str(tmp_path), usage_url="memory://", metrics="open")
    app = create_app(config, clock=lambda: NOW, usage=usage, ledger=ledger, ingest=FakeIngest(usage, ledger))
    with ledger.begin() as tx:
        token = credentials.issue(tx, "admin", None, "tests", NOW)[1]
    with AppClient(app, raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        assert client.post("/v1/accounts", json={"id": "acme"}).status_code == 201
        who = issue(client, "acme", "manage")
        with postgres.down():
            yield client, who
        assert client.get("/readyz").status_code == 200
        assert client.post("/v1/accounts", json={"id": "later"}).status_code == 201
    ledger.close()
    postgres.give_back(url)


def ask(client: Client, op: Operation) -> Any:
    path = op.path.replace("{account}", "acme").replace("{", "").replace("}", "")
    body = None if op.body is None else msgspec.json.encode(op.body_example)
    return client.request(op.method, path, content=body, headers={"Content-Type": "application/json"} if body else {})


def test_every_route_says_that_the_ledger_cannot_be_reached_and_the_log_shows_no_trace(
    down: tuple[Client, Shown], capsys: pytest.CaptureFixture[str]
) -> None:
    client, _ = down
    with structlog.testing.capture_logs() as logged:
        for op in OPERATIONS:
            if op.path in NEEDS_NOTHING:
                assert ask(client, op).status_code == 200
                continue
            client.app.state.services.doorkeeper.forget()
            answer = ask(client, op)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), (op.path, answer.text)
            assert answer.json()["detail"].startswith("The ledger cannot be reached")
            assert answer.headers["retry-after"] == "2"
    assert "flowtally_ledger_up 0.0" in client.get("/metrics").text
    told = [line for line in logged if line["event"] == "unavailable"]
    assert told
    assert all("OperationalError: " in line["cause"] and "\n" not in line["cause"] for line in told)
    assert not [line for line in logged if "exc_info" in line or line["log_level"] == "error"]


def test_a_credential_that_is_remembered_changes_nothing_about_it(down: tuple[Client, Shown]) -> None:
    client, _ = down
    for op in OPERATIONS:
        assert ask(client, op).status_code < 500 or ask(client, op).status_code == 503, op.path


def test_every_route_of_every_dialect_refuses_as_its_vendor_does(down: tuple[Client, Shown]) -> None:
    client, who = down
    with structlog.testing.capture_logs() as logged:
        for dialect, route in ROUTES:
            answer = who.ask(client, dialect, route)
            assert_refused(dialect, answer)
            assert "psycopg" not in answer.text
    assert not [line for line in logged if "exc_info" in line]


def test_a_real_server_goes_on_by_itself_when_its_ledger_is_back(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.new_database()
    settings = {"FLOWTALLY_LOG_FORMAT": "json", "FLOWTALLY_LEDGER_URL": url.replace("flowtally@", "flowtally:hunter2@")}
    event = {"source": "gw", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}
    with live_server(tmp_path / "data", settings) as live:
        asking = httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, timeout=30)
        with asking as client:
            client.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
            assert client.post("/v1/events", json=[{**event, "id": "1", "user": "ann"}]).json()["stored"] == 1
            with postgres.down():
                for number in range(30):
                    lost = client.post("/v1/events", json=[{**event, "id": "2", "user": f"{number}"}])
                    assert (lost.status_code, lost.json()["code"]) in NOT_NOW
                refused = client.get("/readyz")
                assert refused.status_code == 503
                assert re.search("The ledger cannot be reached|lease on the ledger is lost", refused.json()["detail"])
            for _ in range(100):
                if (ready := client.get("/readyz")).status_code == 200:
                    break
                time.sleep(0.1)
            assert ready.status_code == 200
            assert client.post("/v1/events", json=[{**event, "id": "2", "user": "new"}]).json()["stored"] == 1
    log = (tmp_path / "data.log").read_text()
    assert "Traceback" not in log
    assert "hunter2" not in log
    assert 1 <= log.count('"event": "unavailable"') <= 20
    postgres.give_back(url)
