"""Killed at every step of compacting a month: a start goes on or begins anew, and nothing is lost or counted twice."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from tests.care.test_backup import run, serving
from tests.care.test_rebuild import content, rebuild
from tests.ingest.child import Child
from tests.ingest.conftest import named, numbered
from tests.small_disk import small_disk

from flowtally.core.edges import parse_instant

THEN: Final = parse_instant("2026-03-10T12:00:00Z")
NOW: Final = parse_instant("2026-07-10T12:00:00Z")
PHYSICAL: Final = "SELECT count(), sum(entries), sum(keys) FROM usage_events"
TABLES: Final = "SHOW TABLES LIKE 'usage_fold%'"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived(tmp_path_factory.mktemp("lived") / "data").parent


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(made, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path / "data"


def lived(data: Path) -> Path:
    """A month of named and numbered events with refused numbers, and one event four months later."""
    with Child(data, now=THEN, min_free_bytes=0) as child:
        child.send(*named(*(f"a{n}" for n in range(40))), *numbered(1, 30))
        child.send(*[event | {"bytes_down": -1} for event in numbered(31, 32)], *numbered(33, 60))
        child.send(*named("a1", "b"))
        child.stop()
    with Child(data, now=NOW, min_free_bytes=0) as child:
        child.send(*named("new"))
        child.stop()
    return data


@pytest.mark.parametrize(
    ("step", "call"),
    [("_compact", 1), ("stage", 1), ("_sync", 2), ("_replace", 1), ("put_in_place", 1), ("discard", 1)],
)
def test_a_kill_at_any_step_is_mended_by_the_next_start(data: Path, step: str, call: int) -> None:
    keys = content(data)
    with Child(data, now=NOW) as child:
        before = child.ask("total")
        assert child.ask("compact", days=62, die_in=step, call=call) == {"died": -9}
    with Child(data, now=NOW) as child:
        assert child.ask("total") == before
        assert child.ask("sql", text=TABLES) == {"rows": []}
        began = step in ("_compact", "stage")  # what was not yet decided on is begun anew
        assert child.ask("compact", days=62) == {"months": [202603] if began else []}
        assert child.ask("total") == before
        [[rows, entries, kept]] = child.ask("sql", text=PHYSICAL)["rows"]
        assert (int(entries), int(kept)) == (100, 100)
        assert int(rows) < 60
        child.stop()
    assert content(data) == keys
    with Child(data, now=NOW) as child:  # old parts do not come back
        assert child.ask("total") == before
        again = child.send(*named("a0", "b", "new"), *numbered(1, 60))
        assert (again["stored"], again["duplicate"], again["refused"]) == (0, 61, 2)
        conflict = child.send(*[event | {"bytes_up": 999} for event in named("a0")])
        assert conflict["conflict"] == 1


def test_keys_are_rebuilt_from_what_was_compacted_as_from_the_rows(data: Path) -> None:
    before = content(data)
    with Child(data, now=NOW) as child:
        assert child.ask("compact", days=62) == {"months": [202603]}
        child.stop()
    for file in data.glob("keys.db*"):
        file.unlink()
    assert rebuild(data)["rows"] == 100
    after = content(data)
    assert (after["keys"], after["place"]) == (before["keys"], before["place"])
    assert [(row[0], row[1], row[3], row[4]) for row in after["sources"]] == [
        (row[0], row[1], row[3], row[4]) for row in before["sources"]
    ]
    assert [row[:2] for row in after["refused"]] == [row[:2] for row in before["refused"]]


def test_rows_lost_from_a_compacted_month_are_missed(data: Path) -> None:
    with Child(data, now=NOW) as child:
        child.ask("compact", days=62)
        child.ask("sql", text="ALTER TABLE usage_events DELETE WHERE keys = 0 SETTINGS mutations_sync = 2")
        child.stop()
    child = Child(data, now=NOW)
    child.kill()
    assert child.opened["damage"] == "MissingRows"
    assert child.opened["detail"] == "100 usage rows were acknowledged, 1 are there"


def test_a_full_disk_changes_nothing_and_the_next_run_succeeds() -> None:
    with small_disk(64 * 1024 * 1024) as disk, Child(lived(disk / "data"), now=NOW, min_free_bytes=0) as child:
        before = child.ask("total")
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        told = child.ask("compact", days=62)
        assert told.get("error") == "storage_full", (told, (disk / "data.log").read_text()[-3000:])
        assert child.ask("total") == before
        (disk / "filler").unlink()
        assert child.ask("compact", days=62) == {"months": [202603]}
        assert child.ask("total") == before


def test_a_backup_of_what_was_compacted_is_restored_whole(tmp_path: Path, data: Path) -> None:
    with Child(data, now=NOW) as child:
        child.ask("compact", days=62)
        before = child.ask("total")
        child.stop()
    ledger = Path(f"{data}.ledger.db")
    settings = {"FLOWTALLY_LEDGER_URL": f"sqlite:///{ledger}", "FLOWTALLY_RETAIN_ROWS_DAYS": "62"}
    with serving(data, **settings) as (live, client):
        made = run("backup", live=live)
        assert (made["state"], made["rows"]) == ("done", 100)
        report = run("verify", live=live)
        assert report["found"] == 0
        assert report["notes"] == ["99 of 100 entries are compacted by quarter hours."]
        told = run("retention", live=live)
        assert (told["retain_rows_days"], told["rows_kept_since"]) == (62, "2026-04-01T00:00:00Z")
        gone = client.get("/v1/events", params={"source": "gw", "id": "a1"})
        assert (gone.status_code, gone.json()["code"]) == (410, "rolled_up")
        one = {"id": "c1", "corrects": {"source": "gw", "id": "a1"}, "void": True}
        [receipt] = client.post("/v1/corrections", json=[one]).json()["receipts"]
        assert (receipt["status"], receipt["code"]) == ("refused", "rolled_up")
        assert client.get("/v1/changes", params={"since": "0"}).status_code == 410
    restored = run("restore", made["path"], "--data", str(tmp_path / "restored"))
    assert restored["report"]["found"] == 0
    with Child(tmp_path / "restored", now=NOW, ledger_url=f"sqlite:///{tmp_path / 'restored' / 'ledger.db'}") as child:
        assert child.ask("total") == before
