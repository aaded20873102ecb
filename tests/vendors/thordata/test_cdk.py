"""CDKs: vouchers, made, listed, read, revoked; redeemed natively."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from tests.vendors.asking import issue
from tests.vendors.thordata.conftest import KB, MB, Shop, answered, data_of

GB = 1024 * MB
CODE = re.compile(r"[A-Za-z0-9]{16}")
NOW_S = 1_773_576_000  # 2026-03-15T12:00:00Z


def make(shop: Shop, flow: str, num: str) -> list[str]:
    codes: list[str] = data_of(shop.post("cdk/create", flow=flow, num=num))["cdk"]
    return codes


def test_codes_are_made_listed_read_and_revoked(shop: Shop) -> None:
    shop.grant(10 * GB)
    first, second = make(shop, "3", "2")
    assert CODE.fullmatch(first)
    assert CODE.fullmatch(second)
    assert shop.ok("account/traffic-balance")["traffic_balance"] == 4096
    row = {"create_time": NOW_S, "status": 1, "traffic": 3, "traffic_duration": 7776000}
    assert shop.ok("cdk/list") == [{"cdk": code, **row} for code in (first, second)]
    assert shop.ok("cdk/info", cdk=first) == {"cdk": first, **row, "use_username": "", "use_time": 0}
    shop.done("cdk/revoke", cdk=first)
    assert shop.ok("account/traffic-balance")["traffic_balance"] == 7168
    assert shop.post("cdk/revoke", cdk=first)["code"] == 10000
    by_status = [[one["cdk"] for one in shop.ok("cdk/list", status=str(status))] for status in (1, 2, 3)]
    assert by_status == [[second], [], [first]]
    assert shop.ok("cdk/info", cdk=first)["status"] == 3


def test_a_redeemed_code_says_by_which_account_and_when(shop: Shop) -> None:
    shop.grant(10 * GB)
    [code] = make(shop, "2", "1")
    shop.client.post("/v1/accounts", json={"id": "buyer"})
    assert shop.client.post("/v1/accounts/buyer/redemptions", json={"code": code}).status_code == 201
    told = shop.ok("cdk/info", cdk=code)
    assert (told["status"], told["use_username"], told["use_time"]) == (2, "buyer", NOW_S)
    assert shop.post("cdk/revoke", cdk=code)["code"] == 10000
    assert [one["cdk"] for one in shop.ok("cdk/list", status="2")] == [code]
    buyer = shop.client.get("/v1/accounts/buyer/balance").json()
    assert buyer["pools"]["traffic"]["left"] == 2 * GB
    assert buyer["grants"][0]["expires_at"] == "2026-06-13T12:00:00Z"  # 90 days


def test_parameters_are_taken_from_query_form_and_json_on_either_method(shop: Shop) -> None:
    shop.grant(100 * GB)
    token = {"token": shop.shown.token}
    ask: Callable[..., Any] = shop.client.request
    codes = []
    form, typed = {"flow": "1", "num": "1"}, {"flow": 1, "num": 1}
    for place in ({"params": form}, {"data": form}, {"json": typed}):
        codes += data_of(answered(ask("POST", "/api/cdk/create", headers=token, **place)))["cdk"]
    assert len(set(codes)) == 3
    for place in ({"params": {"cdk": codes[0]}}, {"data": {"cdk": codes[0]}}, {"json": {"cdk": codes[0]}}):
        assert data_of(answered(ask("GET", "/api/cdk/info", headers=token, **place)))["cdk"] == codes[0]
    for place in ({"params": {"status": "3"}}, {"data": {"status": "3"}}, {"json": {"status": 3}}):
        assert data_of(answered(ask("GET", "/api/cdk/list", headers=token, **place))) == []


def test_what_cannot_be_made_is_refused_and_sets_nothing_aside(shop: Shop) -> None:
    shop.grant(10 * GB)
    refused = [
        ({"num": "1"}, 10000), ({"flow": "1"}, 10000), ({"flow": "0", "num": "1"}, 10000),
        ({"flow": "1.5", "num": "1"}, 10000), ({"flow": "1", "num": "0"}, 10003), ({"flow": "1", "num": "101"}, 10003),
        ({"flow": "1", "num": "x"}, 10003), ({"flow": "11", "num": "1"}, 10017), ({"flow": "6", "num": "2"}, 10017),
        ({"flow": "999999999999", "num": "1"}, 10000),
    ]  # fmt: skip
    for asked, code in refused:
        assert (asked, shop.post("cdk/create", **asked)["code"]) == (asked, code)
    assert shop.ok("cdk/list") == []
    assert shop.ok("account/traffic-balance")["traffic_balance"] == 10240


def test_a_code_nobody_made_and_one_of_another_account_are_alike(shop: Shop) -> None:
    shop.grant(10 * GB)
    [code] = make(shop, "1", "1")
    other = shop.other()
    for wrong in ("x" * 16, code.swapcase(), "short", code):
        asker = other if wrong == code else shop
        told = asker.get("cdk/info", cdk=wrong)
        assert told["code"] == 10000
        assert asker.post("cdk/revoke", cdk=wrong) == told
    assert other.ok("cdk/list") == []
    assert shop.get("cdk/list", status="4")["code"] == 10000


def test_a_credential_that_only_reads_sees_no_code(shop: Shop) -> None:
    reader = Shop(shop.client, issue(shop.client, "shop", "account"))
    for path in ("cdk/list", "cdk/info"):
        assert reader.get(path, cdk="x" * 16)["code"] == 10047


def test_refusals_do_not_repeat_what_was_sent(shop: Shop) -> None:
    for path in ("cdk/create", "cdk/revoke"):
        assert "s3cret" not in str(shop.post(path, flow="s3cret", num="s3cret", cdk="s3cret"))


def test_unit_life_and_number_are_as_set(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(cdk_unit_bytes=MB, cdk_days=1, cdk_most=2)
    shop.grant(10 * MB)
    assert shop.post("cdk/create", flow="1", num="3")["code"] == 10003
    [code] = make(shop, "3", "1")
    told = shop.ok("cdk/info", cdk=code)
    assert (told["traffic"], told["traffic_duration"]) == (3, 86_400)
    assert shop.ok("account/traffic-balance")["traffic_balance"] == 7


def test_vouchers_made_natively_are_cdks_and_print_parts_of_the_unit(shop: Shop) -> None:
    shop.grant(10 * GB)
    made = shop.client.post("/v1/accounts/shop/vouchers", json={"amount": GB + GB // 2 + KB, "count": 1})
    assert made.status_code == 201, made.text
    assert [one["traffic"] for one in shop.ok("cdk/list")] == [Decimal("1.5")]
