"""What proxy users used, by day and by hour."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.vendors.thordata.conftest import KB, MB, Shop

DAYS = {"username": "user123", "from_date": "2025-01-01", "to_date": "2025-01-03"}
HOURS = {"username": "user123", "from_date": "2025-01-01 22", "to_date": "2025-01-02 01"}


@pytest.fixture
def user(shop: Shop) -> Shop:
    shop.make("user123", traffic_limit="200")
    shop.use("a", "2025-01-01T23:59:59Z", 50_000 * KB, user="user123")
    shop.use("b", "2025-01-02T00:00:00Z", 50_000 * KB, user="user123")
    shop.use("c", "2025-01-03T00:00:00Z", 50_000 * KB, user="user123")
    shop.use("other", "2025-01-02T00:00:00Z", 7 * KB, user="somebody")
    return shop


def test_days_are_as_on_their_page(user: Shop) -> None:
    assert user.ok("proxy-users/usage-statistics", **DAYS) == {
        "traffic_limit": 204800,
        "total_usage_traffic": 150000,
        "traffic_balance": 54800,
        "query_days": 3,
        "range_usage_traffic": 150000,
        "data": [{"date": f"2025-01-0{day}", "usage_traffic": 50000} for day in (1, 2, 3)],
    }


def test_hours_have_both_ends_and_count_days_touched(user: Shop) -> None:
    told = user.ok("proxy-users/usage-statistics-hour", **HOURS)
    assert [(row["date"], row["usage_traffic"]) for row in told["data"]] == [
        ("2025-01-01 22", 0), ("2025-01-01 23", 50000), ("2025-01-02 00", 50000), ("2025-01-02 01", 0),
    ]  # fmt: skip
    assert (told["query_days"], told["range_usage_traffic"], told["total_usage_traffic"]) == (2, 100000, 150000)


def test_a_space_in_an_hour_may_be_a_plus_or_percent_20(user: Shop) -> None:
    base = f"/api/proxy-users/usage-statistics-hour?token={user.shown.token}&username=user123"
    plus = user.client.get(f"{base}&from_date=2025-01-01+22&to_date=2025-01-02+01")
    percent = user.client.get(f"{base}&from_date=2025-01-01%2022&to_date=2025-01-02%2001")
    assert plus.json()["code"] == 200
    assert plus.content == percent.content


def test_a_user_without_a_cap_reads_0_and_0(shop: Shop) -> None:
    shop.make("user123")
    shop.use("a", "2025-01-02T00:00:00Z", 5 * KB, user="user123")
    told = shop.ok("proxy-users/usage-statistics", **DAYS)
    assert (told["traffic_limit"], told["traffic_balance"], told["total_usage_traffic"]) == (0, 0, 5)


def test_a_cap_of_100_mb_is_100_in_the_list_and_102400_beside_the_usage(shop: Shop) -> None:
    shop.make("user123", traffic_limit="100")
    shop.use("a", "2025-01-02T00:00:00Z", 1000, user="user123")
    told = shop.ok("proxy-users/usage-statistics", **DAYS)
    assert shop.ok("proxy-users/user-list")["list"][0]["traffic_limit"] == 100
    assert (told["traffic_limit"], told["total_usage_traffic"]) == (102400, Decimal("0.97"))
    assert told["traffic_balance"] == told["traffic_limit"] - told["total_usage_traffic"]


def test_a_cap_that_is_used_up_leaves_0(shop: Shop) -> None:
    shop.make("user123", traffic_limit="100")
    shop.use("a", "2025-01-02T00:00:00Z", 101 * MB, user="user123")
    assert shop.ok("proxy-users/usage-statistics", **DAYS)["traffic_balance"] == 0


def test_several_names_are_summed_each_once(user: Shop) -> None:
    user.make("user456", traffic_limit="100")
    user.use("d", "2025-01-02T12:00:00Z", 1000 * KB, user="user456")
    told = user.ok("proxy-users/usage-statistics", **{**DAYS, "username": "user123,user456,user123"})
    assert [row["usage_traffic"] for row in told["data"]] == [50000, 51000, 50000]
    assert (told["traffic_limit"], told["total_usage_traffic"]) == (307200, 151000)
    assert told["traffic_balance"] == 307200 - 151000
    user.make("user789")
    told = user.ok("proxy-users/usage-statistics", **{**DAYS, "username": "user123,user789"})
    assert (told["traffic_limit"], told["traffic_balance"]) == (0, 0)


@pytest.mark.parametrize("path", ["proxy-users/usage-statistics", "proxy-users/usage-statistics-hour"])
def test_names_nobody_has_are_10020(user: Shop, path: str) -> None:
    asked = DAYS if path.endswith("statistics") else HOURS
    for name in ("nobody1", "user123,nobody1", "somebody"):
        assert user.get(path, **{**asked, "username": name})["code"] == 10020
    assert user.get(path, **asked, proxy_type="2")["code"] == 10020
    assert user.get(path, **{**asked, "username": ""})["code"] == 10000


def test_ranges_have_the_same_bounds_by_the_hour(user: Shop) -> None:
    path = "proxy-users/usage-statistics-hour"
    whole = {"username": "user123", "from_date": "2025-01-01 00", "to_date": "2025-06-30 23"}
    assert len(user.ok(path, **whole)["data"]) == 181 * 24
    assert user.get(path, **{**whole, "to_date": "2025-07-01 00"})["code"] == 10021
    assert user.get(path, **{**whole, "to_date": "2024-12-31 00"})["code"] == 10000


def test_a_rename_keeps_the_use(user: Shop) -> None:
    before = user.ok("proxy-users/usage-statistics", **DAYS)
    user.done("proxy-users/update-user", username="user123", new_username="user456")
    assert user.ok("proxy-users/usage-statistics", **{**DAYS, "username": "user456"}) == before
    assert user.get("proxy-users/usage-statistics", **DAYS)["code"] == 10020


def test_use_of_any_product_is_the_users_as_its_limit_counts_it(user: Shop) -> None:
    user.use("m", "2025-01-02T12:00:00Z", 1000 * KB, user="user123", product="mobile")
    told = user.ok("proxy-users/usage-statistics", **DAYS)
    native = user.client.get("/v1/accounts/shop/users/user123/balance").json()["limit"]
    assert told["total_usage_traffic"] * KB == native["used"]
    assert told["traffic_balance"] * KB == native["left"]


def test_a_cap_by_the_month_says_what_is_left_of_this_one(shop: Shop) -> None:
    limit = {"amount": 10 * MB, "unit": "bytes", "window": "month"}
    shop.client.post("/v1/accounts/shop/users", json={"name": "user123", "limit": limit})
    shop.use("before", "2025-01-02T00:00:00Z", 50 * MB, user="user123")
    shop.use("now", "2026-03-10T00:00:00Z", 4 * MB, user="user123")
    told = shop.ok("proxy-users/usage-statistics", **DAYS)
    assert (told["traffic_limit"], told["traffic_balance"], told["total_usage_traffic"]) == (10240, 6144, 55296)


def test_an_hour_that_comes_twice_is_one_row(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(timezone="Europe/Berlin")
    shop.make("user123")
    shop.use("a", "2025-10-26T00:30:00Z", KB, user="user123")  # 02:30 summer
    shop.use("b", "2025-10-26T01:30:00Z", 2 * KB, user="user123")  # 02:30 winter
    asked = {"username": "user123", "from_date": "2025-10-26 01", "to_date": "2025-10-26 03"}
    told = shop.ok("proxy-users/usage-statistics-hour", **asked)
    assert [(row["date"][-2:], row["usage_traffic"]) for row in told["data"]] == [("01", 0), ("02", 3), ("03", 0)]


def test_residential_users_and_use_without_a_user_make_up_the_account(user: Shop) -> None:
    user.make("user456")
    user.use("d", "2025-01-02T12:00:00Z", 1000 * KB, user="user456")
    user.use("e", "2025-01-02T12:00:00Z", 300 * KB)  # from a whitelisted address
    dates = {"from_date": "2025-01-01", "to_date": "2025-01-03"}
    account = user.ok("account/usage-statistics", **dates)
    users = user.ok("proxy-users/usage-statistics", username="user123,user456", **dates)
    assert account["range_usage_traffic"] == users["range_usage_traffic"] + 300 + 7  # 7: of `somebody`, not managed
