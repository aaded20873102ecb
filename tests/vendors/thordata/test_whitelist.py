"""The whitelist, in both shapes of its list."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.conftest import Client
from tests.vendors.thordata.conftest import AGENTS, OTHERS, Shop, shop_of


def test_addresses_are_added_listed_switched_and_deleted(shop: Shop) -> None:
    assert shop.ok("whitelisted-ips/ip-list") == {"ip_count": 0, "limit": 100, "remaining_limit": 100, "lists": []}
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="true", proxy_type="1")
    shop.done("whitelisted-ips/add-ip", ip="2.2.2.2", status="false")
    first = {"created_time": "2026-03-15", "ip": "1.1.1.1", "status": True}
    second = {"created_time": "2026-03-15", "ip": "2.2.2.2", "status": False}
    assert shop.ok("whitelisted-ips/ip-list") == {
        "ip_count": 2,
        "limit": 100,
        "remaining_limit": 98,
        "lists": [first, second],
    }
    shop.done("whitelisted-ips/add-ip", ip="2.2.2.2", status="true")
    assert shop.ok("whitelisted-ips/ip-list")["lists"] == [first, {**second, "status": True}]
    shop.done("whitelisted-ips/delete-ip", ip="1.1.1.1")
    assert [one["ip"] for one in shop.ok("whitelisted-ips/ip-list")["lists"]] == ["2.2.2.2"]


def test_the_list_may_be_the_array_their_sdks_read(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(whitelist_array=True)
    assert shop.ok("whitelisted-ips/ip-list") == []
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="true")
    assert shop.ok("whitelisted-ips/ip-list") == [{"created_time": "2026-03-15", "ip": "1.1.1.1", "status": True}]


@pytest.mark.parametrize("agent", [one for agents in AGENTS.values() for one in agents])
def test_their_own_clients_are_answered_with_the_addresses_that_they_read(shop: Shop, agent: str) -> None:
    own = shop.of_client(agent)
    assert own.ok("whitelisted-ips/ip-list") == []
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="true")
    shop.done("whitelisted-ips/add-ip", ip="2001:db8::1", status="false")
    assert own.ok("whitelisted-ips/ip-list") == ["1.1.1.1", "2001:db8::1"]


@pytest.mark.parametrize("agent", OTHERS[2:])
def test_whoever_else_it_is_is_answered_with_the_object_of_their_page(shop: Shop, agent: str) -> None:
    assert shop.of_client(agent).ok("whitelisted-ips/ip-list") == shop.ok("whitelisted-ips/ip-list")
    assert shop.ok("whitelisted-ips/ip-list")["lists"] == []


@pytest.mark.parametrize("array", [True, False])
def test_a_shape_that_is_set_is_that_of_all_clients(make_shop: Callable[..., Shop], *, array: bool) -> None:
    shop = make_shop(whitelist_array=array)
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="true")
    entries = [{"created_time": "2026-03-15", "ip": "1.1.1.1", "status": True}]
    for agent in (*(one for agents in AGENTS.values() for one in agents), *OTHERS):
        told = shop.of_client(agent).ok("whitelisted-ips/ip-list")
        assert told == entries if array else told["lists"] == entries


def test_every_kind_has_a_list_of_its_own_and_mobile_two_numbers(shop: Shop) -> None:
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="true", proxy_type="1")
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="true", proxy_type="9")
    counts = [shop.ok("whitelisted-ips/ip-list", proxy_type=one)["ip_count"] for one in ("1", "2", "3", "9")]
    assert counts == [1, 0, 1, 1]
    shop.done("whitelisted-ips/delete-ip", ip="1.1.1.1", proxy_type="3")
    assert shop.ok("whitelisted-ips/ip-list", proxy_type="9")["ip_count"] == 0
    assert shop.ok("whitelisted-ips/ip-list", proxy_type="1")["ip_count"] == 1


def test_an_address_that_is_not_there_is_10010(shop: Shop) -> None:
    assert shop.post("whitelisted-ips/delete-ip", ip="1.1.1.1")["code"] == 10010


def test_what_is_no_address_is_10000(shop: Shop) -> None:
    for ip in ("", "1.1.1", "1.1.1.0/24", "example.com", "1.1.1.1,2.2.2.2", "::g"):
        assert shop.post("whitelisted-ips/add-ip", ip=ip, status="true")["code"] == 10000
        assert shop.post("whitelisted-ips/delete-ip", ip=ip)["code"] == 10000
    for status in ("", "on"):
        assert shop.post("whitelisted-ips/add-ip", ip="1.1.1.1", status=status)["code"] == 10000
    assert shop.ok("whitelisted-ips/ip-list")["ip_count"] == 0


def test_a_full_list_is_10019_and_may_still_be_changed(make_client: Callable[..., Client]) -> None:
    shop = shop_of(make_client(max_whitelist_ips=1))
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="true")
    assert shop.post("whitelisted-ips/add-ip", ip="2.2.2.2", status="true")["code"] == 10019
    shop.done("whitelisted-ips/add-ip", ip="1.1.1.1", status="false")
    told = shop.ok("whitelisted-ips/ip-list")
    assert (told["ip_count"], told["limit"], told["remaining_limit"]) == (1, 1, 0)


def test_what_was_put_on_it_natively_is_listed(shop: Shop) -> None:
    shop.done("whitelisted-ips/add-ip", ip="2001:DB8:0::1", status="true")
    native = shop.client.get("/v1/accounts/shop/whitelist").json()["items"]
    assert [one["address"] for one in native] == ["2001:db8::1"]
    assert [one["ip"] for one in shop.ok("whitelisted-ips/ip-list")["lists"]] == ["2001:db8::1"]
