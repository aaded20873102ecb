"""Whitelists over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Client, Clock, token_of

OWN = "/v1/accounts/acme/whitelist"
ALICES = "/v1/accounts/acme/users/alice/whitelist"


@pytest.mark.parametrize("path", [OWN, ALICES])
def test_an_address_is_put_disabled_listed_and_taken_off(client: Client, acme: str, clock: Clock, path: str) -> None:
    made = client.put(f"{path}/traffic/2001:DB8::1", json={})
    assert made.status_code == 200
    assert made.json() == {
        "account": "acme",
        "user": "alice" if path == ALICES else None,
        "user_id": client.get("/v1/accounts/acme/users/alice").json()["id"] if path == ALICES else None,
        "pool": "traffic",
        "address": "2001:db8::1",
        "enabled": True,
        "created_at": "2026-03-15T12:00:00Z",
        "changed_at": "2026-03-15T12:00:00Z",
    }
    clock.at += 60_000
    assert client.put(f"{path}/traffic/2001:db8::1", json={"enabled": True}).json() == made.json()
    changed = client.put(f"{path}/traffic/2001:db8::1", json={"enabled": False}).json()
    assert changed == made.json() | {"enabled": False, "changed_at": "2026-03-15T12:01:00Z"}
    client.put(f"{path}/mobile/198.51.100.0%2F24", json={})
    assert [one["address"] for one in client.get(path).json()["items"]] == ["2001:db8::1", "198.51.100.0/24"]
    assert client.get(path, params={"pool": "traffic"}).json() == {"items": [changed], "next": None}
    assert client.delete(f"{path}/traffic/2001:db8::1").json() == changed
    gone = client.delete(f"{path}/traffic/2001:db8::1")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", [OWN, ALICES])
def test_a_list_is_replaced_whole_and_a_retry_answers_the_same(client: Client, acme: str, path: str) -> None:
    headers = {"Idempotency-Key": "k"}
    asked = {"addresses": ["192.0.2.1", "192.0.2.2", "192.0.2.1/32"]}
    made = client.put(f"{path}/mobile", json=asked, headers=headers).json()
    assert [one["address"] for one in made["items"]] == ["192.0.2.1", "192.0.2.2"]
    client.put(f"{path}/mobile", json={"addresses": []})
    assert client.put(f"{path}/mobile", json=asked, headers=headers).json() == made
    assert client.get(path).json()["items"] == []


def test_a_full_list_is_409_with_the_limit_which_is_a_setting(make_client: Callable[..., Client], acme: str) -> None:
    client = make_client(max_whitelist_ips=1)
    assert client.put(f"{OWN}/traffic/192.0.2.1", json={}).status_code == 200
    for answer in (
        client.put(f"{OWN}/traffic/192.0.2.2", json={}),
        client.put(f"{OWN}/traffic", json={"addresses": ["192.0.2.2", "192.0.2.3"]}),
    ):
        body = answer.json()
        assert (answer.status_code, body["code"], body["limit"]) == (409, "limit_reached", 1)
    assert [one["address"] for one in client.get(OWN).json()["items"]] == ["192.0.2.1"]


@pytest.mark.parametrize("address", ["here", "10.0.0.1%2F8", "1.2.3.4%2F255.0.0.0", "%3A%3A1%25eth0"])
def test_what_is_no_address_is_422(client: Client, acme: str, address: str) -> None:
    for answer in (
        client.put(f"{OWN}/traffic/{address}", json={}),
        client.delete(f"{OWN}/traffic/{address}"),
    ):
        assert (answer.status_code, answer.json()["field"]) == (422, "address"), answer.text


def test_a_manager_writes_and_an_account_credential_reads(client: Client, acme: str) -> None:
    manages = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    reads = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.put(f"{ALICES}/traffic/192.0.2.1", json={}, headers=manages).status_code == 200
    assert len(client.get(ALICES, headers=reads).json()["items"]) == 1
    assert client.delete(f"{ALICES}/traffic/192.0.2.1", headers=reads).status_code == 403


def test_another_accounts_user_is_unknown(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    alice: Any = client.get("/v1/accounts/acme/users/alice").json()["id"]
    theirs = f"/v1/accounts/other/users/{alice}/whitelist"
    for answer in (
        client.get(theirs),
        client.put(f"{theirs}/traffic", json={"addresses": []}),
        client.put(f"{theirs}/traffic/::1", json={}),
        client.delete(f"{theirs}/traffic/::1"),
    ):
        assert answer.json()["code"] == "unknown_user"
