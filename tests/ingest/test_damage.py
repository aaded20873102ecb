"""Death by SIGKILL, damaged directories and a full disk, each in a process and a directory of its own."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.child import Child, refusal
from tests.ingest.conftest import named, numbered
from tests.small_disk import small_disk

WHOLE_MONTHS = "SELECT name, path FROM system.parts WHERE active AND table = 'usage_events' AND database = 'default'"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def parts(child: Child) -> list[Path]:
    """Of all that is acknowledged."""
    assert child.ask("settle") == {"done": True}
    return [Path(path) for _, path in child.ask("sql", text=WHOLE_MONTHS)["rows"]]


def statuses(answer: Any) -> tuple[int, int]:
    return answer["stored"], answer["duplicate"]


def test_a_process_killed_between_the_two_commits_counts_everything_once(data: Path) -> None:
    sent = [*named("1", "2"), *numbered(1, 3)]
    with Child(data) as child:
        child.send(*named("0"))
        child.ask("die_between_the_commits")
        assert child.send(*sent) == {"died": -9}
    with Child(data) as child:
        total = child.ask("total")
        assert (total["rows"], total["acknowledged"], total["bytes_up"]) == (6, 6, 6)
        assert child.ask("source", source="log") == {"sequence": 3, "position": "p3"}
        assert statuses(child.send(*sent, *named("3"))) == (1, 5)
        child.stop()
    with Child(data) as child:
        assert child.ask("total")["rows"] == 7


def test_what_was_acknowledged_before_a_kill_is_there_after_it(data: Path) -> None:
    for start in range(1, 12, 4):
        with Child(data) as child:
            assert statuses(child.send(*numbered(start, start + 3))) == (4, 0)
            child.kill()
    with Child(data) as child:
        assert child.ask("total")["rows"] == 12


def test_a_part_put_aside_by_hand_stops_the_start_and_is_named(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1"))
        [part] = parts(child)
        child.ask("command", text=f"ALTER TABLE usage_events DETACH PART '{part.name}'")
        child.kill()
    found = refusal(data)
    assert found["damage"] == "DetachedParts"
    assert part.name in found["detail"]


def test_a_part_directory_moved_aside_stops_the_start_and_is_named(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1"))
        [part] = parts(child)
        child.stop()
    (part.parent / "detached").mkdir(exist_ok=True)
    part.rename(part.parent / "detached" / f"broken-on-start_{part.name}")
    for _ in range(2):
        found = refusal(data)
        assert found["damage"] == "DetachedParts"
        assert part.name in found["detail"]
    (part.parent / "detached" / f"broken-on-start_{part.name}").rename(part)
    with Child(data) as child:
        assert statuses(child.send(*named("1", "2"))) == (1, 1)


def test_a_deleted_part_directory_stops_the_start(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1"))
        child.ask("command", text="SYSTEM STOP MERGES usage_events")
        assert len(parts(child)) == 1
        child.send(*named("2", "3"))
        first, last = sorted(parts(child))
        child.stop()
    kept = data.parent / "kept"
    for part, said in ((last, "Block 2 was acknowledged"), (first, "3 usage rows were acknowledged, 2 are there")):
        part.rename(kept)
        found = refusal(data)
        assert found["damage"] == "MissingRows"
        assert said in found["detail"]
        kept.rename(part)
    with Child(data) as child:
        assert child.ask("total")["rows"] == 3


def test_a_deleted_part_that_the_journal_still_has_is_missed_by_nobody(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1", "2"))
        [part] = parts(child)
        child.kill()
    shutil.rmtree(part)
    with Child(data) as child:
        total = child.ask("total")
        assert (total["rows"], total["acknowledged"], total["bytes_up"]) == (2, 2, 2)
        assert statuses(child.send(*named("1", "2", "3"))) == (1, 2)
        child.stop()


def tear(part: Path) -> None:
    for file in (*part.glob("data.*"), *part.glob("columns.txt")):
        file.write_bytes(b"")


def test_a_torn_part_stops_the_start(data: Path) -> None:
    """It was synced, and the journal has forgotten it: a broken disk. The engine must not put it aside silently."""
    with Child(data) as child:
        child.send(*named(*map(str, range(1000))))
        [part] = parts(child)
        child.stop()
    tear(part)
    found = refusal(data)
    assert "a part is broken" in found["detail"]
    assert "broken parts" in (data.parent / "data.log").read_text(errors="replace")  # where the engine says more
    assert part.is_dir()


def projection_files(part: Path, projection: str) -> list[Path]:
    files = (part / f"{projection}.proj").iterdir()
    return [file for file in files if file.suffix in (".bin", ".cmrk4", ".cmrk3", ".cidx")]


@pytest.mark.parametrize(
    ("projection", "damage"),
    [("buckets", "zeros"), ("buckets", "empty"), ("buckets", "gone"), ("account_buckets", "zeros")],
)
def test_a_projection_torn_by_a_power_cut_is_rebuilt_before_the_door_opens(
    data: Path, projection: str, damage: str
) -> None:
    events = [event for user in "abc" for event in named(*(f"{user}{n}" for n in range(50)), user=user, bytes_up=7)]
    with Child(data) as child:
        child.send(*events)
        wanted = child.ask("total")["by_user"]
        [part] = parts(child)
        child.kill()
    files = projection_files(part, projection)
    assert files
    for file in files:
        match damage:
            case "zeros":
                file.write_bytes(bytes(file.stat().st_size))
            case "empty":
                file.write_bytes(b"")
            case _:
                file.unlink()
    with Child(data) as child:
        total = child.ask("total")
        assert (total["rows"], total["bytes_up"], total["by_user"]) == (150, 1050, wanted)
        text = f"SELECT count() FROM mergeTreeProjection(currentDatabase(), usage_events, {projection})"
        assert child.ask("sql", text=text)["rows"] == [["3" if projection == "buckets" else "1"]]
        assert f"rebuilt the projection of part {part.name}" in (data.parent / "data.log").read_text(errors="replace")
        assert statuses(child.send(*named("new"))) == (1, 0)
        child.stop()
    with Child(data) as child:
        assert child.ask("total")["rows"] == 151


def test_a_new_keys_file_stops_the_start_and_can_be_made_from_the_rows(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1"), *numbered(1, 2))
        child.kill()
    for file in data.glob("keys.db*"):
        file.unlink()
    assert refusal(data)["damage"] == "KeysBroken"
    with Child(data, rebuild_keys=True) as child:
        assert statuses(child.send(*named("1", "2"), *numbered(1, 3))) == (2, 3)
        child.stop()
    with Child(data) as child:
        assert child.ask("total")["rows"] == 5


def test_a_broken_keys_file_stops_the_start_and_is_named(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1"))
        child.stop()
    (data / "keys.db").write_bytes(b"rubbish" * 1000)
    found = refusal(data)
    assert found["damage"] == "KeysBroken"
    assert "keys.db" in found["detail"]


def test_keys_copied_while_it_ran_are_brought_up_to_the_rows(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1"), *numbered(1, 2))
        with sqlite3.connect(data / "keys.db") as source, sqlite3.connect(data.parent / "copy.db") as copy:
            source.backup(copy)
        child.send(*named("2"), *numbered(3, 4))
        child.kill()
    for file in data.glob("keys.db*"):
        file.unlink()
    shutil.copy(data.parent / "copy.db", data / "keys.db")
    with Child(data) as child:
        assert child.ask("source", source="log") == {"sequence": 4, "position": "p4"}
        assert statuses(child.send(*named("1", "2", "3"), *numbered(4, 5))) == (2, 3)


def test_a_second_process_is_told_who_writes(data: Path) -> None:
    with Child(data) as child:
        child.send(*named("1"))
        found = refusal(data)
        assert "another process has it open" in found["detail"]
        assert statuses(child.send(*named("2"))) == (1, 0)


@pytest.mark.system
@pytest.mark.parametrize("least", [64 << 20, 0], ids=["kept free", "to the last byte"])
def test_a_full_disk_refuses_events_and_reads_go_on_until_there_is_room(least: int) -> None:
    with small_disk(320 << 20) as disk:
        data = disk / "data"
        with Child(data, ledger_url=f"sqlite:///{disk}/ledger.db", min_free_bytes=least) as child:
            assert statuses(child.send(*named("1"))) == (1, 0)
            ballast = disk / "ballast"
            with ballast.open("wb", buffering=0) as file:
                for _ in range(320):
                    try:
                        file.write(bytes(1 << 20))
                    except OSError:
                        break
            answers = [child.send(*numbered(1, 5000, user="u")) for _ in range(3)]
            assert {answer.get("error") for answer in answers} <= {"storage_full", "settling", "unavailable"}, answers
            assert answers[0]["error"] == "storage_full" or not least
            total = child.ask("total")
            assert (total["rows"], total["bytes_up"]) == (1, 1)
            assert child.ask("ready")["ready"] is False or not least
            ballast.unlink()
            for _ in range(100):
                answer = child.send(*numbered(1, 5000, user="u"))
                if "error" not in answer:
                    break
                time.sleep(0.1)
            assert statuses(answer) in ((5000, 0), (0, 5000))
            assert child.ask("total")["rows"] == child.ask("total")["acknowledged"] == 5001
            child.stop()
        with Child(data, ledger_url=f"sqlite:///{disk}/ledger.db", min_free_bytes=least) as child:
            assert statuses(child.send(*named("1"), *numbered(4999, 5001))) == (1, 3)
