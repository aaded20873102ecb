"""Senders over HTTP: who owns sources, whichever credential it has. Sources: tests/ingest/test_sources.py."""

from __future__ import annotations

import pytest
from tests.conftest import Client, token_of


def issue(client: Client, under: str = "/v1/credentials", **wanted: str) -> dict[str, str]:
    made = client.post(under, json={"scope": "ingest", **wanted})
    assert made.status_code == 201, made.text
    told: dict[str, str] = made.json()
    return told


def test_a_sender_is_made_with_its_first_credential_and_has_more(client: Client) -> None:
    first = issue(client, name="gw-1")
    second = issue(client, name="gw-1 again", sender=first["sender"])
    assert second["sender"] == first["sender"]
    assert client.get(f"/v1/credentials/{second['id']}").json()["sender"] == first["sender"]
    told = client.get(f"/v1/senders/{first['sender']}").json()
    assert (told["name"], told["account"]) == ("gw-1", None)
    assert told in client.get("/v1/senders").json()["items"]


def test_senders_of_an_account_are_listed_alone_and_renamed(client: Client, acme: str) -> None:
    made = issue(client, "/v1/accounts/acme/credentials", name="gw")
    told = client.patch(f"/v1/senders/{made['sender']}", json={"name": "gateway 1"})
    assert (told.status_code, told.json()["name"], told.json()["account"]) == (200, "gateway 1", "acme")
    assert client.get("/v1/senders", params={"account": "acme"}).json()["items"] == [told.json()]
    assert client.get("/v1/senders", params={"account": "nobody"}).status_code == 404


@pytest.mark.parametrize(
    ("under", "of"),
    [("/v1/credentials", "/v1/accounts/acme/credentials"), ("/v1/accounts/acme/credentials", "/v1/credentials")],
)
def test_no_credential_is_issued_for_a_sender_that_is_bound_otherwise(
    client: Client, acme: str, under: str, of: str
) -> None:
    sender = issue(client, of)["sender"]
    refused = client.post(under, json={"scope": "ingest", "sender": sender})
    assert (refused.status_code, refused.json()["field"]) == (422, "sender")


@pytest.mark.parametrize("scope", ["account", "manage", "ingest"])
def test_senders_and_handing_over_are_the_administrators(client: Client, acme: str, scope: str) -> None:
    sender = issue(client)["sender"]
    mine = token_of(client, "/v1/accounts/acme/credentials", scope=scope)
    for method, path, body in (
        ("GET", "/v1/senders", None),
        ("GET", f"/v1/senders/{sender}", None),
        ("PATCH", f"/v1/senders/{sender}", {"name": "x"}),
        ("POST", "/v1/sources/hand-over", {"source": "gw", "sender": sender}),
    ):
        assert client.request(method, path, json=body, headers=mine).status_code == 403, path


def test_a_source_is_handed_to_a_sender_that_is_there(client: Client) -> None:
    asked = {"source": "gw", "sender": "snd_nobody"}
    refused = client.post("/v1/sources/hand-over", json=asked)
    assert (refused.status_code, refused.json()["sender"]) == (404, "snd_nobody")
