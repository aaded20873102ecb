"""The audit trail: every write transaction leaves its record, in it; nothing can be taken out of it unseen."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, select, text
from tests.ledger.test_every_command import COMMANDS, World, made, make_world

import flowtally
from flowtally.ledger import trail
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erasures
from flowtally.ledger.people import accounts, managed, users
from flowtally.ledger.recorded import Filter, list_records
from flowtally.ledger.tables import audit as rows_of_audit
from flowtally.ledger.tables import products_used
from flowtally.ledger.traffic import grants
from flowtally.ledger.trail import BOOKKEEPING, Actor

ASKING = Actor("POST /v1/things", "crd_1", "acme", "req-1", "192.0.2.7")
QUIET = {"use_key", "remember"}  # a request is known again: nothing was done
NAMES = ("ann", "bob", "cid", "dora", "doro", "eve", "fay", "gil", "hal")
every_command = pytest.mark.parametrize("name", sorted(COMMANDS.keys() - QUIET))


def records(ledger: Ledger) -> list[Any]:
    """All but the first: that the ledger was made."""
    with ledger.read() as tx:
        first, *others = list_records(tx, Filter(), limit=1000).items
    assert (first.action, first.door) == ("ledger.upgrade", "server: upgrade")
    return others


__all__ = ["made"]  # a fixture, found by name


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: str, url: str, made: tuple[Path, World]) -> str:
    """Of a ledger that has the world already, where a file is one and the test asks for it."""
    if kind == "sqlite" and "world" in request.fixturenames:
        shutil.copy(made[0], url.removeprefix("sqlite:///"))
    return url


@pytest.fixture
def world(kind: str, ledger: Ledger, made: tuple[Path, World]) -> World:
    if kind == "sqlite":
        return made[1]
    with ledger.begin() as tx:
        return make_world(tx)


@every_command
def test_every_command_says_what_it_did_and_the_transaction_who_asked(ledger: Ledger, world: World, name: str) -> None:
    before = records(ledger)
    with ledger.begin(ASKING) as tx:
        COMMANDS[name](tx, world)
    made = records(ledger)[len(before) :]
    assert made
    assert all(one.action != trail.OTHER for one in made)
    assert {(one.credential, one.of_account, one.door, one.request_id, one.address) for one in made} == {
        ("crd_1", "acme", "POST /v1/things", "req-1", "192.0.2.7")
    }
    assert len({one.promise for one in made}) == 1
    for one in made:
        assert one.before or one.after or one.action == "user.erase"
        told = [msgspec.json.decode(side) for side in (one.before, one.after) if side]
        assert all(isinstance(side, dict) and trail.SECRETS.isdisjoint(side) for side in told)


def test_no_record_holds_a_name_a_secret_or_an_address_of_a_whitelist(ledger: Ledger, world: World) -> None:
    for name, command in COMMANDS.items():
        with ledger.begin() as tx, tx.begin_nested() as savepoint:
            command(tx, world)
            said = [msgspec.json.decode(side) for note in trail.made(tx) for side in (note.before, note.after) if side]
            savepoint.rollback()
        for word in (*NAMES, "sealed", "192.0.2", "x" * 20):
            assert word not in str([list(side.values()) for side in said]), (name, word)


def test_a_transaction_that_notes_nothing_is_recorded_by_the_tables_it_changed(ledger: Ledger) -> None:
    with ledger.begin(ASKING) as tx:
        tx.execute(insert(products_used).values(product="isp", first_used_at=1))
        tx.execute(text("UPDATE accounts SET name = 'x' WHERE id = 'nobody'"))  # changes none
    [one] = records(ledger)
    assert (one.action, msgspec.json.decode(one.after)) == (trail.OTHER, {"tables": ["products_used"]})
    assert one.credential == "crd_1"


def test_what_is_rolled_back_or_changes_nothing_leaves_no_record(ledger: Ledger) -> None:
    with undone(ledger) as tx:
        accounts.create_account(tx, "acme", now=1)
    with ledger.begin(ASKING) as tx, tx.begin_nested() as savepoint:
        accounts.create_account(tx, "acme", now=1)
        savepoint.rollback()
    with ledger.begin(ASKING):
        pass
    assert records(ledger) == []
    with ledger.begin(ASKING) as tx, tx.begin_nested():
        accounts.create_account(tx, "acme", now=1)
    with ledger.begin(ASKING) as tx:
        accounts.change_account(tx, "acme", now=2, status="active")  # as it is
    assert [one.action for one in records(ledger)] == ["account.create"]


def test_only_tables_of_bookkeeping_change_unrecorded() -> None:
    assert {"installation", "audit", "idempotency", "used_keys", "alembic_version"} == BOOKKEEPING


def test_erasing_a_user_changes_no_record_and_leaves_no_name(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        users.ensure_users(tx, [("acme", "margarethe")], 1)
        managed.change_user(tx, "acme", "margarethe", now=2, name="margarethe2")
    before = records(ledger)
    with ledger.begin() as tx:
        erasures.erase_user(tx, "acme", "margarethe2", now=3)
    assert records(ledger)[: len(before)] == before
    assert "margarethe" not in str(records(ledger))
    with ledger.read() as tx:
        assert list(rules.faults(tx)) == []


SPOILT = [
    "UPDATE audit SET subject = 'grn_x' WHERE number = 3",
    "UPDATE audit SET at = at + 1 WHERE number = 5",  # the last one
    "UPDATE audit SET credential = 'crd_2' WHERE number = 1",
    "DELETE FROM audit WHERE number = 1",
    "DELETE FROM audit WHERE number = 3",
    "DELETE FROM audit WHERE number = 5",
    "INSERT INTO audit SELECT 6, promise, at, credential, of_account, door, request_id, address, action, account,"
    ' subject, "before", "after", digest FROM audit WHERE number = 4',
    "UPDATE audit SET number = 5 - number WHERE number IN (2, 3)",  # see `spoil`: in two steps
    "DELETE FROM audit",
]


@pytest.mark.parametrize("statement", SPOILT)
def test_a_row_that_is_edited_removed_put_in_or_moved_is_named(ledger: Ledger, statement: str) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    for amount in (5, 6, 7):
        with ledger.begin(ASKING) as tx:
            grants.give_grant(tx, "acme", amount, now=2)
    with ledger.read() as tx:
        assert list(rules.faults(tx)) == []
    with undone(ledger) as tx:
        spoil(tx, statement)
        assert {fault.code for fault in rules.faults(tx)} == {"audit"}


def spoil(tx: Connection, statement: str) -> None:
    if "5 - number" in statement:  # a number is there once
        for change in ("number = 100 + number WHERE number IN (2, 3)", "number = 105 - number WHERE number > 100"):
            tx.execute(text(f"UPDATE audit SET {change}"))
    else:
        tx.execute(text(statement))


@contextmanager
def undone(ledger: Ledger) -> Iterator[Connection]:
    """A transaction that is rolled back."""
    with suppress(_Undone), ledger.begin(ASKING) as tx:
        yield tx
        raise _Undone


class _Undone(Exception):
    pass


def test_a_promise_without_a_record_is_named(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        grants.give_grant(tx, "acme", 5, now=2)
    with undone(ledger) as tx:
        tx.execute(text("UPDATE grants SET promise = 7"))
        tx.execute(text("UPDATE installation SET promises = 9"))
        [found] = rules.faults(tx)
        assert (found.code, found.where) == ("audit", "grants of promise 7")


def test_pages_of_the_trail_go_on_where_they_ended_and_fit_what_was_asked(ledger: Ledger) -> None:
    for number in range(1, 8):
        ledger.use_clock(lambda at=number: at)  # type: ignore[misc]
        with ledger.begin(Actor("x", f"crd_{number % 2}")) as tx:
            accounts.create_account(tx, f"acc{number}", now=number)
    with ledger.read() as tx:
        first = list_records(tx, Filter(), limit=3)
        rest = list_records(tx, Filter(), first.next, 10)
        assert [one.number for one in first.items + rest.items] == list(range(1, 9))
        for asked, found in (
            (Filter(account="acc3"), [3]),
            (Filter(subject="acc4"), [4]),
            (Filter(credential="crd_0"), [2, 4, 6]),
            (Filter(action="account.create", since=3, until=5), [3, 4]),
            (Filter(action="account.close"), []),
            (Filter(subject="\0"), []),
        ):
            assert [one.number for one in list_records(tx, asked).items] == [one + 1 for one in found], asked
        assert tx.execute(select(rows_of_audit.c.promise)).scalars().all() == list(range(1, 9))


def test_only_the_last_use_of_credentials_is_written_unrecorded() -> None:
    source = Path(flowtally.__file__).parent
    calling = [path.name for path in source.rglob("*.py") if "unrecorded(tx)" in path.read_text()]
    assert calling == ["credentials.py"]
    assert (source / "ledger" / "people" / "credentials.py").read_text().count("unrecorded(tx)") == 1


def test_every_transaction_of_ours_says_who_it_is_begun_for() -> None:
    """Those of `portable` alone are of no ledger that is open: what they write is brought from elsewhere."""
    begun = [
        (path.name, found[0])
        for path in Path(flowtally.__file__).parent.rglob("*.py")
        for found in re.finditer(r"ledger\.begin(_start)?\((\w*)", path.read_text())
        if not found[2] and path.name != "portable.py"
    ]
    assert begun == [("start.py", "ledger.begin_start(")]  # a rehearsal, rolled back
