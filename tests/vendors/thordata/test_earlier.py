"""Thordata's first generation: `gateway/*` and `child/*`, with `sign` and `apiKey`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import Clock
from tests.vendors.asking import issue
from tests.vendors.thordata.conftest import GB, KB, MB, Shop, answered, data_of

from flowtally.core.edges import parse_instant

DAYS = {"start_time": "2026-03-14", "end_time": "2026-03-15"}
NEW = {"username": "child01", "password": "password1", "flow_limit": "500", "status": "1"}


def gateway(shop: Shop, path: str, **form: str) -> Any:
    """As it was asked: secrets in headers, a form."""
    headers = {"sign": shop.shown.token, "apiKey": shop.shown.key}
    return answered(shop.client.post(f"/api/gateway/{path}", headers=headers, data=form))


def child(shop: Shop, path: str, **query: str) -> Any:
    """As it was asked: everything in the query, writes too."""
    secrets = {"sign": shop.shown.token, "apiKey": shop.shown.key}
    return answered(shop.client.get(f"/api/child/{path}", params={**secrets, **query}))


def test_the_balance_is_what_the_later_route_says_in_kb(shop: Shop) -> None:
    assert data_of(gateway(shop, "getFlowBalance")) == {"balance": 0, "expire_time": 4_102_358_400}
    shop.grant(GB)
    assert data_of(gateway(shop, "getFlowBalance")) == {"balance": GB // KB, "expire_time": 4_102_358_400}
    shop.grant(GB, expires_at="2026-04-01T00:00:00Z")
    shop.use("1", "2026-03-14T10:00:00Z", 10 * MB)
    told = data_of(gateway(shop, "getFlowBalance"))
    assert told == {"balance": (2 * GB - 10 * MB) // KB, "expire_time": 1_775_001_600}
    assert told["balance"] == shop.ok("account/traffic-balance")["traffic_balance"] * 1024


def test_usage_is_what_the_later_routes_say(shop: Shop) -> None:
    shop.grant(GB)
    shop.make("user123", traffic_limit="200")
    shop.use("1", "2026-03-14T10:00:00Z", 3 * MB, user="user123")
    shop.use("2", "2026-03-15T10:00:00Z", 1536)
    later = shop.ok("account/usage-statistics", from_date="2026-03-14", to_date="2026-03-15")
    told = data_of(gateway(shop, "usageRecord", **DAYS))
    assert told == {
        "all_flow": GB // KB,
        "all_used_flow": later["total_usage_traffic"],
        "balance": later["traffic_balance"],
        "count": 2,
        "curr_used_flow": later["range_usage_traffic"],
        "data": [{"date": one["date"], "used_flow": one["usage_traffic"]} for one in later["data"]],
    }
    assert [one["used_flow"] for one in told["data"]] == [3072, Decimal("1.5")]
    mine = data_of(gateway(shop, "childUsageRecord", child_username="user123", **DAYS))
    assert (mine["all_flow"], mine["all_used_flow"], mine["balance"]) == (200 * 1024, 3072, 197 * 1024)
    assert [one["used_flow"] for one in mine["data"]] == [3072, 0]
    assert gateway(shop, "childUsageRecord", child_username="nobody1", **DAYS)["code"] == 10020
    assert gateway(shop, "usageRecord", start_time="2026-03-14")["code"] == 10000
    assert gateway(shop, "usageRecord", start_time="2025-03-14", end_time="2026-03-14")["code"] == 10021


def test_a_child_lives_from_save_to_delete(shop: Shop) -> None:
    assert data_of(child(shop, "save_user", **NEW)) == {}
    assert child(shop, "save_user", **NEW)["code"] == 10018
    told = data_of(child(shop, "user_list"))
    assert told["count"] == 1
    assert told["list"] == [{"username": "child01", "password": "password1", "flow_limit": 500, "status": 1}]
    assert told["limit"] == shop.ok("proxy-users/user-list")["limit"]
    assert data_of(child(shop, "edit_user", username="child01", new_username="child02", new_status="-2")) == {}
    [one] = data_of(child(shop, "user_list"))["list"]
    assert (one["username"], one["password"], one["flow_limit"], one["status"]) == ("child02", "password1", 500, -2)
    assert data_of(child(shop, "edit_user", username="child02", new_password="password2", new_flow_limit="0")) == {}
    [one] = data_of(child(shop, "user_list"))["list"]
    assert (one["password"], one["flow_limit"], one["status"]) == ("password2", 0, -2)
    assert data_of(child(shop, "del_user", username="child02")) == {}
    assert data_of(child(shop, "user_list"))["list"] == []
    assert child(shop, "del_user", username="child02")["code"] == 10020


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"username": "ab"}, 10015),
        ({"password": "1password"}, 10016),
        ({"flow_limit": "99"}, 10000),
        ({"flow_limit": ""}, 10000),
        ({"status": "2"}, 10000),
        ({"status": ""}, 10000),
    ],
)
def test_what_is_no_child_is_refused_as_later(shop: Shop, wrong: dict[str, str], code: int) -> None:
    assert child(shop, "save_user", **NEW | wrong)["code"] == code
    assert data_of(child(shop, "user_list"))["list"] == []


def test_the_wallet_is_told_under_its_old_name(shop: Shop) -> None:
    shop.client.post("/v1/accounts/shop/wallet/deposits", json={"amount_micros": 12_345_678})
    told = shop.client.post("/api/gateway/getBalance", headers={"sign": shop.shown.token})
    assert told.json() == {"code": 200, "data": {"walletBalance": 12.34}, "msg": "ok"}


def test_the_secrets_go_by_either_name_wherever_they_are(shop: Shop) -> None:
    path, token, key = "/api/gateway/getFlowBalance", shop.shown.token, shop.shown.key
    for names in (("sign", "apiKey"), ("token", "key"), ("sign", "apikey"), ("SIGN", "APIKEY")):
        headers = dict(zip(names, (token, key), strict=True))
        assert answered(shop.client.post(path, headers=headers))["code"] == 200
    secrets = {"sign": token, "apiKey": key}
    for answer in (shop.client.post(path, params=secrets), shop.client.post(path, data=secrets)):
        assert answered(answer)["code"] == 200
    for headers, code in (
        ({}, 10013),
        ({"sign": "wrong" * 5}, 10013),
        ({"sign": token, "token": "wrong" * 5}, 10013),
        ({"sign": token, "apiKey": "wrong"}, 10014),
        ({"sign": token, "apiKey": key, "key": "wrong"}, 10014),
    ):
        assert answered(shop.client.post(path, headers=headers))["code"] == code, headers


def test_the_later_routes_know_no_sign(shop: Shop) -> None:
    told = shop.client.get("/api/account/traffic-balance", params={"sign": shop.shown.token})
    assert answered(told)["code"] == 10047


def test_head_changes_nothing_though_get_does(shop: Shop) -> None:
    query = {"sign": shop.shown.token, **NEW}
    assert shop.client.head("/api/child/save_user", params=query).headers["allow"] == "GET"
    assert data_of(child(shop, "user_list"))["list"] == []


def test_who_only_reads_saves_nothing(shop: Shop) -> None:
    reader = Shop(shop.client, issue(shop.client, "shop", "account"))
    assert child(reader, "save_user", **NEW)["code"] == 10013
    assert data_of(child(reader, "user_list"))["count"] == 0
    other = shop.other()
    assert data_of(child(other, "save_user", **NEW)) == {}
    assert data_of(child(shop, "user_list"))["count"] == 0


# -- ISP proxies ------------------------------------------------------------------------------------------------------


def put(shop: Shop, address: str, city: str = "newyork", **more: Any) -> str:
    body = {"kind": "isp", "address": address, "country": "US", "city": city, "region": "na"} | more
    answer = shop.client.post("/v1/stock", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def give(shop: Shop, stock: str, account: str = "shop", **more: Any) -> None:
    answer = shop.client.post(f"/v1/accounts/{account}/leases/give", json={"stock": stock} | more)
    assert answer.status_code == 201, answer.text


def plan(shop: Shop, days: int, price_micros: int, **more: Any) -> None:
    body = {"kind": "isp", "days": days, "price_micros": price_micros} | more
    assert shop.client.post("/v1/lease-plans", json=body).status_code == 201


def test_isp_proxies_are_what_the_account_leases_now(shop: Shop, clock: Clock) -> None:
    assert data_of(gateway(shop, "queryListIsp")) == []
    held = put(shop, "192.0.2.1", port=8000, username="user123", password="password123")
    give(shop, held, ends_at="2026-04-01T00:00:00Z")
    give(shop, put(shop, "192.0.2.2"))
    shop.other()
    give(shop, put(shop, "192.0.2.3"), "other")
    give(shop, put(shop, "192.0.2.4", kind="datacenter"))
    first, second = data_of(gateway(shop, "queryListIsp"))
    assert first == {
        "startTime": 1_773_576_000,
        "expireTime": 1_775_001_600,
        "ip": "192.0.2.1",
        "port": 8000,
        "user": "user123",
        "pwd": "password123",
        "continent": "na",
        "country": "US",
        "city": "newyork",
    }
    assert (second["ip"], second["port"], second["pwd"]) == ("192.0.2.2", 0, "")
    assert second["expireTime"] == 4_102_358_400
    reader = Shop(shop.client, issue(shop.client, "shop", "account"))
    assert data_of(gateway(reader, "queryListIsp"))[0]["pwd"] == ""
    clock.at = parse_instant("2026-04-01T00:00:00Z")
    assert [one["ip"] for one in data_of(gateway(shop, "queryListIsp"))] == ["192.0.2.2"]


def test_isp_proxies_are_asked_for_when_they_expire(shop: Shop) -> None:
    give(shop, put(shop, "192.0.2.1"), ends_at="2026-04-01T00:00:00Z")
    give(shop, put(shop, "2001:db8::1"))
    shop.other()
    give(shop, put(shop, "192.0.2.3"), "other")
    told = data_of(gateway(shop, "queryTimeIsp", ips="2001:db8::1, 192.0.2.1,192.0.2.3,nothing,192.0.2.1"))
    assert told == [
        {"ip": "2001:db8::1", "expire_time": 4_102_358_400},
        {"ip": "192.0.2.1", "expire_time": 1_775_001_600},
    ]
    for ips, code in (("192.0.2.3", 10010), ("", 10000), (" , ", 10000), (",".join(map(str, range(1001))), 10000)):
        assert gateway(shop, "queryTimeIsp", ips=ips)["code"] == code


def test_isp_regions_are_where_something_is_in_stock_and_sold(shop: Shop) -> None:
    assert data_of(gateway(shop, "getRegionIsp")) == []
    for address, city in (("192.0.2.1", "newyork"), ("192.0.2.2", "newyork"), ("192.0.2.3", "boston")):
        put(shop, address, city)
    assert data_of(gateway(shop, "getRegionIsp")) == []
    plan(shop, 7, 2_500_000)
    plan(shop, 7, 2_000_000, city="newyork")
    plan(shop, 30, 8_000_000, city="newyork")
    plan(shop, 30, 1, country="DE")
    assert data_of(gateway(shop, "getRegionIsp")) == [
        {"continent": "na", "country": "US", "city": "boston", "pricing": {"week": Decimal("2.5"), "month": 0}},
        {"continent": "na", "country": "US", "city": "newyork", "pricing": {"week": 2, "month": 8}},
    ]
