"""Lists of endpoints over HTTP: what is told, in which form, and to whom."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Client, Clock, token_of

from flowtally.web import services
from flowtally.web.forwarded import caller_of

PATH = "/v1/accounts/acme/endpoints"


def offer(client: Client, host: str, first: int, last: int, **more: Any) -> None:
    body = {"product": "residential", "host": host, "first_port": first, "last_port": last} | more
    assert client.post("/v1/gateways", json=body).status_code == 201


@pytest.fixture
def shop(make_client: Callable[..., Client], acme: str, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Behind a proxy of ours at 203.0.113.9, which tells the caller's address: the test client itself has none."""
    monkeypatch.setattr(services, "caller_of", lambda _, *rest: caller_of("203.0.113.9", *rest))
    monkeypatch.setattr(services, "is_passed_on", lambda *_: False)
    client = make_client(trusted_proxies="203.0.113.0/24", endpoint_lists_per_minute=0)
    offer(client, "us.example", 1000, 1009, session="sticky", hold_s=600, country="US")
    offer(client, "2001:db8::5", 7000, 7000)
    return client


def asked_from(client: Client, address: str, path: str = PATH, **params: Any) -> Any:
    """Without a token, from this address."""
    request = client.build_request("GET", path, params=params, headers={"X-Forwarded-For": address})
    del request.headers["Authorization"]
    return client.send(request)


# -- What is told -----------------------------------------------------------------------------------------------------


def test_each_is_told_once_with_what_it_is(shop: Client) -> None:
    body = shop.get(PATH, params={"number": 100}).json()
    assert (body["account"], body["product"], body["fitting"], len(body["endpoints"])) == (
        "acme",
        "residential",
        11,
        11,
    )
    assert {one["port"] for one in body["endpoints"]} == {*range(1000, 1010), 7000}
    sticky = next(one for one in body["endpoints"] if one["port"] == 1000)
    assert sticky == {
        "host": "us.example", "port": 1000, "session": "sticky", "hold_s": 600, "country": "US", "state": "",
        "city": "",
    }  # fmt: skip


def test_ten_are_told_unless_another_number_is_asked_for(shop: Client) -> None:
    assert len(shop.get(PATH).json()["endpoints"]) == 10
    assert len(shop.get(PATH, params={"number": 3}).json()["endpoints"]) == 3
    for number in ("0", "-1", "10001", "x"):
        assert shop.get(PATH, params={"number": number}).status_code == 400


def test_the_choice_is_another_each_time(shop: Client) -> None:
    asked = {"number": "1", "session": "sticky"}
    assert len({shop.get(PATH, params=asked).json()["endpoints"][0]["port"] for _ in range(60)}) > 1


def test_place_session_and_product_choose(shop: Client) -> None:
    def fitting(**params: str) -> int:
        return int(shop.get(PATH, params=params).json()["fitting"])

    assert (fitting(country="us"), fitting(country="DE"), fitting(session="rotating")) == (10, 0, 1)
    assert (fitting(product="mobile"), fitting(country="US", state="New York")) == (0, 0)
    assert shop.get(PATH, params={"country": "USA"}).json()["field"] == "country"
    assert shop.get(PATH, params={"session": "steady"}).status_code == 400


@pytest.mark.parametrize(
    ("separator", "between"),
    [(None, "\n"), ("lf", "\n"), ("crlf", "\r\n"), ("space", " "), ("tab", "\t"), ("comma", ","), ("semicolon", ";"),
     ("pipe", "|")],
)  # fmt: skip
def test_text_has_the_separator_that_was_asked_for(shop: Client, separator: str | None, between: str) -> None:
    asked = {"format": "text"} | ({"separator": separator} if separator else {})
    answer = shop.get(PATH, params=asked | {"number": "100"})
    assert answer.headers["content-type"].startswith("text/plain")
    told = [one for one in answer.text.split(between) if one]
    assert set(told) == {"[2001:db8::5]:7000", *(f"us.example:{port}" for port in range(1000, 1010))}
    assert len(told) == 11


