"""What accounts have left, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
from tests.conftest import NOW, Client, Clock, send
from tests.vendors.ipfoxy.conftest import fox_of, make_reseller
from tests.vendors.ipfoxy.fox import MB, Fox

from flowtally.vendors.ipfoxy import wire
from flowtally.vendors.ipfoxy.settings import Settings

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
USER = "/v1/accounts/reseller01/users/sub-account-1"


def kb(mb: int) -> str:
    return str(mb * 1024)


@pytest.fixture
def made(client: Client, fox: Fox, clock: Clock) -> Fox:
    """A sub-account with 1024 MB for 30 days, of which it used 100 and a byte, and 512 MB of mobile traffic; made an
    hour ago."""
    fox.create("sub-account-1", 1024, "key-0000001", day="30")
    assert client.post(f"{USER}/allocations", json={"amount": 512 * MB, "pool": "mobile"}).status_code == 201
    event = {"user": "sub-account-1", "account": "reseller01"}
    send(client, "1", "2026-03-15T12:30:00Z", product="residential", bytes_down=100 * MB + 1, **event)
    send(client, "2", "2026-03-15T12:30:00Z", product="mobile", bytes_up=2 * MB, **event)
    clock.at += HOUR_MS
    return fox


def test_a_sub_account_has_what_was_allocated_less_what_it_used_in_whole_kb(made: Fox) -> None:
    assert made.get("get-sub-account-flow", account="sub-account-1") == {
        "surplus_flow": str(924 * 1024 - 1),
        "use_flow": kb(100),
        "unit": "KB",
        "mob_surplus_flow": kb(510),
        "mob_use_flow": kb(2),
    }


def test_use_that_nothing_pays_is_told_as_used_and_nothing_is_left(made: Fox, client: Client) -> None:
    send(client, "3", "2026-03-15T12:59:00Z", "reseller01", user="sub-account-1", bytes_down=2000 * MB)
    told = made.get("get-sub-account-flow", account="sub-account-1")
    assert (told["surplus_flow"], told["use_flow"]) == ("0", kb(2100))


def test_the_older_edition_has_no_mobile_traffic(make_client: Any) -> None:
    fox = make_reseller(make_client(vendors={"ipfoxy": Settings(mobile_fields=False)}), "reseller01")
    fox.create("sub-account-1", 5120, "key-0000001")
    assert fox.get("get-sub-account-flow", account="sub-account-1") == {
        "surplus_flow": "5242880", "use_flow": "0", "unit": "KB",
    }  # fmt: skip


def test_the_list_shows_the_main_account_and_each_sub_account_with_password_and_whitelist(made: Fox) -> None:
    made.post("update-ip-whitelist", account="sub-account-1", ip="203.0.113.7,2001:db8::1")
    now_s = str(NOW // 1000)
    main, sub = made.get("get-sub-account-list")["list"]
    assert main == {
        "account": "reseller01",
        "password": "",
        "status": "1",
        "surplus_flow": kb(99 * 1024),
        "use_flow": "0",
        "ip_whitelist": "",
        "created_time": now_s,
        "ex_time": "2147483647",
        "unit": "KB",
        "is_main": "1",
    }
    assert sub == {
        "account": "sub-account-1",
        "password": "correct-horse",
        "status": "1",
        "surplus_flow": str(924 * 1024 - 1),
        "use_flow": kb(100),
        "ip_whitelist": "203.0.113.7,2001:db8::1",
        "created_time": now_s,
        "ex_time": str((NOW + 30 * DAY_MS) // 1000),
        "unit": "KB",
        "is_main": "2",
    }


def test_traffic_that_was_given_for_some_days_is_gone_after_them(made: Fox, clock: Clock) -> None:
    clock.at = NOW + 30 * DAY_MS
    assert made.get("get-sub-account-flow", account="sub-account-1")["surplus_flow"] == "0"
    made.allocate("sub-account-1", 10, "key-0000002")
    [sub] = made.get("get-sub-account-list", account="sub-account-1")["list"]
    assert (sub["surplus_flow"], sub["ex_time"]) == (kb(10), wire.NEVER)


def test_the_list_is_paged_by_numbers_and_filtered_by_name(fox: Fox) -> None:
    names = [f"sub-account-{number:02d}" for number in range(21)]
    for number, name in enumerate(names):
        fox.create(name, 1, f"key-000000{number}")
    pages = [fox.get("get-sub-account-list", page=page, page_size=10) for page in (1, 2, 3, 4)]
    assert [row["account"] for page in pages for row in page["list"]] == ["reseller01", *names]
    assert [len(page["list"]) for page in pages] == [10, 10, 2, 0]
    assert {page["total"] for page in pages} == {"22"}
    assert [len(fox.get("get-sub-account-list", page=page)["list"]) for page in (1, 2)] == [20, 2]
    for name in (names[3], "reseller01"):
        told = fox.get("get-sub-account-list", account=name)
        assert ([row["account"] for row in told["list"]], told["total"]) == ([name], "1")
    assert fox.get("get-sub-account-list", account=names[3], page=2) == {"list": [], "total": "1"}
    assert fox.get("get-sub-account-list", account="nobody") == {"list": [], "total": "0"}


def test_users_the_account_pays_for_and_deleted_ones_are_not_listed(made: Fox, client: Client) -> None:
    client.post("/v1/accounts/reseller01/users", json={"name": "not-funded"})
    made.create("sub-account-2", 1, "key-0000002")
    client.delete("/v1/accounts/reseller01/users/sub-account-2")
    assert [row["account"] for row in made.get("get-sub-account-list")["list"]] == ["reseller01", "sub-account-1"]
    for gone in ("not-funded", "sub-account-2"):
        assert made.get("get-sub-account-list", account=gone)["list"] == []
        assert made.refused("GET", "get-sub-account-flow", account=gone) == 60400


def test_a_credential_that_only_reads_is_shown_no_password(made: Fox, client: Client) -> None:
    rows = fox_of(client, "reseller01", "account").get("get-sub-account-list")["list"]
    assert [(row["account"], row["password"]) for row in rows] == [("reseller01", ""), ("sub-account-1", "")]


def test_a_disabled_sub_account_has_status_2(made: Fox, client: Client) -> None:
    client.patch(USER, json={"status": "disabled"})
    assert made.get("get-sub-account-list", account="sub-account-1")["list"][0]["status"] == "2"


def test_a_residential_package_is_of_the_main_account_or_a_sub_account(made: Fox, client: Client) -> None:
    grant = {"amount": MB + MB // 2 + 1, "expires_at": "2026-04-01T00:00:00Z"}
    client.post("/v1/accounts/reseller01/grants", json=grant)
    assert made.get("residential-data") == {
        "query_time": str((NOW + HOUR_MS) // 1000),
        "expire_time": "1775001600",
        "total_mb": "102401.5",
        "remain_mb": "101377.5",
    }
    sub = made.get("residential-data", account="sub-account-1")
    assert sub == {
        "query_time": str((NOW + HOUR_MS) // 1000),
        "expire_time": str((NOW + 30 * DAY_MS) // 1000),
        "total_mb": "1024",
        "remain_mb": "923.99",
    }


@pytest.mark.parametrize(("setting", "ends"), [("first", NOW + 40 * DAY_MS), ("last", None)])
def test_the_end_is_when_something_of_what_is_left_ends(
    make_client: Callable[..., Client], clock: Clock, setting: Literal["first", "last"], ends: int | None
) -> None:
    """
    left   some until day 40 | some until day 100 | some for ever
    spent  what ends on day 30
    """
    client = make_client(vendors={"ipfoxy": Settings(expiration=setting)})
    fox = make_reseller(client, "reseller01")
    fox.create("sub-account-1", 10, "key-0000001", day="30")
    send(client, "1", "2026-03-15T12:00:00Z", "reseller01", user="sub-account-1", bytes_down=10 * MB)
    clock.at += 10 * DAY_MS
    fox.allocate("sub-account-1", 1, "key-0000002", day="30")
    fox.allocate("sub-account-1", 1, "key-0000003", day="90")
    fox.allocate("sub-account-1", 1, "key-0000004")
    told = wire.expiry_text(ends)
    [row] = fox.get("get-sub-account-list", account="sub-account-1")["list"]
    assert (row["ex_time"], fox.get("residential-data", account="sub-account-1")["expire_time"]) == (told, told)


def test_where_nothing_is_left_the_end_is_the_last_there_was(fox: Fox, clock: Clock) -> None:
    fox.create("sub-account-1", 1, "key-0000001", day="30")
    fox.allocate("sub-account-1", 1, "key-0000002", day="90")
    clock.at += 100 * DAY_MS
    told = fox.get("residential-data", account="sub-account-1")
    assert (told["remain_mb"], told["expire_time"]) == ("0", wire.seconds_text(NOW + 90 * DAY_MS))


def test_an_account_without_anything_has_a_package_of_nothing(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "empty"})
    told = fox_of(client, "empty").get("residential-data")
    assert (told["total_mb"], told["remain_mb"], told["expire_time"]) == ("0", "0", "2147483647")


def test_money_has_two_decimals_and_there_is_no_cashback(fox: Fox, client: Client) -> None:
    assert fox.get("account-info") == {"balance": "0.00", "cashback": "0.00", "total_balance": "0.00"}
    deposit = {"amount_micros": 12_349_999, "reference": "bank 1"}
    assert client.post("/v1/accounts/reseller01/wallet/deposits", json=deposit).status_code == 201
    assert fox.get("account-info") == {"balance": "12.34", "cashback": "0.00", "total_balance": "12.34"}


def test_figures_are_those_of_the_native_balance(made: Fox, client: Client) -> None:
    user = client.get(f"{USER}/balance").json()["pools"]
    flow = made.get("get-sub-account-flow", account="sub-account-1")
    told = [int(flow[name]) for name in ("surplus_flow", "use_flow", "mob_surplus_flow", "mob_use_flow")]
    native = [user["traffic"]["left"], user["traffic"]["spent"], user["mobile"]["left"], user["mobile"]["spent"]]
    assert told == [amount // 1024 for amount in native]
    account = client.get("/v1/accounts/reseller01/balance").json()["pools"]["traffic"]
    assert made.get("get-sub-account-list")["list"][0]["surplus_flow"] == str(account["left"] // 1024)
