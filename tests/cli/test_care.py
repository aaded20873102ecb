"""What the care commands print and how they end."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.fake import Program

from flowtally.cli import care

DONE: dict[str, Any] = {"state": "done", "block": 7, "rows": 1200, "found": 0, "checks": [], "findings": []}
DONE["checks"] = [{"name": "keys", "looked_at": 1200, "found": 0}]
FINDING = {"check": "keys", "code": "row_without_key", "where": "event 'a\x1b'", "detail": "has no key"}
MADE = {"state": "done", "name": "n", "path": "/b/n", "block": 7, "rows": 1200, "files": 30, "size": 5_000_000}
MADE |= {"paused_ms": 12.5}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(care, "LOOK_S", 0.001)


def test_verify_begins_a_check_follows_it_and_ends_with_0_where_all_is_well(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/verify"] = (202, {"state": "running", "step": "keys", "done": 5, "total": 10})
    flowtally.fake.answers["GET /v1/verify"] = (200, DONE)
    ran = flowtally("verify")
    assert ran.code == 0
    assert "keys 5 of 10" in ran.err
    assert "Everything up to block 7 is what it says it is." in ran.out
    assert [one.path for one in flowtally.fake.asked] == ["/v1/verify", "/v1/verify"]


def test_verify_names_what_differs_and_ends_with_1(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/verify"] = (202, DONE | {"found": 300, "findings": [FINDING] * 200})
    ran = flowtally("verify")
    assert ran.code == 1
    assert "row_without_key: event 'a�': has no key" in ran.out
    assert "... and 250 more" in ran.out
    assert flowtally("verify", "--json").document["found"] == 300


def test_a_check_that_failed_or_was_forgotten_ends_with_1(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/verify"] = (202, {"state": "failed", "detail": "no disk"})
    ran = flowtally("verify")
    assert (ran.code, "no disk" in ran.out) == (1, True)
    flowtally.fake.answers["POST /v1/verify"] = (202, {"state": "running"})
    flowtally.fake.answers["GET /v1/verify"] = (200, {"state": "never"})
    ran = flowtally("verify")
    assert (ran.code, "restarted" in ran.err) == (1, True)


def test_backup_says_where_it_is_and_how_long_writers_waited(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/backups"] = (202, {"state": "running"})
    flowtally.fake.answers["GET /v1/backups"] = (200, {"last": MADE, "place": "/b", "backups": []})
    ran = flowtally("backup", "n")
    assert (ran.code, flowtally.fake.asked[0].body) == (0, {"name": "n"})
    assert "/b/n" in ran.out
    assert "12.5 ms" in ran.out


def test_backups_are_listed_without_making_one(flowtally: Program) -> None:
    kept = {"name": "n", "made_at": "2026-03-15T12:00:00Z", "block": 7, "rows": 1200, "size": 5}
    flowtally.fake.answers["GET /v1/backups"] = (200, {"last": {"state": "never"}, "place": "/b", "backups": [kept]})
    ran = flowtally("backup", "--list")
    assert ran.out.splitlines()[0] == "/b"
    assert "2026-03-15T12:00:00Z" in ran.out
    assert [one.method for one in flowtally.fake.asked] == ["GET"]


def test_doctor_ends_with_1_where_a_check_fails(flowtally: Program) -> None:
    checks = [{"name": "fsync", "verdict": "fail", "seen": "2 us", "detail": "Implausibly quick."}]
    flowtally.fake.answers["GET /v1/doctor"] = (200, {"checks": checks, "installation": None})
    ran = flowtally("doctor")
    assert ran.code == 1
    assert "fail: fsync: Implausibly quick." in ran.out


def test_doctor_looks_at_a_directory_without_a_server(flowtally: Program, tmp_path: Any) -> None:
    ran = flowtally("doctor", "--data", str(tmp_path), "--json")
    told = {one["name"]: one for one in ran.document["checks"]}
    assert told["last stop"]["seen"] == "nothing was stored here yet"
    assert flowtally.fake.asked == []
    assert flowtally("doctor", "--data", str(tmp_path / "none")).code == 2
