"""What nothing will pay is told by what it came before, exactly, against the slow model of the burn."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from tests import burndown_model
from tests.burndown_model import ends
from tests.conftest import NOW
from tests.core.test_burndown import Purse, balance_of, purses

from flowtally.answers.account_balance import make_balance
from flowtally.answers.explain import make_explanation
from flowtally.answers.user_balance import make_user_balance
from flowtally.core.burndown import Grant
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.never_paid import Beginning, UnpaidPart, find
from flowtally.core.words import Overage
from flowtally.funding import user_funds
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.traffic import grants
from flowtally.protocol import NeverPaid
from flowtally.usage.memory import MemoryStore

MARCH = parse_instant("2026-03-01T00:00:00Z")
DAY = 86_400_000


def parts(purse: Purse) -> tuple[UnpaidPart, ...]:
    *_, carry_from, overage = purse
    return find(balance_of(*purse), Beginning(carry_from, "account"), overage)


def slow_parts(purse: Purse) -> dict[tuple[str, str, int], int]:
    """(why, what began, when): how much, of the units that the model wrote off one by one."""
    given_, _, _, _, carry_from, overage = purse
    first = min((one.starts_at for one in given_ if one.starts_at < ends(one)), default=None)
    found: dict[tuple[str, str, int], int] = {}
    for now, amount in burndown_model.walk(*purse)[1]:
        if first is not None and now < first and (overage == "forgive" or first <= carry_from):
            key = ("no_grant", "grant", first)
        elif overage == "forgive":
            continue
        else:
            key = ("no_grant" if first is None or now < first else "not_covered", "account", carry_from)
        found[key] = found.get(key, 0) + amount
    return found


@settings(max_examples=400, deadline=None)
@given(purses)
def test_the_parts_are_what_the_model_wrote_off(purse: Purse) -> None:
    told = parts(purse)
    assert {(one.why, one.began, one.before): one.amount for one in told} == slow_parts(purse)
    balance = balance_of(*purse)
    if purse[-1] == "carry":
        assert sum(one.amount for one in told) == balance.overage_before_carry
    else:
        assert sum(one.amount for one in told) <= balance.forgiven
    assert all(one.first < one.before for one in told)


@settings(max_examples=300, deadline=None)
@given(purses)
def test_the_ways_out_that_are_told_pay_for_all_of_it_and_for_nothing_else(purse: Purse) -> None:
    """A grant for each part, of its amount, from the first of it on; that of what the grants of then did not cover
    pays last, or it would pay for what they cover."""
    given_, draws, events, at, carry_from, overage = purse
    told = parts(purse)
    ways = [Grant(one.why, one.amount, 1 if one.why == "no_grant" else 9, one.first) for one in told]
    again: Purse = ([*given_, *ways], draws, events, at, carry_from, overage)
    assert parts(again) == ()
    spent = {each.grant.id: each.spent for each in balance_of(*again).grants}
    before = {each.grant.id: each.spent for each in balance_of(*purse).grants}
    assert spent == before | {way.id: way.amount for way in ways}


@pytest.fixture
def usage() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def use(usage: MemoryStore) -> Any:
    def add(at: int, amount: int, user: str = "", product: str = "isp", block: int = 1) -> None:
        row = {"series": "metered", "account": "acme", "user": user, "bytes_up": 0, "bytes_down": amount, "requests": 1}
        usage.rows.append({**row, "product": product, "time": at, "block": block, "received_at": NOW, "source": "s",
                           "key_source": "s", "sequence": 0, "id": str(at), "kind": "use", "refers_to": "",
                           "status": 200, "labels": {}})  # fmt: skip

    return add


def never_paid(ledger: Ledger, usage: MemoryStore, at: int = NOW) -> list[NeverPaid]:
    with ledger.read() as tx:
        told = make_balance(tx, usage, "acme", at, tell_never_paid=True).never_paid
        assert make_explanation(tx, usage, "acme", at).never_paid == told
        assert make_balance(tx, usage, "acme", at).never_paid == []
        return told


def test_use_before_the_account_is_told_with_its_first_instant(
    app_ledger: Ledger, usage: MemoryStore, use: Any
) -> None:
    use(MARCH - 2 * DAY, 30)
    use(MARCH - DAY, 12)
    use(MARCH + 1, 5)
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=MARCH)
        grants.give_grant(tx, "acme", 100, now=MARCH + DAY)
    before, first = format_instant(MARCH), format_instant(MARCH - 2 * DAY)
    assert never_paid(app_ledger, usage) == [
        NeverPaid("traffic", "bytes", 42, before, "account", "no_grant", None, first)
    ]


@pytest.mark.parametrize("overage", ["carry", "forgive"])
def test_use_before_the_first_grant_names_the_grant(
    app_ledger: Ledger, usage: MemoryStore, use: Any, overage: Overage
) -> None:
    use(MARCH - 2 * DAY, 30)
    use(MARCH + DAY, 12)
    use(MARCH + 3, 5, product="api")
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=MARCH + 9 * DAY, overage=overage)
        made = grants.give_grant(tx, "acme", 100, now=MARCH, starts_at=MARCH)
    found = {one.pool: one for one in never_paid(app_ledger, usage)}
    before, first = format_instant(MARCH), format_instant(MARCH - 2 * DAY)
    assert found.pop("traffic") == NeverPaid("traffic", "bytes", 30, before, "grant", "no_grant", made.id, first)
    api = [] if overage == "forgive" else [("requests", 1, "account", "no_grant")]
    assert [(one.unit, one.amount, one.began, one.why) for one in found.values()] == api


def test_use_that_the_grants_of_then_did_not_cover_is_told_apart(
    app_ledger: Ledger, usage: MemoryStore, use: Any
) -> None:
    use(MARCH - DAY, 30)
    use(MARCH + DAY, 12)
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=MARCH + 9 * DAY)
        made = grants.give_grant(tx, "acme", 10, now=MARCH, starts_at=MARCH)
        grants.give_grant(tx, "acme", 1000, now=MARCH + 9 * DAY)
    told = [(one.amount, one.began, one.why, one.grant, one.first) for one in never_paid(app_ledger, usage)]
    assert told == [
        (30, "grant", "no_grant", made.id, format_instant(MARCH - DAY)),
        (2, "account", "not_covered", None, format_instant(MARCH)),
    ]


def test_nothing_is_told_where_all_is_paid_or_waits(app_ledger: Ledger, usage: MemoryStore, use: Any) -> None:
    use(MARCH, 30)
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=MARCH + 999)
    assert never_paid(app_ledger, usage) == []  # it waits for a grant
    with app_ledger.begin() as tx:
        grants.give_grant(tx, "acme", 100, now=MARCH + DAY)
    assert never_paid(app_ledger, usage) == []


def test_of_a_funded_user_it_is_the_use_before_the_user_was_made(
    app_ledger: Ledger, usage: MemoryStore, use: Any
) -> None:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=MARCH)
        grants.give_grant(tx, "acme", 100, now=MARCH)
        user = managed.create_user(tx, "acme", "shop", funded=True, now=MARCH + DAY)
        user_funds.allocate(tx, usage, "acme", user.id, 50, now=MARCH + 2 * DAY)
    use(MARCH + 5, 7, user.id)
    use(MARCH + DAY + 5, 8, user.id)
    with app_ledger.read() as tx:
        told = make_user_balance(tx, usage, "acme", "shop", NOW, tell_never_paid=True)
    before, first = format_instant(MARCH + DAY), format_instant(MARCH + 5)
    assert told.never_paid == [NeverPaid("traffic", "bytes", 7, before, "user", "no_grant", None, first)]
    assert (told.pools["traffic"].spent, told.pools["traffic"].overage) == (8, 7)
    assert never_paid(app_ledger, usage) == []
