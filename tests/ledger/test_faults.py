"""What the ledger's database says of itself, and what a caller is told: real databases where they can be made to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.postgres import Postgres

from flowtally.core.errors import FlowtallyError, StorageFull, StoreDamaged, Unavailable
from flowtally.core.sqlite_faults import sqlite_meaning
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts


@pytest.mark.parametrize(
    ("sqlstate", "meaning"),
    [
        ("53100", StorageFull),
        *((code, Unavailable) for code in ("08006", "57P01", "57P03", "53300", "53200", "53400", "40001", "40P01")),
        *((code, Unavailable) for code in ("55P03", "57014", "28P01", "28000", "3D000", "42501", "58030", "25006")),
        *((code, StoreDamaged) for code in ("XX001", "XX002", "58P01")),
    ],
)
def test_what_postgresql_says_has_a_meaning(
    postgres_ledger: Ledger, sqlstate: str, meaning: type[FlowtallyError]
) -> None:
    with pytest.raises(FlowtallyError) as caught, postgres_ledger.begin() as tx:
        tx.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'its own words' USING ERRCODE = '{sqlstate}'; END $$"))
    assert type(caught.value) is meaning
    assert "own words" not in caught.value.detail
    with postgres_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)


@pytest.mark.parametrize("sqlstate", ["23505", "42601", "22001", "25P02"])
def test_a_mistake_of_ours_stays_one(postgres_ledger: Ledger, sqlstate: str) -> None:
    with pytest.raises(DBAPIError), postgres_ledger.begin() as tx:
        tx.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{sqlstate}'; END $$"))


def test_a_standby_is_unavailable_for_writing_and_read(postgres_ledger: Ledger) -> None:
    def write() -> None:
        with postgres_ledger.begin() as tx:
            tx.execute(text("SET TRANSACTION READ ONLY"))
            accounts.create_account(tx, "acme", now=1)

    with pytest.raises(Unavailable, match="read-only"):
        write()
    with postgres_ledger.read() as tx:
        assert accounts.list_accounts(tx).items == []


def test_a_postgresql_that_is_down_is_unavailable_at_once_and_found_again_when_it_is_back(
    postgres: Postgres, postgres_ledger: Ledger
) -> None:
    with postgres_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    with pytest.raises(Unavailable, match="cannot be reached"), postgres_ledger.begin() as tx, postgres.down():
        accounts.create_account(tx, "lost", now=1)  # the connection broke off in the middle
    with postgres.down():
        for ask in (postgres_ledger.begin, postgres_ledger.read):
            for _ in range(3):
                with pytest.raises(Unavailable, match="cannot be reached"), ask():
                    pass
    with postgres_ledger.read() as tx:
        assert [one.id for one in accounts.list_accounts(tx).items] == ["acme"]
    with postgres_ledger.begin() as tx:
        accounts.create_account(tx, "later", now=1)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_IOERR_WRITE, StorageFull),
        (sqlite3.SQLITE_IOERR_READ, Unavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Unavailable),
        (sqlite3.SQLITE_LOCKED, Unavailable),
        (sqlite3.SQLITE_READONLY, Unavailable),
        (sqlite3.SQLITE_READONLY_DBMOVED, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
        (sqlite3.SQLITE_NOMEM, Unavailable),
        (sqlite3.SQLITE_CORRUPT_VTAB, StoreDamaged),
        (sqlite3.SQLITE_NOTADB, StoreDamaged),
        (sqlite3.SQLITE_CONSTRAINT, type(None)),
        (sqlite3.SQLITE_ERROR, type(None)),
    ],
)
def test_what_sqlite_says_has_a_meaning(code: int, meaning: type) -> None:
    error = sqlite3.OperationalError("as told")
    error.sqlite_errorcode = code
    assert type(sqlite_meaning(error, "the ledger", writes=True)) is meaning


def test_a_file_that_is_broken_is_damage_and_not_worth_another_try(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.begin() as tx:
        for number in range(50):
            accounts.create_account(tx, f"{number}", name="x" * 200, now=1)
        root = tx.execute(text("SELECT rootpage FROM sqlite_master WHERE name = 'accounts'")).scalar_one()
        size = tx.execute(text("PRAGMA page_size")).scalar_one()
    ledger.close()
    with (tmp_path / "ledger.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with pytest.raises(StoreDamaged, match="malformed"), ledger.read() as tx:
        accounts.list_accounts(tx)
    ledger.close()
