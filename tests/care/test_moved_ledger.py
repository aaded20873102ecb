"""A ledger changes its database with a restore: from its file into PostgreSQL and back, as it was to the row."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.care.test_backup import TIME, run, serving, usage
from tests.care.test_postgres_backup import ACTION, LAST_USED, rows, tables
from tests.postgres import Postgres, postgres  # noqa: F401

from flowtally.care import destination, manifest
from flowtally.care.destination import Destination
from flowtally.care.manifest import Manifest
from flowtally.core.errors import ConfigError
from flowtally.ledger import portable
from flowtally.ledger.database import Ledger

HOUR = "2026-02-01T0{}:00:00Z"
EVENTS = [{"source": "gw", "id": "1", "account": "acme", "time": TIME, "user": "ann", "bytes_down": 7}]
MANIFEST = Manifest(
    format=1,
    flowtally="1",
    engine="1",
    made_at=TIME,
    block=1,
    rows=1,
    usage_schema=4,
    ledger="sqlite",
    notes=[],
    files=[],
)
NUMBERED = [{"source": "log", "sequence": 1, "account": "acme", "time": TIME, "bytes_up": 3}]


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:  # noqa: F811
    url = postgres.new_database()
    yield url
    postgres.give_back(url)


def promise_some_of_each_kind(client: httpx.Client) -> None:
    """Rows in nearly every table, with texts and numbers that are easily spoilt on the way."""
    account = "/v1/accounts/acme"
    for number, (path, body) in enumerate((
        ("/v1/accounts", {"id": "acme", "name": 'Ümläut 日本 🧦, "Ltd" \\n {}', "timezone": "Asia/Kathmandu"}),
        ("/v1/accounts", {"id": "beta"}),
        ("/v1/credentials", {"scope": "ingest", "name": "gw", "addresses": ["203.0.113.0/24", "2001:db8::/48"]}),
        (f"{account}/credentials", {"scope": "manage", "name": "own", "expires_at": "2036-01-01T00:00:00Z"}),
        (f"{account}/grants", {"amount": 2**53 - 1}),
        (f"{account}/users", {"name": "fay", "funded": True}),
        (f"{account}/users/fay/allocations", {"amount": 7}),
        ("/v1/plans", {"id": "small", "name": "Small", "amount": 9, "price_micros": 5}),
        (f"{account}/wallet/deposits", {"amount_micros": 2**40}),
        (f"{account}/purchases", {"plan": "small"}),
        (f"{account}/vouchers", {"amount": 5, "duration_s": 3600, "count": 3}),
        ("/v1/events", EVENTS),
        ("/v1/events", NUMBERED),
        (f"{account}/periods", {"from": HOUR.format(0), "to": HOUR.format(1)}),
    )):  # fmt: skip
        answer = client.post(path, json=body, headers={"Idempotency-Key": f"once {number}"})
        assert answer.is_success, f"{path}: {answer.text}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of an installation that has its stores in its directory."""
    place = tmp_path_factory.mktemp("embedded")
    with serving(place / "data") as (live, client):
        promise_some_of_each_kind(client)
        return Path(run("backup", live=live)["path"])


def rows_of(backup: Path, place: Path) -> dict[str, list[Any]]:
    """Of its ledger's file, which looking into would change."""
    place.mkdir(parents=True)
    shutil.copy(backup / "ledger.db", place / "ledger.db")
    return rows(f"sqlite:///{place / 'ledger.db'}")


def same(came: dict[str, list[Any]], was: dict[str, list[Any]], binds: int) -> None:
    """All rows are as they were, but for what a restore does: a new generation, and its records."""
    came, was = dict(came), dict(was)
    [mine], [old] = came.pop("installation"), was.pop("installation")
    recorded, before = came.pop("audit"), was.pop("audit")
    assert recorded[: len(before)] == before
    assert [row[ACTION] for row in recorded[len(before) :]] == ["installation.bind", "ledger.restore"] * binds
    for one in (came, was):
        one["credentials"] = [(*row[:LAST_USED], *row[LAST_USED + 1 :]) for row in one["credentials"]]
    assert came == was
    assert (mine[:2], mine[2] != old[2]) == (old[:2], True)


