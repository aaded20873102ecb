"""Fixed proxies and unlimited servers as Thordata's clients ask for them: leases of this account, in their words."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import Clock
from tests.vendors.asking import issue
from tests.vendors.thordata.conftest import Shop

from flowtally.core.edges import parse_instant
from flowtally.core.times import DAY_MS

SMALL = {"cpu_cores": 8, "memory_mib": 16_384, "bandwidth_mbps": 200}
LARGE = {"cpu_cores": 16, "memory_mib": 32_768, "bandwidth_mbps": 300}


def put(shop: Shop, path: str, body: Any) -> Any:
    answer = shop.client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def leasing(shop: Shop) -> Shop:
    """The shop has 100.00, an ISP proxy, a datacenter proxy without a password and an end, and a server."""
    put(shop, "accounts/shop/wallet/deposits", {"amount_micros": 100_000_000})
    for id, days, price, size in (
        ("small", 30, 10_000_000, SMALL),
        ("small-7", 7, 3_000_000, SMALL),
        ("large", 30, 22_345_678, LARGE),
    ):
        put(shop, "lease-plans", {"id": id, "kind": "unlimited", "days": days, "price_micros": price, **size})
    isp = {
        "kind": "isp",
        "address": "192.0.2.1",
        "port": 6666,
        "username": "ann",
        "password": "secret",
        "country": "US",
    }
    give(shop, isp | {"country": "US", "city": "newyork"}, ends_at="2027-01-31T12:34:56Z")
    give(shop, {"kind": "datacenter", "address": "192.0.2.2"})
    server = {"kind": "unlimited", "address": "192.0.2.3", "name": "gate-1", "region": "na-siliconvalley", **SMALL}
    give(shop, server, plan="small")
    return shop


def give(shop: Shop, item: dict[str, Any], **terms: str) -> None:
    made = put(shop, "stock", item)
    put(shop, "accounts/shop/leases/give", {"stock": made["id"], **terms})


def test_proxies_are_listed_by_kind_with_their_passwords(leasing: Shop) -> None:
    [isp] = leasing.ok("proxy/proxy-list")
    assert isp == {
        "purchase_time": isp["purchase_time"],
        "expiration_time": "2027-01-31 12:34",
        "ip": "192.0.2.1",
        "port": 6666,
        "username": "ann",
        "password": "secret",
        "country": "US",
        "city": "newyork",
    }
    [datacenter] = leasing.ok("proxy/proxy-list", proxy_type="2")
    assert (datacenter["ip"], datacenter["password"], datacenter["expiration_time"]) == (
        "192.0.2.2",
        "",
        "9999-12-31 23:59",
    )
    assert leasing.get("proxy/proxy-list", proxy_type="3")["code"] == 10000
    reading = Shop(leasing.client, issue(leasing.client, "shop", "account"))
    assert reading.ok("proxy/proxy-list")[0]["password"] == ""


@pytest.mark.parametrize("timezone", ["America/New_York", "Asia/Shanghai"])
def test_a_lease_without_an_end_ends_at_the_same_date_in_every_zone(
    make_shop: Callable[..., Shop], timezone: str
) -> None:
    shop = make_shop(timezone=timezone)
    give(shop, {"kind": "datacenter", "address": "192.0.2.2"})
    [datacenter] = shop.ok("proxy/proxy-list", proxy_type="2")
    assert datacenter["expiration_time"] == "9999-12-31 23:59"


def test_a_lease_that_has_ended_is_listed_no_more(leasing: Shop, clock: Clock) -> None:
    clock.at += 31 * DAY_MS
    assert leasing.ok("unlimited/server-list") == []


def test_expirations_are_told_of_what_the_account_has(leasing: Shop) -> None:
    told = leasing.ok("proxy/expiration-time", ips="198.51.100.1, 192.0.2.1")
    assert told == [{"ip": "192.0.2.1", "expiration_time": "2027-01-31 12:34"}]
    assert leasing.get("proxy/expiration-time", ips="192.0.2.2")["code"] == 10010  # it is no ISP proxy
    assert leasing.get("proxy/expiration-time")["code"] == 10000
    assert leasing.get("proxy/expiration-time", ips=",")["code"] == 10000


def test_servers_are_listed_with_their_size(leasing: Shop) -> None:
    [server] = leasing.ok("unlimited/server-list")
    shown = (server["plan_name"], server["server"], server["bandwidth"], server["status"], server["region"])
    assert shown == ("gate-1", "8vCPU 16GiB", "200Mbps", "Turn on", "na-siliconvalley")
    assert server["ins_id"].startswith("stk_")
    assert server["order_id"].startswith("ord_")


@pytest.mark.parametrize(
    ("asked", "days", "money"),
    [
        ({"package_id": "8"}, 30, Decimal(10)),
        ({"package_id": "6"}, 7, Decimal(3)),
        ({"month": "1"}, 30, Decimal(10)),
    ],
)
def test_a_server_is_renewed_from_its_end(leasing: Shop, asked: dict[str, str], days: int, money: Decimal) -> None:
    before, which = leases(leasing), leasing.ok("unlimited/server-list")[0]["ins_id"]
    named = {"plan_name": "gate-1"} if "month" in asked else {"ins_id": which}
    told = leasing.post("unlimited/renew", **named, **asked)
    assert (told["code"], told["data"]["order_money"]) == (200, money)
    [after] = leases(leasing)
    assert ends(after) - ends(before[0]) == days * DAY_MS
    order = leasing.client.get(f"/v1/accounts/shop/lease-orders/{told['data']['order_id']}").json()
    assert (order["what"], order["price_micros"]) == ("renewed", int(money * 1_000_000))


def leases(shop: Shop) -> list[Any]:
    found: list[Any] = shop.client.get("/v1/accounts/shop/leases", params={"kind": "unlimited"}).json()["items"]
    return found


def ends(lease: Any) -> int:
    return parse_instant(lease["ends_at"])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, 10000),
        ({"ins_id": "stk_9", "package_id": "8"}, 10010),
        ({"plan_name": "gate-1"}, 10000),
        ({"plan_name": "gate-1", "package_id": "5"}, 10001),
        ({"plan_name": "gate-1", "package_id": "7"}, 10001),  # no plan of 60 days
        ({"plan_name": "gate-1", "month": "0"}, 10001),
    ],
)
def test_what_cannot_be_renewed_has_a_code_of_theirs(leasing: Shop, asked: dict[str, str], code: int) -> None:
    assert leasing.post("unlimited/renew", **asked)["code"] == code


@pytest.mark.parametrize("asked", [{"bw_id": "2", "sv_id": "2"}, {"target_plan": "large"}])
def test_an_upgrade_costs_the_difference_cut_off_at_a_cent(leasing: Shop, asked: dict[str, str]) -> None:
    told = leasing.post("unlimited/upgrade", plan_name="gate-1", **asked)
    assert (told["code"], told["data"]["order_money"]) == (200, Decimal("12.34"))
    assert leasing.ok("unlimited/server-list")[0]["server"] == "16vCPU 32GiB"


@pytest.mark.parametrize(
    "asked",
    [{}, {"bw_id": "10"}, {"sv_id": "1"}, {"bw_id": "9"}, {"target_plan": "none"}, {"target_plan": "small"}],
)
def test_what_is_no_upgrade_is_a_parameter_error(leasing: Shop, asked: dict[str, str]) -> None:
    assert leasing.post("unlimited/upgrade", plan_name="gate-1", **asked)["code"] == 10000


def test_who_cannot_pay_and_what_is_withdrawn_have_codes_of_theirs(leasing: Shop) -> None:
    balance = leasing.client.get("/v1/accounts/shop/wallet").json()["balance_micros"]
    put(leasing, "accounts/shop/wallet/adjustments", {"amount_micros": -balance, "reason": "paid out"})
    assert leasing.post("unlimited/renew", plan_name="gate-1", package_id="8")["code"] == 10008
    which = leasing.ok("unlimited/server-list")[0]["ins_id"]
    leasing.client.post(f"/v1/stock/{which}/retire")
    assert leasing.post("unlimited/renew", plan_name="gate-1", package_id="8")["code"] == 10007


def test_nothing_of_another_account_is_listed_or_renewed(leasing: Shop) -> None:
    other = leasing.other()
    which = leasing.ok("unlimited/server-list")[0]["ins_id"]
    for path in ("proxy/proxy-list", "unlimited/server-list"):
        assert other.ok(path) == []
    assert other.get("proxy/expiration-time", ips="192.0.2.1")["code"] == 10010
    assert other.post("unlimited/renew", ins_id=which, package_id="8")["code"] == 10010
