"""Grants, balance and idempotent writes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import Client, token_of


def give(client: Client, key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/v1/accounts/acme/grants", json={"amount": 100, **body}, headers=headers)


def test_a_grant_is_given_read_listed_and_voided(client: Client, acme: str) -> None:
    made = give(client, source="order", reference="4711", priority=5, expires_at="2026-04-01T00:00:00+02:00")
    assert made.status_code == 201
    grant = made.json()
    assert (grant["starts_at"], grant["expires_at"]) == ("2026-03-15T12:00:00Z", "2026-03-31T22:00:00Z")
    assert client.get(f"/v1/accounts/acme/grants/{grant['id']}").json() == grant
    assert grant in client.get("/v1/accounts/acme/grants").json()["items"]
    voided = client.post(f"/v1/accounts/acme/grants/{grant['id']}/void").json()
    assert voided["voided_at"] == "2026-03-15T12:00:00Z"
    assert client.post(f"/v1/accounts/acme/grants/{grant['id']}/void").json() == voided


def test_grants_are_listed_by_source_and_reference(client: Client, acme: str) -> None:
    first, second, _ = (give(client, source="order", reference=reference).json()["id"] for reference in ("a", "b", ""))
    manual = give(client, source="manual", reference="a").json()["id"]
    listed = "/v1/accounts/acme/grants"

    def ids(**query: Any) -> list[str]:
        return [one["id"] for one in client.get(listed, params=query).json()["items"]]

    assert ids(source="order", reference="a") == [first]
    assert ids(reference="a") == [first, manual]
    assert ids(source="order", reference="b") == [second]
    assert ids(reference="nobody's") == []
    next_page = client.get(listed, params={"reference": "a", "limit": 1}).json()["next"]
    assert client.get(listed, params={"cursor": next_page}).status_code == 400, "of another list"
    assert ids(reference="a", cursor=next_page) == [manual]


def test_a_grant_of_another_account_is_not_found(client: Client, acme: str) -> None:
    grant = give(client).json()["id"]
    client.post("/v1/accounts", json={"id": "other"})
    assert client.get(f"/v1/accounts/other/grants/{grant}").status_code == 404
    assert client.post(f"/v1/accounts/other/grants/{grant}/void").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"amount": 0}, 422, "amount"),
        ({"amount": -1}, 422, "amount"),
        ({"amount": 2**53}, 422, "amount"),
        ({"amount": 10**30}, 422, "amount"),
        ({"amount": 1.5}, 422, "amount"),
        ({"amount": "100"}, 422, "amount"),
        ({"amount": True}, 422, "amount"),
        ({"amount": None}, 422, "amount"),
        ({"priority": -1}, 422, "priority"),
        ({"pool": "nowhere"}, 404, None),
        ({"pool": "unlimited"}, 422, "pool"),
        ({"starts_at": "2026-03-01"}, 400, None),
        ({"starts_at": "2026-04-01T00:00:00Z", "expires_at": "2026-04-01T00:00:00Z"}, 422, "expires_at"),
        ({"expires_at": "2026-03-15T11:00:00Z"}, 422, "expires_at"),
        ({"amuont": 5}, 422, "amuont"),
    ],
)
def test_a_grant_that_cannot_be(
    client: Client, acme: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    answer = give(client, **body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)


def test_the_balance_shows_pools_and_grants(client: Client, acme: str) -> None:
    answer = client.get("/v1/accounts/acme/balance").json()
    assert answer["at"] == "2026-03-15T12:00:00Z"
    assert answer["pools"]["traffic"] == {
        "unit": "bytes",
        "granted": 100_000,
        "spent": 1005,
        "left": 98_995,
        "pending": 0,
        "expired": 0,
        "voided": 0,
        "overage": 0,
        "credit": 0,
        "drawn": 0,
    }
    assert answer["pools"]["mobile"]["overage"] == 3
    assert [(grant["spent"], grant["left"], grant["state"]) for grant in answer["grants"]] == [(1005, 98_995, "active")]
    earlier = client.get("/v1/accounts/acme/balance", params={"at": "2026-03-11T00:00:00+01:00"}).json()
    assert earlier["pools"]["traffic"]["spent"] == 1000


def test_the_same_key_and_request_happen_once(client: Client, acme: str) -> None:
    first, again = give(client, "k1"), give(client, "k1")
    assert first.json() == again.json()
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(client.get("/v1/accounts/acme/grants").json()["items"]) == 2  # acme's own, and this one


def test_the_same_key_with_another_request_is_a_conflict(client: Client, acme: str) -> None:
    give(client, "k1")
    for answer in (
        give(client, "k1", amount=200),
        client.post("/v1/accounts", json={}, headers={"Idempotency-Key": "k1"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_mismatch")


def test_a_retry_with_a_new_credential_of_the_same_side_is_a_retry(client: Client, acme: str) -> None:
    """Keys are replaced in the middle of things: what was bought with the old one is not bought again."""
    other = token_of(client, "/v1/credentials", scope="admin")
    first = give(client, "k1").json()
    given = client.get("/v1/accounts/acme/grants").json()["items"]
    second = client.post("/v1/accounts/acme/grants", json={"amount": 100}, headers={"Idempotency-Key": "k1", **other})
    assert (second.status_code, second.headers["idempotent-replayed"]) == (201, "true")
    assert second.json() == first
    assert client.get("/v1/accounts/acme/grants").json()["items"] == given


def test_keys_of_an_account_and_of_the_installation_do_not_meet(client: Client, acme: str) -> None:
    manager = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    client.post("/v1/accounts/acme/users", json={"name": "ann"}, headers={"Idempotency-Key": "k1"})
    other = client.post("/v1/accounts/acme/users", json={"name": "bob"}, headers={"Idempotency-Key": "k1", **manager})
    assert (other.status_code, other.json()["name"]) == (201, "bob")


def test_a_refused_request_does_not_use_up_its_key(client: Client, acme: str) -> None:
    assert give(client, "k1", pool="isp").status_code == 404
    client.put("/v1/pools/isp", json={"charge": "bytes"})
    assert give(client, "k1", pool="isp").status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
def test_a_key_that_cannot_be(client: Client, acme: str, key: str) -> None:
    assert give(client, key).status_code == 400


def test_a_replayed_credential_comes_without_its_secrets(client: Client, acme: str) -> None:
    def issue() -> Any:
        return client.post("/v1/credentials", json={"scope": "ingest"}, headers={"Idempotency-Key": "c1"})

    first, again = issue().json(), issue().json()
    assert {"token", "key"} <= set(first)
    assert again == {name: value for name, value in first.items() if name not in ("token", "key")}
