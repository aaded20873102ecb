"""Erasing over a real server and its files: not a byte of a name or a label is left, even where it was killed."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

import httpx
from tests.care.conftest import Patient
from tests.care.test_backup import run, serving
from tests.ingest.conftest import named
from tests.ingest.test_crash import TOKEN as CRASH_TOKEN
from tests.ingest.test_crash import Server

from flowtally.care.erasing import finish_erasures
from flowtally.care.job import Progress
from flowtally.ledger import erasures

NAME: Final = "Kunigunde-Zweifelhaft"
BEFORE: Final = "K.Zweifelhaft-frueher"
VALUE: Final = "Hinterhof-Abteilung-7"
REASON: Final = "Frau-Zweifelhaft-rief-an"
USERS: Final = "/v1/accounts/acme/users"
SEED: Final = 20260316


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


def finished(client: httpx.Client, user: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while (told := dict(client.get(f"{USERS}/{user}/erase").json()))["state"] == "pending":
        assert not told["detail"], told
        assert time.monotonic() < until, told
        time.sleep(0.05)
    return told


def test_an_erasure_that_is_killed_is_finished_by_the_next_start(tmp_path: Path) -> None:
    chance, rounds = random.Random(SEED), 5
    print(f"seed {SEED}")
    server = Server(tmp_path / "data")
    names = [f"{NAME}-{number}" for number in range(rounds)]
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
    patient.house.send(*named("e1", user="ann", labels={"k": "v"}))
    with patient.house.ledger.begin() as tx:
        erased = erasures.erase_user(tx, "acme", "ann", now=5)
    assert "erased_user" not in patient.found(), "what is pending is no damage"
    with patient.house.ledger.begin() as tx:
        erasures.finish(tx, [erased.user_id], now=6)
    assert patient.found()["erased_user"] == [
        f"user {erased.user_id!r}: was erased and has rows with labels or reasons"
    ]


def test_a_block_after_an_erasure_was_finished_does_not_remember_the_name(patient: Patient) -> None:
    """The job may come to it before whoever asked told ingest to forget."""
    house, store = patient.house, patient.house.store.inner
    house.send(*named("e1", user="ann", labels={"k": "v"}))
    with house.ledger.begin() as tx:
        erased = erasures.erase_user(tx, "acme", "ann", now=house.clock())
    forget, between = house.door.forget_names, house.door.between_blocks
    assert finish_erasures(house.ledger, store, forget, between, house.clock, Progress()).users == 1
    house.send(*named("e2", user="ann", labels={"k": "w"}))
    users = patient.engine.rows("SELECT id, user FROM usage_events WHERE id IN ('e1', 'e2') ORDER BY id")
    assert users[0] == ("e1", erased.user_id)
    assert users[1][1] != erased.user_id
    assert "erased_user" not in patient.found()
