"""Two servers on one ledger in PostgreSQL: what was used at one is not sold again at the other."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from tests.conftest import NOW, Clock
from tests.ingest.conftest import named, run
from tests.ledger.test_lease import begun, end_session, wait_for
from tests.live import Live, clean_environment, live_server
from tests.postgres import Postgres, postgres
from tests.test_start import EVENT, FIRST, asking, flowtally

from flowtally.config import load_config
from flowtally.core.errors import LeaseLost
from flowtally.ledger import lease
from flowtally.ledger.people import accounts, credentials
from flowtally.server import ledger_measures, open_services
from flowtally.usage.memory import MemoryStore
from flowtally.web.services import Services

__all__ = ["postgres"]  # a fixture, found by name


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    url = postgres.new_database()
    yield url
    postgres.give_back(url)


def send(services: Services, credential: Any, *ids: str) -> Any:
    body = msgspec.json.encode(named(*ids))
    taking = services.ingest.take(body, "application/json", None, credential, atomic=False, receipts_all=True)
    return run(taking)


def test_a_server_that_lost_the_lease_stores_nothing_says_so_and_goes_on_when_it_has_it_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sync", lambda: None)
    monkeypatch.setattr(lease, "ASK_EVERY_S", 3600)  # nobody tells it: the next block finds out by itself
    usage = MemoryStore()
    config = load_config({}, data=str(tmp_path / "data"), usage_url="memory://", ledger_url=url, min_free_bytes=0)
    with ExitStack() as other, open_services(config, usage=usage, clock=Clock()) as services:
        with services.ledger.begin() as tx:
            accounts.create_account(tx, "acme", now=NOW)
            admin = credentials.issue(tx, "admin", None, "tests", NOW)[0]
        assert send(services, admin, "1").stored == 1
        assert ledger_measures(services.ledger)["lease_held"] == 1.0

        end_session(url)
        second = begun(url, other, "two")
        before = len(usage.rows)
        with pytest.raises(LeaseLost):
            send(services, admin, "2")
        with pytest.raises(LeaseLost):
            send(services, admin, "3")
        assert len(usage.rows) == before
        assert services.ingest.ready() == (False, "the lease on the ledger is lost: another server took it")
        assert ledger_measures(services.ledger)["lease_held"] == 0.0
        assert second.lost == ""
        other.close()
    with open_services(config, usage=usage, clock=Clock()) as services:
        assert send(services, admin, "1", "2", "3").stored == 2
    assert len(usage.rows) == 3


def ready(live: Live) -> int:
    return httpx.get(f"{live.url}/readyz", timeout=30).status_code


def test_two_programs_on_one_ledger(url: str, tmp_path: Path) -> None:
    settings = {"FLOWTALLY_LEDGER_URL": url}
    one, two = tmp_path / "one", tmp_path / "two"
    with live_server(one, settings | {"FLOWTALLY_ADMIN_TOKEN": FIRST}) as started:
        live = Live(started.url, FIRST, started.data)
        assert asking(live, "POST", "/v1/accounts", {"id": "acme"}).status_code == 201
        assert asking(live, "POST", "/v1/events", [EVENT | {"id": "1"}]).json()["stored"] == 1
        code, said = flowtally("serve", "--data", str(two), "--port", "0", **settings)
        assert (code, f"data {one}" in said, "is written by process" in said) == (1, True, True), said
        assert not two.exists()

        end_session(url)  # it takes the lease again by itself
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as db:
            wait_for(lambda: db.execute("SELECT epoch FROM installation").fetchone() == (2,))
        wait_for(lambda: _answers(live, "2") and ready(live) == 200)
    code, said = flowtally("serve", "--data", str(two), "--port", "0", **settings)
    assert (code, "keys are new" in said) == (1, True), said  # and another installation's ledger is not for it
    assert not two.exists()


def _answers(live: Live, id: str) -> bool:
    answer = asking(live, "POST", "/v1/events", [EVENT | {"id": id}])
    assert answer.status_code == 200 or answer.json()["code"] in ("lease_lost", "unavailable"), answer.text
    return answer.status_code == 200


def test_a_killed_holder_frees_the_ledger_at_once(url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flowtally", "serve", "--data", str(tmp_path / "data"), "--port", "0", "--json"]
    environment = {**clean_environment(), "FLOWTALLY_LEDGER_URL": url, "FLOWTALLY_ADMIN_TOKEN": FIRST}
    for _ in range(2):
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            assert server.stdout.readline(), "it did not start"
            server.send_signal(signal.SIGKILL)
            server.wait()


def test_a_ledger_that_was_away_is_taken_again(url: str, postgres: Postgres, tmp_path: Path) -> None:
    with live_server(tmp_path / "data", {"FLOWTALLY_LEDGER_URL": url, "FLOWTALLY_ADMIN_TOKEN": FIRST}) as started:
        live = Live(started.url, FIRST, started.data)
        assert asking(live, "POST", "/v1/accounts", {"id": "acme"}).status_code == 201
        with postgres.down():
            wait_for(lambda: ready(live) == 503)
            answer = asking(live, "POST", "/v1/events", [EVENT | {"id": "1"}])
            assert (answer.status_code, answer.json()["code"]) in ((503, "lease_lost"), (503, "unavailable"))
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as db:
            # A write may come first: its epoch is still the ledger's. Then the session is found to be gone.
            wait_for(lambda: db.execute("SELECT epoch FROM installation").fetchone() == (2,))
        wait_for(lambda: _answers(live, "1") and ready(live) == 200)
