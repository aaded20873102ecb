"""What is held goes where everything else goes: into checks, backups, new keys, and away with an erased user."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.care.test_backup import run, serving
from tests.care.test_erasing import USERS, finished, holding
from tests.care.test_rebuild import content, rebuild
from tests.ingest.child import Child
from tests.ingest.conftest import numbered

NAME: Final = "Brunhilde-Kalkbrenner-8842"
FUTURE: Final = "2099-01-01T00:00:00Z"


def entry(number: int, **more: Any) -> dict[str, Any]:
    return {"source": "log", "sequence": number, "account": "acme", "time": "2026-03-01T00:00:00Z"} | more


def listed(client: httpx.Client, **asked: str) -> list[int]:
    return [one["sequence"] for one in client.get("/v1/held", params=asked).json()["items"]]


def export(client: httpx.Client, account: str) -> list[dict[str, str]]:
    answer = client.get(f"/v1/accounts/{account}/export", params={"held": "true", "format": "csv"})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_held_events_are_listed_checked_backed_up_dropped_and_stored_once(tmp_path: Path) -> None:
    data, restored = tmp_path / "data", tmp_path / "restored"
    with serving(data) as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        sent = [entry(1), entry(2, account="amce"), entry(3, account="later", user="ann"), entry(4, time=FUTURE)]
        told = client.post("/v1/events", json=[*sent, entry(5)]).json()
        assert (told["stored"], told["refused"], told["held"]) == (2, 3, 3)
        assert [one["retriable"] for one in told["receipts"]] == [True] * 3
        assert listed(client) == [2, 3, 4]
        assert [one["sequence"] for one in run("held", "list", "--account", "amce", live=live)] == [2]
        (asked,) = export(client, "acme")
        assert (asked["kind"], asked["entries"], asked["sequence"]) == ("held", "0", "4")
        assert asked["time"] == FUTURE.replace("Z", ".000Z")
        refused = client.get("/v1/accounts/acme/export", params={"held": "true", "from": "2026-01-01"})
        assert (refused.status_code, client.get("/v1/accounts/amce/export?held=true").status_code) == (400, 404)
        assert "flowtally_ingest_held_events 3.0" in client.get("/metrics").text
        checked = run("verify", live=live)
        assert (checked["found"], len(checked["notes"])) == (0, 1)
        backup = run("backup", live=live)
        dropped = run("held", "drop", "--account", "amce", "--reason", "a typing error", live=live)
        assert dropped == {"stored": 0, "refused": 1, "held": 0}
        assert client.get("/v1/events", params={"source": "log", "id": "2"}).json()["code"] == "dropped"
        client.post("/v1/accounts", json={"id": "later"})
        run("held", "retry", live=live)
        assert listed(client) == [4]
        shown = client.get("/v1/events", params={"source": "log", "id": "3"}).json()
        assert (shown["status"], shown["account"], shown["user"]) == ("stored", "later", "ann")
        assert run("verify", live=live)["found"] == 0
    assert run("restore", backup["path"], "--data", str(restored))["report"]["found"] == 0
    with serving(restored) as (live, client):
        assert listed(client) == [2, 3, 4]
        client.post("/v1/accounts", json={"id": "later"})
        told = client.post("/v1/events", json=sent).json()
        assert told["stored"] + told["duplicate"] == 2, "by itself, or by being sent again"
        assert (told["conflict"], told["refused"], told["held"]) == (0, 2, 2)
        assert run("verify", live=live)["found"] == 0


def test_what_is_held_of_an_erased_user_goes_with_its_name(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        client.post(USERS, json={"name": NAME})
        user = client.get(f"{USERS}/{NAME}").json()["id"]
        held = [entry(number, user=NAME, time=FUTURE, labels={"of": NAME}) for number in range(2, 40)]
        told = client.post("/v1/events", json=[entry(1), *held, entry(40, user="otto", time=FUTURE)]).json()
        assert told["held"] == 39
        was = client.post("/v1/events", json=[entry(41, account="later", user=NAME), entry(42)]).json()
        assert (was["stored"], was["held"]) == (1, 1)
        dropped = run("held", "drop", "--account", "later", "--reason", "gone", live=live)
        assert dropped["refused"] == 1
        assert holding(data, NAME)[NAME], "what is not there cannot be erased"
        assert client.post(f"{USERS}/{user}/erase").status_code == 202
        assert finished(client, user)["state"] == "finished"
        assert listed(client) == [40]
        shown = client.get("/v1/events", params={"source": "log", "id": "2"}).json()
        assert (shown["status"], shown["code"]) == ("refused", "erased")
        assert holding(data, NAME) == {NAME: []}
        assert run("verify", live=live)["found"] == 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Held numbers at the end, and two in the middle that have their rows by now."""
    data = tmp_path / "data"
    with Child(data) as child:
        child.send(*numbered(1, 2), *numbered(3, 4, account="later"), *numbered(5, 5, bytes_up=-1), *numbered(6, 6))
        child.send(*numbered(7, 7, time="2026-03-01T00:00:01Z"), *numbered(8, 9, account="nobody"))
        assert child.ask("account", id="later") == {"done": True}
        while child.ask("held")["held"] != [8, 9]:
            time.sleep(0.02)
        child.stop()
    return data


def test_rebuilt_keys_hold_what_the_old_ones_held(data: Path) -> None:
    before, held = content(data), in_file(data)
    assert [row[1] for row in held] == [8, 9]
    told = rebuild(data)
    assert told["held"] == len(held)
    assert (content(data), in_file(data)) == (before, held)
    with Child(data) as child:
        answer = child.send(*numbered(7, 7), *numbered(8, 9, account="nobody"))
        assert (answer["duplicate"], answer["refused"], answer["held"]) == (1, 2, 2)


def test_what_was_held_is_lost_with_the_keys_and_said_so(data: Path) -> None:
    for file in data.glob("keys.db*"):
        file.unlink()
    assert rebuild(data)["held"] is None
    assert in_file(data) == []
    with Child(data) as child:
        told = child.send(*numbered(1, 2), *numbered(3, 4, account="later"), *numbered(5, 9))
        assert (told["duplicate"], told["refused"], told["stored"]) == (6, 3, 0)
        assert {one["code"] for one in told["receipts"] if one["status"] == "refused"} == {"reason_lost"}


def in_file(data: Path) -> list[Any]:
    import sqlite3

    with sqlite3.connect(data / "keys.db") as db:
        return db.execute(
            "SELECT name, sequence, account, code, digest, event FROM held JOIN sources ON no = source ORDER BY 1, 2"
        ).fetchall()
