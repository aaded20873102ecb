"""Thordata's links that extract endpoints: `/api` and `/unlimited_api`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Client, Clock
from tests.vendors.thordata.conftest import Shop, shop_of

from flowtally.ledger.inventory import orders, stock
from flowtally.ledger.inventory.stock import NewStock
from flowtally.vendors.thordata.settings import Settings
from flowtally.web import services
from flowtally.web.forwarded import caller_of

LISTED = "192.0.2.1"


@pytest.fixture
def make_links(make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Shop]:
    """Behind a proxy of ours, which tells the caller's address; with gateways, and an address on the whitelist."""
    monkeypatch.setattr(services, "caller_of", lambda _, *rest: caller_of("203.0.113.9", *rest))
    monkeypatch.setattr(services, "is_passed_on", lambda *_: False)

    def make(**settings: Any) -> Shop:
        dialect = Settings(**{"extract_seconds": 0} | settings)
        shop = shop_of(make_client(trusted_proxies="203.0.113.0/24", vendors={"thordata": dialect}))
        offer(shop, "us.example", 100, 109, session="sticky", hold_s=600, country="US")
        offer(shop, "2001:db8::5", 7, 7)
        offer(shop, "srv1.example", 50, 52, product="unlimited", id="srv-1")
        shop.client.put(f"/v1/accounts/shop/whitelist/traffic/{LISTED}", json={})
        shop.client.put(f"/v1/accounts/shop/whitelist/unlimited/{LISTED}", json={})
        return shop

    return make


@pytest.fixture
def links(make_links: Callable[..., Shop]) -> Shop:
    return make_links()


def offer(shop: Shop, host: str, first: int, last: int, **more: Any) -> None:
    body = {"product": "residential", "host": host, "first_port": first, "last_port": last} | more
    assert shop.client.post("/v1/gateways", json=body).status_code == 201


def extract(shop: Shop, path: str = "/api", *, address: str = LISTED, account: str = "shop", **params: str) -> Any:
    """As their links are used: an account's name, and no secret."""
    request = shop.client.build_request(
        "GET", path, params={"td-customer": account, **params}, headers={"X-Forwarded-For": address}
    )
    del request.headers["Authorization"]
    return shop.client.send(request)


def lines(answer: Any) -> set[str]:
    assert answer.headers["content-type"].startswith("text/plain"), answer.text
    told = answer.text.split("\n")
    assert told.pop() == ""
    assert len(told) == len(set(told))
    return set(told)


