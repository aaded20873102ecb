"""Accounts, users, pools and products over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import Client, send, token_of


def test_an_account_is_made_read_changed_and_listed(client: Client) -> None:
    made = client.post("/v1/accounts", json={"id": "acme", "name": "Acme", "timezone": "Asia/Kolkata"})
    assert made.status_code == 201
    assert made.json() == {
        "id": "acme",
        "name": "Acme",
        "timezone": "Asia/Kolkata",
        "status": "active",
        "carry_from": "2026-03-15T12:00:00Z",
        "overage": "carry",
        "created_at": "2026-03-15T12:00:00Z",
        "erased_at": None,
    }
    changed = client.patch("/v1/accounts/acme", json={"name": "Acme Ltd", "timezone": "UTC", "status": "suspended"})
    assert (changed.status_code, changed.json()["status"]) == (200, "suspended")
    assert client.get("/v1/accounts/acme").json() == changed.json()
    assert client.get("/v1/accounts").json() == {"items": [changed.json()], "next": None}


def test_an_id_is_made_where_none_is_given(client: Client) -> None:
    assert client.post("/v1/accounts", json={}).json()["id"].startswith("acc_")


def test_what_would_alter_past_balances_cannot_be_changed(client: Client, acme: str) -> None:
    for member in ("carry_from", "overage", "id"):
        answer = client.patch("/v1/accounts/acme", json={member: "2026-01-01T00:00:00Z"})
        assert (answer.status_code, answer.json()["field"]) == (422, member)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": "acme"}, 409, "conflict"),
        ({"id": "a/b"}, 422, "unprocessable"),
        ({"id": ""}, 422, "unprocessable"),
        ({"id": "x" * 300}, 422, "unprocessable"),
        ({"id": "a\u0000b"}, 422, "unprocessable"),
        ({"id": 5}, 422, "unprocessable"),
        ({"timezone": "Mars/Base"}, 400, "unknown_zone"),
        ({"carry_from": "yesterday"}, 400, "bad_range"),
        ({"carry_from": "1969-01-01T00:00:00Z"}, 422, "unprocessable"),
        ({"overage": "maybe"}, 422, "unprocessable"),
    ],
)
def test_an_account_that_cannot_be(client: Client, acme: str, body: dict[str, Any], status: int, code: str) -> None:
    answer = client.post("/v1/accounts", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_lists_continue_at_their_cursor(client: Client) -> None:
    for name in "dbeac":
        client.post("/v1/accounts", json={"id": name})
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get("/v1/accounts", params={"limit": "2", **cursor}).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert seen == list("abcde")


def test_an_account_credential_reads_its_own_account_only(client: Client, acme: str) -> None:
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    for path in ("", "/usage", "/balance", "/users", "/grants"):
        assert client.get(f"/v1/accounts/acme{path}", headers=mine).status_code == 200
        assert client.get(f"/v1/accounts/other{path}", headers=mine).status_code == 404


def test_users_come_into_being_with_their_first_event(client: Client, acme: str) -> None:
    assert [user["name"] for user in client.get("/v1/accounts/acme/users").json()["items"]] == ["alice", "bob"]


def test_a_pool_is_made_once_and_keeps_its_charge(client: Client) -> None:
    made = client.put("/v1/pools/isp", json={"charge": "bytes"})
    assert (made.status_code, made.json()) == (200, {"name": "isp", "charge": "bytes", "products": []})
    assert client.put("/v1/pools/isp", json={"charge": "bytes"}).status_code == 200
    assert client.put("/v1/pools/isp", json={"charge": "requests"}).status_code == 409
    assert [pool["name"] for pool in client.get("/v1/pools").json()["items"]] == [
        "api",
        "isp",
        "mobile",
        "traffic",
        "unlimited",
    ]


def test_a_product_is_mapped_to_a_pool(client: Client) -> None:
    client.put("/v1/pools/isp", json={"charge": "bytes"})
    assert client.put("/v1/products/isp-static", json={"pool": "isp"}).json() == {
        "product": "isp-static",
        "pool": "isp",
    }
    assert {"product": "isp-static", "pool": "isp"} in client.get("/v1/products").json()["items"]
    assert client.put("/v1/products/x", json={"pool": "nowhere"}).status_code == 404


def test_late_events_change_what_the_balance_says(client: Client, acme: str) -> None:
    before = client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["left"]
    send(client, "late", "2026-03-05T00:00:00Z", bytes_down=100)
    assert client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["left"] == before - 100
