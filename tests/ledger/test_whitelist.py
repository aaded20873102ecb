"""Whitelists: a list per owner and pool, an address once, bounded, gone with its user."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from sqlalchemy import text

from flowtally.core.errors import Conflict, LimitReached, NotFound, UnknownAccount, UnknownUser, Unprocessable
from flowtally.ledger import idempotency
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.erasing import erasures
from flowtally.ledger.people import accounts, credentials, managed, whitelist
from flowtally.ledger.people.users import User
from flowtally.ledger.people.whitelist import WhitelistEntry


@pytest.fixture
def fay(ledger: Ledger) -> User:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        return managed.create_user(tx, "acme", "fay", now=2)


def put(
    tx: Tx, address: str, user: str | None = None, *, pool: str = "traffic", enabled: bool = True, now: int = 5
) -> WhitelistEntry:
    return whitelist.put_address(tx, "acme", user, address, now=now, most=3, pool=pool, enabled=enabled)


def texts(entries: Iterable[WhitelistEntry]) -> list[str]:
    return [one.address for one in entries]


def test_an_address_is_on_a_list_once_and_putting_it_again_changes_it(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        made = put(tx, "2001:DB8::1")
        assert put(tx, "2001:db8:0::1", now=6) == made
        off = put(tx, "2001:db8::1/128", enabled=False, now=7)
        assert (off.id, off.enabled, off.created_at, off.changed_at) == (made.id, False, 5, 7)
        assert whitelist.read_list(tx, "acme", None, "traffic") == [off]


def test_an_accounts_list_a_users_and_each_pools_are_different_lists(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        own, fays, other = put(tx, "::1"), put(tx, "::1", "fay"), put(tx, "::1", "fay", pool="mobile")
        assert (own.user_id, fays.user_id) == (None, fay.id)
        assert whitelist.list_addresses(tx, "acme", None).items == [own]
        assert whitelist.list_addresses(tx, "acme", fay.id).items == [fays, other]
        assert whitelist.list_addresses(tx, "acme", "fay", pool="mobile").items == [other]
        assert whitelist.entries_of(tx, [fay.id, "usr_x"]) == {fay.id: [fays, other], "usr_x": []}
        assert whitelist.list_addresses(tx, "beta", None).items == []


def test_a_list_is_read_page_by_page_in_the_order_it_grew(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        for address in ("192.0.2.9", "192.0.2.1", "192.0.2.5"):
            put(tx, address)
        first = whitelist.list_addresses(tx, "acme", None, limit=2)
        assert texts(first.items) == ["192.0.2.9", "192.0.2.1"]
        assert texts(whitelist.list_addresses(tx, "acme", None, first.next).items) == ["192.0.2.5"]


def test_a_list_that_is_full_takes_no_more_and_says_how_many_it_holds(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        for number in range(3):
            put(tx, f"192.0.2.{number}")
        with pytest.raises(LimitReached) as refused:
            put(tx, "192.0.2.3")
        assert refused.value.extra == {"pool": "traffic", "limit": 3}
        put(tx, "192.0.2.2", enabled=False)  # which is there
        put(tx, "192.0.2.3", "fay")
        put(tx, "192.0.2.3", pool="mobile")
        whitelist.remove_address(tx, "acme", None, "192.0.2.0")
        put(tx, "192.0.2.3")


def test_replacing_keeps_what_stays_enables_it_and_is_whole_or_nothing(ledger: Ledger, fay: User) -> None:
    def replace(tx: Tx, *addresses: str) -> list[WhitelistEntry]:
        return whitelist.replace_addresses(tx, "acme", "fay", addresses, now=9, most=3)

    with ledger.begin() as tx:
        stays, _ = put(tx, "192.0.2.1", "fay", enabled=False), put(tx, "192.0.2.2", "fay")
        mobile = put(tx, "192.0.2.2", "fay", pool="mobile")
        found = replace(tx, "10.0.0.0/8", "192.0.2.1", "::ffff:192.0.2.1")
        assert [(one.address, one.enabled, one.created_at) for one in found] == [
            ("192.0.2.1", True, 5),
            ("10.0.0.0/8", True, 9),
        ]
        assert (found[0].id, found[0].changed_at) == (stays.id, 9)
        for wrong, error in ((["::1", "x"], Unprocessable), ([f"::{number}" for number in range(4)], LimitReached)):
            with pytest.raises(error):
                replace(tx, *wrong)
        assert whitelist.read_list(tx, "acme", fay.id, "traffic") == found
        assert replace(tx) == []
        assert whitelist.entries_of(tx, [fay.id]) == {fay.id: [mobile]}


def test_what_is_not_there_cannot_be_taken_off(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        made = put(tx, "198.51.100.0/24")
        for user, address, pool in ((None, "198.51.100.0", "traffic"), ("fay", "198.51.100.0/24", "traffic")):
            with pytest.raises(NotFound):
                whitelist.remove_address(tx, "acme", user, address, pool=pool)
        with pytest.raises(NotFound):
            whitelist.remove_address(tx, "acme", None, made.address, pool="mobile")
        assert whitelist.remove_address(tx, "acme", None, "198.51.100.0/024") == made
        assert whitelist.read_list(tx, "acme", None, "traffic") == []


def test_nothing_is_put_where_nobody_or_nothing_is(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        accounts.change_account(tx, "beta", status="closed", now=3)
        for account, user, pool, error in (
            ("nobody", None, "traffic", UnknownAccount),
            ("acme", "nobody", "traffic", UnknownUser),
            ("acme", "fay", "nowhere", NotFound),
            ("beta", None, "traffic", Conflict),
        ):
            with pytest.raises(error):
                whitelist.put_address(tx, account, user, "::1", now=5, most=3, pool=pool)
            with pytest.raises(error):
                whitelist.replace_addresses(tx, account, user, [], now=5, most=3, pool=pool)
        managed.delete_user(tx, "acme", "fay", now=6)
        with pytest.raises(Conflict, match="was deleted"):
            put(tx, "::1", fay.id)


@pytest.mark.parametrize("erased", [False, True])
def test_a_user_that_is_deleted_or_erased_has_no_entries(ledger: Ledger, fay: User, erased: bool) -> None:
    with ledger.begin() as tx:
        put(tx, "::1", "fay")
        own = put(tx, "::2")
        if erased:
            erasures.erase_user(tx, "acme", "fay", now=6)
        else:
            managed.delete_user(tx, "acme", "fay", now=6)
        assert whitelist.list_addresses(tx, "acme", fay.id).items == []
        assert whitelist.list_addresses(tx, "acme", None).items == [own]


def test_erasing_a_user_takes_its_addresses_out_of_remembered_answers(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        shown = {"user": "fay", "user_id": fay.id, "address": "192.0.2.1", "pool": "traffic"}
        credential = _asking(tx)
        for key, answer in (("one", shown), ("list", {"items": [shown, shown | {"user": None, "user_id": None}]})):
            idempotency.remember(tx, credential, key, "0" * 64, status=200, answer=answer, now=3)
        erasures.erase_user(tx, "acme", "fay", now=6)
        kept = [str(row[0]) for row in tx.execute(text("SELECT response FROM idempotency ORDER BY key"))]
    gone = f'{{"user":"erased-{fay.id}","user_id":"{fay.id}","address":"","pool":"traffic"}}'
    own = '{"user":null,"user_id":null,"address":"192.0.2.1","pool":"traffic"}'
    assert kept == [f'{{"items":[{gone},{own}]}}', gone]


def _asking(tx: Tx) -> str:
    return credentials.issue(tx, "admin", None, "asks", 3)[0].id


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("UPDATE whitelist SET address = '2001:DB8::1'", "is not how an address is written"),
        ("UPDATE whitelist SET address = 'here'", "is not how an address is written"),
        ("UPDATE managed_users SET status = 'deleted', name = NULL", "is of a user that was deleted"),
    ],
)
def test_a_hand_in_the_whitelist_is_named(ledger: Ledger, fay: User, harm: str, said: str) -> None:
    with ledger.begin() as tx:
        made = put(tx, "2001:db8::1", "fay")
        assert list(rules.faults(tx)) == []
        tx.execute(text(harm))
        [fault] = rules.faults(tx)
    assert (fault.code, fault.where) == ("address", f"whitelist {made.id}")
    assert said in fault.detail
