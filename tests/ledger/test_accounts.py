"""Accounts: what they may be called, and what about them can change."""

from __future__ import annotations

import msgspec
import pytest

from flowtally.core.errors import Conflict, UnknownAccount, UnknownZone, Unprocessable
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.people.accounts import Account


def test_an_account_is_read_as_it_was_created(ledger: Ledger) -> None:
    wanted = Account("acme", "Acme Ltd", "Asia/Kolkata", "active", 5, "forgive", 9, 9)
    with ledger.begin() as tx:
        made = accounts.create_account(
            tx, "acme", name="Acme Ltd", timezone="Asia/Kolkata", carry_from=5, overage="forgive", now=9
        )
    with ledger.read() as tx:
        assert made == accounts.read_account(tx, "acme") == wanted


def test_an_account_without_an_id_gets_one_and_carries_from_the_second_of_its_creation(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = accounts.create_account(tx, now=9_999)
        assert made.id.startswith("acc_")
        assert (made.timezone, made.carry_from, made.overage) == ("UTC", 9_000, "carry")


@pytest.mark.parametrize(
    "account_id", ["a", "x" * 256, "ü" * 256, "Straße 1", "a.b", "...", "客户", "a\\b", "%2F", "😀"]
)
def test_an_id_is_any_text_that_fits_a_path(ledger: Ledger, account_id: str) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, account_id, now=1)
        assert accounts.read_account(tx, account_id).id == account_id


@pytest.mark.parametrize("account_id", ["", "x" * 257, "a/b", ".", "..", "a\nb", "a\x00b", "\x7f", "\x85", "\ud800"])
def test_an_id_that_no_path_or_log_could_show_is_refused(ledger: Ledger, account_id: str) -> None:
    with pytest.raises(Unprocessable), ledger.begin() as tx:
        accounts.create_account(tx, account_id, now=1)
    with pytest.raises(UnknownAccount), ledger.read() as tx:
        accounts.read_account(tx, account_id)


def test_an_id_is_taken_once(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "Acme", now=1)  # capital letters are other letters
        with pytest.raises(Conflict, match="exists"):
            accounts.create_account(tx, "acme", name="other", now=2)
        assert accounts.read_account(tx, "acme").name == ""


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "utc+1"])
def test_a_zone_must_exist(ledger: Ledger, zone: str) -> None:
    with ledger.begin() as tx:
        with pytest.raises(UnknownZone):
            accounts.create_account(tx, "acme", timezone=zone, now=1)
        accounts.create_account(tx, "acme", now=1)
        with pytest.raises(UnknownZone):
            accounts.change_account(tx, "acme", timezone=zone, now=2)


@pytest.mark.parametrize("at", [-1, 253_402_300_800_000])
def test_carry_from_is_an_instant_we_can_write(ledger: Ledger, at: int) -> None:
    with pytest.raises(Unprocessable), ledger.begin() as tx:
        accounts.create_account(tx, "acme", carry_from=at, now=1)


def test_a_change_touches_only_what_is_given(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = accounts.create_account(tx, "acme", name="A", timezone="Europe/Berlin", now=1)
        changed = accounts.change_account(tx, "acme", name="B", now=2)
        assert changed == accounts.read_account(tx, "acme") == msgspec.structs.replace(made, name="B", changed_at=2)
        assert accounts.change_account(tx, "acme", name="B", now=3) == changed  # nothing new, no new time
        assert accounts.change_account(tx, "acme", timezone="UTC", status="suspended", now=4).status == "suspended"
        assert accounts.change_account(tx, "acme", status="active", now=5).name == "B"


def test_a_closed_account_stays_closed(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.change_account(tx, "acme", status="closed", now=2)
        for status in ("active", "suspended"):
            with pytest.raises(Conflict, match="stays closed"):
                accounts.change_account(tx, "acme", status=status, now=3)
        assert accounts.change_account(tx, "acme", status="closed", name="late", now=4).status == "closed"


def test_only_an_open_account_gets_something_new(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.change_account(tx, "acme", status="suspended", now=2)
        assert accounts.read_open_account(tx, "acme").status == "suspended"
        accounts.change_account(tx, "acme", status="closed", now=2)
        with pytest.raises(Conflict, match="closed"):
            accounts.read_open_account(tx, "acme")


def test_an_unknown_account_is_named(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        with pytest.raises(UnknownAccount, match="'nobody'"):
            accounts.change_account(tx, "nobody", name="x", now=1)
        with pytest.raises(UnknownAccount, match="'nobody'"):
            accounts.read_account(tx, "nobody")
