"""Managed users: whose a name is, what can be set, what stays on record."""

from __future__ import annotations

import pytest

from flowtally.core.errors import Conflict, NameTaken, UnknownAccount, UnknownUser, Unprocessable
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.installation import read_installation
from flowtally.ledger.known import Known
from flowtally.ledger.people import accounts, managed, names, users, whitelist
from flowtally.ledger.people.users import Limit
from flowtally.ledger.recorded import Filter, list_records
from flowtally.ledger.sealed import any_sealed

MONTHLY = Limit(5_000, "bytes", "month")


@pytest.fixture(autouse=True)
def _accounts(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)


def test_a_user_is_made_with_all_that_is_set_about_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = managed.create_user(
            tx, "acme", "ann", product="residential", limit=MONTHLY, status="disabled", password="sealed", now=5
        )
        assert (made.name, made.product, made.limit, made.status) == ("ann", "residential", MONTHLY, "disabled")
        assert (made.has_password, made.managed, made.funded, made.created_at) == (True, True, False, 5)
        for asked in ("ann", made.id):
            assert users.read_user(tx, "acme", asked) == made
        assert users.list_users(tx, "acme").items == [made]
        assert (managed.sealed_password(tx, made.id), any_sealed(tx)) == ("sealed", "sealed")


@pytest.mark.parametrize("funded", [False, True])
def test_a_name_that_traffic_brought_can_be_given_to_a_new_user_who_begins_empty(ledger: Ledger, funded: bool) -> None:
    """
    name ann   whom traffic brought until 9000 | the new user from 9000
    """
    name = ("acme", "ann")
    with ledger.begin() as tx:
        seen = users.ensure_users(tx, [name], 5)[name]
        made = managed.create_user(tx, *name, limit=MONTHLY, funded=funded, now=9000)
        assert (made.id != seen, made.created_at, made.managed, made.funded) == (True, 9000, True, funded)
        who = {at: users.resolve_users(tx, [name], at)[name] for at in (0, 8999, 9000, 10**15)}
        assert who == {0: seen, 8999: seen, 9000: made.id, 10**15: made.id}
        assert users.read_user(tx, "acme", "ann") == made
        assert users.list_users(tx, "acme").items == [made]
        before = users.read_user(tx, "acme", seen)
        assert (before.name, before.status, before.limit, before.created_at) == ("ann", "deleted", None, 5)
        assert names.names_borne(tx, seen) == [names.Borne("ann", 0, 9000)]
        assert names.names_borne(tx, made.id) == [names.Borne("ann", 9000, None)]


