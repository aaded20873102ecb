"""Pages: whatever the size, all pages together are the list, in byte order on both databases."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flowtally.core.cursors import Walk
from flowtally.core.errors import BadRequest, CursorGone
from flowtally.core.texts import is_text
from flowtally.ledger import installation
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts

letters = st.characters(exclude_categories=["Cs"], exclude_characters="/").filter(is_text)
names = st.text(letters, min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.sets(names.filter(lambda name: name not in (".", ".."))), limit=st.integers(1, 7))
@example(ids={"b", "B", "a", "A", "_", "ä", "é", "z", "-", "10", "9", "😀", "～"}, limit=2)
def test_all_pages_together_are_the_list_in_byte_order(ledger: Ledger, ids: set[str], limit: int) -> None:
    with ledger.begin() as tx:
        savepoint = tx.begin_nested()
        for account_id in ids:
            accounts.create_account(tx, account_id, now=1)
        found: list[str] = []
        page = accounts.list_accounts(tx, None, limit)
        while page.next is not None:
            assert len(page.items) == limit
            found += [account.id for account in page.items]
            page = accounts.list_accounts(tx, page.next, limit)
        found += [account.id for account in page.items]
        savepoint.rollback()
    assert found == sorted(ids, key=str.encode)


def test_what_is_made_between_two_pages_neither_repeats_nor_skips_the_others(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for account_id in "bdf":
            accounts.create_account(tx, account_id, now=1)
        first = accounts.list_accounts(tx, limit=2)
        for account_id in "ae":
            accounts.create_account(tx, account_id, now=1)
        second = accounts.list_accounts(tx, first.next, limit=2)
    assert [account.id for account in first.items + second.items] == ["b", "d", "e", "f"]


CURSORS = Walk("accounts", "")


@pytest.mark.parametrize("key", ["acme", "", 'ü/\\"', "x" * 256, "😀"])
def test_a_cursor_holds_its_key_and_fits_a_query_string(key: str) -> None:
    cursor = CURSORS.cursor(key)
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert CURSORS.place(cursor, str) == key


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "acme",
        "!!!",
        "ü",
        "A",
        "\x00",
        Walk("grants", "").cursor("acme"),
        Walk("accounts", "", ("acme",)).cursor("acme"),
        CURSORS.cursor("a\x00b"),
        CURSORS.cursor(7),
        CURSORS.cursor("acme") + "x",
        "eyJhIjoxfQ",
    ],
)
def test_a_cursor_not_made_here_is_a_bad_request(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"), ledger.read() as tx:
        accounts.list_accounts(tx, cursor)


def test_a_cursor_from_before_a_restore_is_gone(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for account_id in "abc":
            accounts.create_account(tx, account_id, now=1)
        first = accounts.list_accounts(tx, limit=1)
        installation.bind(tx, "the same", "another generation")
        with pytest.raises(CursorGone, match="Begin again without it"):
            accounts.list_accounts(tx, first.next)
        again = accounts.list_accounts(tx, limit=1)
        assert [one.id for one in accounts.list_accounts(tx, again.next).items] == ["b", "c"]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_1_to_1000_rows(ledger: Ledger, limit: int) -> None:
    with pytest.raises(BadRequest, match="limit"), ledger.read() as tx:
        accounts.list_accounts(tx, limit=limit)
