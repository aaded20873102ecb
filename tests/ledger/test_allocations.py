"""Allocations: one row is a draw and a grant; the ledger keeps them, callers say what is covered."""

from __future__ import annotations

import pytest

from flowtally.core.errors import Conflict, NotCovered, NotFound, Unprocessable
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.people.users import User
from flowtally.ledger.traffic import allocations, draws


@pytest.fixture
def fay(ledger: Ledger) -> User:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        return managed.create_user(tx, "acme", "fay", funded=True, now=2)


def test_what_is_left_covers_an_allocation_or_it_is_refused_with_the_values(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        made = allocations.allocate(tx, fay, 70, pool="traffic", left=70, now=5)
        assert (made.amount, made.returned, made.pool, made.user_id) == (70, 0, "traffic", fay.id)
        with pytest.raises(NotCovered) as refused:
            allocations.allocate(tx, fay, 71, pool="mobile", left=70, now=5)
        assert refused.value.extra == {"account": "acme", "pool": "mobile", "amount": 71, "left": 70}
        assert allocations.allocations_of(tx, "acme") == allocations.allocations_to(tx, fay.id) == [made]
        assert (draws.last_drawn_at(tx, "acme"), draws.last_drawn_at(tx, "beta")) == (5, 0)


def test_what_is_unspent_is_taken_back_in_parts_and_no_more(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        made = allocations.allocate(tx, fay, 70, pool="traffic", left=70, now=5)
        assert allocations.take_back(tx, fay, made.id, unspent=50, amount=20, now=6).returned == 20
        assert allocations.take_back(tx, fay, made.id, unspent=30, now=6).returned == 50
        assert allocations.take_back(tx, fay, made.id, unspent=0, now=7).returned == 50  # nothing to take, said so
        with pytest.raises(NotCovered) as refused:
            allocations.take_back(tx, fay, made.id, unspent=5, amount=6, now=8)
        assert refused.value.extra["left"] == 5
        assert allocations.read_allocation(tx, fay, made.id).returned == 50


def test_only_a_funded_user_of_an_open_account_is_given_to(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        plain = managed.create_user(tx, "acme", "ann", now=5)
        with pytest.raises(Conflict, match="not funded"):
            allocations.allocate(tx, plain, 1, pool="traffic", left=9, now=5)
        with pytest.raises(NotFound):
            allocations.allocate(tx, fay, 1, pool="nowhere", left=9, now=5)
        for amount, pool in ((0, "traffic"), (2**53, "traffic"), (1, "unlimited")):
            with pytest.raises(Unprocessable):
                allocations.allocate(tx, fay, amount, pool=pool, left=2**60, now=5)
        made = allocations.allocate(tx, fay, 5, pool="traffic", left=9, now=5)
        accounts.change_account(tx, "acme", status="closed", now=6)
        with pytest.raises(Conflict, match="is closed"):
            allocations.allocate(tx, fay, 1, pool="traffic", left=9, now=7)
        assert allocations.take_back(tx, fay, made.id, unspent=5, now=7).returned == 5
        gone = managed.delete_user(tx, "acme", "fay", now=8)
        with pytest.raises(Conflict, match="was deleted"):
            allocations.check_allocation(tx, gone, 1, "traffic")


def test_an_allocation_is_found_with_its_user_only(ledger: Ledger, fay: User) -> None:
    with ledger.begin() as tx:
        other = managed.create_user(tx, "acme", "guy", funded=True, now=5)
        made = [allocations.allocate(tx, fay, amount, pool="traffic", left=9, now=5) for amount in (1, 2, 3)]
        for user, wanted in ((other, made[0].id), (fay, "alc_x"), (fay, "\x00")):
            with pytest.raises(NotFound):
                allocations.read_allocation(tx, user, wanted)
        first = allocations.list_allocations(tx, fay, limit=2)
        assert first.items + allocations.list_allocations(tx, fay, first.next).items == made
        assert allocations.list_allocations(tx, other).items == []
