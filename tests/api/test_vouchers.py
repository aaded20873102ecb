"""Vouchers over HTTP: codes for their issuer alone, worth something once, and not to be guessed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select
from tests.conftest import NOW, Client, Clock, token_of

from flowtally.core.errors import RateLimited
from flowtally.ledger.database import Ledger
from flowtally.ledger.idempotency import request_digest
from flowtally.ledger.tables import idempotency, metadata
from flowtally.web.capacity.failed_attempts import WINDOW_MS, WRONG, FailedAttempts

PATH = "/v1/accounts/acme/vouchers"


@pytest.fixture
def beta(client: Client, acme: str) -> str:
    client.post("/v1/accounts", json={"id": "beta"})
    return "beta"


def create(client: Client, key: str = "", **body: Any) -> list[dict[str, Any]]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = client.post(PATH, json={"amount": 1000, **body}, headers=headers)
    assert answer.status_code == 201, answer.text
    return list(answer.json()["items"])


def redeem(client: Client, code: object, account: str = "beta", **more: Any) -> Any:
    return client.post(f"/v1/accounts/{account}/redemptions", json={"code": code}, **more)


def left(client: Client, account: str) -> int:
    return int(client.get(f"/v1/accounts/{account}/balance").json()["pools"]["traffic"]["left"])


def test_a_voucher_is_created_read_listed_and_redeemed(client: Client, beta: str) -> None:
    before = left(client, "acme")
    made, other = create(client, count=2)
    assert made == {
        "id": made["id"],
        "account": "acme",
        "code": made["code"],
        "pool": "traffic",
        "amount": 1000,
        "duration_s": 7_776_000,
        "status": "unused",
        "created_at": "2026-03-15T12:00:00Z",
        "ended_at": None,
        "redeemed_by": None,
    }
    assert left(client, "acme") == before - 2000
    assert client.get(f"{PATH}/{made['id']}").json() == made
    assert client.get(PATH).json()["items"] == [made, other]
    assert client.get(PATH, params={"code": other["code"]}).json()["items"] == [other]
    assert client.get(PATH, params={"code": other["code"].swapcase()}).json()["items"] == []
    given = redeem(client, made["code"])
    assert given.status_code == 201
    assert (given.json()["source"], given.json()["reference"]) == ("cdk", made["id"])
    assert given.json()["expires_at"] == "2026-06-13T12:00:00Z"
    assert (left(client, "beta"), left(client, "acme")) == (1000, before - 2000)
    ended = {"status": "used", "ended_at": "2026-03-15T12:00:00Z", "redeemed_by": "beta"}
    assert client.get(PATH, params={"status": "used"}).json()["items"] == [made | ended]
    again = redeem(client, made["code"], "acme").json()
    assert (again["code"], again["voucher_status"]) == ("voucher_ended", "used")


def test_a_revoked_voucher_comes_back_and_is_worth_nothing(client: Client, beta: str) -> None:
    before = left(client, "acme")
    [made] = create(client)
    gone = client.post(f"{PATH}/{made['id']}/revoke").json()
    assert (gone["status"], gone["ended_at"], gone["redeemed_by"]) == ("revoked", "2026-03-15T12:00:00Z", None)
    assert client.post(f"{PATH}/{made['id']}/revoke").json() == gone
    assert left(client, "acme") == before
    assert redeem(client, made["code"]).json()["voucher_status"] == "revoked"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount": 10**9}, 409, "not_covered"),
        ({"amount": 50_000, "count": 2}, 409, "not_covered"),
        ({"amount": 0}, 422, "unprocessable"),
        ({"amount": 1, "count": 1001}, 422, "unprocessable"),
        ({"amount": 1, "duration_s": 0}, 422, "unprocessable"),
        ({"amount": 1, "pool": "unlimited"}, 422, "unprocessable"),
        ({"amount": 1, "pool": "nowhere"}, 404, "not_found"),
        ({"amount": "1"}, 422, "unprocessable"),
        ({"amount": 1, "codes": 2}, 422, "unprocessable"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    client: Client, acme: str, body: dict[str, object], status: int, code: str
) -> None:
    answer = client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert client.get(PATH).json()["items"] == []


def test_a_repeated_creation_answers_the_same_codes_and_creates_none(client: Client, beta: str) -> None:
    made = create(client, key="once", count=3)
    assert create(client, key="once", count=3) == made
    redeem(client, made[0]["code"])
    again = create(client, key="once", count=3)
    assert [one["status"] for one in again] == ["used", "unused", "unused"]
    assert [one["code"] for one in again] == [one["code"] for one in made]
    assert len(client.get(PATH).json()["items"]) == 3
    revoked = [client.post(f"{PATH}/{made[1]['id']}/revoke", headers={"Idempotency-Key": "r"}) for _ in range(2)]
    assert revoked[0].json() == revoked[1].json()
    assert revoked[1].headers["Idempotent-Replayed"] == "true"


def test_a_repeated_redemption_is_one(client: Client, beta: str) -> None:
    [made] = create(client)
    first, again = (redeem(client, made["code"], headers={"Idempotency-Key": "r"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


def test_no_code_is_in_the_ledger_or_its_remembered_answers_in_an_error_or_in_a_log(
    client: Client, beta: str, app_ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    [made, other, _] = create(client, key="k", count=3)
    code = made["code"]
    answers = [
        redeem(client, code, headers={"Idempotency-Key": "r"}),
        redeem(client, code),
        redeem(client, [code]),
        redeem(client, {"x": code}),
        client.post("/v1/accounts/beta/redemptions", json={"code": code, "more": 1}),
        client.post(f"{PATH}/{made['id']}/revoke"),
        client.get("/v1/accounts/beta/vouchers", params={"code": code}),
        client.post(f"{PATH}/{other['id']}/revoke", headers={"Idempotency-Key": "v"}),
    ]
    assert [one.status_code for one in answers] == [201, 409, 422, 422, 422, 409, 200, 200]
    assert code not in "".join(one.text for one in answers[:-1])
    with app_ledger.read() as tx:
        kept = str([tx.execute(select(table)).all() for table in metadata.sorted_tables])
        digests = set(tx.execute(select(idempotency.c.digest)).scalars())
    assert code not in kept
    assert other["code"] not in kept
    body = b'{"code":"%s"}' % code.encode()
    assert request_digest("POST", "/v1/accounts/beta/redemptions", body) not in digests
    said = capsys.readouterr()
    assert code not in said.out + said.err


def test_only_who_may_manage_an_account_sees_and_uses_its_vouchers(client: Client, beta: str) -> None:
    [made, other] = create(client, count=2)
    reader, acme = (token_of(client, "/v1/accounts/acme/credentials", scope=scope) for scope in ("account", "manage"))
    theirs = token_of(client, "/v1/accounts/beta/credentials", scope="manage")
    assert client.get(PATH, headers=reader).status_code == 403
    assert client.get(PATH, headers=acme).json()["items"] == [made, other]
    assert client.get(PATH, headers=theirs).json()["code"] == "unknown_account"
    mine = f"/v1/accounts/beta/vouchers/{made['id']}"
    assert client.get(mine, headers=theirs).json()["code"] == "not_found"
    assert client.post(f"{mine}/revoke", headers=theirs).json()["code"] == "not_found"
    assert client.get("/v1/accounts/beta/vouchers", params={"code": made["code"]}, headers=theirs).json()["items"] == []
    assert redeem(client, made["code"], "acme", headers=theirs).json()["code"] == "unknown_account"
    assert redeem(client, made["code"], headers=theirs).status_code == 201
    assert client.get(f"{PATH}/{made['id']}", headers=acme).json()["redeemed_by"] == "beta"


def test_one_code_redeemed_by_many_at_once_is_one_grant(client: Client, beta: str) -> None:
    [made] = create(client)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda turn: redeem(client, made["code"], ("acme", "beta")[turn % 2]), range(16)))
    assert sorted(one.status_code for one in answers) == [201] + [409] * 15


def test_who_guesses_is_stopped_and_nobody_else(client: Client, beta: str, clock: Clock) -> None:
    [made, other] = create(client, count=2)
    guesser = token_of(client, "/v1/accounts/beta/credentials", scope="manage")
    for turn in range(WRONG):
        assert redeem(client, f"{turn:016d}", headers=guesser).json()["code"] == "not_found"
    stopped = redeem(client, made["code"], headers=guesser)
    assert (stopped.status_code, stopped.json()["code"]) == (429, "rate_limited")
    assert int(stopped.headers["Retry-After"]) == WINDOW_MS // 1000
    assert redeem(client, other["code"]).status_code == 201
    clock.at += WINDOW_MS
    assert redeem(client, made["code"], headers=guesser).status_code == 201


def test_right_codes_and_what_is_no_guess_are_not_counted() -> None:
    clock = Clock()
    attempts = FailedAttempts(clock)
    for _ in range(2 * WRONG):
        attempts.count("crd")
        attempts.was_right("crd")
    for _ in range(WRONG):
        clock.at += 1000
        attempts.count("crd")
    for _ in range(2):
        with pytest.raises(RateLimited) as refused:
            attempts.count("crd")
        assert refused.value.extra["retry_after_s"] == (WINDOW_MS - (WRONG - 1) * 1000) // 1000
    clock.at = NOW + 1000 + WINDOW_MS
    attempts.count("crd")
    with pytest.raises(RateLimited):
        attempts.count("crd")