def test_the_form_is_the_parameters_or_the_headers(shop: Client) -> None:
    ways: list[tuple[dict[str, str], dict[str, str]]] = [({"Accept": "text/csv"}, {}), ({}, {"format": "csv"})]
    for headers, params in ways:
        answer = shop.get(PATH, params=params | {"number": "100"}, headers=headers)
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert {(one["host"], one["port"]) for one in rows} >= {("us.example", "1000"), ("2001:db8::5", "7000")}
    assert shop.get(PATH, headers={"Accept": "text/plain"}).text.count("\n") == 10
    assert shop.get(PATH, headers={"Accept": "image/png"}).json()["code"] == "not_acceptable"
    assert shop.get(PATH, params={"format": "text", "country": "FR"}).text == ""


# -- To whom ----------------------------------------------------------------------------------------------------------


def test_a_token_of_the_account_is_answered_and_one_of_another_is_not(shop: Client) -> None:
    shop.post("/v1/accounts", json={"id": "other"})
    for scope in ("account", "manage"):
        assert shop.get(PATH, headers=token_of(shop, "/v1/accounts/acme/credentials", scope=scope)).status_code == 200
    other = token_of(shop, "/v1/accounts/other/credentials", scope="account")
    answer = shop.get(PATH, headers=other)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_account")
    sends = token_of(shop, "/v1/credentials", scope="ingest")
    assert shop.get(PATH, headers=sends).status_code == 403
    assert shop.get("/v1/accounts/nobody/endpoints").status_code == 404


@pytest.mark.parametrize(
    ("listed", "may", "may_not"),
    [
        ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1:4711"], ["192.0.2.2", "::1", "2001:db8::192.0.2.1"]),
        ("198.51.100.0/24", ["198.51.100.1", "198.51.100.255"], ["198.51.101.0"]),
        ("2001:db8:1::/48", ["2001:db8:1::9", "[2001:DB8:1:ffff::1]:80"], ["2001:db8:2::9", "192.0.2.1"]),
        ("2001:db8::7", ["2001:0db8:0::7"], ["2001:db8::8"]),
    ],
)
def test_an_address_of_the_whitelist_needs_no_token(
    shop: Client, listed: str, may: list[str], may_not: list[str]
) -> None:
    assert shop.put(f"/v1/accounts/acme/whitelist/traffic/{listed.replace('/', '%2F')}", json={}).status_code == 200
    for address in may:
        assert len(asked_from(shop, address).json()["endpoints"]) == 10, address
    for address in may_not:
        answer = asked_from(shop, address)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), address


def test_nobody_learns_which_accounts_there_are(shop: Client) -> None:
    shop.put("/v1/accounts/acme/whitelist/traffic/192.0.2.1", json={})

    def bare(answer: Any) -> Any:
        return answer.status_code, {name: value for name, value in answer.json().items() if name != "request_id"}

    known, unknown = (asked_from(shop, "192.0.2.9", f"/v1/accounts/{one}/endpoints") for one in ("acme", "nobody"))
    assert bare(known) == bare(unknown)
    assert bare(asked_from(shop, "192.0.2.1", "/v1/accounts/nobody/endpoints")) == bare(known)
    shop.post("/v1/accounts", json={"id": "other"})
    assert bare(asked_from(shop, "192.0.2.1", "/v1/accounts/other/endpoints")) == bare(known)


def test_what_is_disabled_of_a_user_or_of_a_closed_account_lets_nobody_in(shop: Client) -> None:
    shop.put("/v1/accounts/acme/whitelist/traffic/192.0.2.1", json={"enabled": False})
    shop.put("/v1/accounts/acme/users/alice/whitelist/traffic/192.0.2.2", json={})
    shop.put("/v1/accounts/acme/whitelist/traffic/192.0.2.3", json={})
    assert [asked_from(shop, f"192.0.2.{n}").status_code for n in (1, 2, 3)] == [401, 401, 200]
    shop.patch("/v1/accounts/acme", json={"status": "suspended"})
    assert asked_from(shop, "192.0.2.3").status_code == 200
    shop.patch("/v1/accounts/acme", json={"status": "closed"})
    assert asked_from(shop, "192.0.2.3").status_code == 401


