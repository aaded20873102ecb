"""Balances: two stores brought together. The rule of burning down itself is tested in test_burndown.py."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import NOW
from tests.usage.counting import CountingStore

from flowtally.answers.account_balance import make_balance
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange, UnknownAccount
from flowtally.ledger import pools
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import grants
from flowtally.protocol import BalanceAnswer, PoolBalance

MARCH = parse_instant("2026-03-01T00:00:00Z")
APRIL = parse_instant("2026-04-01T00:00:00Z")


@pytest.fixture
def usage() -> CountingStore:
    return CountingStore()


@pytest.fixture
def give(app_ledger: Ledger) -> Any:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=MARCH)

    def grant(amount: int, pool: str = "traffic", **more: Any) -> str:
        with app_ledger.begin() as tx:
            return grants.give_grant(tx, "acme", amount, now=MARCH, pool=pool, **more).id

    return grant


@pytest.fixture
def use(usage: CountingStore) -> Any:
    def add(time: str, bytes_down: int, product: str = "residential", requests: int = 1) -> None:
        row = {"series": "metered", "account": "acme", "user": "", "bytes_up": 1, "bytes_down": bytes_down}
        usage.rows.append({**row, "product": product, "requests": requests, "time": parse_instant(time)})

    return add


@pytest.fixture
def ask(app_ledger: Ledger, usage: CountingStore) -> Any:
    def balance(at: int = NOW, account: str = "acme") -> BalanceAnswer:
        with app_ledger.read() as tx:
            return make_balance(tx, usage, account, at)

    return balance


def adds_up(pool: PoolBalance) -> bool:
    return pool.granted == pool.spent + pool.left + pool.pending + pool.expired + pool.voided


def test_an_account_without_anything_has_an_empty_traffic_pool(give: Any, ask: Any) -> None:
    answer = ask()
    assert answer.pools == {"traffic": PoolBalance("bytes", 0, 0, 0, 0, 0, 0, 0, 0, 0)}
    assert answer.grants == []


def test_bytes_up_and_down_are_spent_from_the_grant(give: Any, use: Any, ask: Any) -> None:
    give(100)
    use("2026-03-10T12:00:00Z", 29)
    answer = ask()
    assert (answer.pools["traffic"].spent, answer.pools["traffic"].left) == (30, 70)
    [grant] = answer.grants
    assert (grant.spent, grant.left, grant.state) == (30, 70, "active")


def test_each_product_is_paid_from_its_own_pool_in_its_own_unit(give: Any, use: Any, ask: Any, usage: Any) -> None:
    give(100)
    give(10, "api")
    give(50, "mobile")
    use("2026-03-10T12:00:00Z", 1000, "api", requests=3)
    use("2026-03-10T12:00:00Z", 9, "mobile")
    use("2026-03-10T12:00:00Z", 99_999, "unlimited")
    answer = ask()
    assert {name: (pool.unit, pool.spent, pool.left) for name, pool in answer.pools.items()} == {
        "api": ("requests", 3, 7),
        "mobile": ("bytes", 10, 40),
        "traffic": ("bytes", 0, 100),
    }
    assert all(adds_up(pool) for pool in answer.pools.values())
    assert usage.asked == 1


def test_a_pool_with_use_and_no_grant_shows_overage(give: Any, use: Any, ask: Any) -> None:
    use("2026-03-10T12:00:00Z", 4, "mobile")
    assert ask().pools["mobile"].overage == 5


def test_a_pool_of_the_operators_own_works_like_the_others(give: Any, use: Any, ask: Any, app_ledger: Ledger) -> None:
    with app_ledger.begin() as tx:
        pools.create_pool(tx, "isp", "bytes", NOW)
        pools.map_product(tx, "isp-static", "isp", NOW)
    give(100, "isp")
    use("2026-03-10T12:00:00Z", 9, "isp-static")
    assert ask().pools["isp"].left == 90


def test_the_future_tells_what_would_be_there_if_nothing_more_was_used(give: Any, use: Any, ask: Any) -> None:
    give(100, expires_at=APRIL)
    give(50, starts_at=APRIL)
    use("2026-03-10T12:00:00Z", 9)
    assert (ask().pools["traffic"].left, ask().pools["traffic"].pending) == (90, 50)
    later = ask(at=APRIL).pools["traffic"]
    assert (later.left, later.pending, later.expired) == (50, 0, 90)
    assert adds_up(later)


def test_the_past_is_told_with_todays_knowledge(give: Any, use: Any, ask: Any) -> None:
    give(100)
    use("2026-03-10T12:00:00Z", 9)
    use("2026-03-12T12:00:00Z", 9)
    assert ask(at=parse_instant("2026-03-11T00:00:00Z")).pools["traffic"].left == 90


def test_a_void_takes_back_what_is_unspent(give: Any, use: Any, ask: Any, app_ledger: Ledger) -> None:
    grant = give(100)
    use("2026-03-10T12:00:00Z", 9)
    with app_ledger.begin() as tx:
        grants.void_grant(tx, grant, "acme", NOW - 1)
    pool = ask().pools["traffic"]
    assert (pool.spent, pool.voided, pool.left) == (10, 90, 0)
    assert ask(at=NOW - 2).pools["traffic"].left == 90


def test_an_unknown_account_and_the_year_1969_have_no_balance(give: Any, ask: Any) -> None:
    with pytest.raises(UnknownAccount):
        ask(account="nobody")
    with pytest.raises(BadRange):
        ask(at=-1)
