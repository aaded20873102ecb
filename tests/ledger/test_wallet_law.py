"""Money against a list: the books sum to zero, a balance is its sum, nobody is overdrawn, each purchase is a grant."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from flowtally.core.errors import InsufficientFunds
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.money import plans, purchases, wallet
from flowtally.ledger.people import accounts
from flowtally.ledger.tables import transfer_entries
from flowtally.ledger.traffic import grants

ACCOUNTS = ("acme", "beta")
PRICES = {"small": 3, "large": 40}
AMOUNTS = {"small": 7, "large": 500}

Step = tuple[str, str, int | str]  # what, whose, how much or which plan
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("deposit"), st.sampled_from(ACCOUNTS), st.integers(1, 60)),
        st.tuples(st.just("adjust"), st.sampled_from(ACCOUNTS), st.integers(-60, 60).filter(bool)),
        st.tuples(st.just("buy"), st.sampled_from(ACCOUNTS), st.sampled_from(sorted(PRICES))),
    ),
    max_size=25,
)


def do(tx: Connection, now: int, step: Step) -> None:
    what, account, value = step
    if what == "deposit":
        wallet.deposit(tx, account, int(value), now=now, currency="USD")
    elif what == "adjust":
        wallet.adjust(tx, account, int(value), now=now, currency="USD", reason="why")
    else:
        purchases.purchase(tx, account, str(value), now=now)


def moves(step: Step) -> int:
    what, _, value = step
    return -PRICES[str(value)] if what == "buy" else int(value)


def play(tx: Connection, steps: list[Step]) -> list[Step]:
    """Those that the list says can be done; the others are refused, with what there is."""
    done: list[Step] = []
    for now, step in enumerate(steps, 2):
        held = sum(moves(one) for one in done if one[1] == step[1])
        if held + moves(step) < 0:
            with pytest.raises(InsufficientFunds) as refused:
                do(tx, now, step)
            told = refused.value.extra
            assert (told["balance_micros"], told["price_micros"]) == (held, -moves(step))
            continue
        do(tx, now, step)
        done.append(step)
    return done


def check(tx: Connection, done: list[Step]) -> None:
    books = dict.fromkeys(("wallet", "deposits", "adjustments", "sales"), 0)
    for book, amount in tx.execute(select(transfer_entries.c.book, transfer_entries.c.amount)):
        books[book] += amount
    assert sum(books.values()) == 0
    assert books["sales"] == -sum(moves(one) for one in done if one[0] == "buy")
    for account in ACCOUNTS:
        mine = [one for one in done if one[1] == account]
        assert [one.amount for one in wallet.list_entries(tx, account).items] == [moves(one) for one in mine]
        assert wallet.balance_of(tx, account) == sum(moves(one) for one in mine) >= 0
        bought = [str(value) for what, _, value in mine if what == "buy"]
        assert [one.plan_id for one in purchases.list_purchases(tx, account).items] == bought
        assert sorted(one.amount for one in grants.grants_of(tx, account)) == sorted(AMOUNTS[one] for one in bought)
    assert list(rules.faults(tx)) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_money_is_what_the_list_says(app_ledger: Ledger, steps: list[Step]) -> None:
    with app_ledger.begin() as tx, tx.begin_nested() as example:
        for account in ACCOUNTS:
            accounts.create_account(tx, account, now=1)
        for name, price in PRICES.items():
            plans.create_plan(tx, name, AMOUNTS[name], price, now=1, currency="USD", plan_id=name)
        check(tx, play(tx, steps))
        example.rollback()
