"""What the doctor, `/readyz` and `/metrics` say of blocks on their way into the usage table."""

from __future__ import annotations

import pytest
from tests.care.conftest import Patient, refusing_flushes
from tests.ingest.conftest import named

from flowtally.care.flushed import flushing_checks
from flowtally.core.errors import FlushBehind, StorageFull, Unavailable


def verdicts(patient: Patient) -> dict[str, tuple[str, str, str]]:
    return {one.name: (one.verdict, one.seen, one.detail) for one in flushing_checks(patient.services.door.flusher)}


def test_the_doctor_says_what_waits(patient: Patient) -> None:
    patient.services.send(*named("a", "b"))
    told = verdicts(patient)
    assert told["journal"][0] == told["flush"][0] == "ok"
    assert told["journal"][1].startswith("1 blocks in ")
    assert "; 2 rows are not in the usage table yet, the oldest for " in told["journal"][1]
    patient.store.settle()
    assert "; 0 rows are not in the usage table yet" in verdicts(patient)["journal"][1]


def test_a_block_that_is_set_aside_is_named_by_the_doctor_and_ready_and_counted(patient: Patient) -> None:
    patient.services.send(*named("a"))
    with refusing_flushes(patient.store):
        with pytest.raises(Unavailable):
            patient.store.settle()
        verdict, seen, detail = verdicts(patient)["flush"]
        assert verdict == "fail"
        assert seen == "the usage store refuses 1 blocks, which are set aside (1): Code: 53. Type mismatch"
        assert "report it" in detail
        assert patient.services.door.ready() == (False, seen)
        assert patient.services.door.metrics()["flush_refused_blocks"] == 1
        assert patient.store.totals().rows == 1, "it counts"
    patient.store.settle()
    assert verdicts(patient)["flush"][0] == "ok"
    assert patient.services.door.ready() == (True, "ready")


def test_a_full_tail_is_told_with_the_bound_and_ends_without_a_restart(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, blocks: object) -> str | None:
        raise StorageFull("There is no room left on the disk of usage")

    patient.services.settings["max_unflushed_rows"] = 2
    with monkeypatch.context() as behind:
        behind.setattr(patient.store.flushing, "_stage", fail)
        patient.services.send(*named("a", "b"))
        verdict, seen, detail = verdicts(patient)["flush"]
        assert verdict == "fail"
        assert seen.startswith("2 rows (")
        assert "and 2 rows (" in seen
        assert "answered 503" in detail
        ready, why = patient.services.door.ready()
        assert (ready, why.partition(":")[0]) == (False, seen.partition(":")[0])
        with pytest.raises(FlushBehind, match=r"and 2 rows .* may.*; reading goes on"):
            patient.services.send(*named("c"))
        assert patient.store.totals().rows == 2
    patient.store.settle()
    assert patient.services.send(*named("c")).stored == 1
