"""Credentials over HTTP: shown once, scoped, and dead from the moment they are revoked."""

from __future__ import annotations

import pytest
from tests.conftest import Client, Clock, token_of


def test_secrets_are_answered_once(client: Client, acme: str) -> None:
    made = client.post("/v1/accounts/acme/credentials", json={"scope": "account", "name": "reports"})
    assert made.status_code == 201
    issued = made.json()
    shown = {name: value for name, value in issued.items() if name not in ("token", "key")}
    assert client.get(f"/v1/credentials/{issued['id']}").json() == shown
    assert client.get("/v1/accounts/acme/credentials").json()["items"] == [shown]
    assert shown in client.get("/v1/credentials").json()["items"]
    assert issued["token"] not in client.get("/v1/credentials").text


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/accounts/acme/credentials", {"scope": "admin"}, 422),
        ("/v1/accounts/acme/credentials", {"scope": "ingest"}, 201),
        ("/v1/accounts/nobody/credentials", {"scope": "account"}, 404),
        ("/v1/credentials", {"scope": "account"}, 422),
        ("/v1/credentials", {"scope": "admin"}, 201),
        ("/v1/credentials", {"scope": "root"}, 422),
    ],
)
def test_scope_and_account_go_together(client: Client, acme: str, path: str, body: dict[str, str], status: int) -> None:
    assert client.post(path, json=body).status_code == status


@pytest.mark.parametrize("under", ["/v1/credentials", "/v1/accounts/acme/credentials"])
def test_a_revoked_token_is_refused_at_once_however_lately_it_was_used(client: Client, acme: str, under: str) -> None:
    issued = client.post("/v1/accounts/acme/credentials", json={"scope": "account"}).json()
    mine = {"Authorization": f"Bearer {issued['token']}"}
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 200
    revoked = client.post(f"{under}/{issued['id']}/revoke")
    assert revoked.json()["revoked_at"] == "2026-03-15T12:00:00Z"
    assert client.get("/v1/accounts/acme", headers=mine).status_code == 401
    assert client.post(f"{under}/{issued['id']}/revoke").json() == revoked.json()


def test_a_credential_is_revoked_only_under_its_own_account(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    issued = client.post("/v1/accounts/acme/credentials", json={"scope": "account"}).json()
    assert client.post(f"/v1/accounts/other/credentials/{issued['id']}/revoke").status_code == 404


def test_a_token_is_remembered_for_a_while_only(client: Client, acme: str, clock: Clock) -> None:
    doorkeeper = client.app.state.house.doorkeeper
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert doorkeeper.remembered(mine["Authorization"]) is None
    client.get("/v1/accounts/acme", headers=mine)
    assert doorkeeper.remembered(mine["Authorization"]) is not None
    clock.at += 10_000
    assert doorkeeper.remembered(mine["Authorization"]) is None


def test_an_answer_under_way_during_a_revoke_is_not_remembered(client: Client, acme: str) -> None:
    doorkeeper = client.app.state.house.doorkeeper
    header = token_of(client, "/v1/credentials", scope="ingest")["Authorization"]
    slow = doorkeeper._ledger
    doorkeeper._ledger = type("Slow", (), {"read": lambda self: (doorkeeper.forget(), slow.read())[1]})()
    doorkeeper.look_up(header)
    assert doorkeeper.remembered(header) is None


def test_a_credential_that_manages_changes_its_users_and_nothing_that_is_the_sellers(client: Client, acme: str) -> None:
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    assert client.post("/v1/accounts/acme/users", json={"name": "ann"}, headers=mine).status_code == 201
    assert client.patch("/v1/accounts/acme/users/ann", json={"name": "eve"}, headers=mine).status_code == 200
    assert client.get("/v1/accounts/acme/balance", headers=mine).status_code == 200
    for path, body in (
        ("/v1/accounts/acme/grants", {"amount": 1}),
        ("/v1/accounts/acme/credentials", {"scope": "manage"}),
        ("/v1/accounts/acme/users/eve/erase", None),
    ):
        assert client.post(path, json=body, headers=mine).status_code == 403
