"""Samples of servers in the care of an installation: verified, backed up with the rest, and put back."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from tests.care.conftest import Patient
from tests.care.test_backup import run, serving

from flowtally.core.clock import now_ms
from flowtally.core.edges import format_instant
from flowtally.samples.store import FILE, Samples
from flowtally.samples.values import Measured

AT = 1_773_576_000


def filled(patient: Patient) -> Path:
    path = patient.services.data / FILE
    store = Samples(path, keep_days=400, max_future_s=0)
    store.add([Measured("stk_1", "cpu", AT, 1_000), Measured("stk_2", "cpu", AT, 2_000)], AT)
    store.close()
    return path


def test_whole_samples_are_looked_at_and_found_whole(patient: Patient) -> None:
    filled(patient)
    assert [check.looked_at for check in patient.verify().checks if check.name == "samples"] == [2]
    assert patient.found() == {}


def test_a_chunk_that_is_not_what_was_written_is_named(patient: Patient) -> None:
    with sqlite3.connect(filled(patient)) as db:
        db.execute("UPDATE chunks SET packed = zeroblob(20) WHERE series = 2")
    [told] = patient.found()["samples_chunk"]
    assert told.startswith("server 'stk_2', gauge 'cpu'")


def test_a_file_that_is_no_database_is_named_and_all_else_is_compared(patient: Patient) -> None:
    filled(patient).write_bytes(b"nothing that SQLite knows" * 200)
    assert set(patient.found()) == {"samples_file"}


def test_a_backup_has_the_samples_of_its_moment_and_a_restore_brings_them_back(tmp_path: Path) -> None:
    data, restored = tmp_path / "data", tmp_path / "restored"
    sample = {"server": "stk_1", "name": "cpu", "time": "", "value": 12.5}
    with serving(data) as (live, client):
        before: dict[str, Any] = sample | {"time": _minutes_ago(3)}
        assert client.post("/v1/samples", json=[before]).json()["stored"] == 1
        run("backup", "one", live=live)
        assert client.post("/v1/samples", json=[sample | {"time": _minutes_ago(2)}]).json()["stored"] == 1
        assert run("verify", live=live)["found"] == 0
    names = {one.name for one in (data / "backups" / "one").iterdir()}
    assert FILE in names
    run("restore", str(data / "backups" / "one"), "--data", str(restored), "--revoke-credentials")
    assert (restored / FILE).stat().st_mode & 0o077 == 0
    store = Samples(restored / FILE, keep_days=400, max_future_s=0)
    times, values = store.read("stk_1", "cpu", 0, 2**40)
    assert (len(times), values.tolist()) == (1, [12_500])
    store.close()


def _minutes_ago(minutes: int) -> str:
    return format_instant(now_ms() // 1000 * 1000 - minutes * 60_000)
