"""Whitepages' samples, both ways."""

from __future__ import annotations

import json
from datetime import date
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from flowtally.vendors.whitepages import wire

SAMPLES = files("flowtally.vendors.whitepages") / "samples"


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("usage", wire.AccountUsage),
        ("bad_person_id", wire.ServiceFault),
        ("bad_radius", wire.ServiceFault),
        ("malformed", wire.ServiceFault),
        ("forbidden", wire.GatewayFault),
    ],
)
def test_every_sample_decodes_and_encodes_to_the_same(name: str, kind: Any) -> None:
    decoded = msgspec.json.decode(sample(name), type=kind)
    assert json.loads(msgspec.json.encode(decoded)) == json.loads(sample(name))


def test_every_sample_is_tried() -> None:
    assert {entry.name for entry in SAMPLES.iterdir()} == {
        f"{name}.json" for name in ("usage", "bad_person_id", "bad_radius", "malformed", "forbidden")
    }


def test_a_day_that_is_not_told_had_no_requests() -> None:
    body = {
        "time_range": {"start_date": "2026-03-01", "end_date": "2026-03-03"},
        "usage_data": [{"date": "2026-03-02", "request_count": 7}],
        "total_requests_in_timeperiod": 7,
        "something new": 1,
    }
    assert wire.decode_usage(json.dumps(body).encode()) == {date(2026, 3, 2): 7}


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (sample("forbidden"), wire.Refused("Forbidden")),
        (
            sample("malformed"),
            wire.Refused("Short error message", "The request was malformed", "550e8400-e29b-41d4-a716-446655440000"),
        ),
        (b"<html>", wire.Refused("<html>")),
        (b"\xff", wire.Refused("\ufffd")),
        (b"[1]", wire.Refused("[1]")),
    ],
)
def test_a_refusal_is_read_in_whichever_form_it_comes(body: bytes, refused: wire.Refused) -> None:
    assert wire.decode_fault(body) == refused


@pytest.mark.parametrize(
    ("counts", "rows"),
    [
        ({}, []),
        ({1: 0, 2: 0}, []),
        ({2: 5}, [(2, 5), (3, 0), (4, 0)]),
        ({1: 1, 4: 2}, [(1, 1), (2, 0), (3, 0), (4, 2)]),
    ],
)
def test_rows_begin_at_the_first_day_used_and_end_today(counts: dict[int, int], rows: list[tuple[int, int]]) -> None:
    made = wire.encode_usage(
        date(2026, 3, 1), date(2026, 3, 9), date(2026, 3, 4), {date(2026, 3, day): n for day, n in counts.items()}
    )
    assert [(int(row.date[-2:]), row.request_count) for row in made.usage_data] == rows
    assert made.total_requests_in_timeperiod == sum(counts.values())
    assert made.time_range == wire.TimeRange("2026-03-01", "2026-03-09")


@pytest.mark.parametrize("text", ["", "2026-3-1", "20260301", "2026-02-30", "2026-W10-1", "2026-03-01T", " 2026-03-1"])
def test_only_ten_characters_are_a_day(text: str) -> None:
    assert wire.parse_day(text) is None
