"""Unlimited servers: a restart is asked for and not made up, what was measured is shown, users are bound."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.conftest import NOW, Client
from tests.vendors.asking import issue
from tests.vendors.thordata.conftest import AGENTS, Shop

NOON = NOW // 1000
SERVER = {"kind": "unlimited", "address": "192.0.2.50", "name": "gate-1.example"}


@pytest.fixture
def server(shop: Shop) -> dict[str, str]:
    """Leased by the shop since an hour ago."""
    item = shop.client.post("/v1/stock", json=SERVER).json()["id"]
    body = {"stock": item, "starts_at": "2026-03-15T11:00:00Z", "ends_at": "2026-04-15T12:00:00Z"}
    made = shop.client.post("/v1/accounts/shop/leases/give", json=body).json()
    return {"stock": item, "lease": made["leases"][0]["id"]}


def requested(client: Client) -> list[tuple[str, str]]:
    return [(one["server"], one["what"]) for one in client.get("/v1/actions?status=requested").json()["items"]]


@pytest.mark.parametrize("name", ["plan_name", "ins_id"])
def test_a_restart_is_asked_for_once(shop: Shop, server: dict[str, str], name: str) -> None:
    for wanted in ("gate-1.example", "192.0.2.50", server["stock"], server["lease"]):
        shop.done("unlimited/restart-server", **{name: wanted})
    assert requested(shop.client) == [(server["stock"], "restart")]


def test_a_server_of_another_account_is_none(shop: Shop, server: dict[str, str]) -> None:
    shop.client.post("/v1/accounts", json={"id": "other"})
    other = Shop(shop.client, issue(shop.client, "other", "manage"))
    assert other.post("unlimited/restart-server", plan_name="gate-1.example")["code"] == 10000
    assert other.get("unlimited/server-monitor", ins_id=server["stock"], start_time="1", end_time="2")["code"] == 10000
    assert other.post("get_unlimited_servers_bind_user", ip="192.0.2.50")["code"] == 10010
    assert requested(shop.client) == []


def test_after_the_lease_there_is_no_server(shop: Shop, server: dict[str, str]) -> None:
    shop.client.post(f"/v1/accounts/shop/leases/{server['lease']}/release")
    assert shop.post("unlimited/restart-server", plan_name="gate-1.example")["code"] == 10000


def measured(shop: Shop, server: str, name: str, *values: float) -> None:
    """One a minute, from 11:50 on."""
    body = [
        {"server": server, "name": name, "time": f"2026-03-15T11:{50 + n}:00Z", "value": value}
        for n, value in enumerate(values)
    ]
    assert shop.client.post("/v1/samples", json=body).json()["stored"] == len(values)


def test_the_monitor_shows_means_of_what_was_measured(shop: Shop, server: dict[str, str]) -> None:
    measured(shop, server["stock"], "cpu", 1, 2, 3, 4, 5, 10)
    measured(shop, server["stock"], "connections", 7)
    asked = {"ins_id": "gate-1.example", "region": "na", "start_time": str(NOON - 600), "end_time": str(NOON)}
    told = shop.ok("unlimited/server-monitor", **asked)
    empty: dict[str, Any] = {"times": [], "values": []}
    assert told == {
        "CpuUsage": {"times": [NOON - 600, NOON - 300], "values": [3, 10]},
        "MemUsage": empty,
        "TcpCurrEstab": {"times": [NOON - 600], "values": [7]},
        "WanIntraffic": empty,
        "WanOuttraffic": empty,
    }
    assert shop.ok("unlimited/server-monitor", **asked, period="3600")["CpuUsage"]["values"] == [Decimal("4.17")]


def test_the_balancing_monitor_has_its_own_envelope_and_refuses_as_all_do(shop: Shop, server: dict[str, str]) -> None:
    measured(shop, server["stock"], "client_connection_count", 5)
    asked = {"ins_id": "gate-1.example", "start_time": str(NOON - 600), "end_time": str(NOON)}
    query = asked | {"token": shop.shown.token, "key": shop.shown.key}
    told = shop.client.get("/api/unlimited/balancing-monitor", params=query).json()
    assert set(told) == {"status_code", "payload"}
    assert told["status_code"] == 200
    assert told["payload"]["client_connection_count"] == {"times": [NOON - 600], "values": [5]}
    refused = shop.get("unlimited/balancing-monitor", **asked | {"ins_id": "gate-2.example"})
    assert (set(refused), refused["code"]) == ({"code", "data", "msg"}, 10000)


def test_nothing_is_shown_from_before_the_lease(shop: Shop, server: dict[str, str]) -> None:
    body = {"server": server["stock"], "name": "cpu", "time": "2026-03-15T10:59:59Z", "value": 1}
    shop.client.post("/v1/samples", json=body)
    asked = {"ins_id": server["stock"], "start_time": str(NOON - 86_400), "end_time": str(NOON)}
    assert shop.ok("unlimited/server-monitor", **asked)["CpuUsage"]["times"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"ins_id": ""},
        {"start_time": ""},
        {"end_time": "x"},
        {"end_time": "1"},
        {"period": "61"},
        {"start_time": "1", "period": "60"},
    ],
)
def test_what_cannot_be_watched_is_a_parameter_error(shop: Shop, server: dict[str, str], wrong: dict[str, str]) -> None:
    asked = {"ins_id": "gate-1.example", "start_time": str(NOON - 600), "end_time": str(NOON)} | wrong
    assert shop.get("unlimited/server-monitor", **asked)["code"] == 10000


def test_users_are_bound_listed_and_taken_off(shop: Shop, server: dict[str, str]) -> None:
    shop.client.post("/v1/accounts/shop/users", json={"name": "user123"})
    both = {"ip": "gate-1.example", "username": "user123"}
    for _ in range(2):
        shop.done("add_unlimited_servers_bind_user", **both)
    listed = shop.post("get_unlimited_servers_bind_user", ip="192.0.2.50")["data"]
    users = [{"create_time": "2026-03-15 12:00:00", "username": "user123"}]
    assert listed == [{"domain": "gate-1.example", "ip": "192.0.2.50", "sub_users": users}]
    python = shop.of_client(AGENTS["python"][0])
    assert python.post("get_unlimited_servers_bind_user", ip="192.0.2.50")["data"] == {"list": listed}
    for _ in range(2):
        shop.done("del_unlimited_servers_bind_user", **both)
    assert shop.post("get_unlimited_servers_bind_user", ip="192.0.2.50")["data"][0]["sub_users"] == []


def test_a_user_or_an_address_that_is_not_there_is_named_by_its_code(shop: Shop, server: dict[str, str]) -> None:
    user = shop.client.post("/v1/accounts/shop/users", json={"name": "user123"}).json()["id"]
    for name in ("nobody", user):
        assert shop.post("add_unlimited_servers_bind_user", ip="192.0.2.50", username=name)["code"] == 10020
    assert shop.post("add_unlimited_servers_bind_user", ip="192.0.2.51", username="user123")["code"] == 10010
    assert shop.post("add_unlimited_servers_bind_user", ip="192.0.2.50")["code"] == 10000
