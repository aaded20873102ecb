"""Users: ids stay, names come and go."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, func, select

from flowtally.core.errors import NotFound, UnknownAccount, Unprocessable
from flowtally.ledger.database import Ledger
from flowtally.ledger.known import Known
from flowtally.ledger.people import accounts, managed, names, users
from flowtally.ledger.tables import users as users_table


@pytest.fixture(autouse=True)
def _accounts(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)


def give_up(tx: Connection, account: str, name: str, at: int) -> None:
    """What a rename or removal does to the old name."""
    names.give_up(tx, users.read_user(tx, account, name).id, at)


def test_a_user_is_made_at_first_sight_and_found_afterwards(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = users.ensure_users(tx, [("acme", "ann"), ("beta", "ann"), ("acme", "ann")], 5)
        assert len(set(made.values())) == 2
        assert users.ensure_users(tx, made, 6) == made
        assert users.resolve_users(tx, [*made, ("acme", "bob")], 6) == made


def test_the_first_holder_of_a_name_held_it_always(ledger: Ledger) -> None:
    """An old log imported after today's traffic finds the same user."""
    with ledger.begin() as tx:
        made = users.ensure_users(tx, [("acme", "ann")], 5000)
        assert users.resolve_users(tx, [("acme", "ann")], 0) == made


def test_a_name_used_again_is_somebody_else_from_where_the_first_ended(ledger: Ledger) -> None:
    name = ("acme", "ann")
    with ledger.begin() as tx:
        first = users.ensure_users(tx, [name], 10)[name]
        give_up(tx, *name, at=20)
        assert users.resolve_users(tx, [name], 25) == {}
        second = users.ensure_users(tx, [name], 30)[name]
        who = [users.resolve_users(tx, [name], at)[name] for at in (0, 19, 20, 30)]
        assert who == [first, first, second, second]
        assert users.names_of(tx, [first, second]) == {first: "ann", second: "ann"}


def test_a_renamed_user_keeps_the_id_and_shows_the_latest_name(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        user_id = users.ensure_users(tx, [("acme", "ann")], 10)["acme", "ann"]
        managed.change_user(tx, "acme", "ann", name="anna", now=20)
        assert users.names_of(tx, [user_id]) == {user_id: "anna"}
        assert users.read_user(tx, "acme", user_id) == users.User(user_id, "acme", "anna", 10, managed=True)
        both = [("acme", "ann"), ("acme", "anna")]
        assert users.resolve_users(tx, both, 15) == dict.fromkeys(both, user_id)  # anna has had no other bearer
        assert users.resolve_users(tx, both, 20) == {("acme", "anna"): user_id}


def test_the_empty_name_is_nobody(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        assert users.ensure_users(tx, [("acme", "")], 5) == {("acme", ""): ""}
        assert users.names_of(tx, ["", "usr_unknown"]) == {"": ""}
        assert users.list_users(tx, "acme").items == []


def test_an_unknown_account_or_an_impossible_name_makes_nobody(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for bad, error in [
            (("nobody", "x"), UnknownAccount),
            (("nobody", ""), UnknownAccount),
            (("", "x"), UnknownAccount),
            (("a\x00b", "x"), UnknownAccount),
            (("acme", "a\x00b"), Unprocessable),
            (("acme", "x" * 257), Unprocessable),
        ]:
            with pytest.raises(error):
                users.ensure_users(tx, [("acme", "ann"), bad], 5)
        assert users.list_users(tx, "acme").items == []
        assert users.resolve_users(tx, [("acme", "a\x00b"), ("\x00", "c"), ("acme", "\ud800")], 5) == {}


def test_thousands_of_names_of_many_accounts_are_found_in_one_call(ledger: Ledger) -> None:
    many = [("acme", f"user-{number}") for number in range(3000)] + [("beta", f"user-{n}") for n in range(1234)]
    with ledger.begin() as tx:
        made = users.ensure_users(tx, many, 5)
        assert made.keys() == set(many)
        assert users.resolve_users(tx, many, 5) == made
        assert users.names_of(tx, made.values()) == {user_id: name for (_, name), user_id in made.items()}


def test_a_user_is_read_within_its_account_only(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        user_id = users.ensure_users(tx, [("acme", "ann")], 5)["acme", "ann"]
        assert users.read_user(tx, "acme", user_id).name == "ann"
        for account, wanted in (("beta", user_id), ("acme", "usr_unknown"), ("acme", "\x00")):
            with pytest.raises(NotFound):
                users.read_user(tx, account, wanted)


def test_users_are_listed_by_account_in_the_order_they_came(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        for name in ("zoe", "ann", "mia"):
            users.ensure_users(tx, [("acme", name), ("beta", name)], 5)
        first = users.list_users(tx, "acme", limit=2)
        second = users.list_users(tx, "acme", first.next, limit=2)
        assert [user.name for user in first.items + second.items] == ["zoe", "ann", "mia"]
        assert second.next is None
        with pytest.raises(UnknownAccount):
            users.list_users(tx, "nobody")


def test_threads_that_meet_the_same_names_at_once_make_each_user_once(ledger: Ledger, url: str) -> None:
    other = Ledger.open(url)  # as a second process would

    def meet(turn: int) -> dict[users.Name, str]:
        with (ledger, other)[turn % 2].begin() as tx:
            return users.ensure_users(tx, [("acme", f"user-{n}") for n in range(turn, turn + 50)], 5)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(meet, range(24)))
    with ledger.read() as tx:
        assert tx.execute(select(func.count()).select_from(users_table)).scalar_one() == 73
        known = users.resolve_users(tx, {name for answer in answers for name in answer}, 5)
    assert all(answer.items() <= known.items() for answer in answers)
    other.close()


def test_everybody_of_a_name_is_found_whatever_the_account(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        made = users.ensure_users(tx, [("acme", "ann"), ("beta", "ann"), ("acme", "bob")], 5)
        give_up(tx, "beta", "ann", 100)
        anns = {made["acme", "ann"], made["beta", "ann"]}
        assert users.ids_named(tx, ["ann"], Known(None, 99)) == anns
        assert users.ids_named(tx, ["ann", "", "nobody", "\x00"]) == {made["acme", "ann"], ""}
        assert users.ids_named(tx, []) == set()
