"""Corrections, changes and explanations over HTTP, through the real ingest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import Client, Clock, open_acme, send, token_of

from flowtally.config import Config, load_config
from flowtally.ingest.door import Ingest
from flowtally.ingest.settings import ingest_settings
from flowtally.ledger.database import Ledger
from flowtally.usage.memory import MemoryStore

EVENT = {"source": "gw", "id": "1"}


@pytest.fixture
def ingest(config: Config, usage: MemoryStore, app_ledger: Ledger, clock: Clock) -> Iterator[Ingest]:
    settings = {name: getattr(config, name) for name in config.__struct_fields__} | {"min_free_bytes": 0}
    opened = Ingest.open(ingest_settings(load_config({}, **settings)), usage, app_ledger, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def acme(client: Client) -> str:
    return open_acme(client)


def correct(client: Client, *asked: dict[str, Any], status: int = 200, **more: Any) -> Any:
    answer = client.post("/v1/corrections", json=list(asked), **more)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_usage_and_balance_follow_a_correction_at_once(client: Client, acme: str) -> None:
    before = client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["spent"]
    receipt = correct(client, {"id": "c1", "corrects": EVENT, "bytes_down": 400, "reason": "twice"})["receipts"][0]
    assert receipt == {
        "index": 0,
        "source": "corrections",
        "id": "c1",
        "status": "stored",
        "added": {"bytes_up": 0, "bytes_down": -500, "requests": 0},
        "before": {"bytes_up": 100, "bytes_down": 900, "requests": 1},
        "after": {"bytes_up": 100, "bytes_down": 400, "requests": 1},
    }
    assert client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["spent"] == before - 500
    usage = client.get("/v1/accounts/acme/usage?from=2026-03-10&to=2026-03-11&bucket=day&by=user,source,status").json()
    [row] = usage["rows"]
    assert (row["user"], row["source"], row["bytes"], row["requests"]) == ("alice", "gw", 500, 1)


def test_an_event_is_shown_with_its_corrections_and_what_it_stands_at(client: Client, acme: str) -> None:
    correct(client, {"id": "c1", "corrects": EVENT, "bytes_down": 400, "reason": "twice"})
    correct(client, {"id": "c2", "corrects": EVENT, "void": True})
    found = client.get("/v1/events", params=EVENT).json()
    assert (found["bytes_down"], found["sum"]) == (900, {"bytes_up": 0, "bytes_down": 0, "requests": 0})
    assert [(one["id"], one["reason"], one["added"]["bytes_down"]) for one in found["corrections"]] == [
        ("c1", "twice", -500),
        ("c2", "", -400),
    ]
    assert found["corrections"][0]["received_at"] == "2026-03-15T12:00:00Z"


def test_a_correction_is_looked_up_by_its_own_key_by_those_it_concerns(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    correct(client, {"id": "c1", "corrects": EVENT, "bytes_down": 400, "reason": "twice"})
    free = {"account": "other", "time": "2026-03-10T00:00:00Z", "bytes_up": -5, "reason": "outage"}
    correct(client, {"id": "c2", **free})
    mine, theirs = (token_of(client, f"/v1/accounts/{name}/credentials", scope="account") for name in ("acme", "other"))
    sender = token_of(client, "/v1/credentials", scope="ingest")

    def look(id: str, headers: dict[str, str] | None = None) -> Any:
        return client.get("/v1/events", params={"source": "corrections", "id": id}, headers=headers)

    found = look("c1").json()
    assert (found["kind"], found["corrects"], found["reason"]) == ("correction", EVENT, "twice")
    assert (found["source"], found["id"], found["bytes_down"], found["sum"]) == ("corrections", "c1", -500, None)
    assert look("c1", mine).json() == found
    assert look("c2", theirs).json()["kind"] == "adjustment"
    for id, headers in (("c1", theirs), ("c1", sender), ("c2", mine), ("c2", sender)):
        hidden, nothing = look(id, headers), look("c9", headers)
        assert (hidden.status_code, nothing.status_code) == (404, 404)
        assert hidden.json()["detail"].replace(id, "c9") == nothing.json()["detail"]


def test_one_object_is_as_good_as_an_array(client: Client, acme: str) -> None:
    assert client.post("/v1/corrections", json={"id": "c1", "corrects": EVENT, "void": True}).json()["stored"] == 1
    assert 'flowtally_corrections_total{outcome="stored"} 1.0' in client.get("/metrics").text
    assert correct(client) == {"stored": 0, "duplicate": 0, "conflict": 0, "refused": 0, "receipts": []}


def test_what_was_expected_is_told_with_what_is_there(client: Client, acme: str) -> None:
    body = correct(client, {"id": "c1", "corrects": EVENT, "void": True, "expects": {"bytes_up": 1}}, status=409)
    assert (body["code"], body["index"]) == ("not_as_expected", 0)
    assert body["present"] == {"bytes_up": 100, "bytes_down": 900, "requests": 1}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"corrects": EVENT}, "corrects"),
        ({"corrects": EVENT, "void": True, "bytes_up": 0}, "void"),
        ({"corrects": EVENT, "bytes_up": -1}, "bytes_up"),
        ({"corrects": EVENT, "bytes_up": 1.5}, "bytes_up"),
        ({"corrects": EVENT, "bytes_up": 2**53}, "bytes_up"),
        ({"corrects": EVENT, "void": True, "account": "acme"}, "account"),
        ({"corrects": EVENT, "void": True, "time": "2026-03-01T00:00:00Z"}, "time"),
        ({"corrects": {"source": "gw"}, "void": True}, "id"),
        ({"corrects": EVENT, "void": True, "bytes": 5}, "bytes"),
        ({"corrects": EVENT, "void": True, "reason": "\x00"}, "reason"),
        ({"account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_up": 5}, "reason"),
        ({"account": "acme", "reason": "x", "bytes_up": 5}, "time"),
        ({"account": "acme", "reason": "x", "time": "soon", "bytes_up": 5}, "time"),
        ({"account": "acme", "reason": "x", "time": "1969-12-31T00:00:00Z", "bytes_up": 5}, "time"),
        ({"account": "acme", "reason": "x", "time": "2026-03-01T00:00:00Z"}, "bytes_up"),
        ({"reason": "x", "time": "2026-03-01T00:00:00Z", "bytes_up": 5}, "account"),
        ({"account": "acme", "reason": "x", "time": "2026-03-01T00:00:00Z", "bytes_up": 5, "void": True}, "void"),
    ],
)
def test_one_that_is_wrong_refuses_the_whole_request_and_is_named(
    client: Client, acme: str, wrong: dict[str, Any], field: str
) -> None:
    body = correct(client, {"id": "ok", "corrects": EVENT, "void": True}, {"id": "c1", **wrong}, status=422)
    assert (body["index"], field in body["field"] + body["detail"]) == (1, True), body
    assert client.get("/v1/events", params=EVENT).json()["corrections"] == []


def test_bodies_that_cannot_be_read(client: Client, acme: str) -> None:
    for content, kind, status in (
        (b"{", "application/json", 400),
        (b"{}", "text/csv", 415),
        (b"5", "application/json", 422),
    ):
        answer = client.post("/v1/corrections", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status, answer.text
    many = [{"id": str(index), "corrects": EVENT, "void": True} for index in range(1001)]
    assert correct(client, *many, status=413)["limit"] == 1000


def test_an_account_credential_may_not_correct(client: Client, acme: str) -> None:
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    correct(client, {"id": "c1", "corrects": EVENT, "void": True}, status=403, headers=mine)


# -- changes ----------------------------------------------------------------------------------------------------------


def test_changes_tell_what_moved_whose_past(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    send(client, "9", "2026-03-14T00:00:00Z", account="other", bytes_up=3)
    cursor = client.get("/v1/changes").json()["next"]
    correct(client, {"id": "c1", "corrects": EVENT, "void": True})
    answer = client.get("/v1/changes", params={"since": cursor}).json()
    [change] = answer["items"]
    assert (change["account"], change["corrections"], change["bytes"], change["requests"]) == ("acme", 1, -1000, -1)
    assert (change["earliest"], change["received_at"]) == ("2026-03-10T12:00:00Z", "2026-03-15T12:00:00Z")
    late = client.get("/v1/changes", params={"since": "2026-03-15T00:00:00Z"}).json()
    assert [(one["account"], one["late"]) for one in late["items"]] == [("acme", 3), ("other", 1), ("acme", 0)]


def test_an_account_credential_sees_its_own_changes_only(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    send(client, "9", "2026-03-14T00:00:00Z", account="other")
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert {one["account"] for one in client.get("/v1/changes", headers=mine).json()["items"]} == {"acme"}
    theirs, nobodys = (client.get(f"/v1/changes?account={name}", headers=mine) for name in ("other", "nobod"))
    assert (theirs.status_code, theirs.json()["code"]) == (404, "unknown_account")
    assert theirs.json()["detail"].replace("other", "nobod") == nobodys.json()["detail"]
    assert client.get("/v1/changes?account=nobody").status_code == 404
    assert client.get("/v1/changes?since=never").json()["code"] == "bad_range"


# -- explain ----------------------------------------------------------------------------------------------------------


def test_an_explanation_adds_up_to_the_balance(client: Client, acme: str) -> None:
    correct(client, {"id": "c1", "corrects": EVENT, "bytes_down": 400, "reason": "twice"})
    balance = client.get("/v1/accounts/acme/balance").json()
    explained = client.get("/v1/accounts/acme/explain?top=2").json()
    assert {name: pool["balance"] for name, pool in explained["pools"].items()} == balance["pools"]
    traffic = explained["pools"]["traffic"]
    [span] = traffic["spans"]
    assert (span["used"], span["events"], span["corrections"]) == (505, 1005, -500)
    assert [(row["kind"], row["user"], row["amount"]) for row in span["largest"]] == [
        ("use", "alice", 1000),
        ("correction", "alice", -500),
    ]
    assert span["largest"][1]["corrects"] == EVENT
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get("/v1/accounts/acme/explain", headers=mine).status_code == 200
    assert client.get("/v1/accounts/acme/explain?top=51").status_code == 400


def test_the_usual_source_of_corrections_is_the_administrators(client: Client, acme: str) -> None:
    gateway = token_of(client, "/v1/credentials", scope="ingest", rights=["corrections:write"])
    asked = {"id": "c1", "corrects": {"source": "mine", "id": "1"}, "void": True}
    told = correct(client, asked, status=403, headers=gateway)
    assert told["code"] == "source_not_yours"
    assert "name a source of your own" in told["detail"]
    correct(client, {"source": "my corrections", **asked}, headers=gateway)
    correct(client, {"id": "c1", "corrects": EVENT, "void": True})
