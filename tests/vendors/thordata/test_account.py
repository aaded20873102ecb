"""The account's balance and daily usage, in Thordata's units."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.vendors.thordata.conftest import KB, MB, Shop

from flowtally.config import load_config
from flowtally.core.errors import ConfigError
from flowtally.vendors.thordata.settings import Settings

DAYS = {"from_date": "2025-01-01", "to_date": "2025-01-03"}


def test_the_balance_is_in_mb_and_the_same_balance_in_kb_beside_the_usage(shop: Shop) -> None:
    shop.grant(10_000 * MB)
    assert shop.ok("account/traffic-balance") == {"traffic_balance": 10000, "expiration_time": "2099-12-31"}
    assert shop.ok("account/usage-statistics", **DAYS)["traffic_balance"] == 10_240_000


def test_usage_is_as_on_their_page(shop: Shop) -> None:
    for day in (1, 2, 3):
        shop.use(f"d{day}", f"2025-01-0{day}T12:00:00Z", 500_000 * KB)
    shop.grant(11_500_000 * KB)
    assert shop.ok("account/usage-statistics", **DAYS) == {
        "total_usage_traffic": 1500000,
        "traffic_balance": 10000000,
        "query_days": 3,
        "range_usage_traffic": 1500000,
        "data": [{"date": f"2025-01-0{day}", "usage_traffic": 500000} for day in (1, 2, 3)],
    }


def test_both_ends_count_and_days_without_use_are_rows_of_0(shop: Shop) -> None:
    shop.use("before", "2024-12-31T23:59:59.999Z", KB)
    shop.use("first", "2025-01-01T00:00:00Z", 2 * KB)
    shop.use("last", "2025-01-03T23:59:59.999Z", 4 * KB)
    shop.use("after", "2025-01-04T00:00:00Z", 8 * KB)
    told = shop.ok("account/usage-statistics", **DAYS)
    assert [(row["date"], row["usage_traffic"]) for row in told["data"]] == [
        ("2025-01-01", 2), ("2025-01-02", 0), ("2025-01-03", 4),
    ]  # fmt: skip
    assert (told["total_usage_traffic"], told["range_usage_traffic"], told["query_days"]) == (15, 6, 3)


def test_days_to_come_are_rows_of_0(shop: Shop) -> None:
    told = shop.ok("account/usage-statistics", from_date="2026-03-15", to_date="2026-03-17")
    assert [row["usage_traffic"] for row in told["data"]] == [0, 0, 0]


def test_parts_of_a_kb_are_told_to_two_decimals_and_nothing_is_lost_between_days(shop: Shop) -> None:
    for day in (1, 2, 3):
        shop.use(f"d{day}", f"2025-01-0{day}T12:00:00Z", 5)  # 0.0048828125 KB
    told = shop.ok("account/usage-statistics", **DAYS)
    assert [row["usage_traffic"] for row in told["data"]] == [0, 0, Decimal("0.01")]
    assert told["range_usage_traffic"] == told["total_usage_traffic"] == Decimal("0.01")


def test_only_the_pool_traffic_counts(shop: Shop) -> None:
    shop.grant(100 * MB)
    shop.use("r", "2025-01-02T00:00:00Z", 3 * MB)
    shop.use("n", "2025-01-02T00:00:00Z", 1 * MB, product="")
    shop.use("m", "2025-01-02T00:00:00Z", 50 * MB, product="mobile")
    assert shop.ok("account/usage-statistics", **DAYS)["total_usage_traffic"] == 4096
    assert shop.ok("account/traffic-balance")["traffic_balance"] == 96


def test_dates_that_are_180_days_apart_are_answered_and_one_more_is_10021(shop: Shop) -> None:
    """Their page says 180 days, and not how they are counted."""
    told = shop.ok("account/usage-statistics", from_date="2025-01-01", to_date="2025-06-30")
    assert (told["query_days"], len(told["data"])) == (181, 181)
    assert shop.get("account/usage-statistics", from_date="2025-01-01", to_date="2025-07-01")["code"] == 10021


def test_a_range_that_is_none_is_10000(shop: Shop) -> None:
    reversed_ = {"from_date": "2025-01-02", "to_date": "2025-01-01"}
    for asked in ({}, {"from_date": "2025-01-01"}, reversed_, {"from_date": "x", "to_date": "y"}):
        assert shop.get("account/usage-statistics", **asked)["code"] == 10000


def test_days_are_those_of_the_zone_that_is_set(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(timezone="Asia/Kathmandu")
    shop.use("a", "2025-01-01T18:14:59Z", KB)
    shop.use("b", "2025-01-01T18:15:00Z", 2 * KB)
    told = shop.ok("account/usage-statistics", **DAYS)
    assert [row["usage_traffic"] for row in told["data"]] == [1, 2, 0]


@pytest.mark.parametrize(("setting", "told"), [("first", "2026-04-01"), ("last", "2026-06-30")])
def test_the_expiry_is_that_of_what_is_left(make_shop: Callable[..., Shop], setting: str, told: str) -> None:
    shop = make_shop(expiration=setting)
    shop.grant(MB, expires_at="2026-06-30T12:00:00Z")
    shop.grant(MB, expires_at="2026-04-01T00:00:00Z")
    shop.grant(MB, expires_at="2025-02-01T00:00:00Z")  # over
    shop.grant(MB, expires_at="2026-03-16T00:00:00Z")
    shop.grant(MB, expires_at="2026-03-16T00:00:00Z", pool="mobile")
    shop.use("all of the soonest", "2026-03-01T00:00:00Z", MB)
    assert shop.ok("account/traffic-balance") == {"traffic_balance": 2, "expiration_time": told}


@pytest.mark.parametrize(("setting", "told"), [("first", "2026-04-01"), ("last", "2099-12-31")])
def test_what_never_expires_is_a_far_date(make_shop: Callable[..., Shop], setting: str, told: str) -> None:
    shop = make_shop(expiration=setting)
    shop.grant(MB)
    assert shop.ok("account/traffic-balance")["expiration_time"] == "2099-12-31"
    shop.grant(MB, expires_at="2026-04-01T00:00:00Z")
    assert shop.ok("account/traffic-balance")["expiration_time"] == told


@pytest.mark.parametrize("set_to", ["", "2050-01-31"])
def test_what_is_shown_for_never_can_be_set(make_shop: Callable[..., Shop], set_to: str) -> None:
    shop = make_shop(no_expiry=set_to)
    shop.grant(MB)
    assert shop.ok("account/traffic-balance")["expiration_time"] == set_to


@pytest.mark.parametrize("wrong", ["2026-02-30", "never"])
def test_never_is_a_date_or_nothing(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"FLOWTALLY_THORDATA|no_expiry"):
        load_config({"FLOWTALLY_THORDATA_NO_EXPIRY": wrong}, {"thordata": Settings})


def test_overage_is_a_balance_of_0(shop: Shop) -> None:
    shop.grant(MB)
    shop.use("a", "2025-01-02T00:00:00Z", 3 * MB)
    assert shop.ok("account/traffic-balance") == {"traffic_balance": 0, "expiration_time": "2099-12-31"}


def test_lifetime_reaches_back_to_1970(shop: Shop) -> None:
    shop.use("a", "1970-01-01T00:00:00Z", KB)
    told = shop.ok("account/usage-statistics", from_date="1970-01-01", to_date="1970-01-02")
    assert [row["usage_traffic"] for row in told["data"]] == [1, 0]
    assert shop.ok("account/usage-statistics", **DAYS)["total_usage_traffic"] == 1