def code_of(answer: Any) -> int:
    """Of a refusal, which is JSON whatever was asked for."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    body = answer.json()
    assert body.keys() == {"code", "data", "msg"}
    assert body["data"] == {}
    return int(body["code"])


US = {f"us.example:{port}" for port in range(100, 110)}
ALL = US | {"[2001:db8::5]:7"}


def test_a_link_is_lines_of_host_and_port_each_once(links: Shop) -> None:
    assert lines(extract(links, number="100")) == ALL
    assert lines(extract(links, number="100", sesstype="1")) == US
    assert lines(extract(links, number="100", sesstype="2")) == ALL - US
    assert lines(extract(links, number="100", country="us")) == US
    assert len(lines(extract(links))) == 1
    assert len(lines(extract(links, num="4"))) == len(lines(extract(links, number="4", num="9"))) == 4


def test_json_and_separators_are_what_their_client_reads(links: Shop) -> None:
    told = extract(links, number="100", return_type="json", sesstype="2").json()
    assert told == {"code": 200, "data": [{"ip": "2001:db8::5", "port": 7}], "msg": "ok"}
    for sent, between in (("\r\n", "\r\n"), ("\\r\\n", "\r\n"), (",", ","), ("|", "|"), (" ", " ")):
        answer = extract(links, num="100", sep=sent, return_type="txt", protocol="http")
        assert {one for one in answer.text.split(between) if one} == ALL


def test_minutes_ask_for_what_is_kept_so_long(links: Shop) -> None:
    offer(links, "long.example", 1, 1, session="sticky", hold_s=3600)
    offer(links, "untold.example", 1, 1, session="sticky")
    assert lines(extract(links, number="100", time="10")) == US | {"long.example:1"}
    assert lines(extract(links, number="100", time="60")) == {"long.example:1"}
    assert code_of(extract(links, time="61")) == 114


def test_unlimited_servers_have_a_link_of_their_own(links: Shop) -> None:
    servers = {f"srv1.example:{port}" for port in (50, 51, 52)}
    for more in ({}, {"servers": "srv-1"}, {"servers": "SRV1.example"}):
        assert lines(extract(links, "/unlimited_api", number="9", **more)) == servers
    assert code_of(extract(links, "/unlimited_api", servers="srv-2")) == 114


def test_a_server_in_stock_is_told_to_whoever_leases_it(links: Shop, clock: Clock) -> None:
    client = links.client
    with client.app.state.services.ledger.begin() as tx:
        item = stock.add_item(tx, NewStock("unlimited", "srv1.example", name="srv1"), now=clock.at)
    asked = {"servers": item.id, "number": "9"}
    assert code_of(extract(links, "/unlimited_api", **asked)) == 117
    with client.app.state.services.ledger.begin() as tx:
        orders.give_lease(tx, "shop", item.id, now=clock.at, ends_at=clock.at + 60_000)
    for servers in (item.id, "srv1", "srv1.example"):
        assert len(lines(extract(links, "/unlimited_api", **asked | {"servers": servers}))) == 3
    clock.at += 60_000
    assert code_of(extract(links, "/unlimited_api", **asked)) == 121
    assert code_of(extract(links, "/unlimited_api", country="US")) == 114


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"country": "FR"}, 114),
        ({"country": "FRA"}, 10000),
        ({"sesstype": "3"}, 10000),
        ({"number": "0"}, 10000),
        ({"number": "10001"}, 10000),
        ({"number": "-1"}, 10000),
        ({"return_type": "xml"}, 10000),
        ({"sep": "abc"}, 10000),
        ({"sep": "\x00"}, 10000),
        ({"time": "x"}, 10000),
        ({"account": "nobody"}, 118),
        ({"account": ""}, 118),
        ({"account": "a\x00b"}, 118),
        ({"address": "192.0.2.2"}, 118),
    ],
)
def test_a_refusal_has_a_code_of_theirs(links: Shop, params: dict[str, str], code: int) -> None:
    assert code_of(extract(links, **params)) == code


def test_nobody_learns_which_accounts_there_are(links: Shop) -> None:
    links.client.post("/v1/accounts", json={"id": "other"})
    for path in ("/api", "/unlimited_api"):
        refused = [
            extract(links, path, account="nobody"),
            extract(links, path, account="other"),
            extract(links, path, address="192.0.2.2"),
        ]
        assert len({answer.content for answer in refused}) == 1


def test_the_list_of_the_kind_of_traffic_decides(links: Shop) -> None:
    links.client.put("/v1/accounts/shop/whitelist/mobile/192.0.2.3", json={})
    assert code_of(extract(links, address="192.0.2.3")) == 118
    assert code_of(extract(links, "/unlimited_api", address="192.0.2.3")) == 117


def test_a_token_is_as_good_as_an_address_and_names_its_account(links: Shop) -> None:
    headers = {"token": links.shown.token, "key": links.shown.key}
    assert lines(links.client.get("/api", params={"number": "100"}, headers=headers)) == ALL
    query = {"token": links.shown.token, "td-customer": "shop", "number": "100"}
    assert lines(links.client.get("/api", params=query)) == ALL
    assert code_of(links.client.get("/api", params=query | {"td-customer": "other"})) == 118
    assert code_of(links.client.get("/api", params=query | {"token": "wrong" * 5})) == 118
    assert code_of(links.client.get("/api", params=query | {"key": "wrong"})) == 10014
    assert code_of(extract(links, token="wrong" * 5)) == 118


def test_who_has_no_token_waits_two_seconds_between_two_lists(make_links: Callable[..., Shop], clock: Clock) -> None:
    links = make_links(extract_seconds=2)
    links.client.put("/v1/accounts/shop/whitelist/traffic/192.0.2.7", json={})
    assert len(lines(extract(links))) == 1
    again = extract(links)
    assert (code_of(again), again.headers["Retry-After"]) == (111, "2")
    assert len(lines(extract(links, address="192.0.2.7"))) == 1
    for _ in range(3):
        assert lines(links.client.get("/api", headers={"token": links.shown.token}))
    clock.at += 2000
    assert len(lines(extract(links))) == 1


def test_the_links_have_a_host_of_their_own_where_one_is_set(make_links: Callable[..., Shop]) -> None:
    links = make_links(extract_host="get-ip.example.com")
    headers = {"token": links.shown.token}
    for host in ("get-ip.example.com", "GET-IP.example.com:8120"):
        assert lines(links.client.get("/api", headers=headers | {"Host": host}))
        assert code_of(links.client.post("/api", headers=headers | {"Host": host})) == 10000
    for host in ("api.example.com", "get-ip.example.com.evil", ""):
        for method in ("GET", "POST"):
            for path in ("/api", "/unlimited_api"):
                assert links.client.request(method, path, headers=headers | {"Host": host}).status_code == 404
    assert links.get("account/wallet-balance")["code"] == 200


def test_the_links_can_be_switched_off_alone(make_links: Callable[..., Shop]) -> None:
    links = make_links(extract_links=False)
    assert extract(links).status_code == 404
    assert "/unlimited_api" not in links.client.get("/schema/openapi.json").json()["paths"]
    assert links.get("account/wallet-balance")["code"] == 200
