"""A server that was killed leaves rows that only the journal has. Who works on its files misses none of them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests import fork_server
from tests.care.test_rebuild import content, rebuild
from tests.ingest.child import Child, refusal
from tests.ingest.conftest import named, numbered

LATE = 3600  # seconds: nothing is flushed meanwhile


def lose_keys(data: Path) -> None:
    for file in data.glob("keys.db*"):
        file.unlink()


def records(data: Path) -> list[int]:
    with sqlite3.connect(data / "journal.db") as db:
        return [block for (block,) in db.execute("SELECT block FROM records ORDER BY block")]


def nobodys(first: int, last: int) -> list[dict[str, object]]:
    return [event | {"account": "nobody"} for event in numbered(first, last)]


@pytest.fixture(scope="module")
def killed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three blocks in the table, then five in the journal alone: named rows, numbers that are held and one that is
    stored after all, numbers that are refused at the end, and a block without a row."""
    data = tmp_path_factory.mktemp("killed") / "data"
    with Child(data) as child:
        child.send(*named("a", "b"))
        child.send(*numbered(1, 3))
        child.send(*[event | {"account": "later"} for event in numbered(4, 4)], *numbered(5, 5))
        child.stop()
    with Child(data, flush_after_s=LATE) as child:
        child.send(*named("c", "d", source="new"))
        child.ask("account", id="later")
        while child.ask("held")["held"]:
            pass
        child.send(*nobodys(6, 7), *numbered(8, 9))
        child.send(*numbered(10, 10, bytes_up=-1), *numbered(11, 11))
        child.send(*numbered(12, 12, bytes_up=-1))
        child.kill()
    return data


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """A copy of it and of the ledger beside it, opened by nobody since."""
    data = Path(shutil.copytree(killed_once.parent, tmp_path, symlinks=True, dirs_exist_ok=True)) / "data"
    assert len(records(data)) == 5
    return data


def test_keys_are_rebuilt_from_table_and_journal(killed: Path) -> None:
    before = content(killed)
    told = rebuild(killed)
    assert (told["rows"], told["records"], told["sources"]) == (12, 5, 3)
    assert content(killed) == before
    with Child(killed) as child:
        assert child.ask("total")["rows"] == child.ask("total")["acknowledged"] == 12
        assert child.ask("held")["held"] == [6, 7]
        answer = child.send(*named("a", "b"), *named("c", "d", source="new"), *numbered(11, 13))
        assert (answer["stored"], answer["duplicate"], answer["refused"]) == (1, 5, 1)
        assert child.ask("verify")["findings"] == []


def test_what_only_the_journal_knows_is_kept_where_the_keys_are_lost(killed: Path) -> None:
    before = content(killed)
    lose_keys(killed)
    assert refusal(killed)["damage"] == "KeysBroken"
    told = rebuild(killed)
    assert (told["rows"], told["owners"]) == (12, None)
    after = content(killed)
    assert after["keys"] == before["keys"]
    assert after["refused"] == before["refused"]  # number 4 was held in a block that is known by its rows alone
    owners = {name: owner for name, _, owner, *_ in after["sources"]}
    assert owners["new"]
    assert owners["gw"] == ""
    with Child(killed) as child:
        assert child.ask("held")["held"] == [6, 7]
        assert child.send(*named("c", "d", source="new"), *numbered(11, 13))["stored"] == 1
        assert child.ask("verify")["findings"] == []


def test_a_start_with_rebuilt_keys_follows_the_journal_too(killed: Path) -> None:
    before = content(killed)
    lose_keys(killed)
    with Child(killed, rebuild_keys=True) as child:
        assert child.ask("held")["held"] == [6, 7]
        assert child.ask("total")["acknowledged"] == 12
        assert child.ask("verify")["findings"] == []
        child.stop()
    after = content(killed)
    assert (after["keys"], after["refused"]) == (before["keys"], before["refused"])


