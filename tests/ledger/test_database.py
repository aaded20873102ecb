"""Transactions: who waits for whom, what survives, and what a database error means."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.postgres import Postgres

from flowtally.core.errors import ConfigError, StorageFull, Unavailable
from flowtally.ledger import database
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts


def ids(ledger: Ledger) -> list[str]:
    with ledger.read() as tx:
        return [account.id for account in accounts.list_accounts(tx).items]


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("not a url", "no database URL"),
        ("mysql://u:hunter2@h/d", "only sqlite"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:////nowhere/at/all/ledger.db", "cannot be opened: unable to open database file"),
        ("postgresql://u:hunter2@127.0.0.1:1/d", "cannot be opened: connection failed"),
        ("postgresql://127.0.0.1:1/d?user=u&password=hunter2", "127.0.0.1:1/d.user=u cannot be opened"),
        ("postgresql://u:mine@hunter2@127.0.0.1:1/d", "an @ too many .* write @ as %40"),
        ("postgresql://u:hunter2@127.0.0.1:port/d", "no database URL"),
        ("postgresql://u:hunter2@[::1/d", "no database URL"),
        ("mysql://h/d?password=hunter2", "only sqlite"),
    ],
)
def test_a_url_that_cannot_be_used_is_named_without_its_password(url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as caught:
        Ledger.open(url)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_ledger_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"not a database, " * 100)
    with pytest.raises(ConfigError, match="file is not a database"):
        Ledger.open(f"sqlite:///{path}")


def test_sqlite_commits_survive_a_power_cut_and_check_references(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": database.BUSY_TIMEOUT_MS}
    with ledger.begin() as tx:
        assert {name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted} == wanted
    ledger.close()


def test_what_was_committed_is_there_after_a_restart(url: str) -> None:
    ledger = Ledger.open(url)
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    ledger.close()
    again = Ledger.open(url)
    assert ids(again) == ["acme"]
    again.close()


def test_writers_take_turns_in_one_process_and_across_processes(ledger: Ledger, url: str) -> None:
    """Each looks for the last account and makes the next: two at a time would make the same."""
    other = Ledger.open(url)

    def make_next(which: int) -> None:
        with (ledger, other)[which % 2].begin() as tx:
            last = accounts.list_accounts(tx).items[-1:]
            accounts.create_account(tx, f"{int(last[0].id) + 1 if last else 0:03}", now=1)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make_next, range(40)))
    assert ids(ledger) == [f"{number:03}" for number in range(40)]
    other.close()


def test_a_write_inside_a_write_is_our_own_mistake(ledger: Ledger) -> None:
    with pytest.raises(AssertionError, match="wait for itself"), ledger.begin(), ledger.begin():
        pass
    with ledger.begin() as tx:  # and the turn was given back
        accounts.create_account(tx, "acme", now=1)


def test_many_readers_at_once_are_served(ledger: Ledger) -> None:
    together = threading.Barrier(20)

    def look(_: int) -> int:
        with ledger.read() as tx:
            together.wait(timeout=30)
            return len(accounts.list_accounts(tx).items)

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(look, range(20))) == [0] * 20


def test_a_full_disk_is_told_and_writing_resumes_when_there_is_room(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")

    def fill(pages: int) -> None:
        with ledger.begin() as tx:
            tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            for number in range(500):
                accounts.create_account(tx, f"{number}", name="x" * 200, now=1)

    with pytest.raises(StorageFull):
        fill(pages=60)
    assert ids(ledger) == []  # reads go on
    fill(pages=100_000)
    assert len(ids(ledger)) == 100  # a page of them
    ledger.close()


def test_a_write_lock_held_by_another_process_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 20)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"), ledger.begin():
        pass
    assert ids(ledger) == []
    other.execute("ROLLBACK")
    other.close()
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    ledger.close()


@pytest.mark.parametrize(
    ("sql", "meaning"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", Unavailable),
        ("DO $$ BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END $$", StorageFull),
    ],
)
def test_postgresql_troubles_that_pass_are_unavailable(postgres: Postgres, sql: str, meaning: type[Exception]) -> None:
    ledger = Ledger.open(postgres.new_database())

    def fail() -> None:
        with ledger.begin() as tx:
            accounts.create_account(tx, "lost", now=1)
            tx.execute(text(sql))

    with pytest.raises(meaning):
        fail()
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    assert ids(ledger) == ["acme"]
    ledger.close()
