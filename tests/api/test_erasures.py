"""Erasing a user over the API: its name and labels are gone, what was counted is not."""

from __future__ import annotations

import time
from typing import Any

from tests.conftest import Client, figures, send, token_of

USERS = "/v1/accounts/acme/users"
SPAN = {"from": "2026-03-01", "to": "2026-04-01", "bucket": "total"}


def erased(client: Client, user: str) -> dict[str, Any]:
    """The erasure once it is finished."""
    told = client.post(f"{USERS}/{user}/erase")
    assert told.status_code == 202, told.text
    until = time.monotonic() + 20
    while (found := dict(client.get(f"{USERS}/{told.json()['user_id']}/erase").json()))["state"] == "pending":
        assert not found["detail"], found
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def usage(client: Client, by: str) -> dict[str, Any]:
    return figures(client.get("/v1/accounts/acme/usage", params={**SPAN, "by": by}).json())


def test_name_and_labels_go_and_totals_stay(client: Client, acme: str) -> None:
    send(client, "9", "2026-03-12T12:00:00Z", user="alice", bytes_up=7, labels={"country": "de"})
    before = {by: usage(client, by) for by in ("product", "status", "source")}
    alice = client.get(f"{USERS}/alice").json()["id"]
    found = erased(client, "alice")
    assert (found["user"], found["user_id"]) == (f"erased-{alice}", alice)
    assert {by: usage(client, by) for by in before} == before
    by_user = {row["user_id"]: (row["user"], row["bytes"]) for row in usage(client, "user")["rows"]}
    assert by_user[alice] == (f"erased-{alice}", 1007)
    assert {row["label:country"]: row["bytes"] for row in usage(client, "label:country")["rows"]} == {
        "": 1010,
        "=de": 5,
    }
    shown = client.get(f"{USERS}/{alice}").json()
    assert (shown["name"], shown["status"], shown["has_password"]) == (f"erased-{alice}", "deleted", False)
    assert shown["erased_at"] == "2026-03-15T12:00:00Z"
    assert client.get(f"{USERS}/{alice}/names").json()["items"] == []
    assert client.get(f"{USERS}/alice").status_code == 404


def test_a_deleted_user_whose_name_is_used_by_somebody_else_is_addressed_by_its_id(client: Client, acme: str) -> None:
    first = client.post(USERS, json={"name": "fay"}).json()["id"]
    client.delete(f"{USERS}/fay")
    second = client.post(USERS, json={"name": "fay"}).json()["id"]
    assert erased(client, first)["user_id"] == first
    assert client.get(f"{USERS}/fay").json()["id"] == second


def test_what_a_funded_user_has_not_spent_goes_back(client: Client, acme: str) -> None:
    fay = client.post(USERS, json={"name": "fay", "funded": True}).json()["id"]
    left = client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["left"]
    client.post(f"{USERS}/fay/allocations", json={"amount": 5000})
    erased(client, "fay")
    assert client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["left"] == left
    [allocation] = client.get(f"{USERS}/{fay}/allocations").json()["items"]
    assert (allocation["amount"], allocation["returned"], allocation["user"]) == (5000, 5000, f"erased-{fay}")


def test_an_answer_given_before_is_given_again_without_the_name(client: Client, acme: str) -> None:
    body, key = {"name": "gretel"}, {"Idempotency-Key": "k-1"}
    made = client.post(USERS, json=body, headers=key).json()
    erased(client, "gretel")
    again = client.post(USERS, json=body, headers=key)
    assert again.json() == made | {"name": f"erased-{made['id']}"}


