"""Money: deposits, adjustments, plans, purchases; what is refused, and that nothing is left of it."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, func, select

from flowtally.core.errors import (
    ConfigError,
    Conflict,
    FlowtallyError,
    InsufficientFunds,
    NotFound,
    PlanRetired,
    UnknownAccount,
    Unprocessable,
)
from flowtally.ledger import tables
from flowtally.ledger.database import Ledger
from flowtally.ledger.money import plans, purchases, wallet
from flowtally.ledger.money.wallet import MAX_MICROS
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import grants

DAY = 86_400_000


@pytest.fixture
def shop(ledger: Ledger) -> Ledger:
    """An account with 100 micros, one without money, and a plan of 500 bytes for 60 that lasts 30 days."""
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)
        wallet.deposit(tx, "acme", 100, now=2, currency="USD", reference="P-1")
        plans.create_plan(tx, "Small", 500, 60, now=2, currency="USD", days=30, plan_id="small")
    return ledger


def deposit(tx: Connection, account: str, amount: int) -> wallet.Transfer:
    return wallet.deposit(tx, account, amount, now=3, currency="USD")


def adjust(tx: Connection, account: str, amount: int, reason: str = "why") -> wallet.Transfer:
    return wallet.adjust(tx, account, amount, now=3, currency="USD", reason=reason)


def test_a_balance_is_the_sum_of_what_moved(shop: Ledger) -> None:
    with shop.begin() as tx:
        adjust(tx, "acme", -30, "paid out")
        adjust(tx, "acme", 5, "goodwill")
        page = wallet.list_entries(tx, "acme")
        assert wallet.balance_of(tx, "acme") == sum(one.amount for one in page.items) == 75
        assert [(one.kind, one.amount, one.reference, one.reason) for one in page.items] == [
            ("deposit", 100, "P-1", ""),
            ("adjustment", -30, "", "paid out"),
            ("adjustment", 5, "", "goodwill"),
        ]
        assert wallet.balance_of(tx, "beta") == 0
        assert wallet.list_entries(tx, "beta").items == []


def test_what_a_wallet_gains_a_book_of_the_house_loses(shop: Ledger) -> None:
    with shop.begin() as tx:
        adjust(tx, "acme", -30)
        purchases.purchase(tx, "acme", "small", now=3)
        table = tables.transfer_entries
        sums = tx.execute(select(table.c.book, func.sum(table.c.amount)).group_by(table.c.book))
        assert {book: int(total) for book, total in sums} == {
            "wallet": 10,
            "deposits": -100,
            "adjustments": 30,
            "sales": 60,
        }


def test_entries_are_read_in_pages(shop: Ledger) -> None:
    with shop.begin() as tx:
        for _ in range(4):
            deposit(tx, "acme", 1)
        first = wallet.list_entries(tx, "acme", limit=3)
        assert [one.amount for one in first.items] == [100, 1, 1]
        assert [one.amount for one in wallet.list_entries(tx, "acme", first.next, 3).items] == [1, 1]


def test_a_purchase_is_money_for_a_grant(shop: Ledger) -> None:
    with shop.begin() as tx:
        made = purchases.purchase(tx, "acme", "small", now=7)
        grant = grants.read_grant(tx, made.grant_id, "acme")
        assert (grant.amount, grant.pool, grant.source, grant.reference) == (500, "traffic", "order", made.id)
        assert (grant.starts_at, grant.expires_at) == (0, made.expires_at) == (0, 7 + 30 * DAY)  # of its second
        paid = wallet.list_entries(tx, "acme").items[-1]
        assert (paid.id, paid.kind, paid.amount, paid.reference) == (made.transfer_id, "purchase", -60, made.id)
        assert wallet.balance_of(tx, "acme") == 40
        assert purchases.read_purchase(tx, made.id, "acme") == made
        assert purchases.list_purchases(tx, "acme").items == [made]


def test_a_purchase_that_is_not_covered_says_what_there_is_and_leaves_nothing(shop: Ledger) -> None:
    with shop.begin() as tx:
        purchases.purchase(tx, "acme", "small", now=3)
        with pytest.raises(InsufficientFunds) as refused:
            purchases.purchase(tx, "acme", "small", now=4)
        told = refused.value.extra
        assert (told["balance_micros"], told["price_micros"], told["currency"]) == (40, 60, "USD")
        assert wallet.balance_of(tx, "acme") == 40
        assert len(grants.grants_of(tx, "acme")) == len(purchases.list_purchases(tx, "acme").items) == 1


def test_money_to_the_last_micro_can_be_spent(shop: Ledger) -> None:
    with shop.begin() as tx:
        deposit(tx, "acme", 20)
        for _ in range(2):
            purchases.purchase(tx, "acme", "small", now=3)
        assert wallet.balance_of(tx, "acme") == 0
        with pytest.raises(InsufficientFunds):
            adjust(tx, "acme", -1)


def test_what_was_bought_stays_when_its_plan_retires(shop: Ledger) -> None:
    with shop.begin() as tx:
        made = purchases.purchase(tx, "acme", "small", now=3)
        retired = plans.retire_plan(tx, "small", now=4)
        assert plans.retire_plan(tx, "small", now=5) == retired
        assert purchases.read_purchase(tx, made.id, "acme") == made
        assert plans.list_plans(tx).items == []
        assert plans.list_plans(tx, retired=True).items == [retired]
        with pytest.raises(PlanRetired):
            purchases.purchase(tx, "acme", "small", now=6)
        with pytest.raises(Conflict, match="exists already"):
            plans.create_plan(tx, "Small again", 1, 1, now=6, currency="USD", plan_id="small")


def test_a_plan_without_days_lasts_for_ever(shop: Ledger) -> None:
    with shop.begin() as tx:
        plan = plans.create_plan(tx, "Ever", 5, 1, now=3, currency="USD", pool="api")
        made = purchases.purchase(tx, "acme", plan.id, now=3)
        assert (made.expires_at, grants.read_grant(tx, made.grant_id, "acme").expires_at) == (None, None)


def test_voiding_what_was_bought_gives_no_money_back(shop: Ledger) -> None:
    with shop.begin() as tx:
        made = purchases.purchase(tx, "acme", "small", now=3)
        grants.void_grant(tx, made.grant_id, "acme", 4)
        assert wallet.balance_of(tx, "acme") == 40
        wallet.adjust(tx, "acme", 60, now=5, currency="USD", reason="refund", reference=made.id)
        assert wallet.balance_of(tx, "acme") == 100


def test_a_closed_account_gets_and_buys_nothing_but_can_be_paid_out(shop: Ledger) -> None:
    with shop.begin() as tx:
        accounts.change_account(tx, "acme", status="closed", now=3)
        for refused in (lambda: deposit(tx, "acme", 1), lambda: purchases.purchase(tx, "acme", "small", now=3)):
            with pytest.raises(Conflict, match="closed"):
                refused()
        adjust(tx, "acme", -100, "paid out")
        assert wallet.balance_of(tx, "acme") == 0


def test_a_wallet_holds_what_json_can_say(shop: Ledger) -> None:
    with shop.begin() as tx:
        deposit(tx, "acme", MAX_MICROS - 100)
        for one_more in (deposit, adjust):
            with pytest.raises(Conflict, match="a wallet may hold"):
                one_more(tx, "acme", 1)
        assert wallet.balance_of(tx, "acme") == MAX_MICROS


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (lambda tx: deposit(tx, "acme", 0), Unprocessable),
        (lambda tx: deposit(tx, "acme", -1), Unprocessable),
        (lambda tx: deposit(tx, "acme", MAX_MICROS + 1), Unprocessable),
        (lambda tx: deposit(tx, "nobody", 1), UnknownAccount),
        (lambda tx: adjust(tx, "acme", 0), Unprocessable),
        (lambda tx: adjust(tx, "acme", -MAX_MICROS - 1), Unprocessable),
        (lambda tx: adjust(tx, "acme", 1, ""), Unprocessable),
        (lambda tx: adjust(tx, "nobody", 1), UnknownAccount),
        (lambda tx: plans.create_plan(tx, "", 1, 1, now=3, currency="USD"), Unprocessable),
        (lambda tx: plans.create_plan(tx, "P", 0, 1, now=3, currency="USD"), Unprocessable),
        (lambda tx: plans.create_plan(tx, "P", 1, 0, now=3, currency="USD"), Unprocessable),
        (lambda tx: plans.create_plan(tx, "P", 1, 1, now=3, currency="USD", days=0), Unprocessable),
        (lambda tx: plans.create_plan(tx, "P", 1, 1, now=3, currency="USD", pool="unlimited"), Unprocessable),
        (lambda tx: plans.create_plan(tx, "P", 1, 1, now=3, currency="USD", pool="nowhere"), NotFound),
        (lambda tx: plans.retire_plan(tx, "nothing", now=3), NotFound),
        (lambda tx: plans.read_plan(tx, "\x00"), NotFound),
        (lambda tx: purchases.purchase(tx, "acme", "nothing", now=3), NotFound),
        (lambda tx: purchases.purchase(tx, "nobody", "small", now=3), UnknownAccount),
        (lambda tx: purchases.purchase(tx, "beta", "small", now=3), InsufficientFunds),
        (lambda tx: purchases.read_purchase(tx, "ord_1", "acme"), NotFound),
    ],
)
def test_what_cannot_be_moves_nothing(shop: Ledger, what: object, error: type[FlowtallyError]) -> None:
    assert callable(what)
    with shop.begin() as tx:
        with pytest.raises(error):
            what(tx)
        counted = [
            tx.execute(select(func.count()).select_from(one)).scalar_one()
            for one in (tables.transfers, tables.transfer_entries, tables.plans, tables.purchases, tables.grants)
        ]
    assert counted == [1, 2, 1, 0, 0]


def test_a_purchase_of_another_account_is_not_found(shop: Ledger) -> None:
    with shop.begin() as tx:
        made = purchases.purchase(tx, "acme", "small", now=3)
        with pytest.raises(NotFound):
            purchases.read_purchase(tx, made.id, "beta")
        assert purchases.list_purchases(tx, "beta").items == []


@pytest.mark.parametrize("kept", ["transfers", "plans"])
def test_money_is_never_converted_to_another_currency(ledger: Ledger, kept: str) -> None:
    with ledger.begin() as tx:
        wallet.check_currency(tx, "EUR")
        accounts.create_account(tx, "acme", now=1)
        if kept == "plans":
            plans.create_plan(tx, "P", 1, 1, now=1, currency="USD")
        else:
            wallet.deposit(tx, "acme", 1, now=1, currency="USD")
        wallet.check_currency(tx, "USD")
        with pytest.raises(ConfigError, match="currency = 'EUR': the ledger keeps USD"):
            wallet.check_currency(tx, "EUR")
