"""Counters and the rows of their readings: what differs is named; projections and rebuilds leave them the same."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from tests.care.conftest import Patient
from tests.ingest.conftest import named
from tests.ingest.test_readings import known, reading, told

from flowtally.usage import compaction
from flowtally.usage.values import Cuts


@pytest.fixture
def metered(patient: Patient) -> Patient:
    """Counters of two sources: restarted, closed, idle; and an event."""
    services = patient.services
    services.send(*named("a"))
    services.meter(reading(5, 0, "a", user="ann", epoch="1"), reading(5, 0, "b"), reading(5, 0) | {"source": "other"})
    services.meter(reading(9, 10, "a", user="ann", epoch="1"), reading(7, 10, "b", final=True))
    services.meter(reading(3, 20, "a", user="ann", epoch="2"), reading(5, 20) | {"source": "other"})
    return patient


def standing(patient: Patient, counter: str) -> Any:
    with sqlite3.connect(patient.services.data / "keys.db") as db:
        return db.execute("SELECT standing, block FROM counters WHERE counter = ?", (counter,)).fetchone()


def test_counters_that_are_what_their_rows_say_are_whole(metered: Patient) -> None:
    report = metered.verify()
    assert report.findings == []
    assert {check.name: check.looked_at for check in report.checks}["counters"] == 3


def test_a_counter_that_was_changed_is_named(metered: Patient) -> None:
    metered.keys("UPDATE counters SET standing = replace(standing, '[3,0,0]', '[2,0,0]') WHERE counter = 'a'")
    assert metered.found() == {
        "counter": [
            "counter 'a' of source 'box': the keys say 2 bytes up, 0 bytes down and 0 requests with row 3, its last row"
            " says otherwise"
        ]
    }


def test_a_counter_that_is_behind_its_rows_is_named(metered: Patient) -> None:
    text, block = standing(metered, "a")
    metered.services.meter(reading(8, 30, "a", user="ann", epoch="2"))
    metered.keys(f"UPDATE counters SET standing = '{text}', block = {block} WHERE counter = 'a'")
    [said] = metered.found()["counter_behind"]
    assert said.startswith("counter 'a' of source 'box': the keys say 3 bytes up")


def test_a_counter_whose_row_is_gone_is_named(metered: Patient) -> None:
    metered.rows("ALTER TABLE usage_events DELETE WHERE id = 'b/2' SETTINGS mutations_sync = 2")
    assert metered.found()["counter_without_row"] == ["counter 'b' of source 'box': has no row 'b/2' in block 3"]


def compact(patient: Patient) -> None:
    [month] = compaction.months(patient.engine)
    compaction.stage(patient.engine, month, Cuts((), ()), lambda *_: None)
    patient.store.guard.expect(compaction.STAGING)
    compaction.put_in_place(patient.engine, month)
    compaction.discard(patient.engine, month.month)
    patient.store.guard.expect()


def test_counters_outlive_their_rows(metered: Patient) -> None:
    services = metered.services
    before = known(services), known(services, "other")
    metered.services.door.between_blocks(lambda keys: compact(metered))
    assert metered.found() == {}
    services.close()
    for path in services.data.glob("keys.db*"):
        path.unlink()
    services.open(rebuild_keys=True)
    idle = before[1]["c"]
    assert known(services) == before[0]
    assert known(services, "other")["c"].standing.run == idle.standing.run
    assert metered.found() == {}
    metered.keys("DELETE FROM counters WHERE counter = 'a'")
    assert told(services, reading(3, 30, "a", user="ann", epoch="2"), reading(8, 40, "a", user="ann", epoch="2")) == [
        ("duplicate", "no_change"),
        ("stored", ""),
    ]
    services.whole()
    assert metered.found() == {}
