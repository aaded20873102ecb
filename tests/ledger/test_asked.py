"""Whom a question about usage means, and that nobody is told as nobody."""

from __future__ import annotations

import pytest

from flowtally.core.errors import UnknownUser
from flowtally.ledger.database import Ledger
from flowtally.ledger.known import Known
from flowtally.ledger.people.accounts import create_account
from flowtally.ledger.people.asked import users_anywhere, users_of
from flowtally.ledger.people.managed import change_user, create_user, delete_user


def test_a_user_is_meant_by_name_or_id_and_nobody_is_told(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        create_account(tx, "acme", now=10)
        create_account(tx, "globex", now=10)
        ann = create_user(tx, "acme", "ann", now=10).id
        bob = create_user(tx, "acme", "bob", now=10).id
        other = create_user(tx, "globex", "ann", now=10).id
        change_user(tx, "acme", "bob", now=20, name="rob")
    with ledger.read() as tx:
        assert users_of(tx, "acme", ["ann", "rob", ""]) == tuple(sorted(["", ann, bob]))
        assert users_of(tx, "acme", [bob, "rob"]) == (bob,)
        assert users_of(tx, "acme", ["bob"], Known(None, 15)) == (bob,)
        with pytest.raises(UnknownUser, match=rf"{bob} bore that name until 1970-01-01T00:00:00.020Z: ask by that id"):
            users_of(tx, "acme", ["bob"])
        with pytest.raises(UnknownUser, match="account 'acme' has no user 'nobody'"):
            users_of(tx, "acme", ["ann", "nobody"])
        with pytest.raises(UnknownUser):
            users_of(tx, "acme", [other])
        assert users_anywhere(tx, ["ann"]) == tuple(sorted([ann, other]))
        assert users_anywhere(tx, ["ann"], ["globex"]) == (other,)
        assert users_anywhere(tx, [other, ""]) == ("", other)
        with pytest.raises(UnknownUser, match="none of globex has a user 'rob'"):
            users_anywhere(tx, ["rob"], ["globex"])
        with pytest.raises(UnknownUser, match="no account has a user"):
            users_anywhere(tx, ["\x00"])


def test_a_deleted_user_is_asked_for_by_id(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        create_account(tx, "acme", now=10)
        ann = create_user(tx, "acme", "ann", now=10).id
        delete_user(tx, "acme", "ann", now=20)
    with ledger.read() as tx:
        assert users_of(tx, "acme", [ann]) == (ann,)
        with pytest.raises(UnknownUser, match=ann):
            users_of(tx, "acme", ["ann"])
