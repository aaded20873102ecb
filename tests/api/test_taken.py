"""Whether events of accounts would be stored, told to who may send some."""

from __future__ import annotations

import httpx
import pytest
from tests.conftest import Client, token_of

ASK = "/v1/events/accounts"
NAMES = ("acme", "gone", "late", "nobody", "no/thing", "acme")
OTHERS = "this credential writes for account 'acme' only"
SAID = {
    "acme": ("", ""),
    "gone": ("account_closed", "account 'gone' is closed"),
    "late": ("", ""),
    "nobody": ("unknown_account", "there is no account 'nobody'"),
    "no/thing": ("invalid_event", "account 'no/thing' cannot be part of a path, so there can be no such account"),
}


def asked(client: Client, headers: dict[str, str], *accounts: str) -> httpx.Response:
    return client.get(ASK, params={"account": accounts}, headers=headers)


@pytest.mark.parametrize("whose", ["admin", "gateway", "acme"])
def test_it_says_what_a_receipt_would_say(client: Client, acme: str, whose: str) -> None:
    for account, status in (("gone", "closed"), ("late", "suspended")):
        client.post("/v1/accounts", json={"id": account})
        client.patch(f"/v1/accounts/{account}", json={"status": status})
    paths = {"gateway": "/v1/credentials", "acme": "/v1/accounts/acme/credentials"}
    headers = token_of(client, paths[whose], scope="ingest") if whose in paths else {}
    answer = asked(client, headers, *NAMES)
    assert answer.status_code == 200, answer.text
    told = {one["account"]: (one["takes"], one["code"], one["detail"]) for one in answer.json()["accounts"]}
    expected = {name: (not code, code, detail) for name, (code, detail) in SAID.items()}
    if whose == "acme":
        expected |= {name: (False, "not_your_account", OTHERS) for name in SAID if name != "acme"}
    assert told == expected
    assert list(told) == list(SAID)


def test_so_many_are_asked_about_and_no_more(client: Client, acme: str) -> None:
    assert asked(client, {}).status_code == 400
    assert asked(client, {}, *(f"a{n}" for n in range(101))).status_code == 400
    assert asked(client, {"Authorization": "Bearer no"}, "acme").status_code == 401
    reads = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert asked(client, reads, "acme").status_code == 403


def test_a_question_about_nobody_or_too_many_says_so(client: Client) -> None:
    none = client.get("/v1/events/accounts")
    assert (none.status_code, none.json()["detail"]) == (400, "The parameter account is missing.")
    many = client.get("/v1/events/accounts", params={"account": [f"a{number}" for number in range(101)]})
    assert (many.status_code, many.json()["detail"]) == (400, "account: at most 100 accounts; 101 are given.")
