"""BytesFlows' endpoints as a plain HTTP client meets them: figures, pages, who may ask, every error in its envelope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.conftest import Client, Clock, send, token_of

from flowtally.config import load_config
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import ConfigError, Conflict, FlowtallyError, Forbidden, NotFound, TooLarge, Unavailable
from flowtally.core.times import DAY_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.money import wallet
from flowtally.usage.memory import MemoryStore
from flowtally.vendors.bytesflows import wire
from flowtally.vendors.bytesflows.dialect import fail
from flowtally.vendors.bytesflows.settings import Settings
from flowtally.vendors.bytesflows.wire import ASSET

RECORDS = "/api/v1/user/traffic/records"
PATHS = (ASSET, RECORDS)
GB = 10**9


@pytest.fixture
def token(client: Client, acme: str) -> dict[str, str]:
    return token_of(client, f"/v1/accounts/{acme}/credentials", scope="account")


def grant(client: Client, amount: int, **more: Any) -> str:
    answer = client.post("/v1/accounts/acme/grants", json={"amount": amount, **more})
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


def overview(client: Client, headers: dict[str, str]) -> wire.Asset:
    answer = client.get(ASSET, headers=headers)
    return wire.decode(answer.status_code, answer.content, wire.Asset)


def page(client: Client, headers: dict[str, str], **asked: Any) -> wire.Records:
    answer = client.get(RECORDS, headers=headers, params=asked)
    return wire.decode(answer.status_code, answer.content, wire.Records)


def test_the_overview_is_what_the_balance_says(client: Client, token: dict[str, str]) -> None:
    found = overview(client, token)
    pools = client.get("/v1/accounts/acme/balance").json()["pools"]
    assert (found.total_traffic, found.dynamic_traffic) == (100_000, pools["traffic"]["left"])
    assert found.total_traffic - found.dynamic_traffic == 1005


def test_all_pools_of_bytes_count_and_no_pool_of_requests(client: Client, token: dict[str, str]) -> None:
    grant(client, 500, pool="mobile", starts_at="2026-03-01T00:00:00Z")
    grant(client, 7_000_000, pool="api")
    assert overview(client, token).total_traffic == 100_500
    assert {one.traffic for one in page(client, token).records} == {100_000, 500}


def test_money_is_the_wallets_with_two_decimals_and_its_currency(
    make_client: Callable[..., Client], app_ledger: Ledger, clock: Clock
) -> None:
    client = make_client(currency="EUR")
    client.post("/v1/accounts", json={"id": "acme"})
    headers = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    with app_ledger.begin() as tx:
        wallet.deposit(tx, "acme", 12_349_999, now=clock(), currency="EUR")
    assert '"balance":12.34,"currency":"EUR"' in client.get(ASSET, headers=headers).text


def test_a_grant_is_printed_with_what_it_has_paid_for(client: Client, token: dict[str, str]) -> None:
    id = grant(
        client, GB, source="order", reference="ORD-7890", starts_at="2026-03-01T00:00:00Z",
        expires_at="2026-03-21T20:00:00Z",
    )  # fmt: skip
    assert page(client, token, sourceType="order").records == [
        wire.Record(id, "ORD-7890", "order", GB, 1005, "2026-03-01 00:00:00", "2026-03-21 20:00:00", 1)
    ]


def test_used_includes_what_was_passed_on_to_a_user(client: Client, token: dict[str, str]) -> None:
    client.post("/v1/accounts/acme/users", json={"name": "shop", "funded": True})
    answer = client.post("/v1/accounts/acme/users/shop/allocations", json={"amount": 40_000})
    assert answer.status_code in (200, 201), answer.text
    [record] = page(client, token).records
    assert record.traffic_used == 41_005 == record.traffic - overview(client, token).dynamic_traffic


def test_status_is_1_while_a_grant_can_pay_or_is_used_up(client: Client, token: dict[str, str], clock: Clock) -> None:
    grant(client, 10, source="spent", starts_at="2026-03-01T00:00:00Z", priority=0)
    grant(client, 10, source="pending", starts_at="2026-04-01T00:00:00Z")
    grant(client, 10, source="expired", starts_at="2026-03-01T00:00:00Z", expires_at="2026-03-15T12:00:01Z", priority=9)
    voided = grant(client, 10, source="voided")
    client.post(f"/v1/accounts/acme/grants/{voided}/void")
    clock.at += 1000
    found = {one.source_type: (one.status, one.traffic_used) for one in page(client, token).records}
    assert found["spent"] == (1, 10)
    assert {found[name][0] for name in ("pending", "expired", "voided")} == {0}
    assert overview(client, token).total_traffic == 100_010, "100,000 and the spent one"


def test_a_grant_without_expiry_has_a_far_date_and_one_without_reference_its_id(
    client: Client, token: dict[str, str]
) -> None:
    id = grant(client, 5, source="sign")
    [record] = page(client, token, sourceType="sign").records
    assert (record.expire_time, record.order_id) == ("2099-12-31 23:59:59", id)


def test_the_latest_grant_comes_first_and_pages_follow_one_another(
    client: Client, token: dict[str, str], clock: Clock
) -> None:
    for number in range(12):
        clock.at += 1000 * (number % 3)  # some in the same second: their ids decide
        grant(client, number + 1)
    whole = page(client, token, pageSize=100)
    keys = [(one.create_time, one.id) for one in whole.records]
    assert keys == sorted(keys, reverse=True)
    assert (len(keys), whole.total) == (13, 13)
    pages = [page(client, token, pageNo=number, pageSize=5) for number in (1, 2, 3, 4)]
    assert [one for found in pages for one in found.records] == whole.records
    assert [(len(one.records), one.total) for one in pages] == [(5, 13), (5, 13), (3, 13), (0, 13)]
    assert len(page(client, token).records) == 10


def test_a_grant_was_not_made_after_it_begins(client: Client, token: dict[str, str], clock: Clock) -> None:
    """Whoever adds up use since `createTime` finds what a back-dated grant has paid for."""
    now = wire.show_time(clock.at, ZoneInfo("UTC"))
    grant(client, 1, source="backdated", starts_at="2026-01-02T03:04:05Z")
    grant(client, 1, source="now")
    grant(client, 1, source="later", starts_at=format_instant(clock.at + DAY_MS))
    told = {one.source_type: one.create_time for one in page(client, token).records}
    assert told == {
        "later": now,
        "now": now,
        "manual": "2026-03-01 00:00:00",
        "backdated": "2026-01-02 03:04:05",
    }


def test_a_page_has_at_most_100_records_whatever_was_asked(client: Client, token: dict[str, str]) -> None:
    for _ in range(101):
        grant(client, 1)
    found = page(client, token, pageSize=1_000_000)
    assert (len(found.records), found.total) == (100, 102)


def test_a_source_filters_an_unknown_one_matches_nothing_and_an_empty_one_is_none(
    client: Client, token: dict[str, str]
) -> None:
    grant(client, 5, source="sign")
    assert [one.source_type for one in page(client, token, sourceType="sign").records] == ["sign"]
    assert page(client, token, sourceType="nothing-like-it") == wire.Records([], 0)
    assert page(client, token, sourceType="").total == page(client, token).total == 2


def test_times_are_those_of_the_zone_that_is_set(make_client: Callable[..., Client]) -> None:
    client = make_client(vendors={"bytesflows": Settings(timezone="Asia/Shanghai", no_expiry="2038-01-01 00:00:00")})
    client.post("/v1/accounts", json={"id": "acme"})
    headers = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    grant(client, 1, expires_at="2026-03-21T20:00:00Z")
    [record] = page(client, headers).records
    assert (record.create_time, record.expire_time) == ("2026-03-15 20:00:00", "2026-03-22 04:00:00")
    assert wire.read_time(record.create_time, ZoneInfo("Asia/Shanghai")) == parse_instant("2026-03-15T12:00:00Z")


def test_a_zone_that_is_none_ends_the_start() -> None:
    with pytest.raises(ConfigError, match="Mars"):
        load_config({"FLOWTALLY_BYTESFLOWS_TIMEZONE": "Mars/Olympus"}, {"bytesflows": Settings})


# -- Who is asking ----------------------------------------------------------------------------------------------------


def refused(answer: Any, code: int) -> str:
    """An error's message; the envelope is whole and the HTTP status is its code."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert (answer.status_code, body["code"], body["data"]) == (code, code, None), body
    assert set(body) == {"code", "msg", "data"}
    return str(body["msg"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nobody", "Basic abc", "Bearer " + "x" * 2000])
def test_without_a_known_token_it_is_401(client: Client, path: str, header: str) -> None:
    assert refused(client.get(path, headers={"Authorization": header}), 401) == "missing or invalid token"


def test_a_cookie_is_looked_at_only_where_it_is_set_and_only_on_the_overview(
    client: Client, make_client: Callable[..., Client], token: dict[str, str]
) -> None:
    cookie = {"Authorization": "", "Cookie": f"a=b; token={token['Authorization'].removeprefix('Bearer ')}"}
    refused(client.get(ASSET, headers=cookie), 401)
    with_cookies = make_client(vendors={"bytesflows": Settings(cookie="token")})
    assert with_cookies.get(ASSET, headers=cookie).status_code == 200
    refused(with_cookies.get(RECORDS, headers=cookie), 401)
    refused(with_cookies.get(ASSET, headers={"Authorization": "", "Cookie": "token=nobody"}), 401)


@pytest.mark.parametrize(
    "asked", [{"pageNo": 0}, {"pageNo": "x"}, {"pageSize": -1}, {"pageSize": 1.5}, {"pageNo": " "}]
)
def test_a_page_that_is_no_page_is_400_and_named(client: Client, token: dict[str, str], asked: dict[str, Any]) -> None:
    [name] = asked
    assert refused(client.get(RECORDS, headers=token, params=asked), 400) == f"bad parameter: {name}"


def test_unknown_parameters_are_ignored(client: Client, token: dict[str, str]) -> None:
    assert page(client, token, sort="asc").total == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_method_is_405(client: Client, token: dict[str, str], path: str, method: str) -> None:
    refused(client.request(method, path, headers=token), 405)


def test_too_many_are_429_and_say_when_to_come_again(make_client: Callable[..., Client], clock: Clock) -> None:
    client = make_client(vendors={"bytesflows": Settings(requests_per_minute=2)})
    client.post("/v1/accounts", json={"id": "acme"})
    headers = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert [client.get(path, headers=headers).status_code for path in PATHS] == [200, 200]
    answer = client.get(ASSET, headers=headers)
    assert refused(answer, 429) == "too many requests"
    clock.at += 1000 * int(answer.headers["retry-after"])
    assert client.get(ASSET, headers=headers).status_code == 200


def test_a_fault_inside_is_500_and_what_passes_is_503_with_retry_after(
    client: Client, token: dict[str, str], usage: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise Unavailable("the engine restarts", retry_after_s=7)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "sums", full)
        answer = client.get(ASSET, headers=token)
        assert (refused(answer, 503), answer.headers["retry-after"]) == ("temporarily unavailable", "7")
    usage.rows = [{"wrong": "a secret detail"}]
    for path in PATHS:
        assert refused(client.get(path, headers=token), 500) == "internal error"


@pytest.mark.parametrize(
    ("error", "code"),
    [(Forbidden("no"), 403), (NotFound("none"), 404), (Conflict("not now"), 400), (TooLarge("too much"), 400)],
)
def test_every_other_error_has_a_code_of_the_envelope(error: FlowtallyError, code: int) -> None:
    reply = fail(error)
    assert (reply.status, msgspec.json.decode(reply.content)["code"]) == (code, code)


def test_an_unknown_path_beside_theirs_is_404_in_their_envelope(client: Client, token: dict[str, str]) -> None:
    assert refused(client.get("/api/v1/user/traffic", headers=token), 404) == "not found"


def test_an_account_that_nobody_used_has_nothing_and_zero_money(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "new"})
    headers = token_of(client, "/v1/accounts/new/credentials", scope="account")
    answer = client.get(ASSET, headers=headers)
    assert answer.text == (
        '{"code":200,"msg":"success","data":{"totalTraffic":0,"dynamicTraffic":0,"balance":0.00,"currency":"USD"}}'
    )
    assert client.get(RECORDS, headers=headers).json()["data"] == {"records": [], "total": 0}


def test_use_is_seen_by_the_next_read(client: Client, token: dict[str, str]) -> None:
    before = overview(client, token).dynamic_traffic
    send(client, "new", "2026-03-15T11:00:00Z", bytes_down=77)
    assert overview(client, token).dynamic_traffic == before - 77
