"""The audit's questions, where a database can be made to break a rule; that it finds nothing otherwise is a law of
every command (test_every_command.py)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import insert, text

from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.money import plans, purchases, wallet
from flowtally.ledger.people import accounts, users
from flowtally.ledger.snapshot import Snapshot
from flowtally.ledger.tables import credentials, idempotency


def test_subjects_of_usage_are_known_by_account_and_user_together(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        ann = users.ensure_users(tx, [("acme", "ann")], 1)["acme", "ann"]
        named = [("acme", ""), ("acme", ann), ("beta", ann), ("nobody", ""), ("acme", "usr_x")]
        assert rules.unknown_subjects(tx, named * 300) == [("beta", ann), ("nobody", ""), ("acme", "usr_x")] * 300
        assert rules.unknown_subjects(tx, []) == []
        assert rules.count_accounts(tx) == 2


def test_a_remembered_answer_that_is_no_object_or_holds_a_secret_is_named(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        tx.execute(insert(credentials).values(id="crd_1", scope="admin", name="", token_hash="a" * 64, created_at=1))
        for key, response, status in (
            ("1", "{}", 201),
            ("2", "nonsense", 201),
            ("3", "[]", 200),
            ("4", "{}", 404),
            ("5", '{"key":1}', 200),
        ):
            row = {"account": "acme", "key": key, "digest": "b" * 64, "created_at": 1}
            tx.execute(insert(idempotency).values(response=response, status=status, **row))
        found = [(fault.code, fault.where) for fault in rules.faults(tx)]
    assert sorted(found) == [
        ("answer", "idempotency key '2' of acme"),
        ("answer", "idempotency key '3' of acme"),
        ("answer", "idempotency key '4' of acme"),
        ("secret", "idempotency key '5' of acme"),
    ]


def test_a_snapshot_is_the_moment_it_was_made_however_much_is_written_since(tmp_path: Path) -> None:
    live = sqlite3.connect(tmp_path / "live.db", isolation_level=None)
    live.execute("PRAGMA journal_mode = WAL")
    live.execute("PRAGMA synchronous = OFF")  # else 20,000 commits wait for the disk: it need not survive a power cut
    live.execute("CREATE TABLE t (a INTEGER)")
    live.execute("INSERT INTO t VALUES (1), (2)")
    snapshot = Snapshot(tmp_path / "live.db")
    live.executemany("INSERT INTO t VALUES (?)", ((n,) for n in range(20_000)))
    snapshot.copy_to(tmp_path / "copy.db")
    snapshot.close()
    live.close()
    with sqlite3.connect(tmp_path / "copy.db") as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchone() == (2,)
    assert sorted(one.name for one in tmp_path.glob("copy*")) == ["copy.db"]


BREAKS = [
    (
        "UPDATE transfer_entries SET amount = -99 WHERE book = 'deposits'",
        "transfer",
        "sum to 0.000001 USD instead of 0",
    ),
    ("DELETE FROM transfer_entries WHERE book = 'deposits'", "transfer", "is a deposit and has entries in wallet"),
    ("UPDATE transfers SET kind = 'adjustment' WHERE kind = 'deposit'", "transfer", "entries in deposits, wallet"),
    ("DELETE FROM transfer_entries WHERE amount = 100 OR amount = -100", "overdrawn", "its wallet holds -0.00006 USD"),
    ("UPDATE plans SET currency = 'EUR'", "currency", "keeps money in EUR, USD"),
    ("UPDATE purchases SET price = 61", "purchase", "'acme' owes 0.000061 USD, -0.00006 USD moved"),
    ("UPDATE purchases SET account = 'beta'", "purchase", "'beta' owes 0.00006 USD, -0.00006 USD moved"),
    ("UPDATE grants SET amount = 501", "purchase", "bought 500 of 'traffic'; its grant is"),
    ("UPDATE grants SET reference = ''", "purchase", "bought 500 of 'traffic'; its grant is"),
    ("UPDATE grants SET expires_at = NULL", "purchase", "bought 500 of 'traffic'; its grant is"),
    ("DELETE FROM purchases", "purchase", "was paid for a purchase that is not there"),
]


@pytest.mark.parametrize(("statement", "code", "said"), BREAKS)
def test_money_that_does_not_add_up_is_named(ledger: Ledger, statement: str, code: str, said: str) -> None:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        wallet.deposit(tx, "acme", 100, now=2, currency="USD")
        plans.create_plan(tx, "Small", 500, 60, now=2, currency="USD", days=30, plan_id="small")
        purchases.purchase(tx, "acme", "small", now=3)
        assert list(rules.faults(tx)) == []
        tx.execute(text(statement))
        found = list(rules.faults(tx))
    assert [fault for fault in found if fault.code == code and said in fault.detail], found
