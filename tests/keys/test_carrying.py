"""The log of the keys is carried over beside commits: by then the file alone has them."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from flowtally.keys import carrying
from flowtally.keys.carrying import LogCarrier
from flowtally.keys.store import Keys
from flowtally.keys.values import Claim


def claims(first: int, count: int = 100) -> list[Claim]:
    return [(1, b"\x01" + number.to_bytes(8, "big"), number) for number in range(first, first + count)]


def in_file(keys: Keys, tmp_path: Path) -> int:
    """How many keys are there without the log, as if it was lost."""
    alone = shutil.copy(keys.path, tmp_path / "alone.db")
    with closing(sqlite3.connect(alone)) as db, suppress(sqlite3.DatabaseError):  # it may be written just now
        [(count,)] = db.execute("SELECT count(*) FROM keys")
        return int(count)
    return 0


def until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "CARRIED_ROWS", 50)


@pytest.mark.usefixtures("soon")
def test_what_was_committed_comes_into_the_file_while_it_is_open(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.db")
    with keys.begin():
        keys.claim(claims(0, 10), 1)
    assert in_file(keys, tmp_path) == 0, "it is little: the next commit may write the same pages"
    with keys.begin():
        keys.claim(claims(10), 2)
    until(lambda: in_file(keys, tmp_path) == 110)
    with keys.begin():
        keys.claim(claims(110), 3)
    until(lambda: in_file(keys, tmp_path) == 210)
    keys.close()


class Asked:
    """A connection that answers so, in order, and notes whether nobody else could write then."""

    def __init__(self, writing: threading.Lock, *answers: int | sqlite3.Error) -> None:
        self._writing = writing
        self._answers = list(answers)
        self.alone: list[bool] = []

    def execute(self, text: str) -> Any:
        answer = self._answers.pop(0)
        self.alone.append(self._writing.locked())
        if isinstance(answer, sqlite3.Error):
            raise answer
        return [(0, answer, answer)]

    def close(self) -> None:
        pass


@pytest.mark.usefixtures("soon")
def test_the_writer_waits_only_for_the_rest_of_a_long_log() -> None:
    writing = threading.Lock()
    asked = Asked(writing, carrying.LOG_PAGES - 1, carrying.LOG_PAGES, 7)
    carrier = LogCarrier(lambda: asked, writing)  # type: ignore[arg-type,return-value]
    carrier.committed(50)
    until(lambda: len(asked.alone) == 1)
    carrier.committed(100)
    until(lambda: len(asked.alone) == 3)
    carrier.stop()
    assert asked.alone == [False, False, True]
    assert not writing.locked()


@pytest.mark.usefixtures("soon")
def test_a_log_that_cannot_be_carried_over_is_tried_again_and_fails_no_commit() -> None:
    writing = threading.Lock()
    asked = Asked(writing, sqlite3.OperationalError("disk I/O error"), 3)
    carrier = LogCarrier(lambda: asked, writing)  # type: ignore[arg-type,return-value]
    carrier.committed(60)
    until(lambda: len(asked.alone) == 1)
    carrier.committed(70)
    carrier.committed(120)
    until(lambda: len(asked.alone) == 2)
    carrier.stop()
    assert asked.alone == [False, False]
