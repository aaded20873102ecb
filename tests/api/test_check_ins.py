"""Check-ins over HTTP; what a day is has its tests in the ledger's."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Client, Clock, token_of

PATH = "/v1/accounts/acme/check-ins"


def test_check_ins_are_off_unless_a_setting_gives_something(client: Client, acme: str) -> None:
    answer = client.post(PATH)
    assert (answer.status_code, answer.json()["code"]) == (409, "check_ins_off")


def test_a_check_in_is_answered_listed_and_left_in_the_balance(
    make_client: Callable[..., Client], client: Client, acme: str, clock: Clock
) -> None:
    client = make_client(check_in_bytes=700, check_in_days=2, check_in_cap_bytes=1000)
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    reader = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.post(PATH, headers=reader).status_code == 403
    made = client.post(PATH, headers=mine | {"Idempotency-Key": "k"})
    shown = {
        "account": "acme",
        "day": "2026-03-15",
        "timezone": "Europe/Berlin",
        "checked_in_at": "2026-03-15T12:00:00Z",
        "grant": made.json()["grant"],
        "amount": 700,
        "expires_at": "2026-03-17T12:00:00Z",
    }
    assert made.status_code == 201
    assert made.json() == shown | {"next_at": "2026-03-16T00:00:00+01:00"}
    assert client.post(PATH, headers=mine | {"Idempotency-Key": "k"}).json() == made.json()
    assert client.get(PATH, headers=reader).json() == {"items": [shown], "next": None}
    given = client.get(f"/v1/accounts/acme/grants/{shown['grant']}").json()
    assert (given["source"], given["reference"], given["amount"]) == ("sign", "2026-03-15", 700)
    again = client.post(PATH, headers=mine).json()
    assert (again["code"], again["next_at"]) == ("checked_in", "2026-03-16T00:00:00+01:00")
    clock.at += 86_400_000
    assert client.post(PATH, headers=mine).json()["amount"] == 300
    clock.at += 86_400_000
    capped = client.post(PATH, headers=mine).json()
    assert (capped["code"], capped["given"], capped["cap"]) == ("check_in_cap_reached", 1000, 1000)
    assert capped["next_at"] == "2026-04-01T00:00:00+02:00"
