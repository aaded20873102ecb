"""What is dated in the very second something was made counts as after it: logs and shells know whole seconds."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.soak import sampled

from flowtally.answers import user_balance
from flowtally.answers.account_balance import make_balance
from flowtally.core.edges import parse_instant
from flowtally.funding import user_funds
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.money import plans, purchases, wallet
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.traffic import check_ins, grants, vouchers
from flowtally.ledger.traffic.check_ins import Reward
from flowtally.ledger.traffic.codes import Code
from flowtally.usage.memory import MemoryStore

DAY: Final = 86_400_000
SECOND: Final = parse_instant("2026-03-15T12:00:00Z")
AMOUNT: Final = 100
NUMBERS: Final = count()


class Seller:
    """An account whose things are all made in one second: after `made`, whoever uses is paid for."""

    def __init__(self, ledger: Ledger, overage: Any, now: int) -> None:
        self.ledger, self.usage, self.now, self.user = ledger, MemoryStore(), now, ""
        self.account = f"a{next(NUMBERS)}"
        with ledger.begin() as tx:
            accounts.create_account(tx, self.account, now=now, overage=overage)

    def use(self, at: int) -> None:
        row = {"series": "metered", "account": self.account, "user": self.user, "product": "isp", "bytes_up": 0}
        self.usage.rows.append({**row, "bytes_down": AMOUNT, "requests": 1, "time": at, "block": 1})

    def paid(self, at: int) -> int:
        with self.ledger.read() as tx:
            if self.user:
                return (
                    user_balance.make_user_balance(tx, self.usage, self.account, self.user, at).pools["traffic"].spent
                )
            return make_balance(tx, self.usage, self.account, at).pools["traffic"].spent


def give(tx: Tx, seller: Seller) -> None:
    grants.give_grant(tx, seller.account, AMOUNT, now=seller.now)


def buy(tx: Tx, seller: Seller) -> None:
    wallet.deposit(tx, seller.account, amount=5, currency="USD", now=seller.now)
    plan = plans.create_plan(tx, "hundred", AMOUNT, 5, now=seller.now, currency="USD", days=1)
    purchases.purchase(tx, seller.account, plan.id, now=seller.now)


def redeem(tx: Tx, seller: Seller) -> None:
    issuer = f"{seller.account}-issuer"
    accounts.create_account(tx, issuer, now=seller.now)
    digest = f"{next(NUMBERS):064d}"
    terms = {"pool": "traffic", "duration_s": 60, "left": AMOUNT}
    vouchers.create_vouchers(tx, issuer, AMOUNT, [Code(digest, "sealed")], now=seller.now, **terms)  # type: ignore[arg-type]
    vouchers.redeem_voucher(tx, seller.account, digest, now=seller.now)


def check_in(tx: Tx, seller: Seller) -> None:
    check_ins.check_in(tx, seller.account, Reward(AMOUNT, 1, 0), now=seller.now)


def allocate(tx: Tx, seller: Seller) -> None:
    give(tx, seller)
    user = managed.create_user(tx, seller.account, "shop", funded=True, now=seller.now)
    user_funds.allocate(tx, seller.usage, seller.account, user.id, AMOUNT, now=seller.now)
    seller.user = user.id


@pytest.mark.parametrize("make", [give, buy, redeem, check_in, allocate])
@settings(max_examples=sampled(12, 4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overage=st.sampled_from(("carry", "forgive")), made=st.integers(0, 999), used=st.integers(0, 999))
def test_use_in_the_second_of_what_pays_is_paid(
    app_ledger: Ledger, make: Callable[[Tx, Seller], None], overage: Any, made: int, used: int
) -> None:
    seller = Seller(app_ledger, overage, SECOND + made)
    with app_ledger.begin() as tx:
        make(tx, seller)
    seller.use(SECOND)  # as a log has it
    assert seller.paid(SECOND + 1000) == AMOUNT
    seller.usage.rows.clear()
    seller.use(SECOND + used)
    assert seller.paid(SECOND + 1000) == AMOUNT
    seller.usage.rows.clear()
    if make is give and overage == "forgive":
        seller.use(SECOND - 1)
        assert seller.paid(SECOND + 1000) == 0
    with app_ledger.read() as tx:
        assert list(rules.faults(tx)) == []


@pytest.mark.parametrize("made", [0, 1, 999])
def test_explicit_instants_stay_as_they_are_given(app_ledger: Ledger, made: int) -> None:
    at = SECOND + made
    with app_ledger.begin() as tx:
        assert accounts.create_account(tx, "acme", now=at, carry_from=at).carry_from == at
        assert grants.give_grant(tx, "acme", 1, now=at + 1, starts_at=at).starts_at == at


def test_what_grants_of_one_second_pay_goes_by_the_order_they_were_given_in(app_ledger: Ledger) -> None:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=SECOND)
        first, second = (grants.give_grant(tx, "acme", AMOUNT, now=SECOND + made) for made in (400, 900))
    usage = MemoryStore()
    row = {"series": "metered", "account": "acme", "user": "", "product": "isp", "bytes_up": 0, "requests": 1}
    usage.rows.append({**row, "bytes_down": AMOUNT + 1, "time": SECOND, "block": 1})
    with app_ledger.read() as tx:
        paid = {one.id: one.spent for one in make_balance(tx, usage, "acme", SECOND + 1000).grants}
    assert paid == {first.id: AMOUNT, second.id: 1}
