"""The audit trail over HTTP: who did what, and what an account may know of it."""

from __future__ import annotations

import inspect
from typing import Any

from tests.conftest import Client, token_of

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.web.operation import OPERATIONS

# Not recorded: every one of them has a receipt.
RECEIPTS = {"/v1/events", "/v1/readings", "/v1/radius/accounting", "/v1/samples"}
ASKING = {  # nothing is written
    "/v1/accounts/{account}/providers/{provider}/check",
    "/v1/accounts/{account}/webhooks/{webhook}/test",
    "/v1/sources/overlaps",
    "/v1/webhooks/{webhook}/test",
}
# Recorded before they are done.
ASKED_FIRST = {"/v1/corrections", "/v1/held/retry", "/v1/held/drop", "/v1/sources/hand-over"}

BODY_FIRST = {"/v1/places/{product}"}  # the body is read before the same runner begins


def audit(client: Client, path: str = "/v1/audit", **query: Any) -> list[dict[str, Any]]:
    answer = client.get(path, params={"limit": 1000, **query})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def test_every_write_is_recorded_with_who_asked_whence_and_how(client: Client) -> None:
    client.post("/v1/accounts", json={"id": "acme"}, headers={"X-Request-Id": "req-1"})
    [one] = audit(client, action="account.create")
    assert (one["account"], one["subject"], one["by"]) == ("acme", "acme", "installation")
    assert (one["request_id"], one["door"], one["address"]) == ("req-1", "POST /v1/accounts", "testclient")
    assert one["credential"].startswith("crd_")
    assert (one["before"], one["after"]["status"]) == (None, "active")
    client.patch("/v1/accounts/acme", json={"status": "suspended"})
    [changed] = audit(client, action="account.change", account="acme")
    assert (changed["before"]["status"], changed["after"]["status"]) == ("active", "suspended")
    assert changed["number"] > one["number"]


def test_no_operation_writes_without_being_recorded() -> None:
    """The runner of all that change the ledger records; what does not go through it is named here."""
    others = {op.path for op in OPERATIONS if op.method != "GET" and not op.writes}
    assert others == RECEIPTS | ASKING | ASKED_FIRST | BODY_FIRST
    for op in OPERATIONS:
        if op.method == "PUT" and op.path in BODY_FIRST:
            assert "write(call.services, call.actor" in inspect.getsource(op.work)
        if op.method != "GET" and op.path in ASKED_FIRST:
            assert "record" in inspect.getsource(inspect.getmodule(op.work) or op.work)


def test_a_replay_and_a_refusal_leave_no_record(client: Client, acme: str) -> None:
    key = {"Idempotency-Key": "one"}
    client.post("/v1/accounts/acme/grants", json={"amount": 5}, headers=key)
    before = audit(client)
    assert client.post("/v1/accounts/acme/grants", json={"amount": 5}, headers=key).headers["Idempotent-Replayed"]
    assert client.post("/v1/accounts/acme/grants", json={"amount": 0}).status_code == 422
    assert client.post("/v1/accounts/nobody/grants", json={"amount": 5}).status_code == 404
    assert client.get("/v1/audit", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert audit(client) == before
    assert before[-1]["action"] == "grant.give"


def test_a_grant_voided_twice_is_recorded_once(client: Client, acme: str) -> None:
    grant = client.post("/v1/accounts/acme/grants", json={"amount": 5}).json()["id"]
    for _ in range(2):
        client.post(f"/v1/accounts/acme/grants/{grant}/void", headers={"Idempotency-Key": f"k{_}"})
    [one] = audit(client, subject=grant, action="grant.void")
    assert one["before"]["voided_at"] is None
    assert one["after"]["voided_at"]


def test_what_is_done_outside_of_the_ledger_is_recorded_as_it_was_asked_for(client: Client, acme: str) -> None:
    client.post("/v1/corrections", json=[{"id": "c1", "corrects": {"source": "gw", "id": "1"}, "void": True}])
    client.post("/v1/held/drop", json={"account": "amce", "reason": "typing error"})
    [corrected], [dropped] = audit(client, action="event.correct"), audit(client, action="held.drop")
    assert corrected["after"] == {"voids": 1, "count": 1, "ids": ["corrections/c1"]}
    assert (dropped["account"], dropped["after"]["reason"]) == ("amce", "typing error")


def test_what_no_name_can_be_is_refused_before_it_is_recorded(client: Client, acme: str) -> None:
    sender = client.post("/v1/credentials", json={"scope": "ingest"}).json()["sender"]
    before = audit(client)
    for path, asked in (
        ("/v1/held/retry", {"account": "a\0"}),
        ("/v1/held/drop", {"source": "a\0", "reason": "wrong"}),
        ("/v1/sources/hand-over", {"source": "a\0", "sender": sender}),
    ):
        assert client.post(path, json=asked).status_code == 422, path
    assert audit(client) == before


def test_nobody_writes_into_what_another_account_sees(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "beta"})
    evil = token_of(client, "/v1/accounts/beta/credentials", scope="ingest", rights=["corrections:write"])
    before = audit(client, "/v1/accounts/acme/audit")
    what = {"product": "residential", "bytes_down": 1, "time": "2026-03-15T00:00:00Z", "reason": "mine"}
    asked = {"id": "1", "source": "evil", "account": "acme", **what}
    sent = client.post("/v1/corrections", json=asked, headers=evil)
    assert sent.json()["stored"] == 0
    assert audit(client, "/v1/accounts/acme/audit") == before
    assert [one["account"] for one in audit(client, action="event.correct")] == ["beta"]


