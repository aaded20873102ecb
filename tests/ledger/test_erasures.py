"""Erasing a user: no table holds a text of it any more, and nobody else's changes."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest
from sqlalchemy import Connection, select
from tests.soak import sampled

from flowtally.core.errors import NotFound, UnknownUser
from flowtally.ledger import idempotency
from flowtally.ledger.checks import rules as checks
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erasures
from flowtally.ledger.people import accounts, credentials, managed, names, users
from flowtally.ledger.providers import connected, kept
from flowtally.ledger.tables import metadata

NAME, OTHER = "margarethe-mustermann", "m.mustermann"


@pytest.fixture
def tx_of(ledger: Ledger) -> Ledger:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
    return ledger


def texts(tx: Connection) -> str:
    """All there is in all tables."""
    return "\n".join(str(tuple(row)) for table in metadata.sorted_tables for row in tx.execute(select(table)))


def test_no_row_of_any_table_holds_the_name_or_the_password(tx_of: Ledger) -> None:
    with tx_of.begin() as tx:
        asking = credentials.issue(tx, "admin", None, "asks", 3)[0].id
        made = managed.create_user(tx, "acme", OTHER, password="sealed-password", now=5)
        managed.change_user(tx, "acme", OTHER, name=NAME, now=10)
        answers = [{"id": made.id, "name": NAME, "status": "active"}, {"user_id": made.id, "user": OTHER, "amount": 3}]
        for number, answer in enumerate(answers):
            idempotency.remember(tx, asking, f"k{number}", "0" * 64, status=201, answer=answer, now=11)
        before = texts(tx)
        assert all(text in before for text in (NAME, OTHER, "sealed-password"))
        erasures.erase_user(tx, "acme", NAME, now=20)
        after = texts(tx)
        assert not any(text in after for text in (NAME, OTHER, "sealed-password"))
        kept = idempotency.replay_or_none(tx, asking, "k1", "0" * 64)
        assert kept is not None
        assert kept.body == b'{"user_id":"%s","user":"erased-%s","amount":3}' % (made.id.encode(), made.id.encode())
        assert list(checks.faults(tx)) == []


def compared(account: str, *named: str, accounts: tuple[str, ...] = ()) -> str:
    """As much of a kept reconciliation as names users."""
    lines = [{"user": one, "measured_users": [one], "billed_users": [f"customer-{one}"]} for one in named]
    told: dict[str, object] = {"account": account, "accounts": accounts, "zone": "UTC", "users": lines}
    told["disputed"] = [{"user": named[0]}]
    told["rules"] = {"names": [{"billed": f"customer-{one}", "measured": one} for one in named], "products": ["UTC"]}
    return msgspec.json.encode(told).decode()


def test_what_was_compared_with_a_bill_calls_it_by_its_id_and_keeps_every_other_name(tx_of: Ledger) -> None:
    """Also where another account compared it, as a reseller does with its customers' use."""
    with tx_of.begin() as tx:
        accounts.create_account(tx, "reseller", now=1)
        asking = credentials.issue(tx, "admin", None, "asks", 3)[0].id
        made = managed.create_user(tx, "acme", NAME, now=5)
        managed.create_user(tx, "acme", "UTC", now=5)
        rules = {
            "accounts": ["acme"],
            "names": [{"billed": "sub7", "measured": NAME}],
            "rewriting": [],
            "settle_days": 3,
        }
        shown = msgspec.json.encode(rules).decode()
        for whose, others in (("acme", ()), ("reseller", ("acme",))):
            provider = connected.add_provider(
                tx, whose, f"thor-{whose}", "thordata", secrets={}, settings={}, since=0, now=5
            )
            connected.change_provider(tx, provider.name, rules=shown, now=6)
            answer = compared(whose, NAME, "bob", accounts=others)
            kept.keep_reconciliation(
                tx, provider, starts_at=1, ends_at=2, block=1, match="beyond", answer=answer, now=7
            )
        idempotency.remember(tx, asking, "k", "0" * 64, status=200, answer=rules, now=8)
        assert texts(tx).count(NAME) > 8
        erasures.erase_user(tx, "acme", NAME, now=20)
        after = texts(tx)
        assert NAME not in after.replace(f"customer-{NAME}", "the vendor's own name of it")
        assert compared("acme", NAME, "bob").replace(f'"{NAME}"', f'"erased-{made.id}"') in after
        assert list(checks.faults(tx)) == []