def test_the_list_of_the_products_pool_decides(shop: Client) -> None:
    shop.put("/v1/accounts/acme/whitelist/mobile/192.0.2.1", json={})
    assert asked_from(shop, "192.0.2.1", product="mobile").status_code == 200
    answer = asked_from(shop, "192.0.2.1")
    assert (answer.status_code, answer.json()["code"]) == (403, "address_not_allowed")
    assert answer.json()["address"] == "192.0.2.1"


def test_an_address_opens_nothing_else(shop: Client) -> None:
    shop.put("/v1/accounts/acme/whitelist/traffic/192.0.2.1", json={})
    for path in ("/v1/accounts/acme", "/v1/accounts/acme/balance", "/v1/accounts/acme/whitelist", "/v1/gateways"):
        assert asked_from(shop, "192.0.2.1", path).status_code == 401


def test_a_wrong_token_is_not_mended_by_an_address(shop: Client) -> None:
    shop.put("/v1/accounts/acme/whitelist/traffic/192.0.2.1", json={})
    headers = {"X-Forwarded-For": "192.0.2.1", "Authorization": "Bearer wrong-token-0123456789"}
    assert shop.get(PATH, headers=headers).status_code == 401


@pytest.mark.parametrize("peer", ["192.0.2.1", "203.0.113.9", "127.0.0.1"])
def test_a_forwarded_address_is_believed_of_trusted_proxies_alone(
    make_client: Callable[..., Client], acme: str, monkeypatch: pytest.MonkeyPatch, peer: str
) -> None:
    """What stands in the header of a stranger, or of a proxy of this machine that nobody named, lets nobody in."""
    monkeypatch.setattr(services, "_peer", lambda scope: peer)
    client = make_client(trusted_proxies="203.0.113.0/24")
    client.put("/v1/accounts/acme/whitelist/traffic/198.51.100.7", json={})
    expected = 200 if peer == "203.0.113.9" else 401
    assert asked_from(client, "198.51.100.7").status_code == expected
    client.put("/v1/accounts/acme/whitelist/traffic/127.0.0.1", json={})
    assert asked_from(client, "10.0.0.1").status_code == 401


# -- How often --------------------------------------------------------------------------------------------------------


def test_each_caller_has_its_own_minute(
    make_client: Callable[..., Client], acme: str, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(services, "caller_of", lambda _, *rest: caller_of("203.0.113.9", *rest))
    monkeypatch.setattr(services, "is_passed_on", lambda *_: False)
    client = make_client(trusted_proxies="203.0.113.0/24", endpoint_lists_per_minute=2)
    client.put("/v1/accounts/acme/whitelist/traffic/192.0.2.0%2F24", json={})
    assert [asked_from(client, "192.0.2.1").status_code for _ in range(3)] == [200, 200, 429]
    assert asked_from(client, "192.0.2.2").status_code == 200
    assert [client.get(PATH).status_code for _ in range(3)] == [200, 200, 429]
    again = client.get(PATH)
    assert (again.json()["code"], again.headers["Retry-After"]) == ("rate_limited", "60")
    clock.at += 60_000
    assert client.get(PATH).status_code == asked_from(client, "192.0.2.1").status_code == 200


def test_strangers_wait_for_places_of_their_own(shop: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put("/v1/accounts/acme/whitelist/traffic/192.0.2.1", json={})
    slots = shop.app.state.services.request_slots
    monkeypatch.setattr(slots, "unknown_limit", 0)
    assert asked_from(shop, "192.0.2.1").status_code == 503
    assert shop.get(PATH).status_code == 200
