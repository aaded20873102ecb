"""Users and allocations over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select
from tests.conftest import NOW, Client, Clock, figures, send, token_of

from flowtally.ledger.database import Ledger
from flowtally.ledger.idempotency import request_digest
from flowtally.ledger.people import managed
from flowtally.ledger.tables import idempotency

USERS = "/v1/accounts/acme/users"
LIMIT = {"amount": 5000, "unit": "bytes", "window": "month"}


def create(client: Client, name: str = "fay", **body: Any) -> Any:
    return client.post(USERS, json={"name": name, **body})


def allocate(client: Client, user: str = "fay", key: str | None = None, **body: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(f"{USERS}/{user}/allocations", json={"amount": 500, **body}, headers=headers)


def test_a_user_is_made_read_by_name_and_id_changed_renamed_and_deleted(client: Client, acme: str) -> None:
    made = create(client, product="residential", limit=LIMIT, password="a secret")
    assert made.status_code == 201
    user = made.json()
    assert user == {
        "id": user["id"],
        "account": "acme",
        "name": "fay",
        "created_at": "2026-03-15T12:00:00Z",
        "product": "residential",
        "status": "active",
        "funded": False,
        "limit": LIMIT,
        "has_password": True,
        "managed": True,
        "erased_at": None,
        "used": None,
        "limit_state": None,
    }
    by_id = f"{USERS}/{user['id']}"
    assert client.get(by_id).json() == client.get(f"{USERS}/fay").json() == user
    changed = client.patch(f"{USERS}/fay", json={"limit": None, "status": "disabled"}).json()
    assert changed == user | {"limit": None, "status": "disabled"}
    assert client.patch(by_id, json={"name": "faye"}).json()["name"] == "faye"
    assert client.get(f"{USERS}/fay").json()["code"] == "unknown_user"
    gone = client.delete(f"{USERS}/faye")
    assert (gone.status_code, gone.json()["status"]) == (200, "deleted")
    assert client.delete(by_id).json() == gone.json() == client.get(by_id).json()
    assert [one["name"] for one in client.get(f"{by_id}/names").json()["items"]] == ["fay", "faye"]


def test_the_list_shows_users_of_traffic_too_and_deleted_ones_when_asked(client: Client, acme: str) -> None:
    create(client)
    client.delete(f"{USERS}/bob")
    listed = client.get(USERS).json()["items"]
    assert [(one["name"], one["managed"]) for one in listed] == [("alice", False), ("fay", True)]
    everyone = client.get(USERS, params={"deleted": "true", "limit": 2})
    assert [one["name"] for one in everyone.json()["items"]] == ["alice", "bob"]
    more = client.get(USERS, params={"deleted": "true", "cursor": everyone.json()["next"]}).json()
    assert [one["name"] for one in more["items"]] == ["fay"]


def test_the_list_is_of_a_pool_or_a_product_page_by_page(client: Client, acme: str) -> None:
    client.put("/v1/products/isp", json={"pool": "mobile"})
    for name, product in (("m1", "mobile"), ("m2", "isp"), ("r1", "residential"), ("m3", "mobile")):
        assert create(client, name, product=product).status_code == 201

    def listed(**query: Any) -> list[str]:
        return [one["name"] for one in client.get(USERS, params=query).json()["items"]]

    assert listed(pool="mobile") == ["m1", "m2", "m3"]
    assert listed(pool="traffic") == ["alice", "bob", "r1"]  # without a product: where its use would be paid
    assert (listed(pool="api"), listed(product="isp"), listed(product="mobile", pool="traffic")) == ([], ["m2"], [])
    page = client.get(USERS, params={"pool": "mobile", "limit": 2}).json()
    assert listed(pool="mobile", cursor=page["next"]) == ["m3"]
    assert client.get(USERS, params={"pool": "nowhere"}).json()["code"] == "not_found"


def test_the_list_tells_what_each_ever_used_from_one_question(
    client: Client, acme: str, usage: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client)
    send(client, "9", "2026-03-12T12:00:00Z", user="alice", product="mobile", bytes_down=7)
    send(client, "10", "2026-03-15T12:00:01Z", user="alice", bytes_down=500)  # dated after now
    asked: list[Any] = []
    sums = usage.sums

    def counted(*given: Any, **more: Any) -> Any:
        asked.append(given)
        return sums(*given, **more)

    monkeypatch.setattr(usage, "sums", counted)
    items = client.get(USERS, params={"usage": "true"}).json()["items"]
    assert len(asked) == 1
    assert {one["name"]: (one["used"]["bytes"], one["used"]["requests"]) for one in items} == {
        "alice": (1007, 2),
        "bob": (3, 1),
        "fay": (0, 0),
    }
    assert client.get(USERS, params={"usage": "true", "product": "none"}).json()["items"] == []
    assert client.get(USERS).json()["items"][0]["used"] is None


@pytest.mark.parametrize("funded", [False, True])
def test_a_user_whose_name_traffic_brought_begins_empty_and_the_past_stays(
    client: Client, acme: str, clock: Clock, funded: bool
) -> None:
    before = client.get(f"{USERS}/alice").json()
    account = client.get("/v1/accounts/acme/balance").json()
    usage = client.get(f"{USERS}/{before['id']}/usage").json()
    made = create(client, "alice", funded=funded, limit=LIMIT).json()
    assert (made["id"] != before["id"], made["managed"], made["created_at"]) == (True, True, "2026-03-15T12:00:00Z")
    assert client.get(f"{USERS}/alice").json() == made
    assert client.get(f"{USERS}/{before['id']}").json() == before | {"status": "deleted", "managed": True}
    assert client.get(f"{USERS}/{before['id']}/usage").json()["total"] == usage["total"]
    assert usage["total"]["bytes"] > 0
    assert client.get("/v1/accounts/acme/balance").json()["pools"] == account["pools"]
    assert client.get(f"{USERS}/alice/balance").json()["limit"]["used"] == 0
    then = client.get(f"{USERS}/alice/balance", params={"as_of": account["as_of"]["token"]}).json()
    assert (then["user_id"], then["status"], then["limit"]) == (before["id"], "active", None)


def test_an_account_has_so_many_managed_users_and_no_more(make_client: Callable[..., Client], acme: str) -> None:
    client = make_client(max_users=2)
    assert client.patch(f"{USERS}/alice", json={"limit": LIMIT}).json()["managed"] is True  # taken over
    assert create(client).status_code == 201
    refused = create(client, "guy")
    body = refused.json()
    assert (refused.status_code, body["code"], body["limit"], body["present"]) == (409, "limit_reached", 2, 2)
    assert client.patch(f"{USERS}/bob", json={"status": "disabled"}).status_code == 200  # can always be done
    client.delete(f"{USERS}/bob")
    client.delete(f"{USERS}/fay")
    assert create(client, "guy").status_code == 201
    assert create(make_client(max_users=0), "hal").status_code == 201


def test_a_password_is_read_again_by_whoever_manages_and_logged_by_nobody(
    client: Client, acme: str, capfd: Any
) -> None:
    create(client, password="hunter2 hünter")
    manages = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    told = client.get(f"{USERS}/fay/password", headers=manages)
    assert (told.status_code, told.json()["user"], told.json()["password"]) == (200, "fay", "hunter2 hünter")
    assert told.headers["cache-control"] == "no-store"
    reads = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get(f"{USERS}/fay/password", headers=reads).status_code == 403
    for user, code in (("alice", "not_found"), ("nobody", "unknown_user")):
        assert client.get(f"{USERS}/{user}/password").json()["code"] == code
    client.delete(f"{USERS}/fay")
    assert client.get(f"{USERS}/fay/password").json()["code"] == "unknown_user"
    assert "hunter2" not in "".join(capfd.readouterr())


def test_a_name_in_use_is_409_in_its_account_and_neither_told_nor_in_the_way_in_another(
    client: Client, acme: str
) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    create(client)
    answer = client.post("/v1/accounts/acme/users", json={"name": "fay"})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    theirs = token_of(client, "/v1/accounts/other/credentials", scope="manage")
    made = {}
    for name in ("fay", "alice", "nobody has it"):  # managed in acme, brought by its traffic, and neither
        answer = client.post("/v1/accounts/other/users", json={"name": name}, headers=theirs)
        made[name] = (answer.status_code, sorted(answer.json()))
        renamed = client.patch(f"/v1/accounts/other/users/{name}", json={"name": f"{name} 2"}, headers=theirs)
        assert renamed.status_code == 200
        back = client.patch(f"/v1/accounts/other/users/{name} 2", json={"name": name}, headers=theirs)
        assert (back.status_code, back.json()["name"]) == (200, name)
    assert len({str(one) for one in made.values()}) == 1
    assert client.get("/v1/accounts/acme/users/fay").json()["account"] == "acme"


def test_a_password_is_kept_encrypted_and_never_shown_or_logged(
    client: Client, acme: str, app_ledger: Ledger, app: Any, capfd: Any
) -> None:
    user = create(client, password="hunter2 hunter2").json()
    client.patch(f"{USERS}/fay", json={"password": "hunter3 hunter3"})
    wrong = client.patch(f"{USERS}/fay", json={"password": ["hunter4"]})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "password")
    with app_ledger.read() as tx:
        sealed = managed.sealed_password(tx, user["id"])
    assert sealed is not None
    assert app.state.services.vault.reveal(sealed) == "hunter3 hunter3"
    shown = client.get(USERS).text + client.get(f"{USERS}/fay").text + wrong.text + "".join(capfd.readouterr())
    assert "hunter" not in shown + sealed
    assert client.patch(f"{USERS}/fay", json={"password": None}).json()["has_password"] is False


def test_what_is_kept_of_a_request_does_not_let_its_password_be_guessed(
    client: Client, acme: str, app_ledger: Ledger
) -> None:
    body = b'{"name":"fay","password":"123456"}'
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    assert client.post(USERS, content=body, headers=headers).status_code == 201
    with app_ledger.read() as tx:
        digest = tx.execute(select(idempotency.c.digest)).scalar_one()
    assert len(digest) == 64
    assert digest != request_digest("POST", USERS, body)
    other = client.post(USERS, content=body.replace(b"123456", b"123457"), headers=headers)
    assert other.json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": "x" * 257}, 422, "name"),
        ({"name": "a", "limit": {}}, 422, "limit.amount"),
        ({"name": "a", "limit": {"amount": -1}}, 422, "limit.amount"),
        ({"name": "a", "limit": {"amount": 2**53}}, 422, "limit.amount"),
        ({"name": "a", "limit": {"amount": 1, "window": "week"}}, 422, "limit.window"),
        ({"name": "a", "limit": 5}, 422, "limit"),
        ({"name": "a", "status": "deleted"}, 422, "status"),
        ({"name": "a", "password": ""}, 422, "password"),
        ({"name": "a", "funded": "yes"}, 422, "funded"),
    ],
)
def test_a_user_that_cannot_be(client: Client, acme: str, body: Any, status: int, field: str | None) -> None:
    answer = client.post(USERS, json=body)
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text


def test_the_usage_of_a_user_follows_it_through_a_rename(client: Client, acme: str) -> None:
    path = {"from": "2026-03-10", "to": "2026-03-12"}
    before = figures(client.get(f"{USERS}/alice/usage", params=path).json())
    assert (before["total"]["bytes"], len(before["rows"])) == (1000, 2)
    client.patch(f"{USERS}/alice", json={"name": "anna"})
    assert figures(client.get(f"{USERS}/anna/usage", params=path).json()) == before
    account = client.get("/v1/accounts/acme/usage", params=path | {"by": "user", "bucket": "total"}).json()
    assert {row["user"]: row["bytes"] for row in account["rows"]} == {"": 5, "anna": 1000, "bob": 3}
    csv = client.get(f"{USERS}/anna/usage", params=path, headers={"Accept": "text/csv"})
    assert csv.text.splitlines()[0] == "start,end,bytes_up,bytes_down,bytes,requests,cut"


def test_the_balance_of_a_user_shows_where_it_stands_with_its_limit(client: Client, acme: str) -> None:
    client.patch(f"{USERS}/alice", json={"limit": LIMIT})
    answer = client.get(f"{USERS}/alice/balance").json()
    assert answer["limit"] == {
        "unit": "bytes",
        "window": "month",
        "limit": 5000,
        "used": 1000,
        "left": 4000,
        "exceeded": False,
        "resets_at": "2026-03-31T22:00:00Z",
    }
    assert (answer["user"], answer["funded"], answer["pools"], answer["allocations"]) == ("alice", False, {}, [])
    then = client.get(f"{USERS}/alice/balance", params={"at": "2026-04-10T00:00:00Z"}).json()
    assert (then["limit"]["used"], then["limit"]["resets_at"]) == (0, "2026-04-30T22:00:00Z")


def test_traffic_is_allocated_spent_and_taken_back(client: Client, acme: str, clock: Clock) -> None:
    create(client, funded=True)
    left = client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["left"]
    made = allocate(client)
    assert made.status_code == 201
    assert client.get(f"{USERS}/fay/allocations").json()["items"] == [made.json()]
    clock.at = NOW + 60_000
    send(client, "f1", "2026-03-15T12:00:30Z", user="fay", bytes_down=120)
    answer = client.get(f"{USERS}/fay/balance").json()
    assert (answer["pools"]["traffic"]["spent"], answer["pools"]["traffic"]["left"]) == (120, 380)
    account = client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]
    assert (account["left"], account["drawn"]) == (left - 500, 500)
    path = f"{USERS}/fay/allocations/{made.json()['id']}/return"
    refused = client.post(path, json={"amount": 381})
    assert (refused.status_code, refused.json()["code"], refused.json()["left"]) == (409, "not_covered", 380)
    assert client.post(path, json={"amount": 80}).json()["returned"] == 80
    assert client.post(path, json={}).json()["returned"] == 380
    assert client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["left"] == left - 120


def test_an_allocation_that_ends_is_expired_in_the_users_balance_and_does_not_come_back(
    client: Client, acme: str, clock: Clock
) -> None:
    create(client, funded=True)
    for wrong in ("2026-03-15T12:00:00Z", "2026-03-15T11:00:00Z"):
        assert allocate(client, expires_at=wrong).json()["field"] == "expires_at"
    assert allocate(client, expires_at="soon").json()["code"] == "bad_range"
    made = allocate(client, expires_at="2026-03-15T12:01:00Z").json()
    assert (made["expires_at"], made["expired"]) == ("2026-03-15T12:01:00Z", None)
    before = figures(client.get(f"{USERS}/fay/balance").json())
    clock.at = NOW + 60_000
    answer = client.get(f"{USERS}/fay/balance").json()
    assert (answer["pools"]["traffic"]["left"], answer["pools"]["traffic"]["expired"]) == (0, 500)
    [shown] = answer["allocations"]
    assert (shown["left"], shown["expired"]) == (0, 500)
    assert figures(client.get(f"{USERS}/fay/balance", params={"at": "2026-03-15T12:00:00Z"}).json()) == before
    [explained] = client.get(f"{USERS}/fay/explain").json()["pools"]["traffic"]["grants"]
    assert (explained["grant"]["expires_at"], explained["grant"]["state"]) == ("2026-03-15T12:01:00Z", "expired")
    back = client.post(f"{USERS}/fay/allocations/{made['id']}/return", json={"amount": 1})
    assert (back.json()["code"], back.json()["left"]) == ("not_covered", 0)


def test_more_than_the_account_has_is_409_with_what_is_left(client: Client, acme: str) -> None:
    create(client, funded=True)
    answer = allocate(client, amount=98_996)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_covered")
    assert (answer.json()["left"], answer.json()["amount"], answer.json()["pool"]) == (98_995, 98_996, "traffic")
    assert allocate(client, amount=98_995).status_code == 201


def test_only_funded_users_are_given_to(client: Client, acme: str) -> None:
    assert allocate(client, "alice").json()["code"] == "conflict"
    assert allocate(client, "nobody").json()["code"] == "unknown_user"
    create(client, funded=True)
    assert allocate(client, pool="nowhere").json()["code"] == "not_found"
    assert allocate(client, pool="unlimited").json()["field"] == "pool"
    assert allocate(client, amount=0).json()["field"] == "amount"


def test_a_user_and_its_allocations_are_unknown_to_other_accounts(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    user = create(client, funded=True).json()["id"]
    made = allocate(client).json()["id"]
    theirs = f"/v1/accounts/other/users/{user}"
    for method, path in [
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/usage"), ("GET", "/balance"), ("GET", "/names"),
        ("GET", "/explain"), ("GET", "/erase"), ("POST", "/erase"),
        ("GET", "/allocations"), ("POST", "/allocations"), ("POST", f"/allocations/{made}/return"),
    ]:  # fmt: skip
        body = {"amount": 1} if method == "POST" and path != "/erase" else {} if method == "PATCH" else None
        answer = client.request(method, theirs + path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_user"), (method, path)
    other = token_of(client, "/v1/accounts/other/credentials", scope="account")
    assert client.get(f"{USERS}/{user}", headers=other).json()["code"] == "unknown_account"
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get(f"{USERS}/fay/balance", headers=mine).status_code == 200
    assert create(client, "new").status_code == 201
    assert client.post(USERS, json={"name": "x"}, headers=mine).status_code == 403


def test_every_write_sent_twice_with_its_key_happens_once(client: Client, acme: str) -> None:
    def twice(method: str, path: str, body: Any = None) -> Any:
        headers = {"Idempotency-Key": f"{method} {path} {body}"}
        first, again = (client.request(method, USERS + path, json=body, headers=headers) for _ in range(2))
        assert first.is_success, first.text
        assert again.headers["idempotent-replayed"] == "true"
        assert first.json() == again.json()
        return first.json()

    twice("POST", "", {"name": "fay", "funded": True, "password": "a secret"})
    made = twice("POST", "/fay/allocations", {"amount": 500})["id"]
    twice("POST", f"/fay/allocations/{made}/return", {"amount": 100})
    assert client.get(f"{USERS}/fay/balance").json()["pools"]["traffic"]["left"] == 400
    twice("PATCH", "/fay", {"name": "faye"})
    twice("DELETE", "/faye")
    assert client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["drawn"] == 0


def test_a_suspended_account_passes_nothing_on_and_a_closed_one_only_lets_go(client: Client, acme: str) -> None:
    user = create(client, funded=True).json()["id"]
    made = allocate(client).json()["id"]
    client.patch("/v1/accounts/acme", json={"status": "suspended"})
    assert create(client, "guy").status_code == 201
    assert allocate(client).json()["code"] == "account_suspended"
    client.patch("/v1/accounts/acme", json={"status": "closed"})
    assert (create(client, "new").status_code, allocate(client).status_code) == (409, 409)
    assert client.post(f"{USERS}/fay/allocations/{made}/return", json={}).json()["returned"] == 500
    assert client.delete(f"{USERS}/{user}").json()["status"] == "deleted"


def test_a_write_that_moves_names_makes_ingest_ask_anew(client: Client, acme: str, ingest: Any) -> None:
    told: list[int] = []
    ingest.forget_names = told.append
    for number, (method, path, body) in enumerate(
        [("POST", "", {"name": "x"}), ("PATCH", "/x", {"name": "y"}), ("DELETE", "/y", None)], start=1
    ):
        assert client.request(method, USERS + path, json=body).is_success
        assert len(told) == number