def test_a_user_that_traffic_brought_is_taken_over_with_its_use_by_changing_it(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        seen = users.ensure_users(tx, [("acme", "ann")], 5)["acme", "ann"]
        assert managed.change_user(tx, "acme", "ann", limit=MONTHLY, now=9).id == seen
        assert users.read_user(tx, "acme", "ann").created_at == 5
        with pytest.raises(NameTaken):
            managed.create_user(tx, "acme", "ann", now=10)


def test_a_connection_that_outlives_a_deletion_is_not_in_the_way_of_the_next_user(ledger: Ledger) -> None:
    name = ("acme", "ann")
    with ledger.begin() as tx:
        first = managed.create_user(tx, *name, funded=True, now=5)
        managed.delete_user(tx, *name, now=10)
        late = users.ensure_users(tx, [name], 15)[name]
        third = managed.create_user(tx, *name, funded=True, now=15)
        managed.delete_user(tx, *name, now=15)
        again = managed.create_user(tx, *name, now=15)  # all in one millisecond
        history = names.histories(tx, [name])[name]
        assert [one.user_id for one in history] == [first.id, late, third.id, again.id]
        assert [one.until for one in history] == [10, 15, 16, None]
        assert list(rules.faults(tx)) == []


def test_a_new_user_has_the_whitelists_that_were_kept_under_its_name(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        seen = users.ensure_users(tx, [("acme", "ann"), ("acme", "bob")], 5)
        for one in seen.values():
            whitelist.put_address(tx, "acme", one, "203.0.113.7", now=6, most=5, pool="mobile")
        made = managed.create_user(tx, "acme", "ann", now=9)
        managed.create_user(tx, "acme", "cid", now=9)
        renamed = managed.change_user(tx, "acme", "cid", name="bob", now=9)  # it has lists of its own
        found = whitelist.entries_of(tx, [made.id, renamed.id, *seen.values()])
        assert [(one.pool, one.address, one.created_at) for one in found.pop(made.id)] == [("mobile", "203.0.113.7", 6)]
        assert not any(found.values())


def test_what_was_known_of_a_name_before_it_was_given_to_a_new_user_stays_known(ledger: Ledger) -> None:
    name = ("acme", "ann")
    with ledger.begin() as tx:
        seen = users.ensure_users(tx, [name], 5)[name]
        then = Known(read_installation(tx).promises, 5)
    with ledger.begin() as tx:
        made = managed.create_user(tx, *name, limit=MONTHLY, now=9)
    with ledger.read() as tx:
        before = users.read_user(tx, *name, then)
        assert (before.id, before.name, before.status, before.limit) == (seen, "ann", "active", None)
        assert users.read_user(tx, *name).id == made.id


def test_who_gave_way_to_whom_is_in_the_trail(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        seen = users.ensure_users(tx, [("acme", "ann")], 5)["acme", "ann"]
    with ledger.begin() as tx:
        made = managed.create_user(tx, "acme", "ann", now=9)
    with ledger.read() as tx:
        found = [(one.action, one.subject) for one in list_records(tx, Filter(account="acme")).items]
        assert found[-2:] == [("user.give_way", seen), ("user.create", made.id)]


def test_a_name_is_borne_once_in_its_account_and_is_nothing_to_another(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        ours = managed.create_user(tx, "acme", "ann", now=5)
        managed.create_user(tx, "acme", "bob", now=5)
        with pytest.raises(NameTaken, match="'ann' is in use"):
            managed.create_user(tx, "acme", "ann", now=6)
        with pytest.raises(NameTaken):
            managed.change_user(tx, "acme", "bob", name="ann", now=6)
        theirs = managed.create_user(tx, "beta", "ann", now=6)
        managed.create_user(tx, "beta", "eve", now=6)
        with pytest.raises(NameTaken):
            managed.change_user(tx, "beta", "eve", name="ann", now=7)
        managed.change_user(tx, "beta", "eve", name="bob", now=7)
        managed.delete_user(tx, "beta", "ann", now=8)
        assert users.read_user(tx, "acme", "ann").id == ours.id != theirs.id


def test_traffic_may_bring_the_same_name_to_two_accounts_and_both_can_be_managed(ledger: Ledger) -> None:
    """Two customers import logs that both know an `alice`: nothing is refused and nothing is mixed."""
    with ledger.begin() as tx:
        made = users.ensure_users(tx, [("acme", "alice"), ("beta", "alice")], 5)
        assert len(set(made.values())) == 2
        for account in ("acme", "beta"):
            assert managed.change_user(tx, account, "alice", limit=MONTHLY, now=6).id == made[account, "alice"]
        renamed = managed.change_user(tx, "beta", "alice", name="alice@beta", limit=MONTHLY, now=7)
        assert renamed.id == made["beta", "alice"]
        assert users.ensure_users(tx, [("beta", "alice")], 8).keys() == {("beta", "alice")}  # traffic goes on


def test_a_name_that_only_traffic_brought_can_be_the_new_name_of_a_user(ledger: Ledger) -> None:
    """
    name bob   whom traffic brought until 6 | ann from 6, who is bob now
    """
    with ledger.begin() as tx:
        ann = managed.create_user(tx, "acme", "ann", now=5)
        seen = users.ensure_users(tx, [("acme", "bob")], 5)["acme", "bob"]
        assert managed.change_user(tx, "acme", "ann", name="bob", now=6).id == ann.id
        assert [users.resolve_users(tx, [("acme", "bob")], at)["acme", "bob"] for at in (5, 6)] == [seen, ann.id]
        late = users.ensure_users(tx, [("acme", "ann")], 7)["acme", "ann"]
        managed.change_user(tx, "acme", "bob", name="ann", now=8)
        assert [users.resolve_users(tx, [("acme", "ann")], at)["acme", "ann"] for at in (5, 7, 8)] == [
            ann.id, late, ann.id
        ]  # fmt: skip


def test_use_before_a_rename_stays_with_the_old_bearer_and_the_name_can_be_borne_again(ledger: Ledger) -> None:
    """
    name ann   first until 10 | second from 10 until 20 | nobody until 30 | third from 20
    """
    name = ("acme", "ann")
    with ledger.begin() as tx:
        first = managed.create_user(tx, *name, now=5)
        managed.change_user(tx, "acme", "ann", name="anna", now=10)
        second = managed.create_user(tx, *name, now=12)
        assert managed.delete_user(tx, "acme", "ann", now=20).id == second.id
        assert users.resolve_users(tx, [name], 20) == {}
        third = users.ensure_users(tx, [name], 30)[name]
        who = {at: users.resolve_users(tx, [name], at)[name] for at in (0, 9, 10, 19, 20, 99)}
        assert who == {0: first.id, 9: first.id, 10: second.id, 19: second.id, 20: third, 99: third}
        assert users.resolve_users(tx, [("acme", "anna")], 10) == {("acme", "anna"): first.id}
        assert [one.name for one in names.names_borne(tx, first.id)] == ["ann", "anna"]


def test_names_given_up_within_one_millisecond_keep_their_order(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = managed.create_user(tx, "acme", "a", now=5)
        for name in ("b", "c", "a", "d"):
            managed.change_user(tx, "acme", made.id, name=name, now=5)
        managed.delete_user(tx, "acme", made.id, now=4)  # the clock was set back
        borne = names.names_borne(tx, made.id)
        assert [one.name for one in borne] == ["a", "b", "c", "a", "d"]
        assert sorted({one.end or 0 for one in borne}) == [one.end for one in borne]
        assert users.names_of(tx, [made.id]) == {made.id: "d"}
        assert managed.create_user(tx, "acme", "d", now=5).id != made.id


def test_a_deleted_user_stays_on_record_under_its_id_without_its_password(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = managed.create_user(tx, "acme", "ann", limit=MONTHLY, password="sealed", now=5)
        gone = managed.delete_user(tx, "acme", "ann", now=9)
        assert (gone.status, gone.name, gone.limit, gone.has_password) == ("deleted", "ann", MONTHLY, False)
        assert managed.delete_user(tx, "acme", made.id, now=10) == gone == users.read_user(tx, "acme", made.id)
        assert any_sealed(tx) is None
        assert users.list_users(tx, "acme").items == []
        assert users.list_users(tx, "acme", deleted=True).items == [gone]
        assert users.names_of(tx, [made.id]) == {made.id: "ann"}
        with pytest.raises(UnknownUser):
            users.read_user(tx, "acme", "ann")
        with pytest.raises(Conflict, match="was deleted"):
            managed.change_user(tx, "acme", made.id, product="x", now=11)


def test_a_user_that_only_traffic_knows_can_be_deleted(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        seen = users.ensure_users(tx, [("acme", "ann")], 5)["acme", "ann"]
        assert managed.delete_user(tx, "acme", "ann", now=9).id == seen
        assert users.ensure_users(tx, [("acme", "ann")], 9)["acme", "ann"] != seen


def test_what_is_left_out_of_a_change_stays_and_none_takes_away(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        managed.create_user(tx, "acme", "ann", product="isp", limit=MONTHLY, password="sealed", now=5)
        changed = managed.change_user(tx, "acme", "ann", status="disabled", now=6)
        assert (changed.product, changed.limit, changed.has_password) == ("isp", MONTHLY, True)
        bare = managed.change_user(tx, "acme", "ann", product=None, limit=None, password=None, now=7)
        assert (bare.product, bare.limit, bare.has_password, bare.status) == (None, None, False, "disabled")
        assert users.read_user(tx, "acme", "ann") == bare


def test_an_empty_change_leaves_a_user_of_traffic_unmanaged(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        users.ensure_users(tx, [("acme", "ann")], 5)
        assert not managed.change_user(tx, "acme", "ann", now=6).managed


def test_what_cannot_be_is_refused(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        managed.create_user(tx, "acme", "ann", now=5)
        for change in ({"name": ""}, {"name": "a\x00"}, {"name": "x" * 257}, {"limit": Limit(-1)}, {"product": ""}):
            with pytest.raises(Unprocessable):
                managed.change_user(tx, "acme", "ann", now=6, **change)
            with pytest.raises(Unprocessable):
                managed.create_user(tx, "acme", **({"name": "new"} | change), now=6)
        with pytest.raises(UnknownAccount):
            managed.create_user(tx, "nobody", "bob", now=6)
        with pytest.raises(UnknownAccount):
            managed.delete_user(tx, "nobody", "bob", now=6)
        with pytest.raises(UnknownUser):
            managed.delete_user(tx, "beta", "ann", now=6)


def test_a_closed_account_takes_no_new_user_or_name_but_lets_go(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        managed.create_user(tx, "acme", "ann", now=5)
        accounts.change_account(tx, "acme", status="closed", now=6)
        with pytest.raises(Conflict, match="is closed"):
            managed.create_user(tx, "acme", "bob", now=7)
        with pytest.raises(Conflict, match="is closed"):
            managed.change_user(tx, "acme", "ann", name="anna", now=7)
        assert managed.change_user(tx, "acme", "ann", status="disabled", now=7).status == "disabled"
        assert managed.delete_user(tx, "acme", "ann", now=7).status == "deleted"


def test_funded_users_are_found_deleted_ones_too(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        ids = [managed.create_user(tx, "acme", name, funded=True, now=5).id for name in ("ann", "bob")]
        managed.create_user(tx, "beta", "cid", funded=True, now=5)
        managed.delete_user(tx, "acme", "ann", now=6)
        assert managed.funded_users(tx, "acme") == tuple(ids)
