"""What `flowtally sample` sends, prints and how it ends."""

from __future__ import annotations

from typing import Any

from tests.cli.fake import Program

DONE: dict[str, Any] = {"stored": 2, "duplicate": 0, "conflict": 0, "refused": 0, "receipts": []}
SERIES: dict[str, Any] = {
    "server": "stk_1",
    "from": "2026-03-01T00:00:00Z",
    "to": "2026-03-02T00:00:00Z",
    "period_s": 3600,
    "aggregation": "mean",
    "series": [
        {"name": "bytes_in", "points": [{"start": "2026-03-01T10:00:00Z", "value": 123456789012.0, "samples": 60}]},
        {"name": "cpu", "points": [{"start": "2026-03-01T10:00:00Z", "value": 12.345, "samples": 60}]},
    ],
}


def test_samples_of_one_instant_are_sent(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/samples"] = (200, DONE)
    ran = flowtally("sample", "add", "stk_1", "cpu=12.5", "memory=61", "--at", "2026-03-01T12:00:00Z")
    assert (ran.code, "2 samples stored" in ran.out) == (0, True)
    [asked] = flowtally.fake.asked
    assert asked.body == [
        {"server": "stk_1", "name": "cpu", "time": "2026-03-01T12:00:00Z", "value": 12.5},
        {"server": "stk_1", "name": "memory", "time": "2026-03-01T12:00:00Z", "value": 61.0},
    ]


def test_what_was_not_stored_is_named_and_ends_with_1(flowtally: Program) -> None:
    receipt = {"index": 1, "status": "conflict", "code": "another_value", "detail": "another value", "before": 60.0}
    flowtally.fake.answers["POST /v1/samples"] = (200, DONE | {"stored": 1, "conflict": 1, "receipts": [receipt]})
    ran = flowtally("sample", "add", "stk_1", "cpu=12.5", "memory=61")
    assert (ran.code, "memory: another value (another_value)" in ran.err) == (1, True)


def test_what_is_no_pair_is_wrong_usage(flowtally: Program) -> None:
    assert flowtally("sample", "add", "stk_1", "cpu").code == 2
    assert flowtally.fake.asked == []


def test_series_are_shown_as_a_table_with_all_their_digits(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/samples"] = (200, SERIES)
    ran = flowtally("sample", "list", "stk_1", "--from", "2026-03-01", "--to", "2026-03-02", "--name", "cpu")
    assert (ran.code, "12.345" in ran.out, "123456789012" in ran.out) == (0, True, True)
    [asked] = flowtally.fake.asked
    assert (asked.query["from"], asked.query["name"]) == (["2026-03-01T00:00:00Z"], ["cpu"])
    assert flowtally("sample", "list", "stk_1", "--json").document == SERIES


def test_no_samples_are_said_to_be_none(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/samples"] = (200, SERIES | {"series": []})
    assert "no samples" in flowtally("sample", "list", "stk_1").out
