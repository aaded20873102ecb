"""A ledger in PostgreSQL: backed up beside the traffic, put back into an empty database, refused anywhere else."""

from __future__ import annotations

import json
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import inspect
from tests.care.test_backup import TIME, TOKEN, Sender, run, serving, usage
from tests.postgres import Postgres, postgres  # noqa: F401

from flowtally.ledger.database import Ledger
from flowtally.ledger.tables import audit, credentials

SEED = 20261120


class Promiser(threading.Thread):
    """Makes grants, funded users with purses, purchases, and closed periods, as long as it may."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.done, self.made = url, threading.Event(), 0

    def run(self) -> None:
        with httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
            while not self.done.is_set():
                self.made += 1
                for path, body in self.promises(self.made):
                    assert client.post(f"/v1/accounts/acme/{path}", json=body).status_code == 201

    def promises(self, number: int) -> list[tuple[str, dict[str, Any]]]:
        hour = f"2026-02-{1 + number // 24:02}T{number % 24:02}"
        return [
            ("grants", {"amount": 50}),
            ("users", {"name": f"fay{number}", "funded": True}),
            (f"users/fay{number}/allocations", {"amount": 7}),
            ("wallet/deposits", {"amount_micros": 5}),
            ("purchases", {"plan": "small"}),
            ("periods", {"from": f"{hour}:00:00Z", "to": f"{hour}:30:00Z"}),
        ]


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:  # noqa: F811
    url = postgres.new_database()
    yield url
    postgres.give_back(url)


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:  # noqa: F811
    url = postgres.new_database()
    yield url
    postgres.give_back(url)


ACTION = audit.c.keys().index("action")
LAST_USED = credentials.c.keys().index("last_used_at")


def tables(url: str) -> list[str]:
    with Ledger.connected(url) as ledger, ledger.read() as tx:
        return sorted(inspect(tx).get_table_names())


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    with Ledger.connected(url) as ledger, ledger.read() as tx:
        names = inspect(tx).get_table_names()
        return {name: sorted(map(tuple, tx.exec_driver_sql(f"SELECT * FROM {name}"))) for name in names}


@pytest.fixture
def made(tmp_path: Path, database: str) -> Path:
    """A quiet backup of a few promises."""
    with serving(tmp_path / "data", FLOWTALLY_LEDGER_URL=database) as (live, client):
        for path, body in (
            ("accounts", {"id": "acme", "name": 'Ümläut, "Ltd" \\n'}),
            ("accounts/acme/grants", {"amount": 2**53 - 1}),
            ("events", [{"source": "gw", "id": "1", "account": "acme", "time": TIME, "user": "ann"}]),
            ("accounts/acme/periods", {"from": "2026-03-01", "to": "2026-03-02"}),
        ):
            assert client.post(f"/v1/{path}", json=body).is_success
        return Path(run("backup", live=live)["path"])


def test_backups_under_load_hold_both_stores_of_one_moment(tmp_path: Path, database: str, empty: str) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    with serving(tmp_path / "data", FLOWTALLY_LEDGER_URL=database) as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        client.post("/v1/plans", json={"id": "small", "name": "Small", "amount": 9, "price_micros": 5})
        senders = [Sender(live.url, "a", False, SEED), Sender(live.url, "b", True, SEED)]
        threads: list[Sender | Promiser] = [*senders, Promiser(live.url)]
        for thread in threads:
            thread.start()
        threads[0].done.wait(0.5 + chance.random())
        made = run("backup", "weekly", live=live)
        for thread in threads:
            thread.done.set()
            thread.join()
        everything = usage(client)
    told = run("restore", made["path"], "--data", str(tmp_path / "new"), "--ledger-url", empty)
    checks = {one["name"]: one for one in told["report"]["checks"]}
    assert told["report"]["found"] == 0
    assert checks["periods"]["looked_at"] > 0
    assert checks["balances"]["looked_at"] > 1
    assert not (tmp_path / "new" / "ledger.db").exists()
    with serving(tmp_path / "new", FLOWTALLY_LEDGER_URL=empty) as (restored, client):
        for sender in senders:
            for _, batch in sender.acknowledged:
                counts = client.post("/v1/events", json=batch).json()
                assert counts["stored"] + counts["duplicate"] == len(batch)
        assert usage(client) == everything
        assert run("verify", live=restored)["found"] == 0


def test_every_row_of_the_ledger_comes_back_as_it_was(made: Path, tmp_path: Path, database: str, empty: str) -> None:
    run("restore", str(made), "--data", str(tmp_path / "new"), "--ledger-url", empty)
    came, was = rows(empty), rows(database)
    [mine], [old] = came.pop("installation"), was.pop("installation")
    recorded, before = came.pop("audit"), was.pop("audit")
    assert recorded[: len(before)] == before
    assert [row[ACTION] for row in recorded[len(before) :]] == ["installation.bind", "ledger.restore"]
    for one in (came, was):  # the server wrote of its stop when a credential was used last
        one["credentials"] = [(*row[:LAST_USED], *row[LAST_USED + 1 :]) for row in one["credentials"]]
    assert came == was
    assert (mine[:2], mine[2] != old[2]) == (old[:2], True)  # the same installation, in a generation of its own


def test_a_database_that_is_not_empty_is_refused_and_left_alone(made: Path, tmp_path: Path, database: str) -> None:
    before = rows(database)
    told = run("restore", str(made), "--data", str(tmp_path / "new"), "--ledger-url", database, code=2)
    assert "this database is not empty, it has account" in told
    assert rows(database) == before
    assert not (tmp_path / "new").exists()


def test_without_the_database_to_restore_into_nothing_happens(made: Path, tmp_path: Path) -> None:
    told = run("restore", str(made), "--data", str(tmp_path / "new"), code=2)
    assert "name it with --ledger-url" in told
    assert not (tmp_path / "new").exists()


def test_a_restore_that_fails_leaves_the_database_empty(made: Path, tmp_path: Path, empty: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    [part] = copy.glob("usage/*")
    shutil.rmtree(part)
    manifest = (copy / "manifest.json").read_text()

    told = json.loads(manifest)
    told["files"] = [file for file in told["files"] if part.name not in file["path"]]
    del told["sha256"]  # it was of what was said before
    (copy / "manifest.json").write_text(json.dumps(told))
    assert "was acknowledged" in run(
        "restore", str(copy), "--data", str(tmp_path / "new"), "--ledger-url", empty, code=1
    )
    assert tables(empty) == []


def test_files_of_a_ledger_that_lack_a_table_are_refused(made: Path, tmp_path: Path, empty: str) -> None:

    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    (copy / "ledger" / "grants.jsonl").unlink()
    told = json.loads((copy / "manifest.json").read_text())
    told["files"] = [file for file in told["files"] if not file["path"].endswith("/grants.jsonl")]
    del told["sha256"]  # it was of what was said before
    (copy / "manifest.json").write_text(json.dumps(told))
    said = run("restore", str(copy), "--data", str(tmp_path / "new"), "--ledger-url", empty, code=1)
    assert "does not hold the tables of a ledger" in said
    assert tables(empty) == []
