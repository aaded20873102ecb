"""`POST /v1/radius/accounting`: what is said to whom, and what is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.conftest import Client, token_of

PATH = "/v1/radius/accounting"
SESSION = {
    "User-Name": {"type": "string", "value": ["bob"]},
    "NAS-Identifier": {"type": "string", "value": ["nas-1"]},
    "Acct-Status-Type": {"type": "integer", "value": ["Interim-Update"]},
    "Acct-Session-Id": {"type": "string", "value": ["s1"]},
    "Acct-Session-Time": {"type": "integer", "value": [60]},
    "Acct-Input-Octets": {"type": "integer", "value": [10]},
    "Acct-Output-Octets": {"type": "integer", "value": [20]},
}


def test_what_cannot_be_stored_is_no_success(client: Client, acme: str) -> None:
    """What is, and that it is answered 204, is tested with FreeRADIUS and the real ingest."""
    answer = client.post(f"{PATH}?account={acme}", json=SESSION)
    assert (answer.status_code, answer.json()["reason"]) == (422, "unknown_account")
    assert "bob" not in answer.text


def test_what_counts_nothing_is_answered_204_without_a_word(client: Client) -> None:
    answer = client.post(PATH, json={"Acct-Status-Type": "Tunnel-Start"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    ("query", "changed", "status", "told"),
    [
        ("?account=acme", {"Acct-Session-Id": None}, 422, "Acct-Session-Id is missing"),
        ("", {}, 422, "no account"),
        ("?account=acme", {"Event-Timestamp": "Nov 29 2026 18:00:00 CET"}, 422, "?zone="),
        ("?account=acme&zone=Mars/Olympus", {}, 400, "Mars/Olympus"),
        ("?account=acme&user=bob", {}, 400, "no parameter 'user'"),
        ("?account=a%0Ab", {}, 400, "U+000A"),
    ],
)
def test_what_is_wrong_is_told(
    client: Client, acme: str, query: str, changed: dict[str, Any], status: int, told: str
) -> None:
    said = {name: value for name, value in {**SESSION, **changed}.items() if value is not None}
    answer = client.post(f"{PATH}{query}", json=said)
    assert answer.status_code == status
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 10_000])
def test_what_is_no_json_of_attributes_is_400(client: Client, body: bytes) -> None:
    answer = client.post(f"{PATH}?account=acme", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


def test_another_form_is_415(client: Client) -> None:
    answer = client.post(PATH, data={"User-Name": "bob"})
    assert answer.status_code == 415
    assert "body = 'json'" in answer.json()["detail"]


def test_more_than_a_packet_can_hold_is_413(client: Client) -> None:
    assert (
        client.post(
            PATH, content=json.dumps({"Class": "x" * 300_000}), headers={"Content-Type": "application/json"}
        ).status_code
        == 413
    )


def test_who_may_not_send_readings_may_not_account(client: Client, acme: str) -> None:
    reading = token_of(client, f"/v1/accounts/{acme}/credentials", scope="account", name="reads")
    assert client.post(PATH, json=SESSION, headers=reading).status_code == 403