def test_the_same_key_erases_once_and_without_one_the_work_is_done_again(client: Client, acme: str) -> None:
    key = {"Idempotency-Key": "k-2"}
    asked = client.post(f"{USERS}/bob/erase", headers=key)
    again = client.post(f"{USERS}/bob/erase", headers=key)
    assert (again.status_code, again.json()) == (202, asked.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert client.post(f"{USERS}/bob/erase").json()["code"] == "unknown_user"
    assert erased(client, asked.json()["user_id"])["asked_at"] == asked.json()["asked_at"]


def test_a_user_that_was_not_erased_has_no_erasure(client: Client, acme: str) -> None:
    assert client.get(f"{USERS}/bob/erase").json()["code"] == "not_found"


def test_only_an_administrator_erases(client: Client, acme: str) -> None:
    own = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    for method in ("POST", "GET"):
        assert client.request(method, f"{USERS}/bob/erase", headers=own).status_code == 403
    assert client.get(f"{USERS}/bob").json()["status"] == "active"


# Whole accounts

ACCOUNT = "/v1/accounts/acme"


def whole_erased(client: Client) -> dict[str, Any]:
    client.patch(ACCOUNT, json={"status": "closed"})
    told = client.post(f"{ACCOUNT}/erase")
    assert told.status_code == 202, told.text
    until = time.monotonic() + 30
    while (found := dict(client.get(f"{ACCOUNT}/erase").json()))["state"] == "pending":
        assert not found["detail"], found
        assert time.monotonic() < until
        time.sleep(0.01)
    return found


def test_an_accounts_figures_stay_and_its_texts_go(client: Client, acme: str) -> None:
    client.patch(ACCOUNT, json={"name": "Acme Ltd"})
    own = token_of(client, f"{ACCOUNT}/credentials", scope="manage", name="their page")
    fay = client.post(USERS, json={"name": "fay", "funded": True}).json()["id"]
    client.post(f"{USERS}/fay/allocations", json={"amount": 5000})
    before = {by: usage(client, by) for by in ("product", "status", "source")}
    balance = client.get(f"{ACCOUNT}/balance").json()["pools"]
    assert client.get(ACCOUNT, headers=own).status_code == 200
    assert whole_erased(client)["state"] == "finished"
    assert client.get(ACCOUNT, headers=own).status_code == 401
    assert {by: usage(client, by) for by in before} == before
    assert client.get(f"{ACCOUNT}/balance").json()["pools"] == balance, "what was passed on is not taken back"
    assert [row["label:country"] for row in usage(client, "label:country")["rows"]] == [""]
    shown = client.get(ACCOUNT).json()
    assert (shown["name"], shown["status"], shown["erased_at"]) == ("", "closed", "2026-03-15T12:00:00Z")
    assert client.get(f"{USERS}/{fay}").json()["name"] == f"erased-{fay}"
    assert all(one["user"] in ("", f"erased-{one['user_id']}") for one in usage(client, "user")["rows"])
    assert client.get(f"{USERS}/{fay}/erase").json()["state"] == "finished"
    assert client.post("/v1/accounts", json={"id": "acme"}).json()["code"] == "conflict", "its id is never free again"


def test_an_account_is_erased_once_and_the_same_key_answers_again(client: Client, acme: str) -> None:
    client.patch(ACCOUNT, json={"status": "closed"})
    key = {"Idempotency-Key": "forget-acme"}
    asked = client.post(f"{ACCOUNT}/erase", headers=key)
    again = client.post(f"{ACCOUNT}/erase", headers=key)
    assert (again.status_code, again.json()) == (202, asked.json())
    assert whole_erased(client)["asked_at"] == asked.json()["asked_at"]
    refused = client.patch(ACCOUNT, json={"name": "again"})
    assert (refused.status_code, refused.json()["code"]) == (409, "account_erased")
    made = client.get("/v1/audit", params={"account": "acme", "action": "account.erase"}).json()["items"]
    assert len(made) == 2, "the key once, and the one without a key"


def test_only_a_closed_and_paid_out_account_is_erased_by_an_administrator(client: Client, acme: str) -> None:
    own = token_of(client, f"{ACCOUNT}/credentials", scope="manage")
    for method in ("POST", "GET"):
        assert client.request(method, f"{ACCOUNT}/erase", headers=own).status_code == 403
    assert client.get(f"{ACCOUNT}/erase").json()["code"] == "not_found"
    refused = client.post(f"{ACCOUNT}/erase").json()
    assert (refused["code"], "close it first" in refused["detail"]) == ("conflict", True)
    assert client.post("/v1/accounts/nobody/erase").json()["code"] == "unknown_account"
