"""Keys made anew from the rows say what the old ones said, and what only the old ones knew is kept where they can be
read."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests import fork_server
from tests.ingest.child import Child, refusal
from tests.ingest.conftest import named, numbered

ALL_KEYS = "SELECT * FROM keys UNION SELECT * FROM log0 UNION SELECT * FROM log1"
TABLES = {
    "keys": f"SELECT name, key, digest, block FROM ({ALL_KEYS}) JOIN sources ON no = source ORDER BY 1, 2",
    "sources": "SELECT name, kind, owner, mark, position FROM sources ORDER BY 1",
    "refused": "SELECT name, sequence, id, code, detail FROM refused JOIN sources ON no = source ORDER BY 1, 2",
    "counters": "SELECT name, counter, account, standing, open, block, time, seen_at FROM counters"
    " JOIN sources ON no = source ORDER BY 1, 2",
    "place": "SELECT block, received_at, rows_total FROM committer",
}


def rebuild(data: Path, code: int = 0, what: str = "keys") -> Any:
    done = fork_server.run(f"rebuild-{what}", "--data", str(data), "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if code == 0 else done.stderr


def content(data: Path) -> dict[str, list[Any]]:
    with sqlite3.connect(data / "keys.db") as db:
        return {name: db.execute(query).fetchall() for name, query in TABLES.items()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Named and numbered events in several blocks, with refused numbers in the middle and at the end."""
    data = tmp_path / "data"
    with Child(data) as child:
        child.send(*named("a", "b", "0198f3a0-1111-7abc-8def-00000000000a"))
        child.send(*numbered(1, 3), *named("c", source="other"))
        child.send(*[event | {"account": "nobody"} for event in numbered(4, 5)], *numbered(6, 7))
        child.send(*[event | {"account": "nobody"} for event in numbered(8, 9)])
        child.send(*[event | {"account": "nobody"} for event in numbered(1, 2, source="never stored")])
        child.stop()
    return data


def test_rebuilt_keys_are_what_the_old_ones_were(data: Path) -> None:
    before = content(data)
    told = rebuild(data)
    assert (told["rows"], told["sources"]) == (9, 3)
    assert Path(told["kept_old"]).is_file()
    after = content(data)
    [(last, *place)] = before.pop("place")
    assert after.pop("place") == [(last - 1, *place)]  # of the last block, which has no row, no record is left
    assert after == before
    with Child(data) as child:
        nobodys = [event | {"account": "nobody"} for event in numbered(8, 9)]
        answer = child.send(*named("a", "b", "d"), *numbered(7, 7), *nobodys, *numbered(10, 10))
        assert (answer["stored"], answer["duplicate"], answer["refused"]) == (2, 3, 2)


@pytest.mark.parametrize("loss", ["gone", "rubbish"])
def test_keys_that_are_lost_are_made_from_the_rows_alone(data: Path, loss: str) -> None:
    before = content(data)
    for file in data.glob("keys.db*"):
        file.unlink()
    if loss == "rubbish":
        (data / "keys.db").write_bytes(b"rubbish" * 2000)
    assert refusal(data)["damage"] == "KeysBroken"
    told = rebuild(data)
    assert told["owners"] is None  # and the start that was refused made no empty file either
    after = content(data)
    assert after["keys"] == before["keys"]
    assert [row[:2] + row[3:] for row in after["sources"]] == [
        ("gw", "named", 0, None),
        ("log", "numbered", 7, "p7"),
        ("other", "named", 0, None),
    ]
    assert [row[1] for row in after["refused"]] == [4, 5]
    with Child(data) as child:
        assert child.send(*named("a", "b", "c"))["stored"] == 1


def test_a_rebuild_beside_a_running_server_is_refused(data: Path) -> None:
    with Child(data) as child:
        assert "is written by process" in rebuild(data, code=1)
        assert child.send(*named("z"))["stored"] == 1


def test_a_directory_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    assert "no such directory" in rebuild(tmp_path / "nothing", code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_projection_that_is_gone_is_made_from_the_rows(data: Path) -> None:
    assert rebuild(data, what="roll-ups")["rebuilt"] == []
    count = "SELECT count() FROM mergeTreeProjection(currentDatabase(), usage_events, buckets)"
    with Child(data) as child:
        [[month]] = child.ask("sql", text="SELECT DISTINCT toYYYYMM(received_at) FROM usage_events")["rows"]
        before = child.ask("sql", text=count)["rows"]
        assert before != [["0"]]
        child.ask("command", text=f"ALTER TABLE usage_events CLEAR PROJECTION buckets IN PARTITION {month}"
                                  " SETTINGS mutations_sync = 2")  # fmt: skip
        child.stop()
    assert rebuild(data, what="roll-ups")["rebuilt"] == [month]
    with Child(data) as child:
        assert child.ask("sql", text=count)["rows"] == before
        assert child.ask("total")["bytes_up"] == 9
