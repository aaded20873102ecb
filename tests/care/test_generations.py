"""A restore is another generation: its block numbers were given to nobody before, and no store of another fits it."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.care.conftest import Patient
from tests.care.test_backup import TIME, run, serving, usage
from tests.ingest.conftest import named
from tests.test_start import flowtally

from flowtally.answers.changes import make_changes

EVENT = {"source": "gw", "account": "acme", "time": TIME, "user": "ann", "bytes_up": 1}


def whose(data: Path) -> tuple[str, str]:
    """What keys, journal and ledger say, which is the same."""
    with closing(sqlite3.connect(data / "keys.db")) as keys, closing(sqlite3.connect(data / "ledger.db")) as ledger:
        mine = keys.execute("SELECT installation, generation FROM committer").fetchone()
        assert mine == ledger.execute("SELECT id, generation FROM installation").fetchone()
    with closing(sqlite3.connect(data / "journal.db")) as journal:
        assert mine == journal.execute("SELECT installation, generation FROM state").fetchone()
    return str(mine[0]), str(mine[1])


def test_two_restores_of_one_backup_are_two_generations_and_give_new_numbers(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        for number in range(3):
            assert client.post("/v1/events", json=[EVENT | {"id": f"e{number}"}]).json()["stored"] == 1
        run("backup", "one", live=live)
        assert client.post("/v1/events", json=[EVENT | {"id": "later"}]).json()["stored"] == 1
    id, first = whose(data)
    made = [tmp_path / name for name in ("restored", "again")]
    began = time.time_ns() // 1_000_000
    for place in made:
        assert run("restore", str(data / "backups" / "one"), "--data", str(place))["report"]["found"] == 0
    assert [whose(place)[0] for place in made] == [id, id]
    assert len({first, *(whose(place)[1] for place in made)}) == 3

    with serving(made[0]) as (live, client):
        assert client.post("/v1/events", json=[EVENT | {"id": "e1"}]).json()["duplicate"] == 1
        assert client.post("/v1/events", json=[EVENT | {"id": "later"}]).json()["stored"] == 1
        assert usage(client) == {"ann": 4}
        followed: list[dict[str, Any]] = []
        since = "2026-03-01T00:00:00Z"
        for _ in range(10):
            page = client.get("/v1/changes", params={"since": since, "limit": 1}).json()
            followed += page["items"]
            since = page["next"]
        assert [one["use"] for one in followed] == [1, 1, 1, 1]
        assert began < followed[-1]["block"] < 2**53
        assert run("verify", live=live)["found"] == 0
    assert whose(made[0])[1] not in (first, whose(made[1])[1])

    for store in ("keys", "ledger"):  # of the restored one, put into the one it was made from
        mixed = tmp_path / f"mixed-{store}"
        shutil.copytree(data, mixed)
        shutil.copy(made[0] / f"{store}.db", mixed / f"{store}.db")
        code, said = flowtally("serve", "--data", str(mixed), "--port", "0")
        assert (code, "do not belong together" in said) == (1, True), said


def test_a_gap_in_the_numbers_of_blocks_costs_nothing(patient: Patient) -> None:
    services = patient.services
    services.send(*named("1", "2"))
    for skipped in (10**12, 2 * 10**12):
        services.keys.skip(skipped)
        services.close()
        services.open()
        services.send(*named(f"after-{skipped}"))
    began = time.monotonic()
    assert patient.found() == {}
    assert time.monotonic() - began < 20
    blocks = []
    since = "1970-01-01T00:00:00Z"
    while True:
        page = make_changes(services.store, since, generation="g", account=None, late_before=None, limit=1)
        blocks += [one.block for one in page.items]
        since = page.next
        if not page.more:
            break
    assert blocks == [1, 10**12 + 1, 2 * 10**12 + 1]
    for asked, there in ((1, 1), (10**12, 1), (10**12 + 1, 10**12 + 1), (2 * 10**12, 10**12 + 1)):
        assert services.store.last_commit(block=asked).block == there


def test_every_account_of_the_rows_is_told_past_the_projections(patient: Patient) -> None:
    assert patient.services.store.accounts() == []
    patient.services.send(*named("1"), *named("2", account="beta"))
    assert patient.services.store.accounts() == ["acme", "beta"]
