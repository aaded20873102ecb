"""Proxy users: made, listed, changed, deleted."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from tests.conftest import Client
from tests.vendors.thordata.conftest import AGENTS, KB, MB, OTHERS, Shop, shop_of

from flowtally.vendors.thordata.settings import Settings

USER = {"username": "user123", "password": "password123", "traffic_limit": "0", "status": "true"}
REFUSED_WHEN_MADE = [
    ({"username": "ab"}, 10015),
    ({"username": "a_b_c_d"}, 10015),
    ({"username": "a" * 16}, 10015),
    ({"password": "1abcdef"}, 10016),
    ({"password": "short"}, 10016),
    ({"traffic_limit": "99"}, 10000),
    ({"traffic_limit": "None"}, 10000),
    ({"traffic_limit": ""}, 10000),
    ({"status": "ture"}, 10000),
    ({"status": ""}, 10000),
    ({"proxy_type": "4"}, 10000),
    ({"username": ""}, 10000),
    ({"password": ""}, 10000),
]
REFUSED_WHEN_CHANGED = [
    ({"new_username": "ab"}, 10015),
    ({"new_username": "user456"}, 10018),
    ({"new_password": "1abcdef"}, 10016),
    ({"new_traffic_limit": "99"}, 10000),
    ({"new_traffic_limit": "None"}, 10000),
    ({"new_status": "x"}, 10000),
    ({"username": "nobody1"}, 10020),
    ({"proxy_type": "3"}, 10020),
    ({"username": ""}, 10000),
]


def names(shop: Shop, **params: str) -> list[str]:
    return [user["username"] for user in shop.ok("proxy-users/user-list", **params)["list"]]


def test_a_list_is_as_on_their_page(shop: Shop) -> None:
    assert shop.ok("proxy-users/user-list") == {"limit": 100, "remaining_limit": 100, "user_count": 0, "list": []}
    shop.make("user123")
    assert shop.ok("proxy-users/user-list") == {
        "limit": 100,
        "remaining_limit": 99,
        "user_count": 1,
        "list": [
            {
                "created_time": "2026-03-15",
                "username": "user123",
                "password": "password123",
                "status": True,
                "traffic_limit": 0,
                "usage_traffic": 0,
            }
        ],
    }


def test_a_user_lives_from_create_to_delete(shop: Shop) -> None:
    shop.make("user123", traffic_limit="100")
    shop.use("a", "2025-01-02T00:00:00Z", 3 * MB, user="user123")
    changed = {"new_username": "user456", "new_traffic_limit": "500", "new_status": "false"}
    shop.done("proxy-users/update-user", username="user123", **changed)
    [user] = shop.ok("proxy-users/user-list")["list"]
    assert (user["username"], user["traffic_limit"], user["status"]) == ("user456", 500, False)
    assert (user["password"], user["usage_traffic"]) == ("password123", 3)
    shop.done("proxy-users/delete-user", username="user456")
    assert shop.post("proxy-users/delete-user", username="user456")["code"] == 10020
    assert names(shop) == []


def test_what_an_update_does_not_say_stays(shop: Shop) -> None:
    shop.make("user123", traffic_limit="100", status="false")
    before = shop.ok("proxy-users/user-list")
    shop.done("proxy-users/update-user", username="user123")
    shop.done("proxy-users/update-user", username="user123", new_username="user123")
    assert shop.ok("proxy-users/user-list") == before
    shop.done("proxy-users/update-user", username="user123", new_password="another1")
    [user] = shop.ok("proxy-users/user-list")["list"]
    assert (user["password"], user["traffic_limit"], user["status"]) == ("another1", 100, False)


def test_the_names_their_java_client_uses_are_taken(shop: Shop) -> None:
    shop.make("user123")
    shop.done("proxy-users/update-user", username="user123", traffic_limit="200", status="false", password="another1")
    [user] = shop.ok("proxy-users/user-list")["list"]
    assert (user["username"], user["traffic_limit"], user["status"]) == ("user123", 200, False)
    assert user["password"] == "another1"


def test_a_json_body_may_say_numbers_and_booleans(shop: Shop) -> None:
    body = {**USER, "proxy_type": 1, "traffic_limit": 100, "status": False}
    told = shop.client.post("/api/proxy-users/create-user", headers={"token": shop.shown.token}, json=body).json()
    assert told == {"code": 200, "data": {}, "msg": "ok"}
    [user] = shop.ok("proxy-users/user-list")["list"]
    assert (user["traffic_limit"], user["status"]) == (100, False)


def test_what_cannot_be_a_user_is_refused_and_changes_nothing(shop: Shop) -> None:
    for changed, code in REFUSED_WHEN_MADE:
        assert (changed, shop.post("proxy-users/create-user", **{**USER, **changed})["code"]) == (changed, code)
    assert names(shop) == []
    shop.make("user123", traffic_limit="100")


def test_a_change_that_cannot_be_is_refused_and_changes_nothing(shop: Shop) -> None:
    shop.make("user123")
    shop.make("user456")
    before = shop.ok("proxy-users/user-list")
    for changed, code in REFUSED_WHEN_CHANGED:
        asked = {"username": "user123", "new_password": "another1", "new_status": "false", **changed}
        assert (changed, shop.post("proxy-users/update-user", **asked)["code"]) == (changed, code)
    assert shop.ok("proxy-users/user-list") == before


def test_a_name_is_taken_across_families_but_not_across_accounts(shop: Shop) -> None:
    shop.make("user123")
    assert shop.post("proxy-users/create-user", **USER)["code"] == 10018
    assert shop.post("proxy-users/create-user", **USER, proxy_type="3")["code"] == 10018
    shop.client.post("/v1/accounts", json={"id": "other"})
    shop.client.post("/v1/accounts/other/users", json={"name": "theirs1"})
    assert shop.post("proxy-users/create-user", **{**USER, "username": "theirs1"})["code"] == 200


def test_families_have_their_own_lists(shop: Shop) -> None:
    shop.make("user111")
    shop.make("user222", proxy_type="2")
    shop.make("user333", proxy_type="3")
    shop.make("user999", proxy_type="9")
    assert names(shop) == names(shop, proxy_type="1") == ["user111"]
    assert names(shop, proxy_type="2") == ["user222"]
    assert names(shop, proxy_type="3") == names(shop, proxy_type="9") == ["user333", "user999"]
    told = shop.ok("proxy-users/user-list", proxy_type="3")
    assert (told["limit"], told["remaining_limit"], told["user_count"]) == (98, 96, 2)
    assert shop.post("proxy-users/delete-user", username="user333")["code"] == 10020


def test_a_user_traffic_brought_is_no_proxy_user_until_it_is_taken_over_natively(shop: Shop) -> None:
    shop.use("a", "2025-01-02T00:00:00Z", 5 * MB // 2, user="user123")
    assert names(shop) == []
    shop.client.patch("/v1/accounts/shop/users/user123", json={"product": "residential"})
    assert shop.ok("proxy-users/user-list")["list"][0]["usage_traffic"] == Decimal("2.5")


def test_funded_users_and_ids_are_no_proxy_users(shop: Shop) -> None:
    made = shop.client.post("/v1/accounts/shop/users", json={"name": "funded1", "funded": True})
    shop.make("user123")
    id = shop.client.get("/v1/accounts/shop/users/user123").json()["id"]
    assert made.status_code == 201
    assert names(shop) == ["user123"]
    for name in ("funded1", id):
        assert shop.post("proxy-users/update-user", username=name, new_status="false")["code"] == 10020
        assert shop.post("proxy-users/delete-user", username=name)["code"] == 10020


def test_usage_in_the_list_is_mb_or_kb_as_is_set(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(list_unit="KB")
    shop.make("user123", traffic_limit="100")
    shop.use("a", "2025-01-02T00:00:00Z", 3 * MB + 5 * KB, user="user123")
    [user] = shop.ok("proxy-users/user-list")["list"]
    assert (user["usage_traffic"], user["traffic_limit"]) == (3077, 100)


@pytest.mark.parametrize(("agent", "used"), [*[(one, 3077) for one in AGENTS["python"]], *[(one, 3) for one in OTHERS]])
def test_usage_in_the_list_is_kb_for_the_client_that_reads_it_so(shop: Shop, agent: str, used: int) -> None:
    shop.make("user123", traffic_limit="100")
    shop.use("a", "2025-01-02T00:00:00Z", 3 * MB + 5 * KB, user="user123")
    [user] = shop.of_client(agent).ok("proxy-users/user-list")["list"]
    assert (int(user["usage_traffic"]), user["traffic_limit"]) == (used, 100)


@pytest.mark.parametrize(("unit", "used"), [("MB", 3), ("KB", 3072)])
def test_a_unit_that_is_set_is_that_of_all_clients(make_shop: Callable[..., Shop], unit: str, used: int) -> None:
    shop = make_shop(list_unit=unit)
    shop.make("user123")
    shop.use("a", "2025-01-02T00:00:00Z", 3 * MB, user="user123")
    for agent in (*AGENTS["python"], *OTHERS):
        [user] = shop.of_client(agent).ok("proxy-users/user-list")["list"]
        assert user["usage_traffic"] == used


def test_the_none_of_their_wrapper_is_no_limit_where_that_is_set(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(lenient_limits=True)
    shop.make("user123", traffic_limit="None")
    shop.make("user456", traffic_limit="")
    assert [user["traffic_limit"] for user in shop.ok("proxy-users/user-list")["list"]] == [0, 0]


def test_a_package_may_be_asked_for_first(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(package_first=True)
    shop.grant(MB, expires_at="2026-01-01T00:00:00Z")
    assert shop.post("proxy-users/create-user", **USER)["code"] == 10017
    assert (
        shop.post("proxy-users/create-user", **{**USER, "username": "user456", "proxy_type": "2"})["code"] == 200
    )  # free
    shop.grant(MB)
    assert shop.post("proxy-users/create-user", **USER)["code"] == 200


def test_a_native_limit_below_1_mb_does_not_read_as_none(shop: Shop) -> None:
    limit = {"amount": 1000, "unit": "bytes", "window": "lifetime"}
    shop.client.post("/v1/accounts/shop/users", json={"name": "small12", "product": "residential", "limit": limit})
    [user] = shop.ok("proxy-users/user-list")["list"]
    assert (user["username"], user["traffic_limit"], user["password"]) == ("small12", 1, "")
    days = {"username": "small12", "from_date": "2025-01-01", "to_date": "2025-01-01"}
    assert shop.ok("proxy-users/usage-statistics", **days)["traffic_limit"] == 1


def test_use_under_the_new_name_is_the_users(shop: Shop) -> None:
    """Who bears a name is remembered while events come in: a rename through the dialect must be heard there."""
    forgotten: list[str] = []
    services = shop.client.app.state.services
    services.ingest.forget_names = forgotten.append
    shop.make("user123")
    shop.done("proxy-users/update-user", username="user123", new_username="user456")
    shop.done("proxy-users/delete-user", username="user456")
    shop.ok("proxy-users/user-list")
    assert forgotten == ["shop"] * 3


def test_a_name_of_traffic_becomes_a_user_that_begins_empty(shop: Shop) -> None:
    shop.use("1", "2026-03-15T11:00:00Z", 500 * MB, user="user123")
    before = shop.ok("account/usage-statistics", from_date="2026-03-15", to_date="2026-03-15")
    shop.make("user123", traffic_limit="500")
    assert [one["usage_traffic"] for one in shop.ok("proxy-users/user-list")["list"]] == [0]
    asked = {"username": "user123", "from_date": "2026-03-15", "to_date": "2026-03-15"}
    assert shop.ok("proxy-users/usage-statistics", **asked)["traffic_balance"] == 500 * 1024
    assert shop.ok("account/usage-statistics", from_date="2026-03-15", to_date="2026-03-15") == before


def test_a_name_of_traffic_can_be_a_users_new_one(shop: Shop) -> None:
    shop.use("1", "2026-03-15T11:00:00Z", 3 * MB, user="user456")
    shop.make("user123")
    shop.done("proxy-users/update-user", username="user123", new_username="user456")
    assert names(shop) == ["user456"]
    assert shop.ok("proxy-users/user-list")["list"][0]["usage_traffic"] == 0


def test_one_user_too_many_is_10019(make_client: Callable[..., Client]) -> None:
    shop = shop_of(make_client(max_users=2))
    shop.make("user123")
    shop.make("user456", proxy_type="3")
    told = shop.ok("proxy-users/user-list")
    assert (told["limit"], told["remaining_limit"], told["user_count"]) == (1, 0, 1)
    assert shop.post("proxy-users/create-user", **{**USER, "username": "user789"})["code"] == 10019
    shop.done("proxy-users/delete-user", username="user123")
    shop.make("user789")


def test_the_limit_of_proxy_users_is_this_dialects_own(make_client: Callable[..., Client]) -> None:
    """100 as in the example on their page; funded users, whom this dialect does not know, take no place."""
    client = make_client(vendors={"thordata": Settings(max_users=2)})
    shop = shop_of(client)
    for name in ("bought1", "bought2", "bought3"):
        assert client.post("/v1/accounts/shop/users", json={"name": name, "funded": True}).status_code == 201
    shop.make("user123")
    assert shop.ok("proxy-users/user-list")["remaining_limit"] == 1
    shop.make("user456")
    assert shop.post("proxy-users/create-user", **{**USER, "username": "user456"})["code"] == 10018
    assert shop.post("proxy-users/create-user", **{**USER, "username": "user789"})["code"] == 10019
    assert client.get("/v1/accounts/shop/users/user789").status_code == 404
    assert client.post("/v1/accounts/shop/users", json={"name": "user789"}).status_code == 201
    assert (shop.ok("proxy-users/user-list")["limit"], shop.ok("proxy-users/user-list")["remaining_limit"]) == (3, 0)


def test_where_there_is_no_limit_the_list_names_a_number_all_the_same(make_client: Callable[..., Client]) -> None:
    shop = shop_of(make_client(vendors={"thordata": Settings(max_users=0)}))
    shop.make("user123")
    told = shop.ok("proxy-users/user-list")
    assert told["limit"] == told["remaining_limit"] + told["user_count"] == 1_000_000
