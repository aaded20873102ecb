"""An upgrade from nothing is what `tables.py` says, on both databases, and a later ledger is left alone."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text
from tests.ledger.conftest import NewUrl
from tests.new_ledgers import BY_ALL_STEPS, written_at_once

from flowtally.core.errors import LedgerTooNew
from flowtally.ledger import database, idempotency, migrations
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials, managed, users
from flowtally.ledger.tables import metadata
from flowtally.ledger.traffic import allocations


@pytest.fixture(autouse=True)
def by_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "upgrade", BY_ALL_STEPS)


def test_a_new_ledger_of_the_tests_is_what_all_steps_make(tmp_path: Path) -> None:
    def made(upgrade: Callable[[Connection], None]) -> list[str]:
        engine = create_engine(f"sqlite:///{tmp_path / upgrade.__name__}.db")
        with engine.begin() as tx:
            upgrade(tx)
        engine.dispose()
        with closing(sqlite3.connect(tmp_path / f"{upgrade.__name__}.db")) as connection:
            return list(connection.iterdump())

    assert made(written_at_once) == made(BY_ALL_STEPS)


@pytest.fixture
def url(new_url: NewUrl) -> str:
    """Of an empty database, for `ledger` too: here every upgrade is done."""
    return new_url()


def shape(tx: Connection) -> dict[str, Any]:
    """Everything the database says about its tables, in an order of its own; types with their collation."""
    look = inspect(tx)
    return {
        name: {
            "columns": [(c["name"], repr(c["type"]), c["nullable"], c["default"]) for c in look.get_columns(name)],
            "primary key": look.get_pk_constraint(name),
            "foreign keys": sorted(look.get_foreign_keys(name), key=str),
            "unique": sorted(look.get_unique_constraints(name), key=str),
            "checks": sorted(look.get_check_constraints(name), key=str),
            "indexes": [
                {**i, "dialect_options": {k: str(v) for k, v in i.get("dialect_options", {}).items()}}
                for i in sorted(look.get_indexes(name), key=lambda i: str(i["name"]))
            ],
        }
        for name in look.get_table_names()
        if name != "alembic_version"
    }


def test_an_upgrade_from_nothing_gives_the_tables_of_today(ledger: Ledger, new_url: NewUrl) -> None:
    engine = create_engine(new_url())
    metadata.create_all(engine)
    with engine.connect() as fresh, ledger.read() as migrated:
        assert shape(migrated) == shape(fresh)
    engine.dispose()


def test_alembic_finds_no_difference_either(ledger: Ledger) -> None:
    with ledger.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx), metadata) == []


def test_a_ledger_opened_again_keeps_what_it_has(url: str) -> None:
    for expected in (0, 1):
        ledger = Ledger.open(url)
        with ledger.begin() as tx:
            assert tx.execute(text("SELECT count(*) FROM products_used")).scalar_one() == expected
            if expected == 0:
                tx.execute(text("INSERT INTO products_used VALUES ('isp', 1)"))
        ledger.close()


def test_a_ledger_newer_than_the_code_is_named_and_left_alone(url: str) -> None:
    ledger = Ledger.open(url)
    with ledger.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        before = shape(tx)
    with pytest.raises(LedgerTooNew, match=r"version 9999.*knows up to 0"):
        Ledger.open(url)
    with ledger.read() as tx:
        assert shape(tx) == before
    ledger.close()


def test_an_upgrade_that_fails_leaves_nothing(url: str) -> None:
    ledger = Ledger(database._engine(database._parse(url)))

    def upgrade_and_fail() -> None:
        with ledger.begin() as tx:
            migrations.upgrade(tx)
            assert inspect(tx).get_table_names()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        upgrade_and_fail()
    with ledger.read() as tx:
        assert inspect(tx).get_table_names() == []
    ledger.close()


def test_several_starts_at_once_upgrade_once(url: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        ledgers = list(threads.map(lambda _: Ledger.open(url), range(6)))
    with ledgers[0].read() as tx:
        assert tx.execute(text("SELECT count(*) FROM pools")).scalar_one() == 4
    for ledger in ledgers:
        ledger.close()


def test_a_start_waits_for_another_that_is_making_the_file(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    later = threading.Timer(0.3, other.rollback)
    later.start()
    Ledger.open(f"sqlite:///{tmp_path / 'new.db'}").close()
    later.join()
    other.close()


def test_users_of_the_first_version_stay_who_they_were(url: str) -> None:
    older = Ledger(database._engine(database._parse(url)))
    with older.begin() as tx:
        config = migrations._config()
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
        tx.execute(text("INSERT INTO accounts VALUES ('acme', '', 'UTC', 'active', 0, 'carry', 1, 1)"))
        tx.execute(text("INSERT INTO users VALUES ('usr_1', 'acme', 2)"))
        tx.execute(text("INSERT INTO user_names VALUES ('acme', 'ann', 'usr_1', 0, NULL)"))
    older.close()
    ledger = Ledger.open(url)
    with ledger.begin() as tx:
        assert users.read_user(tx, "acme", "ann") == users.User("usr_1", "acme", "ann", 2)
        assert managed.change_user(tx, "acme", "ann", status="disabled", now=3).id == "usr_1"
    ledger.close()


def test_allocations_of_an_earlier_version_never_end(url: str) -> None:
    older = Ledger(database._engine(database._parse(url)))
    with older.begin() as tx:
        migrations.upgrade(tx, "0005")
        tx.execute(text("INSERT INTO accounts VALUES ('acme', '', 'UTC', 'active', 0, 'carry', 1, 1)"))
        tx.execute(text("INSERT INTO users VALUES ('usr_1', 'acme', 2)"))
        tx.execute(text("INSERT INTO allocations VALUES ('alc_1', 'acme', 'usr_1', 'traffic', 70, 3)"))
        tx.execute(text("INSERT INTO allocation_returns VALUES ('ret_1', 'alc_1', 20, 4)"))
    older.close()
    ledger = Ledger.open(url)
    with ledger.read() as tx:
        expected = allocations.Allocation("alc_1", "acme", "usr_1", "traffic", 70, 3, None, 20)
        assert allocations.allocations_to(tx, "usr_1") == [expected]
        assert list(rules.faults(tx)) == []
    ledger.close()


def test_sources_and_remembered_requests_outlive_the_credentials_of_an_earlier_version(url: str) -> None:
    older = Ledger(database._engine(database._parse(url)))
    with older.begin() as tx:
        migrations.upgrade(tx, "0011")
        tx.execute(text("INSERT INTO accounts VALUES ('acme', '', 'UTC', 'active', 0, 'carry', 1, 1)"))
        for place, (id, scope, account, manages) in enumerate(
            [("crd_1", "admin", None, 0), ("crd_2", "ingest", "acme", 0), ("crd_3", "account", "acme", 1)]
        ):
            row = {"id": id, "scope": scope, "account": account, "hash": str(place) * 64, "manages": manages}
            tx.execute(
                text("INSERT INTO credentials VALUES (:id, :scope, :account, :id, :hash, NULL, 5, NULL, :manages)"), row
            )
        for id, at, answer in (("crd_3", 8, "later"), ("crd_2", 7, "first"), ("crd_1", 9, "other")):
            row = {"id": id, "at": at, "digest": "d" * 64, "answer": answer}
            tx.execute(text("INSERT INTO idempotency VALUES (:id, 'k', :digest, 201, :answer, :at)"), row)
    older.close()
    ledger = Ledger.open(url)
    with ledger.read() as tx:
        found = {one.id: (one.scope, one.account, one.sender) for one in credentials.list_credentials(tx).items}
        assert found == {
            "crd_1": ("admin", None, "crd_1"),  # what the keys database has as the owner of its sources
            "crd_2": ("ingest", "acme", "crd_2"),
            "crd_3": ("manage", "acme", None),
        }
        for account, first in (("acme", b"first"), ("", b"other")):
            kept = idempotency.replay_or_none(tx, account, "k", "d" * 64)
            assert kept is not None
            assert kept.body == first
    ledger.close()