def test_an_account_sees_what_is_about_it_and_of_others_only_that_it_was_them(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "beta"})
    own = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    client.post("/v1/accounts/acme/users", json={"name": "zoe", "password": "open sesame!"}, headers=own)
    client.post("/v1/accounts/beta/grants", json={"amount": 5})
    found = client.get("/v1/accounts/acme/audit", headers=own).json()["items"]
    assert {one["account"] for one in found} == {"acme"}
    mine = [one for one in found if one["by"] == "account"]
    theirs = [one for one in found if one["by"] != "account"]
    assert [one["action"] for one in mine] == ["user.create"]
    assert mine[0]["address"] == "testclient"
    assert mine[0]["after"]["has_password"]
    assert theirs
    for one in theirs:
        assert {one[name] for name in ("credential", "address", "request_id", "door", "digest")} == {None}
    told = str(audit(client))
    assert "zoe" not in told
    assert "sesame" not in told
    assert client.get("/v1/accounts/beta/audit", headers=own).status_code == 404
    assert client.get("/v1/audit", headers=own).status_code == 403
    reads = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get("/v1/accounts/acme/audit", headers=reads).status_code == 403


def test_who_redeems_a_voucher_is_told_to_its_issuer_without_the_credential(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "beta"})
    made = client.post("/v1/accounts/acme/vouchers", json={"amount": 10}).json()["items"][0]
    theirs = token_of(client, "/v1/accounts/beta/credentials", scope="manage")
    assert client.post("/v1/accounts/beta/redemptions", json={"code": made["code"]}, headers=theirs).status_code == 201
    [issuer] = audit(client, "/v1/accounts/acme/audit", action="voucher.redeem")
    [redeemer] = audit(client, "/v1/accounts/beta/audit", action="voucher.redeem")
    assert (issuer["by"], issuer["credential"], redeemer["by"]) == ("another_account", None, "account")
    assert made["code"] not in str(audit(client))


def test_pages_go_on_and_times_cut(client: Client, acme: str) -> None:
    everything = audit(client)
    page = client.get("/v1/audit", params={"limit": 2}).json()
    seen = page["items"]
    while page["next"]:
        page = client.get("/v1/audit", params={"limit": 2, "cursor": page["next"]}).json()
        seen += page["items"]
    assert seen == everything
    assert audit(client, until="1970-01-01T00:00:00Z") == []
    assert audit(client, since="2126-01-01T00:00:00Z") == []
    assert client.get("/v1/audit", params={"since": "yesterday"}).status_code == 400
