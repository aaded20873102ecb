"""Whoever creates a user, natively or in a dialect: it begins empty, and no figure of the past moves.

A name may have been in traffic before: a login that was refused, or a connection that outlives a deletion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Client, Clock, send
from tests.vendors.asking import Shown, issue

NAME = "ABCDEFHGJ2000"
PASSWORD = "password12"
USERS = "/v1/accounts/acme/users"
HOUR = 3_600_000

Create = Callable[[Client, Shown], Any]


def natively(client: Client, shown: Shown, **more: Any) -> Any:
    return client.post(USERS, json={"name": NAME, **more})


def funded(client: Client, shown: Shown) -> Any:
    return natively(client, shown, funded=True)


def in_thordatas(client: Client, shown: Shown) -> Any:
    form = {"username": NAME, "password": PASSWORD, "traffic_limit": "500", "status": "true", "proxy_type": "1"}
    answer = client.post("/api/proxy-users/create-user", headers={"token": shown.token, "key": shown.key}, data=form)
    assert answer.json()["code"] == 200, answer.text


def in_ipfoxys(client: Client, shown: Shown) -> Any:
    form = {"account": NAME, "password": PASSWORD, "flow": "1", "idempotency_key": f"key-{shown.id[-12:]}"}
    secrets = {"api-id": shown.id, "api-token": shown.token}
    answer = client.post("/ip/open-api/create-sub-account", headers=secrets, data=form)
    assert answer.json()["code"] == 0, answer.text


CREATIONS: list[Create] = [natively, funded, in_thordatas, in_ipfoxys]


def past(client: Client, until: str, users: list[str]) -> Any:
    """All that is told of use before that instant: of the account by pool, of these users, and single rows."""
    ranged = {"from": "2026-03-01T00:00:00Z", "to": until, "bucket": "hour"}
    told = [client.get("/v1/accounts/acme/usage", params={**ranged, "by": by}).json() for by in ("product", "status")]
    told += [client.get(f"{USERS}/{one}/usage", params=ranged).json() for one in users]
    figures = [(one["total"], one["rows"]) for one in told]
    return figures, client.get("/v1/accounts/acme/balance", params={"at": until}).json()["pools"]


def used(client: Client) -> Any:
    """By whoever bears the name now, ever."""
    ranged = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
    return client.get(f"{USERS}/{NAME}/usage", params=ranged).json()["total"]["bytes"]


@pytest.mark.parametrize("create", CREATIONS)
@pytest.mark.parametrize("size", [0, 3_000_000])
def test_a_name_that_was_in_traffic_can_be_created_and_moves_nothing_of_the_past(
    client: Client, acme: str, clock: Clock, create: Create, size: int
) -> None:
    shown = issue(client, "acme", "manage")
    client.post("/v1/accounts/acme/grants", json={"amount": 10**9, "starts_at": "2026-03-01T00:00:00Z"})
    send(client, "refused", "2026-03-15T11:00:00Z", "acme", user=NAME, product="residential", bytes_down=size)
    seen = client.get(f"{USERS}/{NAME}").json()["id"]
    until, now = "2026-03-15T11:59:59Z", "2026-03-15T12:00:00Z"
    before, token = past(client, until, [seen]), client.get("/v1/accounts/acme/balance").json()["as_of"]["token"]
    create(client, shown)
    made = client.get(f"{USERS}/{NAME}").json()
    assert made["id"] != seen
    assert past(client, until, [seen]) == before
    assert used(client) == 0
    then = client.get(f"{USERS}/{NAME}/balance", params={"as_of": token}).json()
    assert then["user_id"] == seen, "what was asked of the past is answered as then"
    history = [client.get(f"{USERS}/{one}/names").json()["items"] for one in (seen, made["id"])]
    assert history == [[{"name": NAME, "from": None, "to": now}], [{"name": NAME, "from": now, "to": None}]]


@pytest.mark.parametrize("create", CREATIONS)
def test_what_a_connection_uses_that_outlives_a_deletion_is_in_nobodys_way(
    client: Client, acme: str, clock: Clock, create: Create
) -> None:
    shown = issue(client, "acme", "manage")
    client.post("/v1/accounts/acme/grants", json={"amount": 10**9, "starts_at": "2026-03-01T00:00:00Z"})
    natively(client, shown, funded=True)
    client.delete(f"{USERS}/{NAME}")
    clock.at += HOUR
    send(client, "late", "2026-03-15T12:30:00Z", "acme", user=NAME, product="residential", bytes_down=9)
    create(client, shown)
    assert client.get(f"{USERS}/{NAME}").json()["created_at"] == "2026-03-15T13:00:00Z"
    assert used(client) == 0
