"""Erasing over a real server and its files: not a byte of a name or a label is left, even where it was killed."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.care.conftest import Patient
from tests.care.test_backup import run, serving
from tests.ingest.conftest import named
from tests.ingest.test_crash import TOKEN as CRASH_TOKEN
from tests.ingest.test_crash import Server
from tests.soak import FIRST_SEED, done, rounds

from flowtally.care.erasing import finish_erasures
from flowtally.care.job import Progress
from flowtally.ledger.erasing import erasures

NAME: Final = "Kunigunde-Zweifelhaft"
BEFORE: Final = "K.Zweifelhaft-frueher"
VALUE: Final = "Hinterhof-Abteilung-7"
REASON: Final = "Frau-Zweifelhaft-rief-an"
USERS: Final = "/v1/accounts/acme/users"
SEED: Final = 20260316 + FIRST_SEED
KILLS: Final = rounds(5, 20)


def holding(data: Path, *texts: str) -> dict[str, list[str]]:
    """Which files hold which of these texts."""
    found: dict[str, list[str]] = {text: [] for text in texts}
    for file in sorted(one for one in data.rglob("*") if one.is_file()):
        held = file.read_bytes()
        for text in texts:
            if text.encode() in held:
                found[text].append(str(file.relative_to(data)))
    return found


def event(id: str, user: str, **more: Any) -> dict[str, Any]:
    return {"source": "gw", "id": id, "account": "acme", "time": "2026-03-01T00:00:00Z", "user": user, **more}


def sums(client: httpx.Client) -> dict[str, Any]:
    """Answers by everything but labels; a user is its id."""
    asked = {"from": "2026-03-01", "to": "2026-03-02", "bucket": "total"}
    found: dict[str, Any] = {}
    for by in ("user", "product", "status", "source"):
        answer = client.get("/v1/accounts/acme/usage", params={**asked, "by": by}).json()
        found[by] = [{name: value for name, value in row.items() if name != "user"} for row in answer["rows"]]
    balance = client.get("/v1/accounts/acme/balance", params={"at": "2026-03-10T00:00:00Z"}).json()
    found["balance"] = {name: value for name, value in balance.items() if name != "as_of"}
    return found


def test_after_an_erasure_no_file_of_the_data_directory_holds_the_name_or_a_label(tmp_path: Path) -> None:
    data, secrets = tmp_path / "data", (NAME, BEFORE, VALUE, REASON)
    with serving(data) as (live, client):
        client.post("/v1/accounts", json={"id": "acme", "carry_from": "2026-02-01T00:00:00Z"})
        client.post("/v1/accounts/acme/grants", json={"amount": 10**6, "starts_at": "2026-02-01T00:00:00Z"})
        client.post(USERS, json={"name": BEFORE}, headers={"Idempotency-Key": "made"})
        client.patch(f"{USERS}/{BEFORE}", json={"name": NAME}, headers={"Idempotency-Key": "renamed"})
        for number in range(3):  # several parts
            client.post("/v1/events", json=[event(f"e{number}", NAME, bytes_up=number, labels={"team": VALUE})])
            client.post("/v1/events", json=[event(f"o{number}", "otto", bytes_up=1, labels={"team": "Vorderhaus-3"})])
        corrected = {"id": "c1", "corrects": {"source": "gw", "id": "e1"}, "bytes_up": 9, "reason": REASON}
        assert client.post("/v1/corrections", json=[corrected]).json()["stored"] == 1
        period = client.post("/v1/accounts/acme/periods", json={"from": "2026-03-01", "to": "2026-03-02"}).json()
        user, before = client.get(f"{USERS}/{NAME}").json()["id"], sums(client)
    assert all(holding(data, *secrets).values()), "what is not there cannot be erased"
    with serving(data) as (live, client):
        told = run("user", "erase", "acme", NAME, "--yes", live=live)
        assert (told["state"], told["user_id"]) == ("finished", user)
        assert not any(holding(data / "usage", *secrets).values()), "old files are gone when it is finished"
        assert sums(client) == before
        assert run("verify", live=live)["found"] == 0
        shown = client.get("/v1/events", params={"source": "gw", "id": "e1"}).json()
        assert (shown["user"], shown["labels"], shown["sum"]["bytes_up"]) == (f"erased-{user}", {}, 9)
        other = client.get("/v1/events", params={"source": "gw", "id": "o1"}).json()
        assert other["labels"] == {"team": "Vorderhaus-3"}
        kept = client.get(f"/v1/accounts/acme/periods/{period['id']}").json()
        assert kept["statement"] == period["statement"]
        again = client.post("/v1/events", json=[event("e1", "somebody", bytes_up=1)])
        assert again.json()["conflict"] == 1, "a key is known as before"
        export = client.get("/v1/accounts/acme/export", params={"format": "csv"}).text
        assert not any(text in export for text in secrets)
        backup = run("backup", live=live)
    assert holding(data, *secrets) == {text: [] for text in secrets}
    restored = tmp_path / "restored"
    assert run("restore", backup["path"], "--data", str(restored))["report"]["found"] == 0
    with serving(restored) as (live, client):
        assert finished(client, user)["state"] == "finished"
        assert sums(client) == before


def test_what_is_in_the_journal_alone_is_erased_there_too(tmp_path: Path) -> None:
    """Rows, a held event, and what a power cut tore: not flushed yet, or not wanted any more."""
    data, held = tmp_path / "data", "Kunigunde-wartet"
    with serving(data, FLOWTALLY_FLUSH_AFTER_S="3600") as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        client.post("/v1/events", json=[event("e1", NAME, bytes_up=1, labels={"team": VALUE})])
        numbered = {"source": "log", "account": "acme", "user": NAME, "labels": {"team": held}}
        client.post("/v1/events", json=[numbered | {"sequence": 1, "time": "2026-03-01T00:00:00Z", "labels": {}}])
        sent = [numbered | {"sequence": 2, "time": "2099-01-01T00:00:00Z"}]  # a block without a row, the last one
        answer = client.post("/v1/events", json=sent)
        assert answer.json().get("held") == 1, answer.text
        torn = data / "usage" / "unsynced" / "1796041964128" / "202603_7_7_0"
        torn.mkdir(parents=True)
        (torn / "data.bin").write_text(VALUE)
        assert any(one.startswith("journal.db") for one in holding(data, VALUE)[VALUE])
        assert any(one.startswith("journal.db") for one in holding(data, held)[held])
        told = run("user", "erase", "acme", NAME, "--yes", live=live)
        assert told["state"] == "finished"
        assert holding(data, VALUE, held) == {VALUE: [], held: []}
        assert run("verify", live=live)["found"] == 0
    assert holding(data, NAME, VALUE, held) == {NAME: [], VALUE: [], held: []}


def finished(client: httpx.Client, user: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while (told := dict(client.get(f"{USERS}/{user}/erase").json()))["state"] == "pending":
        assert not told["detail"], told
        assert time.monotonic() < until, told
        time.sleep(0.05)
    return told


@pytest.mark.soak
def test_an_erasure_that_is_killed_is_finished_by_the_next_start(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    server = Server(tmp_path / "data")
    names = [f"{NAME}-{number}" for number in range(KILLS)]
    server.start()
    try:
        with httpx.Client(timeout=30, headers={"Authorization": f"Bearer {CRASH_TOKEN}"}) as client:
            client.base_url = server.url
            client.post("/v1/accounts", json={"id": "acme"})
            ids = {}
            for name in names:
                labels = {"team": f"{VALUE}-{name}"}
                events = [event(f"{name}-{n}", name, bytes_up=n, labels=labels) for n in range(2000)]
                events += [event(f"{name}+{n}", "otto", bytes_up=n) for n in range(2000)]
                assert client.post("/v1/events", json=events).json()["stored"] == 4000
                ids[name] = client.get(f"{USERS}/{name}").json()["id"]
            before = sums(client)
            for name in names:
                assert client.post(f"{USERS}/{name}/erase").status_code == 202
                time.sleep(chance.choice([0, 0.02, 0.05, 0.1, 0.2]))
                server.kill()
                server.start()
                assert finished(client, ids[name])["state"] == "finished"
                assert sums(client) == before
            assert run_verify(client) == 0
        done(kills=KILLS)
    finally:
        server.kill()
    held = holding(tmp_path / "data", *(f"{VALUE}-{name}" for name in names))
    assert not any(held.values()), held


def run_verify(client: httpx.Client) -> int:
    told = client.post("/v1/verify").json()
    while told["state"] == "running":
        time.sleep(0.1)
        told = client.get("/v1/verify").json()
    assert told["state"] == "done", told
    return int(told["found"])


def test_verify_names_an_erased_user_whose_rows_have_labels(patient: Patient) -> None:
    patient.services.send(*named("e1", user="ann", labels={"k": "v"}))
    with patient.services.ledger.begin() as tx:
        erased = erasures.erase_user(tx, "acme", "ann", now=5)
    assert "erased_user" not in patient.found(), "what is pending is no damage"
    with patient.services.ledger.begin() as tx:
        erasures.finish(tx, [erased.user_id], now=6)
    assert patient.found()["erased_user"] == [
        f"user {erased.user_id!r}: was erased and has rows with labels or reasons"
    ]


def test_a_block_after_an_erasure_was_finished_does_not_remember_the_name(patient: Patient) -> None:
    """The job may come to it before whoever asked told ingest to forget."""
    services, store = patient.services, patient.services.store.inner
    services.send(*named("e1", user="ann", labels={"k": "v"}))
    with services.ledger.begin() as tx:
        erased = erasures.erase_user(tx, "acme", "ann", now=services.clock())
    forget, between = services.door.forget_names, services.door.between_blocks
    assert finish_erasures(services.ledger, store, forget, between, services.clock, Progress()).users == 1
    services.send(*named("e2", user="ann", labels={"k": "w"}))
    users = patient.engine.rows("SELECT id, user FROM usage_events WHERE id IN ('e1', 'e2') ORDER BY id")
    assert users[0] == ("e1", erased.user_id)
    assert users[1][1] != erased.user_id
    assert "erased_user" not in patient.found()


# Whole accounts

SECRETS: Final = {
    "account": "Zweifelhaft-und-Soehne",
    "renamed": "Zweifelhaft-Nachfolger",
    "user": "Ottokar-Heimlich",
    "user_before": "O.Heimlich-frueher",
    "seen": "Walburga-Verborgen",
    "funded": "Filiale-Hintertupfing",
    "label": "Kostenstelle-Schatzkammer",
    "correction": "Herr-Heimlich-beschwerte-sich",
    "adjustment": "Kulanz-fuer-Heimlich",
    "grant": "Rechnung-an-Heimlich-4711",
    "deposit": "Ueberweisung-von-Heimlich",
    "payout": "an-Heimlich-ausgezahlt",
    "credential": "Heimlichs-Rechner",
    "renamed_credential": "Heimlichs-neuer-Rechner",
    "sender": "Heimlichs-Zulieferer",
    "key_of_account": "Heimlich-Bestellung-1",
    "held": "Heimlichs-Zukunft",
    "held_label": "Heimlich-Etikett",
    "network": "203.0.113.64/26",
    "address": "198.51.100.77",
}
LIFE: Final = {"from": "2026-03-01", "to": "2026-03-02"}


def live_account(client: httpx.Client, url: str) -> dict[str, str]:
    """`acme`, with a distinctive text wherever one can be given; ids by what they are of."""

    def post(path: str, body: Any, **headers: str) -> Any:
        answer = client.post(path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    s = SECRETS
    account = "/v1/accounts/acme"
    keyed = {"Idempotency-Key": "made"}
    post("/v1/accounts", {"id": "acme", "name": s["account"], "carry_from": "2026-02-01T00:00:00Z"}, **keyed)
    client.patch(account, json={"name": s["renamed"]}, headers={"Idempotency-Key": "renamed"})
    given = {"amount": 10**6, "starts_at": "2026-02-01T00:00:00Z", "reference": s["grant"]}
    post(f"{account}/grants", given, **{"Idempotency-Key": "given"})
    void = post(f"{account}/grants", {"amount": 5, "reference": s["grant"]})["id"]
    client.post(f"{account}/grants/{void}/void").raise_for_status()
    post(
        f"{account}/wallet/deposits", {"amount_micros": 1000, "reference": s["deposit"]}, **{"Idempotency-Key": "paid"}
    )
    post(f"{account}/wallet/adjustments", {"amount_micros": -1000, "reason": s["payout"]})
    post(USERS, {"name": s["user_before"], "password": "Abcdef12"})
    client.patch(f"{USERS}/{s['user_before']}", json={"name": s["user"]}, headers={"Idempotency-Key": "called"})
    client.put(f"{USERS}/{s['user']}/whitelist/traffic/{s['address']}", json={}).raise_for_status()
    client.put(f"{account}/whitelist/traffic/{s['address']}", json={}, headers={"Idempotency-Key": "listed"})
    funded = post(USERS, {"name": s["funded"], "funded": True})["id"]
    post(f"{USERS}/{funded}/allocations", {"amount": 500})
    shown = post(
        f"{account}/credentials",
        {"scope": "manage", "name": s["credential"], "addresses": [s["network"], "127.0.0.0/8", "::1"]},
    )
    client.patch(f"{account}/credentials/{shown['id']}", json={"name": s["renamed_credential"]})
    post(f"{account}/credentials", {"scope": "ingest", "name": s["sender"]})
    own = {"Authorization": f"Bearer {shown['token']}", "Idempotency-Key": s["key_of_account"]}
    post(f"{account}/users", {"name": "by-itself"}, **own)
    for number in range(3):  # several parts
        client.post("/v1/events", json=[event(f"e{number}", s["user"], bytes_up=number, labels={"k": s["label"]})])
        client.post(
            "/v1/events", json=[event(f"s{number}", s["seen"], bytes_up=1), event(f"n{number}", "", bytes_up=2)]
        )
    first = {"source": "gw-2", "sequence": 1, "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_up": 1}
    later = {
        **first,
        "sequence": 2,
        "user": s["held"],
        "time": "2999-01-01T00:00:00Z",
        "labels": {"k": s["held_label"]},
    }
    assert client.post("/v1/events", json=[first, later]).json()["held"] == 1
    corrections = [
        {"id": "c1", "corrects": {"source": "gw", "id": "e1"}, "bytes_up": 9, "reason": s["correction"]},
        {"id": "c2", "account": "acme", "time": "2026-03-01T03:00:00Z", "bytes_up": 3, "reason": s["adjustment"]},
    ]
    assert client.post("/v1/corrections", json=corrections).json()["stored"] == 2
    period = post(f"{account}/periods", LIFE, **{"Idempotency-Key": "closed"})
    return {"period": period["id"], "funded": funded, "credential": shown["id"], "token": shown["token"]}


def unreferred(told: dict[str, Any]) -> dict[str, Any]:
    """A balance or statement, without the references of its grants."""
    return {**told, "grants": [{**one, "reference": ""} for one in told["grants"]]}


def figures_of(client: httpx.Client) -> dict[str, Any]:
    found = sums(client)
    return {**found, "balance": unreferred(found["balance"])}


def test_after_the_erasure_of_an_account_no_file_of_the_data_directory_holds_a_text_of_it(tmp_path: Path) -> None:
    data, texts = tmp_path / "data", tuple(SECRETS.values())
    with serving(data) as (live, client):
        ids = live_account(client, live.url)
        client.post("/v1/accounts", json={"id": "beta", "name": "Vorderhaus"})
        other = {"source": "gw", "account": "beta", "time": "2026-03-01T00:00:00Z", "labels": {"k": "Vorderhaus-3"}}
        client.post("/v1/events", json=[{**other, "id": "b1", "user": "otto", "bytes_up": 1}])
        period = client.get(f"/v1/accounts/acme/periods/{ids['period']}").json()
        before = figures_of(client)
    missing = [text for text, files in holding(data, *texts).items() if not files]
    assert missing == [], "what is not there cannot be erased"
    with serving(data) as (live, client):
        assert client.post("/v1/accounts/acme/erase").json()["code"] == "conflict", "it is not closed"
        run("account", "change", "acme", "--status", "closed", live=live)
        told = run("account", "erase", "acme", "--yes", live=live)
        assert (told["state"], told["account"]) == ("finished", "acme")
        left = {text: files for text, files in holding(data, *texts).items() if files}
        assert left == {}, "while the server runs, too"
        assert figures_of(client) == before
        checked = run("verify", live=live)
        assert checked["found"] == 0, checked
        kept = client.get(f"/v1/accounts/acme/periods/{ids['period']}").json()
        assert kept["statement"] == unreferred(period["statement"])
        assert client.get("/v1/events", params={"source": "gw", "id": "b1"}).json()["labels"] == {"k": "Vorderhaus-3"}
        assert client.get("/v1/accounts/beta").json()["name"] == "Vorderhaus"
        assert client.post("/v1/events", json=[event("e1", "x", bytes_up=1)]).json()["conflict"] == 1
        assert client.post("/v1/events", json=[event("e9", "x", bytes_up=1)]).json()["receipts"][0]["code"] == (
            "account_closed"
        )
        own = {"Authorization": f"Bearer {ids['token']}"}
        assert client.get("/v1/accounts/acme", headers=own).status_code == 401
        assert not any(text in everything(client) for text in texts)
        backup = run("backup", live=live)
    assert holding(data, *texts) == {text: [] for text in texts}
    restored = tmp_path / "restored"
    assert run("restore", backup["path"], "--data", str(restored))["report"]["found"] == 0
    with serving(restored) as (live, client):
        assert whole_finished(client)["state"] == "finished"
        assert figures_of(client) == before


def everything(client: httpx.Client) -> str:
    """All that whoever runs flowtally can read of the account."""
    account = "/v1/accounts/acme"
    asked = [account, "/v1/accounts", "/v1/audit?limit=1000", f"{account}/audit?limit=1000", f"{account}/explain"]
    asked += [
        f"{account}/{of}" for of in ("grants", "users?deleted=true", "vouchers", "periods", "whitelist", "balance")
    ]
    asked += [f"{account}/{of}" for of in ("wallet", "wallet/entries", "credentials", "purchases", "periods/open")]
    asked += [
        "/v1/changes",
        "/v1/senders",
        "/v1/credentials",
        "/v1/held",
        "/v1/sources",
        f"{account}/export?format=csv",
    ]
    asked += [f"{account}/usage?from=2026-03-01&to=2026-03-02&by={by}" for by in ("user", "label:k", "source")]
    asked += [f"/v1/events?source=gw&id={id}" for id in ("e1", "s1", "n1")]
    answers = [client.get(path) for path in asked]
    assert [one.url for one in answers if not one.is_success] == []
    return "\n".join(one.text for one in answers)


def whole_finished(client: httpx.Client) -> dict[str, Any]:
    until = time.monotonic() + 60
    while (told := dict(client.get("/v1/accounts/acme/erase").json()))["state"] == "pending":
        assert not told["detail"], told
        assert time.monotonic() < until, told
        time.sleep(0.05)
    return told


def test_an_erasure_of_an_account_that_is_killed_is_finished_by_the_next_start(tmp_path: Path) -> None:
    chance, many = random.Random(SEED), 1200  # users: several steps
    print(f"seed {SEED}")
    server = Server(tmp_path / "data")
    names = [f"{NAME}-{number:04}" for number in range(many)]
    server.start()
    try:
        with httpx.Client(timeout=60, headers={"Authorization": f"Bearer {CRASH_TOKEN}"}) as client:
            client.base_url = server.url
            client.post("/v1/accounts", json={"id": "acme", "name": BEFORE})
            events = [event(name, name, bytes_up=n, labels={"team": VALUE}) for n, name in enumerate(names)]
            assert client.post("/v1/events", json=events).json()["stored"] == many
            before = figures_of(client)
            client.patch("/v1/accounts/acme", json={"status": "closed"})
            assert client.post("/v1/accounts/acme/erase").status_code == 202
            for _ in range(3):  # the erasure goes on at each start, and is killed again
                time.sleep(chance.choice([0, 0.02, 0.05, 0.1, 0.2]))
                server.kill()
                server.start()
            assert whole_finished(client)["state"] == "finished"
            assert figures_of(client) == before
            assert run_verify(client) == 0
    finally:
        server.kill()
    held = holding(tmp_path / "data", VALUE, BEFORE)
    named = {file for file in holding(tmp_path / "data", NAME)[NAME] if not file.startswith(("usage", "keys"))}
    assert (held, named) == ({VALUE: [], BEFORE: []}, set()), "the ids of the events are these names, and stay"
