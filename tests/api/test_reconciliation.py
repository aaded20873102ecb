"""Reconciliation over HTTP: who may, which forms, and what is refused. What it finds is tested in answers and core."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select, update
from tests.conftest import NOW, Client, token_of
from tests.web.test_error_shape import assert_problem

from flowtally.core.edges import parse_instant
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.providers import connected, stretches
from flowtally.ledger.providers.stretches import Stretch
from flowtally.ledger.tables import provider_reconciliations
from flowtally.usage.memory import MemoryStore

PATH = "/v1/accounts/acme/reconciliation"
RULES = "/v1/accounts/acme/providers/thor/rules"
TENTH = parse_instant("2026-03-09T23:00:00Z")  # in Berlin; alice used 1,000 bytes


@pytest.fixture
def thor(client: Client, acme: str, app_ledger: Ledger, usage: MemoryStore) -> str:
    """A provider of acme whose vendor cuts its days in Berlin and told of three."""
    with app_ledger.begin() as tx:
        provider = connected.add_provider(tx, acme, "thor", "thordata", secrets={}, settings={}, since=0, now=NOW)
        told = Stretch(TENTH - DAY_MS, TENTH + 2 * DAY_MS, "day", "Europe/Berlin", 1, NOW)
        stretches.put_stretch(tx, provider, told)
    bill = {"series": "thor", "user": "customer-alice", "bytes_down": 1100, "bytes_up": 0, "requests": 0}
    usage.rows = [*usage.rows, {**usage.rows[0], **bill, "time": TENTH}]
    return "thor"


def test_both_sides_are_compared_by_the_days_of_the_vendor(client: Client, thor: str) -> None:
    answer = client.get(PATH, params={"provider": thor, "from": "2026-03-10", "to": "2026-03-11"})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["from"], told["to"], told["zone"]) == (
        *("2026-03-10T00:00:00+01:00", "2026-03-11T00:00:00+01:00"),
        "Europe/Berlin",
    )
    assert (told["total"]["measured"], told["total"]["billed"], told["match"]) == (1000, 1100, "beyond")
    assert [one["user"] for one in told["users"]] == ["alice", "customer-alice"]
    assert told["known_at"] == "2026-03-15T12:00:00Z"


def test_a_vendor_that_counts_requests_and_told_of_none_is_compared_in_requests(
    client: Client, acme: str, app_ledger: Ledger, usage: MemoryStore
) -> None:
    """Requests that need no bytes, all of them lost by the vendor: by what it told alone they would look like bytes."""
    with app_ledger.begin() as tx:
        provider = connected.add_provider(tx, acme, "pages", "whitepages", secrets={}, settings={}, since=0, now=NOW)
        stretches.put_stretch(tx, provider, Stretch(TENTH, TENTH + DAY_MS, "day", "Europe/Berlin", 1, NOW))
    usage.rows = [{**usage.rows[0], "time": TENTH, "bytes_up": 0, "bytes_down": 0, "requests": 5}]
    told = client.get(PATH, params={"provider": "pages"}).json()
    assert (told["quantity"], told["total"]["measured"], told["total"]["billed"]) == ("requests", 5, 0)
    assert told["match"] == "beyond"
    kept = client.post("/v1/accounts/acme/providers/pages/reconciliations", json={}).json()
    assert client.get(f"/v1/accounts/acme/providers/pages/reconciliations/{kept['id']}").json()["kept"] == told
    assert client.get(PATH, params={"provider": "pages", "quantity": "bytes"}).json()["match"] == "matches"


def test_a_day_is_only_claimed_if_its_vendor_was_asked_for_it_as_long_as_it_changes_days(
    client: Client, thor: str, app_ledger: Ledger
) -> None:
    """Thordata is asked for three days; of the tenth an hour after its end, and then for days no more."""
    asked = {"provider": thor, "from": "2026-03-10", "to": "2026-03-11"}
    assert [one["settled"] for one in client.get(PATH, params=asked).json()["spans"]] == [True]
    kept = client.post(KEPT, json=TENTH_ALONE).json()["id"]
    with app_ledger.begin() as tx:
        provider = connected.read_provider(tx, thor)
        early = TENTH + DAY_MS + HOUR_MS
        stretches.put_stretch(tx, provider, Stretch(TENTH, TENTH + DAY_MS, "day", "Europe/Berlin", 1, early))
        stretches.put_stretch(tx, provider, Stretch(TENTH + DAY_MS, TENTH + 2 * DAY_MS, "day", "Europe/Berlin", 1, NOW))
    told = client.get(PATH, params=asked | {"to": "2026-03-12"}).json()
    assert [one["settled"] for one in told["spans"]] == [False, True]
    assert {one["start"][:10] for one in told["disputed"]} == {"2026-03-11"}
    assert client.get(f"{KEPT}/{kept}").json()["now"]["spans"][0]["settled"] is False


def test_the_rules_of_a_provider_decide(client: Client, thor: str) -> None:
    usual = client.get(RULES).json()
    assert (usual["names"], usual["tolerances"]["span_per_mille"]) == ([], 10)
    rules = {
        "rewriting": [{"side": "billed", "kind": "prefix", "text": "customer-"}],
        "tolerances": {"span_amount": 100, "whole_amount": 100},
    }
    answer = client.put(RULES, json=rules)
    assert answer.status_code == 200
    assert client.get(RULES).json() == answer.json() == usual | answer.json()
    told = client.get(PATH, params={"provider": thor, "from": "2026-03-10", "to": "2026-03-11"}).json()
    assert [one["billed_users"] for one in told["users"]] == [["customer-alice"]]
    assert (told["total"]["unexplained"], told["match"]) == (100, "within_tolerance")


@pytest.mark.parametrize(
    "rules",
    [
        {"rewriting": [{"side": "billed", "kind": "pattern", "text": "(a+)+"}]},
        {"rewriting": [{"side": "billed", "kind": "prefix", "text": ""}]},
        {"rewriting": [{"side": "both", "kind": "prefix", "text": "a"}]},
        {"names": [{"billed": "a"}]},
        {"settle_days": -1},
        {"tolerance": 5},
    ],
)
def test_rules_that_mean_nothing_are_refused(client: Client, thor: str, rules: object) -> None:
    assert_problem(client.put(RULES, json=rules), 422, "unprocessable")
    assert client.get(RULES).json()["rewriting"] == []


def test_the_claim_sheet_is_csv_or_text(client: Client, thor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"provider": thor, "from": "2026-03-08", "to": "2026-03-12"}
    page = client.get(PATH, params={**asked, "format": "text"})
    assert page.headers["content-type"].startswith("text/plain")
    assert page.text.startswith("CLAIM SHEET: account acme at thordata (provider thor)\n")
    assert "claim.txt" in page.headers["content-disposition"]
    sheet = client.get(PATH, params=asked, headers={"Accept": "text/csv"})
    assert sheet.headers["content-type"].startswith("text/csv")
    assert sheet.text.startswith("start,end,user,vendor_user,measured,billed,difference,")
    monkeypatch.setattr("flowtally.api.reconciliation.MAX_DISPUTED", 1)
    assert len(client.get(PATH, params=asked).json()["disputed"]) == 1
    assert client.get(PATH, params=asked | {"format": "csv"}).text == sheet.text
    monkeypatch.setattr("flowtally.api.reconciliation.MAX_CLAIMED", 1)
    assert_problem(client.get(PATH, params=asked | {"format": "csv"}), 400, "bad_range")
    assert_problem(client.get(PATH, params=asked, headers={"Accept": "image/png"}), 406, "not_acceptable")


def test_what_cannot_be_compared_says_why(client: Client, thor: str) -> None:
    assert_problem(client.get(PATH), 400, "bad_request")
    assert_problem(client.get(PATH, params={"provider": "nobody"}), 404, "not_found")
    assert_problem(
        client.get(PATH, params={"provider": thor, "from": "2025-01-01", "to": "2025-02-01"}), 400, "bad_range"
    )
    assert_problem(client.get(PATH, params={"provider": thor, "corrected_since": "yesterday"}), 400, "bad_range")
    assert_problem(client.get("/v1/accounts/nobody/reconciliation?provider=thor"), 404, "unknown_account")
    client.post("/v1/accounts", json={"id": "beta"})
    assert_problem(client.get("/v1/accounts/beta/reconciliation?provider=thor"), 404, "not_found")
    assert_problem(client.put("/v1/accounts/beta/providers/thor/rules", json={}), 404, "not_found")


def test_an_account_reads_and_only_who_manages_it_sets_rules(client: Client, thor: str) -> None:
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get(PATH, params={"provider": thor}, headers=mine).status_code == 200
    assert client.get(RULES, headers=mine).status_code == 200
    assert_problem(client.put(RULES, json={}, headers=mine), 403, "forbidden")
    manager = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    assert client.put(RULES, json={"settle_days": 5}, headers=manager).status_code == 200


KEPT = "/v1/accounts/acme/providers/thor/reconciliations"
TENTH_ALONE = {"from": "2026-03-10", "to": "2026-03-11"}


def test_what_was_kept_stays_and_is_compared_with_now(client: Client, thor: str, usage: MemoryStore) -> None:
    """The vendor changes its mind afterwards."""
    asked = client.get(PATH, params={"provider": thor, **TENTH_ALONE}).json()
    answer = client.post(KEPT, json=TENTH_ALONE)
    assert answer.status_code == 201
    kept = answer.json()
    assert (kept["provider"], kept["match"], kept["from"]) == ("thor", "beyond", "2026-03-09T23:00:00Z")
    same = client.get(f"{KEPT}/{kept['id']}").json()
    assert same["kept"] == asked
    assert (same["changed"], same["rules_changed"], same["billed_moved"]) == (False, False, 0)
    usage.rows = [*usage.rows, {**usage.rows[-1], "bytes_down": -100, "kind": "correction"}]
    moved = client.get(f"{KEPT}/{kept['id']}").json()
    assert moved["kept"] == asked
    assert moved["now"]["total"]["billed"] == 1000
    assert (moved["changed"], moved["billed_moved"], moved["measured_moved"]) == (True, -100, 0)
    assert client.get(KEPT).json() == {"items": [kept], "next": None}


def test_what_was_kept_is_compared_by_the_rules_of_then(client: Client, thor: str, app_ledger: Ledger) -> None:
    """Somebody allows more since, and maps a name: no figure of the bill has changed."""
    kept = client.post(KEPT, json=TENTH_ALONE).json()["id"]
    rewriting = [{"side": "billed", "kind": "prefix", "text": "customer-"}]
    client.put(RULES, json={"rewriting": rewriting, "tolerances": {"whole_amount": 10**9, "span_amount": 10**9}})
    found = client.get(f"{KEPT}/{kept}").json()
    assert (found["changed"], found["rules_changed"], found["now"]["match"]) == (False, True, "beyond")
    assert "rules" not in found["kept"]
    assert found["now"]["users"] == found["kept"]["users"]
    assert client.get(PATH, params={"provider": thor, **TENTH_ALONE}).json()["match"] == "within_tolerance"
    with app_ledger.begin() as tx:  # one that was kept before rules were kept with it
        answer = json.loads(tx.execute(select(provider_reconciliations.c.answer)).scalar_one())
        assert answer.pop("rules")["settle_days"] == 3
        tx.execute(update(provider_reconciliations).values(answer=json.dumps(answer)))
    without = client.get(f"{KEPT}/{kept}").json()
    assert (without["changed"], without["rules_changed"], without["now"]["match"]) == (True, None, "within_tolerance")
    assert without["kept"] == found["kept"]


def test_a_reconciliation_is_kept_once_for_a_key_and_nothing_is_kept_of_nothing(client: Client, thor: str) -> None:
    headers = {"Idempotency-Key": "march"}
    first, again = (client.post(KEPT, json=TENTH_ALONE, headers=headers) for _ in range(2))
    assert first.json() == again.json()
    assert_problem(client.post(KEPT, json={"from": "2025-01-01", "to": "2025-02-01"}), 400, "bad_range")
    assert_problem(client.post(KEPT.replace("thor", "odin"), json={}), 404, "not_found")
    assert_problem(client.get(f"{KEPT}/rec_x"), 404, "not_found")
    assert len(client.get(KEPT).json()["items"]) == 1


def test_a_provider_has_so_many_kept_and_no_more(client: Client, thor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.ledger.providers.kept.MOST", 1)
    assert client.post(KEPT, json=TENTH_ALONE).status_code == 201
    assert_problem(client.post(KEPT, json=TENTH_ALONE), 409, "limit_reached")


def test_what_a_resellers_customers_used_is_compared_by_who_runs_flowtally_alone(
    client: Client, thor: str, usage: MemoryStore
) -> None:
    """A vendor bills one account of the reseller for what all of its customers used."""
    for account in ("beta", "gamma"):
        client.post("/v1/accounts", json={"id": account})
        usage.rows = [*usage.rows, {**usage.rows[0], "account": account, "user": "", "time": TENTH, "bytes_down": 7}]
    manager = token_of(client, "/v1/accounts/acme/credentials", scope="manage")
    others = {"accounts": ["acme", "beta"]}
    assert_problem(client.put(RULES, json=others, headers=manager), 403, "forbidden")
    assert_problem(client.put(RULES, json={"accounts": ["nobody"]}), 404, "unknown_account")
    assert client.put(RULES, json={"accounts": ["acme"]}, headers=manager).status_code == 200
    alone = client.get(PATH, params={"provider": thor, **TENTH_ALONE}, headers=manager).json()
    assert client.put(RULES, json=others).status_code == 200
    both = client.get(PATH, params={"provider": thor, **TENTH_ALONE}).json()
    up = usage.rows[0]["bytes_up"]
    assert (both["accounts"], both["total"]["measured"]) == (["acme", "beta"], alone["total"]["measured"] + 7 + up)
    kept = client.post(KEPT, json=TENTH_ALONE).json()["id"]
    asked: Any = {"params": {"provider": thor, **TENTH_ALONE}, "headers": manager}
    for answer in (
        client.get(PATH, **asked),
        client.get(RULES, headers=manager),
        client.put(RULES, json={}, headers=manager),
        client.post(KEPT, json=TENTH_ALONE, headers=manager),
        client.get(f"{KEPT}/{kept}", headers=manager),
    ):
        assert_problem(answer, 403, "forbidden")
    client.put(RULES, json={})
    assert client.get(PATH, **asked).json()["accounts"] == []
    assert_problem(client.get(f"{KEPT}/{kept}", headers=manager), 403, "forbidden")