def test_what_was_erased_of_held_events_since_stays_erased(killed: Path) -> None:
    """The keys alone know of it; the journal has the event as it was held."""
    with sqlite3.connect(killed / "keys.db") as db:
        [(source,)] = db.execute("SELECT no FROM sources WHERE name = 'log'")
        db.execute("DELETE FROM held WHERE sequence = 6")
        db.execute(
            "INSERT INTO refused VALUES (?, 6, '', 'erased', 'it was held, and its account was erased')", (source,)
        )
    rebuild(killed)
    assert ("log", 6, "", "erased") in [row[:4] for row in content(killed)["refused"]]
    with Child(killed) as child:
        assert child.ask("held")["held"] == [7]
        assert child.ask("verify")["findings"] == []


@pytest.mark.parametrize("what", ["keys", "roll-ups"])
def test_what_the_journal_has_is_still_there_after_work_on_the_files(killed: Path, what: str) -> None:
    rebuild(killed, what=what)
    with Child(killed) as child:
        assert child.ask("total")["rows"] == 12
        assert child.ask("verify")["findings"] == []


def test_keys_are_not_rebuilt_without_the_journal_that_had_their_rows(killed: Path) -> None:
    for file in killed.glob("journal.db*"):
        file.unlink()
    before = content(killed)
    told = rebuild(killed, code=1)
    assert "journal.db is not there, and 6 of 12 acknowledged rows are missing" in told
    assert content(killed) == before
    assert not (killed / "journal.db").exists()


def test_keys_are_not_rebuilt_beside_the_journal_of_another_installation(killed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with Child(other) as child:
        child.send(*named("x"))
        child.stop()
    theirs = (other / "journal.db").read_bytes()
    for file in killed.glob("journal.db*"):
        file.unlink()
    (killed / "journal.db").write_bytes(theirs)
    told = rebuild(killed, code=1)
    assert told.count("ins_") == 2
    assert "and the usage rows to" in told
    assert refusal(killed)["damage"] == "StoresDiffer"


def test_a_damaged_record_is_named_and_no_keys_are_made_without_it(killed: Path) -> None:
    block = records(killed)[1]
    with sqlite3.connect(killed / "journal.db") as db:
        db.execute("UPDATE records SET body = zeroblob(length(body)) WHERE block = ?", (block,))
    before = content(killed)
    assert f"The record of block {block} in the journal" in rebuild(killed, code=1)
    assert content(killed) == before


def test_the_doctor_says_whose_the_journal_is_and_what_it_has(killed: Path) -> None:
    def journal(code: int = 0) -> dict[str, str]:
        done = fork_server.run("doctor", "--data", str(killed), "--json")
        [found] = [one for one in json.loads(done.stdout)["checks"] if one["name"] == "journal"]
        return dict(found)

    told = journal()
    assert told["verdict"] == "ok"
    assert told["seen"].startswith("5 blocks, 4 to 8, in ")
    assert " of ins_" in told["seen"]
    with Child(killed) as child:
        told = journal()
        assert (told["verdict"], told["seen"]) == ("ok", "the running server has it: ask that, without --data")
        child.stop()
    assert journal()["seen"].startswith("no blocks, in ")
    (killed / "journal.db").write_bytes(b"rubbish" * 1000)
    told = journal()
    assert told["verdict"] == "fail"
    assert "journal.db" in told["seen"]
    for file in killed.glob("journal.db*"):
        file.unlink()
    told = journal()
    assert (told["verdict"], told["seen"]) == ("ok", "there is none; the last stop was clean, so nothing is lacking")


def test_a_start_without_the_journal_that_had_the_rows_is_refused_and_changes_nothing(killed: Path) -> None:
    for file in killed.glob("journal.db*"):
        file.unlink()
    before = content(killed)
    told = refusal(killed)
    assert told["damage"] == "MissingRows"
    assert "the journal is not there, which had what came last" in told["detail"]
    assert content(killed) == before
    assert not (killed / "journal.db").exists()


def test_a_journal_that_is_lost_and_had_nothing_of_its_own_is_made_anew(killed: Path) -> None:
    with Child(killed) as child:
        child.stop()
    for file in killed.glob("journal.db*"):
        file.unlink()
    with Child(killed) as child:
        assert child.send(*named("a", "z"))["stored"] == 1
        child.kill()
    with Child(killed) as child:
        assert child.ask("total")["rows"] == child.ask("total")["acknowledged"] == 13
        assert child.ask("held")["held"] == [6, 7]
        assert child.ask("verify")["findings"] == []
