"""Periods over HTTP: who may, retries, and what they look like. What they mean is tested in test_periods.py."""

from __future__ import annotations

from tests.conftest import Client, send, token_of
from tests.web.test_error_shape import assert_problem

PATH = "/v1/accounts/acme/periods"
TENTH = {"from": "2026-03-10", "to": "2026-03-11"}


def test_a_period_is_closed_listed_and_read(client: Client, acme: str) -> None:
    answer = client.post(PATH, json=TENTH)
    assert answer.status_code == 201
    closed = answer.json()
    assert (closed["from"], closed["to"]) == ("2026-03-10T00:00:00+01:00", "2026-03-11T00:00:00+01:00")
    assert closed["statement"]["total"] == {"bytes_up": 100, "bytes_down": 900, "bytes": 1000, "requests": 1}
    assert client.get(PATH).json() == {"items": [closed], "next": None}
    shown = client.get(f"{PATH}/{closed['id']}").json()
    assert {name: shown[name] for name in closed} == closed
    assert shown["adjustments"]["total"]["bytes"] == 0
    assert client.get(f"{PATH}/open").json()["adjustments"] == []


def test_the_same_key_closes_once_and_answers_alike_also_when_the_span_is_taken(client: Client, acme: str) -> None:
    headers = {"Idempotency-Key": "march-10"}
    first = client.post(PATH, json=TENTH, headers=headers)
    again = client.post(PATH, json=TENTH, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert_problem(client.post(PATH, json=TENTH), 409, "period_overlap")
    other = client.post(PATH, json={"from": "2026-03-11", "to": "2026-03-12"}, headers=headers)
    assert_problem(other, 409, "idempotency_mismatch")


def test_only_an_admin_closes_and_the_account_reads(client: Client, acme: str) -> None:
    client.post(PATH, json=TENTH)
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert_problem(client.post(PATH, json={"from": "2026-03-11", "to": "2026-03-12"}, headers=mine), 403, "forbidden")
    [closed] = client.get(PATH, headers=mine).json()["items"]
    assert client.get(f"{PATH}/{closed['id']}", headers=mine).status_code == 200
    assert client.get(f"{PATH}/open", headers=mine).status_code == 200


def test_what_cannot_be_closed_says_why(client: Client, acme: str) -> None:
    assert_problem(client.post(PATH, json={"from": "2026-03-15", "to": "2026-03-16"}), 400, "bad_range")
    assert_problem(client.post(PATH, json={"from": "2026-03-15"}), 422, "unprocessable")
    assert_problem(client.post("/v1/accounts/nobody/periods", json=TENTH), 404, "unknown_account")
    assert_problem(client.get(f"{PATH}/per_x"), 404, "not_found")
    period = client.post(PATH, json=TENTH).json()["id"]
    assert_problem(client.get(f"{PATH}/{period}?cursor=abc"), 400, "bad_request")


def test_usage_is_not_held_up_by_a_closing_that_asks_the_usage_store(client: Client, acme: str) -> None:
    """The question is asked before the ledger's write transaction, which ingest may need for a new user."""
    usage = client.app.state.services.usage
    ask = usage.sums

    def sums_and_send(*args: object, **kwargs: object) -> object:
        usage.sums = ask
        send(client, "while closing", "2026-03-12T12:00:00Z", user="somebody new")
        return ask(*args, **kwargs)

    usage.sums = sums_and_send
    assert client.post(PATH, json=TENTH).status_code == 201
