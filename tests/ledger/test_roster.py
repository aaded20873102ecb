"""The roster: managed users with their passwords, by pool, by page, counted."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from flowtally.core.errors import LimitReached, NotFound, UnknownAccount
from flowtally.ledger import pools
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed, roster, users


@pytest.fixture
def acme(ledger: Ledger) -> Ledger:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        pools.map_product(tx, "isp", "mobile", 1)
        users.ensure_users(tx, [("acme", "seen")], 2)
        for number, product in enumerate(("mobile", None, "isp", "residential", "mobile")):
            sealed = f"sealed {number}" if number % 2 else None
            managed.create_user(
                tx, "acme", f"u{number}", product=product, password=sealed, funded=number > 2, now=1000 * (3 + number)
            )
        managed.create_user(tx, "beta", "other", now=9000)
        managed.delete_user(tx, "acme", "u4", now=10_000)
    return ledger


def test_the_roster_has_all_that_is_managed_with_passwords_as_they_are_kept(acme: Ledger) -> None:
    with acme.read() as tx:
        found = roster.list_managed(tx, "acme")
        assert [(one.user.name, one.user.product, one.user.created_at, one.sealed) for one in found] == [
            ("u0", "mobile", 3000, None),
            ("u1", None, 4000, "sealed 1"),
            ("u2", "isp", 5000, None),
            ("u3", "residential", 6000, "sealed 3"),
        ]
        assert [one.user for one in found] == [users.read_user(tx, "acme", one.user.id) for one in found]
        assert found[1].sealed == managed.sealed_password(tx, found[1].user.id)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"pool": "mobile"}, ["u0", "u2"]),
        ({"pool": "traffic"}, ["u1", "u3"]),
        ({"pool": "api"}, []),
        ({"funded": True}, ["u3"]),
        ({"funded": False, "pool": "mobile"}, ["u0", "u2"]),
        ({"name": "u1"}, ["u1"]),
        ({"name": "u1", "pool": "mobile"}, []),
        ({"name": "other"}, []),
    ],
)
def test_the_roster_is_filtered_and_counted_alike(acme: Ledger, asked: dict[str, object], names: list[str]) -> None:
    with acme.read() as tx:
        found = roster.list_managed(tx, "acme", **asked)  # type: ignore[arg-type]
        assert [one.user.name for one in found] == names
        assert roster.count_managed(tx, "acme", **asked) == len(names)  # type: ignore[arg-type]


def test_pages_by_number_hold_everybody_once(acme: Ledger) -> None:
    with acme.read() as tx:
        pages = [roster.list_managed(tx, "acme", offset=offset, limit=3) for offset in (0, 3, 6)]
        assert [[one.user.name for one in page] for page in pages] == [["u0", "u1", "u2"], ["u3"], []]


def test_a_roster_is_one_question_however_many_it_has(acme: Ledger) -> None:
    asked: list[str] = []
    with acme.read() as tx:
        event.listen(tx, "before_cursor_execute", lambda *given: asked.append(given[2]))
        roster.list_managed(tx, "acme")
    assert len([one for one in asked if "managed_users" in one]) == 1


def test_nobody_has_a_roster_of_nothing(acme: Ledger) -> None:
    with acme.read() as tx:
        with pytest.raises(UnknownAccount):
            roster.list_managed(tx, "nobody")
        with pytest.raises(NotFound):
            roster.list_managed(tx, "acme", pool="nowhere")


def test_so_many_may_be_managed_and_no_more(acme: Ledger) -> None:
    with acme.begin() as tx:
        with pytest.raises(LimitReached) as refused:
            managed.create_user(tx, "acme", "more", most=4, now=11)
        assert refused.value.extra == {"account": "acme", "present": 4, "limit": 4}
        assert roster.count_managed(tx, "acme") == 4
        managed.create_user(tx, "acme", "more", most=5, now=11)
        managed.create_user(tx, "acme", "seen", most=0, now=11)
        assert roster.count_managed(tx, "acme") == 6
