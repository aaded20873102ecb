"""Leases against a slow, obvious model: a list of who has what from when until when, looked through from its beginning
for every question."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from flowtally.core.errors import FlowtallyError
from flowtally.core.leasing import Size
from flowtally.core.times import DAY_MS
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import lease_plans, leases, orders, stock
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.money import wallet
from flowtally.ledger.people import accounts

ACCOUNTS = ("acme", "beta")
PLANS = {"week": (7, 70, None), "month": (30, 201, None), "small": (30, 150, 8), "large": (30, 333, 16)}
ITEMS = 3
GRACE = 2 * DAY_MS
BEGIN = 1_700_000_000_000


class Had(msgspec.Struct):
    """One lease as the model has it: days that were agreed on, each with its price and span."""

    account: str
    item: int
    plan: str
    starts: int
    ends: int
    size: int | None
    agreed: list[tuple[int, int, int]]
    released: int | None = None
    id: str = ""

    def kept(self) -> int:
        return self.ends + GRACE if self.released is None else self.released


class Model(msgspec.Struct):
    money: dict[str, int]
    had: list[Had] = []

    def free(self, at: int) -> list[int]:
        """Those that nobody keeps, the longest first."""
        last = {item: max((one.kept() for one in self.had if one.item == item), default=0) for item in range(ITEMS)}
        return sorted((item for item in range(ITEMS) if last[item] <= at), key=lambda item: (last[item], item))

    def pay(self, account: str, price: int) -> bool:
        if self.money[account] < price:
            return False
        self.money[account] -= price
        return True

    def buy(self, at: int, account: str, plan: str, count: int) -> list[Had] | None:
        days, price, size = PLANS[plan]
        free = self.free(at) if size is None else []  # nothing in stock has a size
        if len(free) < count or not self.pay(account, price * count):
            return None
        ends = at + days * DAY_MS
        made = [Had(account, item, plan, at, ends, size, [(at, ends, price)]) for item in free[:count]]
        self.had += made
        return made

    def renew(self, at: int, one: Had, plan: str) -> bool:
        days, price, size = PLANS[plan]
        ends = one.ends + days * DAY_MS
        if one.released is not None or at >= one.kept() or ends <= at or size not in (None, one.size):
            return False
        if not self.pay(one.account, price):
            return False
        one.agreed.append((one.ends, ends, price))
        one.ends, one.plan = ends, plan
        return True

    def upgrade(self, at: int, one: Had, plan: str) -> bool:
        days, price, size = PLANS[plan]
        if one.released is not None or at >= one.ends or (size or one.size or 0) <= (one.size or 0):
            return False
        rest = Fraction(price, days * DAY_MS) * (one.ends - at)
        for start, end, agreed in one.agreed:
            rest -= Fraction(agreed, end - start) * max(0, end - max(start, at))
        costs = round(rest)
        if costs < 0 or not self.pay(one.account, costs):
            return False
        one.agreed.append((at, one.ends, costs))
        one.size, one.plan = size, plan
        return True

    def release(self, at: int, one: Had) -> bool:
        if one.released is None and at < one.kept():
            one.released = at
        return True


STEP = st.tuples(
    st.integers(0, 9 * DAY_MS),
    st.sampled_from(("buy", "buy", "renew", "renew", "upgrade", "release", "deposit")),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(sorted(PLANS)),
    st.integers(0, 4),
)


def play(tx: Connection, model: Model, at: int, step: tuple[int, str, str, str, int]) -> None:
    _, what, account, plan, number = step
    before = msgspec.json.encode(model)
    if what == "deposit":
        wallet.deposit(tx, account, 100, now=at, currency="USD")
        model.money[account] += 100
        return
    if what == "buy":
        expected: Any = model.buy(at, account, plan, 1 + number % ITEMS)
        done = attempt(orders.buy_leases, tx, account, plan, now=at, count=1 + number % ITEMS, grace_ms=GRACE)
        for one, id in zip(expected or [], done.leases if done else [], strict=True):
            one.id = id
        assert (done is not None) == (expected is not None), (what, step)
        return
    mine = [one for one in model.had if one.account == account]
    if not mine:
        return
    one = mine[number % len(mine)]
    if what == "renew":
        agreed = model.renew(at, one, plan)
        done = attempt(orders.renew_leases, tx, account, [one.id], now=at, plan_id=plan)
    elif what == "upgrade":
        agreed = model.upgrade(at, one, plan)
        done = attempt(orders.upgrade_lease, tx, account, one.id, plan, now=at)
    else:
        agreed = model.release(at, one)
        done = attempt(orders.release_lease, tx, account, one.id, now=at)
    assert (done is not None) == agreed, (what, step, before)


def attempt(command: Any, tx: Connection, *given: Any, **more: Any) -> Any:
    """What it answered; None where it refused, and then it has changed nothing."""
    with tx.begin_nested() as savepoint:
        try:
            return command(tx, *given, **more)
        except FlowtallyError:
            savepoint.rollback()
    return None


def check(tx: Connection, model: Model, ids: list[str], at: int) -> None:
    for account in ACCOUNTS:
        assert wallet.balance_of(tx, account) == model.money[account]
        mine = [one for one in model.had if one.account == account]
        told = [one.lease for one in leases.list_leases(tx, account, at=at).items]
        assert [one.id for one in told] == [one.id for one in mine]
        for lease, one in zip(told, mine, strict=True):
            seen = (
                lease.stock_id,
                lease.plan_id,
                lease.starts_at,
                lease.ends_at,
                lease.released_at,
                lease.size.cpu_cores,
            )
            assert seen == (ids[one.item], one.plan, one.starts, one.ends, one.released, one.size)
            agreed = [(t.starts_at, t.ends_at, t.price) for t in leases.terms_of(tx, lease.id) if t.what != "released"]
            assert agreed == one.agreed
        holds = {one.item.id for one in leases.held_by(tx, account, at=at)}
        assert holds == {
            ids[one.item] for one in mine if one.starts <= at < one.ends and (one.released is None or at < one.released)
        }
    free = stock.list_items(tx, at=at, state="free").items
    assert {one.id for one in free} == {ids[item] for item in model.free(at)}
    assert [f"{fault.where}: {fault.detail}" for fault in rules.faults(tx)] == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=25))
def test_leases_are_what_the_model_says(app_ledger: Ledger, steps: list[tuple[int, str, str, str, int]]) -> None:
    with app_ledger.begin() as tx, tx.begin_nested() as example:
        for account in ACCOUNTS:
            accounts.create_account(tx, account, now=1)
            wallet.deposit(tx, account, 500, now=1, currency="USD")
        ids = stock.import_items(tx, [NewStock("isp", f"192.0.2.{n}") for n in range(ITEMS)], now=1)
        for name, (days, price, cores) in PLANS.items():
            lease_plans.create_lease_plan(tx, "isp", days, price, now=1, currency="USD", plan_id=name, size=Size(cores))
        model, at = Model(dict.fromkeys(ACCOUNTS, 500), []), BEGIN
        for step in steps:
            at += step[0]
            play(tx, model, at, step)
            check(tx, model, ids, at)
        example.rollback()