def test_a_ledger_goes_into_postgresql_and_back_into_a_file(made: Path, tmp_path: Path, empty: str) -> None:
    was = rows_of(made, tmp_path / "was")
    full = {name for name, found in was.items() if found}
    assert len(full) > 20, sorted(was.keys() - full)
    there, back = tmp_path / "there", tmp_path / "back"
    told = run("restore", str(made), "--data", str(there), "--ledger-url", empty)
    assert told["report"]["found"] == 0
    assert told["settled"] == []
    assert not list(there.glob("ledger*"))
    assert sorted(one.name for one in there.iterdir()) == [
        "flowtally.lock",
        "journal.db",
        "keys.db",
        "passwords.key",
        "usage",
    ]
    same(rows(empty), was, 1)
    with serving(there, FLOWTALLY_LEDGER_URL=empty) as (live, client):
        for batch in (EVENTS, NUMBERED):
            assert client.post("/v1/events", json=batch).json()["duplicate"] == 1
        assert client.post("/v1/accounts/acme/grants", json={"amount": 1}).is_success
        everything = usage(client)
        assert run("verify", live=live)["found"] == 0
        second = run("backup", live=live)["path"]
    file = f"sqlite:///{back / 'ledger.db'}"
    told = run("restore", second, "--data", str(back), "--ledger-url", file)
    assert told["report"]["found"] == 0
    assert (back / "ledger.db").stat().st_mode & 0o077 == 0
    same(rows(file), rows(empty), 1)
    with serving(back) as (live, client):
        assert usage(client) == everything
        assert run("verify", live=live)["found"] == 0


def test_a_ledger_whose_file_was_broken_goes_nowhere(made: Path, tmp_path: Path, empty: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    spoilt = bytearray((copy / "ledger.db").read_bytes())
    spoilt[len(spoilt) // 2 : len(spoilt) // 2 + 3000] = bytes(3000)
    (copy / "ledger.db").write_bytes(spoilt)
    declare(copy)
    said = run("restore", str(copy), "--data", str(tmp_path / "new"), "--ledger-url", empty, code=1)
    assert "was made of damaged files: ledger.db" in said
    assert tables(empty) == []


def declare(backup: Path) -> None:
    """Its files are what its manifest says."""
    told = json.loads((backup / "manifest.json").read_text())
    told["files"] = [
        {"path": one.path, "size": one.size, "sha256": one.sha256} for one in manifest.describe(backup, lambda _: None)
    ]
    del told["sha256"]  # it was of what was said before
    (backup / "manifest.json").write_text(json.dumps(told))


def test_a_ledger_as_a_file_is_where_a_start_looks_for_it(tmp_path: Path) -> None:
    told = MANIFEST
    here = f"sqlite:///{tmp_path}/new/ledger.db"
    assert destination.chosen(told, tmp_path / "new", here) == Destination(tmp_path / "new")
    assert destination.chosen(told, tmp_path / "new", None) == Destination(tmp_path / "new")
    for place in ("elsewhere.db", "new/other.db"):
        with pytest.raises(ConfigError, match=f"Say --ledger-url {here}"):
            destination.chosen(told, tmp_path / "new", f"sqlite:///{tmp_path / place}")


def test_a_text_that_postgresql_cannot_keep_is_told_and_nothing_is_there(tmp_path: Path, empty: str) -> None:
    """Early versions took a NUL in a name."""
    old = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger.open(old)
    with ledger.begin() as tx:
        tx.exec_driver_sql(
            "INSERT INTO accounts (id, name, timezone, created_at, changed_at, status, overage, carry_from) "
            "SELECT 'acme', 'a' || char(0) || 'b', 'UTC', 1, 1, 'active', 'carry', 1"
        )
    ledger.close()
    version = portable.write_from(old, tmp_path / "tables", lambda *_: None)
    with pytest.raises(ConfigError, match=r"The rows of accounts cannot be kept in this database: .*NUL"):
        portable.read(empty, tmp_path / "tables", version, lambda *_: None)
    assert tables(empty) == []
