"""Gateways over HTTP: the operator's list."""

from __future__ import annotations

from typing import Any

from tests.conftest import Client, token_of

STICKY: dict[str, Any] = {
    "id": "us", "product": "residential", "host": "us.example.com", "first_port": 10_000, "last_port": 19_999,
    "session": "sticky", "hold_s": 600, "country": "US", "state": "", "city": "",
}  # fmt: skip


def test_a_gateway_is_added_read_listed_and_removed(client: Client) -> None:
    made = client.post("/v1/gateways", json=STICKY)
    assert (made.status_code, made.json()) == (201, STICKY | {"created_at": "2026-03-15T12:00:00Z"})
    plain = client.post("/v1/gateways", json={"product": "mobile", "host": "2001:DB8::9", "first_port": 7}).json()
    assert plain["id"].startswith("gtw_")
    assert (plain["host"], plain["last_port"], plain["session"], plain["hold_s"]) == (
        "2001:db8::9",
        7,
        "rotating",
        None,
    )
    assert client.get("/v1/gateways/us").json() == made.json()
    assert client.get("/v1/gateways").json()["items"] == [plain, made.json()]
    assert client.get("/v1/gateways", params={"product": "mobile"}).json()["items"] == [plain]
    assert client.get("/v1/gateways", params={"product": ""}).json()["items"] == []
    assert client.delete("/v1/gateways/us").json() == made.json()
    assert client.delete("/v1/gateways/us").json()["code"] == "not_found"


def test_the_same_request_is_done_once(client: Client) -> None:
    headers = {"Idempotency-Key": "k"}
    body = {"product": "residential", "host": "a.example", "first_port": 1}
    made = client.post("/v1/gateways", json=body, headers=headers).json()
    assert client.post("/v1/gateways", json=body, headers=headers).json() == made
    again = client.post("/v1/gateways", json=body)
    assert (again.status_code, again.json()["gateway"]) == (409, made["id"])


def test_what_is_no_gateway_says_which_field(client: Client) -> None:
    for wrong, field in (
        ({"first_port": 70_000}, "first_port"),
        ({"host": "a b"}, "host"),
        ({"country": "U"}, "country"),
    ):
        answer = client.post("/v1/gateways", json=STICKY | wrong)
        assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert client.post("/v1/gateways", json=STICKY | {"session": "x"}).status_code == 422


def test_it_is_in_the_record_and_no_key_of_an_account_sees_it(client: Client, acme: str) -> None:
    client.post("/v1/gateways", json=STICKY)
    client.delete("/v1/gateways/us")
    found = client.get("/v1/audit", params={"subject": "us"}).json()["items"]
    assert sorted(one["action"] for one in found) == ["gateway.add", "gateway.remove"]
    for scope in ("account", "manage"):
        headers = token_of(client, "/v1/accounts/acme/credentials", scope=scope)
        assert client.get("/v1/gateways", headers=headers).status_code == 403