def test_a_name_that_another_bears_stays_in_what_was_compared(tx_of: Ledger) -> None:
    with tx_of.begin() as tx:
        first = managed.create_user(tx, "acme", NAME, now=5).id
        managed.delete_user(tx, "acme", NAME, now=10)
        managed.create_user(tx, "acme", NAME, now=15)
        provider = connected.add_provider(tx, "acme", "thor", "thordata", secrets={}, settings={}, since=0, now=5)
        said = compared("acme", NAME)
        kept.keep_reconciliation(tx, provider, starts_at=1, ends_at=2, block=1, match="beyond", answer=said, now=7)
        erasures.erase_user(tx, "acme", first, now=20)
        assert said in texts(tx)


def test_an_erased_user_is_called_by_its_id_and_found_by_it_alone(tx_of: Ledger) -> None:
    with tx_of.begin() as tx:
        made = managed.create_user(tx, "acme", NAME, limit=users.Limit(7), now=5)
        erasures.erase_user(tx, "acme", NAME, now=20)
        found = users.read_user(tx, "acme", made.id)
        assert (found.name, found.status, found.erased_at) == (f"erased-{made.id}", "deleted", 20)
        assert (found.limit, found.has_password) == (users.Limit(7), False)
        assert users.names_of(tx, [made.id, "usr_nobody"]) == {made.id: f"erased-{made.id}"}
        assert names.names_borne(tx, made.id) == []
        for name in (NAME, f"erased-{made.id}"):
            with pytest.raises(UnknownUser):
                users.read_user(tx, "acme", name)


def test_a_name_that_others_bore_too_is_theirs_without_a_gap(tx_of: Ledger) -> None:
    with tx_of.begin() as tx:
        ids = []
        for at in (10, 20, 30):
            ids.append(managed.create_user(tx, "acme", NAME, now=at - 5).id)
            managed.delete_user(tx, "acme", NAME, now=at)
        erasures.erase_user(tx, "acme", ids[1], now=40)
        found = names.histories(tx, [("acme", NAME)])["acme", NAME]
        assert [names.bearer_at(found, at) for at in (5, 15, 25, 35)] == [ids[0], ids[2], ids[2], None]
        assert names.names_borne(tx, ids[2]) == [names.Borne(NAME, 10, 30)]


def test_use_under_the_erased_name_makes_a_new_user(tx_of: Ledger) -> None:
    with tx_of.begin() as tx:
        old = users.ensure_users(tx, [("acme", NAME)], 5)["acme", NAME]
        erasures.erase_user(tx, "acme", NAME, now=20)
        new = users.ensure_users(tx, [("acme", NAME)], 30)["acme", NAME]
        assert new != old
        assert users.resolve_users(tx, [("acme", NAME)], 6) == {("acme", NAME): new}


def test_an_erasure_is_pending_until_it_is_finished_and_again_when_asked_again(tx_of: Ledger) -> None:
    with tx_of.begin() as tx:
        made = managed.create_user(tx, "acme", NAME, now=5)
        with pytest.raises(NotFound):
            erasures.read_erasure(tx, "acme", made.id)
        erasures.erase_user(tx, "acme", made.id, now=20)
        assert erasures.pending(tx, 5) == [made.id]
        erasures.finish(tx, [made.id], now=25)
        assert (erasures.pending(tx, 5), erasures.finished(tx, "", 5)) == ([], [made.id])
        assert erasures.read_erasure(tx, "acme", made.id) == erasures.Erasure(made.id, "acme", 20, 25)
        again = erasures.erase_user(tx, "acme", made.id, now=30)
        assert (again.asked_at, again.finished_at) == (20, None)
        erasures.finish(tx, [made.id], now=31)
        erasures.reopen(tx)
        assert erasures.pending(tx, 5) == [made.id]


def test_no_file_of_a_sqlite_ledger_holds_the_name_once_old_bytes_are_dropped(app_ledger: Ledger) -> None:
    many = sampled(300, 60)
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        users.ensure_users(tx, [("acme", f"{NAME}-{number}") for number in range(many)], 5)
    file = app_ledger.file
    assert file is not None

    def held() -> bool:
        return any(NAME.encode() in one.read_bytes() for one in file.parent.glob(f"{file.name}*"))

    for number in range(many):
        with app_ledger.begin() as tx:
            erasures.erase_user(tx, "acme", f"{NAME}-{number}", now=20)
    assert held()
    app_ledger.drop_old_bytes()
    assert not held()
    with sqlite3.connect(file) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM users").fetchone() == (many,)
