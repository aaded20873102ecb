"""The index of keys against a dict, with few fresh keys so that logs fill, drain and change places."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.keys import key_index
from flowtally.keys.claims import MANY
from flowtally.keys.key_index import SCHEMA, KeyIndex

FEW = 8
sources = st.integers(1, 2)
scattered = st.binary(min_size=6, max_size=8)
together = st.integers(0, 40).map(lambda number: b"evening" + number.to_bytes(2, "big"))
digests = st.integers(-9, 9) | st.sampled_from([-(2**63), 2**63 - 1])
of_all_kinds = st.lists(st.tuples(sources, scattered | together, digests), max_size=12)
of_one_kind = st.lists(st.tuples(st.just(1), st.binary(min_size=7, max_size=7), digests), min_size=MANY, max_size=20)
together_of_one_kind = st.lists(st.tuples(st.just(2), together, digests), min_size=MANY, max_size=60)
batches = st.lists(
    st.tuples(
        of_all_kinds | of_one_kind | together_of_one_kind,
        st.sampled_from(("commit", "commit", "commit", "roll back", "start anew")),
    ),
    max_size=25,
)


def connect(place: Path | str) -> sqlite3.Connection:
    return sqlite3.connect(place, isolation_level=None)


def new_index(place: Path | str) -> tuple[sqlite3.Connection, KeyIndex]:
    db = connect(place)
    db.executescript(SCHEMA)
    return db, KeyIndex(db, FEW)


@settings(max_examples=150, deadline=None)
@given(batches)
def test_whatever_happens_a_key_is_there_once_with_its_first_digest(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[list[tuple[int, bytes, int]], str]]
) -> None:
    place = tmp_path_factory.mktemp("index") / "keys.db"
    db, index = new_index(place)
    model: dict[tuple[int, bytes], tuple[int, int]] = {}
    for block, (claims, end) in enumerate(batches, start=1):
        fresh: dict[tuple[int, bytes], tuple[int, int]] = {}
        for source, key, digest in claims:
            if (source, key) not in model:
                fresh.setdefault((source, key), (digest, block))
        db.execute("BEGIN")
        assert index.claim(claims, block) == len(fresh)
        db.execute("ROLLBACK" if end == "roll back" else "COMMIT")
        if end != "roll back":
            model |= fresh
        if end == "start anew":
            db.close()
            db = connect(place)
            index = KeyIndex(db, FEW)
    other = connect(place)
    everything = "SELECT source, key, digest, block FROM keys UNION SELECT * FROM log0 UNION SELECT * FROM log1"
    assert sorted(other.execute(everything)) == sorted((*key, *model[key]) for key in model)
    for source in (1, 2):
        keys = list({key for claims, _ in batches for one, key, _ in claims if one == source})
        expected = {key: model[source, key] for key in keys if (source, key) in model}
        assert index.known(source, keys) == expected
        assert key_index.known(other, source, keys) == expected
    db.close()
    other.close()


def test_a_full_log_drains_in_parts_and_is_emptied() -> None:
    db, index = new_index(":memory:")
    for block in range(40):
        index.claim([(1, bytes([(block * 37 + n * 11) % 251, n, block]) * 3, 0) for n in range(5)], block)
    [in_tree] = db.execute("SELECT count(*) FROM keys").fetchone()
    [in_logs] = db.execute("SELECT (SELECT count(*) FROM log0) + (SELECT count(*) FROM log1)").fetchone()
    assert in_tree >= 200 - 4 * FEW
    assert in_logs < 200


def test_keys_that_carry_their_time_go_straight_to_the_tree() -> None:
    db, index = new_index(":memory:")
    index.claim([(1, b"\x00\x01\x9a\xbc\xde" + n.to_bytes(4, "big"), n) for n in range(100)], 1)
    assert db.execute("SELECT count(*) FROM keys").fetchone() == (100,)
    assert db.execute("SELECT count(*) FROM log0").fetchone() == (0,)


class Interrupted:
    """A reader between whose statements somebody writes."""

    def __init__(self, db: sqlite3.Connection, write: Callable[[], None]) -> None:
        self._db = db
        self._write = write

    def execute(self, *asked: Any) -> list[Any]:
        found = self._db.execute(*asked).fetchall()
        self._write()
        return found


@pytest.mark.parametrize("written_before", range(8))
def test_a_key_that_drains_while_another_connection_looks_is_found(tmp_path: Path, written_before: int) -> None:
    db, index = new_index(tmp_path / "keys.db")
    db.execute("PRAGMA journal_mode = WAL")
    blocks = iter(range(1, 100))

    def write() -> None:
        block = next(blocks)
        index.claim([(1, bytes([(block * 37 + n * 11) % 251, n, block]) * 3, block) for n in range(5)], block)

    write()
    for _ in range(written_before):
        write()
    first = [bytes([(37 + n * 11) % 251, n, 1]) * 3 for n in range(5)]
    other = connect(tmp_path / "keys.db")
    reader = cast(sqlite3.Connection, Interrupted(other, write))
    assert key_index.known(reader, 1, first) == dict.fromkeys(first, (1, 1))
    other.close()
    db.close()
