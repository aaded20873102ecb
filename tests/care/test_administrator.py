"""A lost admin token: who owns the files makes another key, with the server stopped, and may end the lost one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.care.test_backup import run, serving
from tests.live import live_server
from tests.postgres import Postgres, postgres  # noqa: F401

from flowtally.care.administrator import issue_admin
from flowtally.config import Config, load_config
from flowtally.core import bearer
from flowtally.core.errors import ConfigError, Damage, NotFound, StoresDiffer, WriterBusy
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials
from flowtally.server import open_services

NOW = 1_800_000_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Config]:
    """An installation that was started once, in each kind of ledger."""
    if request.param == "sqlite":
        yield installation(tmp_path / "data")
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.new_database()
    yield installation(tmp_path / "data", ledger_url=url)
    server.give_back(url)


def installation(data: Path, **settings: str) -> Config:
    config = load_config({}, data=str(data), usage_url="memory://", **settings)
    with open_services(config, tell=lambda _: None):
        pass
    return config


def keys(config: Config) -> dict[str, bool]:
    """Every credential, and whether it is let in."""
    ledger = Ledger.open(config.ledger_url)
    with ledger.read() as tx:
        found = {one.id: one.revoked_at is None for one in credentials.list_credentials(tx).items}
    ledger.close()
    return found


def records(config: Config) -> list[tuple[Any, ...]]:
    ledger = Ledger.open(config.ledger_url)
    with ledger.read() as tx:
        rows = tx.exec_driver_sql("SELECT action, subject, door, at FROM audit ORDER BY number")
        found = [tuple(row) for row in rows]
    ledger.close()
    return found


def test_a_new_key_administers_and_the_lost_one_works_until_it_is_revoked(config: Config) -> None:
    [lost] = keys(config)
    done = issue_admin(config, "found", clock=lambda: NOW)
    assert ([one.id for one in done.others], done.revoked) == ([lost], [])
    assert keys(config) == {lost: True, done.id: True}
    ledger = Ledger.open(config.ledger_url)
    with ledger.read() as tx:
        known = credentials.authenticate(tx, done.token)
        assert known is not None
        assert (known.id, known.scope, known.name, known.expires_at) == (done.id, "admin", "found", None)
        assert credentials.key_matches(tx, done.id, done.key)
    ledger.close()
    assert bearer.is_whole(done.token)
    assert records(config)[-1] == ("credential.issue", done.id, "server: flowtally key admin", NOW)


@pytest.mark.parametrize("how", ["by id", "all"])
def test_the_lost_one_ends_in_the_same_transaction(config: Config, how: str) -> None:
    [lost] = keys(config)
    wanted: dict[str, Any] = {"revoke": [lost, lost]} if how == "by id" else {"revoke_all": True}
    done = issue_admin(config, "found", **wanted, clock=lambda: NOW)
    assert ([one.id for one in done.revoked], done.others) == ([lost], [])
    assert keys(config) == {lost: False, done.id: True}
    assert [one[0] for one in records(config)[-2:]] == ["credential.issue", "credential.revoke"]


def test_nothing_is_made_where_a_key_that_is_to_end_is_unknown(config: Config) -> None:
    before = keys(config), records(config)
    with pytest.raises(NotFound, match="crd_nobody"):
        issue_admin(config, "found", revoke=["crd_nobody"])
    assert (keys(config), records(config)) == before


def test_beside_a_running_server_it_is_refused(config: Config) -> None:
    with open_services(config, tell=lambda _: None), pytest.raises(WriterBusy, match="is written by process"):
        issue_admin(config, "found")
    assert len(keys(config)) == 1


def test_the_ledger_of_another_installation_gets_none(config: Config, tmp_path: Path) -> None:
    other = installation(tmp_path / "other")
    mixed = load_config({}, data=other.data, usage_url="memory://", ledger_url=config.ledger_url)
    before = keys(config)
    with pytest.raises(StoresDiffer):
        issue_admin(mixed, "found")
    assert keys(config) == before


def test_where_nothing_was_ever_started_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    with pytest.raises((ConfigError, Damage), match="nothing was ever started there"):
        issue_admin(load_config({}, data=str(tmp_path / "empty")), "found")
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_token_that_was_lost_by_the_command_line(tmp_path: Path) -> None:
    """The token of a setting is told apart, as it comes back with the next start."""
    with serving(tmp_path / "data") as (live, _):
        lost = run("key", "create", "--scope", "admin", "--name", "lost", live=live)
    done = run("key", "admin", "--data", str(tmp_path / "data"), "--revoke", lost["id"])
    assert [one["id"] for one in done["revoked"]] == [lost["id"]]
    assert [(one["name"], one["set"]) for one in done["others"]] == [("FLOWTALLY_ADMIN_TOKEN", True)]
    with live_server(tmp_path / "data") as live, httpx.Client(base_url=live.url, timeout=60) as client:
        for token, status in ((lost["token"], 401), (done["token"], 200)):
            answer = client.get("/v1/audit", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status
        assert "flowtally key admin" in json.dumps(answer.json())
