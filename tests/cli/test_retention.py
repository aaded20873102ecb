"""What `flowtally retention` prints and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.fake import Program

from flowtally.cli import care

KEPT: dict[str, Any] = {"state": "never", "retain_rows_days": 400, "rows_kept_since": "2025-02-01T00:00:00Z"}
MONTH = {"month": "2025-01", "entries": 9_000_000, "bytes": 310_000_000, "bytes_after": 41_000_000}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(care, "LOOK_S", 0.001)


def test_it_says_how_long_rows_are_kept_and_begins_nothing(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/retention"] = (200, KEPT)
    ran = flowtally("retention")
    assert ran.code == 0
    assert "400 days, then by quarter hours" in ran.out
    assert "since 2025-02-01T00:00:00Z" in ran.out
    assert [one.method for one in flowtally.fake.asked] == ["GET"]
    flowtally.fake.answers["GET /v1/retention"] = (200, {"state": "never", "retain_rows_days": None})
    assert "for ever" in flowtally("retention").out


def test_a_run_is_followed_to_its_end_and_lists_the_months(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/retention"] = (200, KEPT | {"state": "done", "dry_run": False, "months": [MONTH]})
    flowtally.fake.answers["POST /v1/retention"] = (202, KEPT | {"state": "running", "step": "keys"})
    ran = flowtally("retention", "--run")
    assert ran.code == 0
    assert "2025-01" in ran.out
    assert "41 MB" in ran.out.replace("41.0 MB", "41 MB")
    assert flowtally("retention", "--run", "--json").document["months"] == [MONTH]


def test_a_dry_run_says_so_and_both_at_once_are_wrong_usage(flowtally: Program) -> None:
    would = KEPT | {"state": "done", "dry_run": True, "months": [MONTH | {"bytes_after": None}]}
    flowtally.fake.answers["GET /v1/retention"] = (200, KEPT)
    flowtally.fake.answers["POST /v1/retention"] = (202, would)
    ran = flowtally("retention", "--dry-run")
    assert (ran.code, "Would be compacted:" in ran.out) == (0, True)
    assert flowtally("retention", "--run", "--dry-run").code == 2


def test_a_run_that_failed_says_why_and_ends_with_1(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/retention"] = (200, KEPT)
    flowtally.fake.answers["POST /v1/retention"] = (202, KEPT | {"state": "failed", "detail": "no disk"})
    ran = flowtally("retention", "--run")
    assert (ran.code, "no disk" in ran.out) == (1, True)
