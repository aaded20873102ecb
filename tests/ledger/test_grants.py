"""Grants: given within limits, taken back once, never edited."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, insert, select

from flowtally.core.errors import Conflict, NotFound, UnknownAccount, Unprocessable
from flowtally.core.events import MAX_QUANTITY
from flowtally.ledger import pools
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.tables import grants as grants_table
from flowtally.ledger.traffic import grants
from flowtally.ledger.traffic.grants import Grant

LAST = 253_402_300_799_999


@pytest.fixture(autouse=True)
def _accounts(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)


def fields(grant: Grant) -> dict[str, Any]:
    return {name: getattr(grant, name) for name in ("source", "reference", "priority", "starts_at", "expires_at")}


def test_a_grant_starts_with_this_second_with_priority_100_unless_told_otherwise(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        grant = grants.give_grant(tx, "acme", 500, now=9_999)
        assert (grant.pool, grant.amount, grant.created_at, grant.voided_at) == ("traffic", 500, 9_999, None)
        assert fields(grant) == {
            "source": "manual",
            "reference": "",
            "priority": 100,
            "starts_at": 9_000,
            "expires_at": None,
        }
        assert grants.read_grant(tx, grant.id, "acme") == grant
        assert grants.grants_of(tx, "acme") == [grant]


def test_a_grant_is_kept_as_given(ledger: Ledger) -> None:
    wanted: dict[str, Any] = {
        "source": "x" * 64,
        "reference": "ü" * 256,
        "priority": 1_000_000,
        "starts_at": 0,
        "expires_at": LAST,
    }
    with ledger.begin() as tx:
        given = grants.give_grant(tx, "acme", MAX_QUANTITY, pool="mobile", grant_id="mine", now=9, **wanted)
        assert grants.read_grant(tx, "mine", "acme") == given
        assert fields(given) == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": MAX_QUANTITY + 1},
        {"source": ""},
        {"source": "x" * 65},
        {"source": "a\x00b"},
        {"reference": "x" * 257},
        {"priority": -1},
        {"priority": 1_000_001},
        {"starts_at": -1},
        {"starts_at": LAST + 1},
        {"expires_at": LAST + 1},
        {"starts_at": 10, "expires_at": 10},
        {"starts_at": 10, "expires_at": 9},
        {"expires_at": 5},  # starts now, which is later
        {"pool": "unlimited"},  # charges nothing
    ],
)
def test_a_grant_that_cannot_be_is_refused_with_its_field(ledger: Ledger, wrong: dict[str, Any]) -> None:
    with pytest.raises(Unprocessable) as caught, ledger.begin() as tx:
        grants.give_grant(tx, "acme", **{"amount": 5, "now": 5, **wrong})
    assert caught.value.extra["field"] in {*wrong, "expires_at"}


def test_who_gives_a_grant_that_would_end_before_it_begins_is_told_both(ledger: Ledger) -> None:
    told = "start at 1970-01-01T00:00:03.600Z and expire at 1970-01-01T00:00:03.600Z"
    with pytest.raises(Unprocessable, match=told), ledger.begin() as tx:
        grants.give_grant(tx, "acme", 5, now=3600, expires_at=3600)  # not even in the second it would begin with


def test_account_pool_and_id_must_fit(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        with pytest.raises(UnknownAccount):
            grants.give_grant(tx, "nobody", 5, now=5)
        with pytest.raises(NotFound, match="no pool"):
            grants.give_grant(tx, "acme", 5, pool="nowhere", now=5)
        grants.give_grant(tx, "acme", 5, grant_id="g", now=5)
        with pytest.raises(Conflict, match="exists"):
            grants.give_grant(tx, "beta", 5, grant_id="g", now=5)
        accounts.change_account(tx, "beta", status="closed", now=6)
        with pytest.raises(Conflict, match="closed"):
            grants.give_grant(tx, "beta", 5, now=7)


def test_all_grants_of_a_pool_fit_64_bits_together(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        row = msgspec.structs.asdict(Grant("", "acme", "traffic", MAX_QUANTITY, "order", "", 100, 1, None, 1))
        row = {column.name: row.get(column.name, 0) for column in grants_table.c}  # `promise`: before the first
        tx.execute(insert(grants_table), [row | {"id": f"g{number}"} for number in range(1024)])
        room = 2**63 - 1 - 1024 * MAX_QUANTITY
        with pytest.raises(Conflict, match="can be kept"):
            grants.give_grant(tx, "acme", room + 1, now=5)
        grants.give_grant(tx, "acme", room, now=5)
        grants.give_grant(tx, "acme", MAX_QUANTITY, pool="mobile", now=5)  # another pool has its own room


def test_a_void_is_remembered_beside_the_grant_which_stays_as_given(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        given = grants.give_grant(tx, "acme", 500, now=9)
        before = tx.execute(select(grants_table)).all()
        voided = grants.void_grant(tx, given.id, "acme", 20, reason="paid back")
        assert voided == msgspec.structs.replace(given, voided_at=20, void_reason="paid back")
        assert [voided] == grants.grants_of(tx, "acme") == grants.list_grants(tx, "acme").items
        assert tx.execute(select(grants_table)).all() == before


def test_a_second_void_changes_nothing_and_answers_like_the_first(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        given = grants.give_grant(tx, "acme", 500, now=9)
        first = grants.void_grant(tx, given.id, "acme", 20, reason="one")
        assert grants.void_grant(tx, given.id, "acme", 30, reason="two") == first
        assert grants.read_grant(tx, given.id, "acme") == first


def test_a_grant_is_found_in_its_own_account_only(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        given = grants.give_grant(tx, "acme", 500, now=9)
        for grant_id, account in ((given.id, "beta"), ("grn_unknown", "acme"), ("\x00", "acme")):
            with pytest.raises(NotFound):
                grants.read_grant(tx, grant_id, account)
            with pytest.raises(NotFound):
                grants.void_grant(tx, grant_id, account, 20)


def test_grants_are_listed_in_pages_by_pool_and_source(ledger: Ledger) -> None:
    def listed(tx: Connection, **filters: Any) -> list[int]:
        found, after = [], None
        while True:
            page = grants.list_grants(tx, "acme", after, 2, **filters)
            found += [grant.amount for grant in page.items]
            if page.next is None:
                return found
            after = page.next

    with ledger.begin() as tx:
        for amount, (pool, source) in enumerate(
            [("traffic", "order"), ("mobile", "order"), ("traffic", "sign")] * 2, 1
        ):
            grants.give_grant(tx, "acme", amount, pool=pool, source=source, now=amount)
        grants.give_grant(tx, "beta", 99, now=9)
        assert listed(tx) == [1, 2, 3, 4, 5, 6]
        assert listed(tx, pool="traffic") == [1, 3, 4, 6]
        assert listed(tx, source="order") == [1, 2, 4, 5]
        assert listed(tx, pool="mobile", source="sign") == []
        with pytest.raises(UnknownAccount):
            grants.list_grants(tx, "nobody")


def test_a_new_pool_takes_grants(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        pools.create_pool(tx, "sms", "requests", 1)
        assert grants.give_grant(tx, "acme", 5, pool="sms", now=2).pool == "sms"
