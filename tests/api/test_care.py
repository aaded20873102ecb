"""Checks and backups over HTTP: begun by one request, asked about by others. Usage is in memory here, so what an
operator is told where it cannot be; the real ones are in tests/care."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.conftest import NOW, Client, Clock

from flowtally.care.finding import Finding
from flowtally.care.verify import Report, VerifyCheck
from flowtally.config import Config
from flowtally.core.edges import format_instant


def test_before_the_first_one_there_is_none(client: Client) -> None:
    assert client.get("/v1/verify").json()["state"] == "never"
    told = client.get("/v1/backups").json()
    assert (told["last"]["state"], told["backups"]) == ("never", [])


def test_usage_in_memory_cannot_be_verified_and_its_backup_says_so(client: Client) -> None:
    answer = client.post("/v1/verify")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert client.post("/v1/backups", json={}).status_code == 202
    for _ in range(100):
        last = client.get("/v1/backups").json()["last"]
        if last["state"] != "running":
            break
    assert last["state"] == "failed"
    assert "not in this process" in last["detail"]


def test_what_a_check_found_is_told_whole(client: Client) -> None:
    job = client.app.state.services.care._verify
    found = Finding("keys", "row_without_key", "event 'a' of source 'gw'", "has a row in block 1 and no key")
    job.start(lambda say: Report(7, 12, [VerifyCheck("keys", 12, 1)], [found], 1, []))
    job._thread.join()
    told = client.get("/v1/verify").json()
    assert (told["state"], told["block"], told["rows"], told["found"]) == ("done", 7, 12, 1)
    assert told["started_at"] == told["ended_at"] == format_instant(NOW)
    assert told["checks"] == [{"name": "keys", "looked_at": 12, "found": 1}]
    assert told["findings"][0]["code"] == "row_without_key"


def test_metrics_tell_the_clock_and_what_the_last_check_came_to(client: Client, clock: Clock, config: Config) -> None:
    config.data_dir.mkdir(exist_ok=True)
    told = client.get("/metrics").text
    assert "flowtally_verify_findings " not in told  # nothing is known yet
    assert "\nflowtally_clock_right 1.0" in told
    job = client.app.state.services.care._verify
    job.start(lambda say: Report(7, 12, [VerifyCheck("keys", 12, 1)], [], 3, []))
    job._thread.join()
    told = client.get("/metrics").text
    assert "\nflowtally_verify_findings 3.0" in told
    assert "\nflowtally_verify_failed 0.0" in told
    job.start(lambda say: 1 / 0)
    job._thread.join()
    client.post("/v1/accounts", json={"id": "acme"})
    clock.at -= 3_600_000
    told = client.get("/metrics").text
    assert "\nflowtally_verify_failed 1.0" in told
    assert "\nflowtally_clock_right 0.0" in told
    assert "\nflowtally_care_up 1.0" in told


def test_a_name_is_one_plain_word_and_never_a_place(client: Client) -> None:
    for name in ("../x", "/tmp/x", "a/b", ".", "..", "", "a b", "x" * 65, "ä"):
        assert client.post("/v1/backups", json={"name": name}).status_code == 422, name


def test_the_doctor_tells_of_the_machine_and_the_installation(client: Client, acme: str) -> None:
    told = client.get("/v1/doctor").json()
    assert {"clock", "memory", "SQLite", "versions"} <= {one["name"] for one in told["checks"]}
    assert told["installation"]["accounts"] == 1


def test_a_directory_whose_manifest_cannot_be_read_is_no_backup(client: Client) -> None:
    place = Path(client.get("/v1/backups").json()["place"])
    for name, content in (("broken", "{"), ("later", '{"format": 99}'), (".partial-x", "{}")):
        (place / name).mkdir(parents=True)
        (place / name / "manifest.json").write_text(content)
    assert client.get("/v1/backups").json()["backups"] == []


def test_rows_are_kept_for_ever_unless_a_setting_says_otherwise(client: Client) -> None:
    told = client.get("/v1/retention").json()
    assert (told["state"], told["retain_rows_days"], told["rows_kept_since"]) == ("never", None, None)
    answer = client.post("/v1/retention", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "retain_rows_days is not set" in answer.json()["detail"]


def test_usage_in_memory_is_never_compacted(make_client: Callable[..., Client]) -> None:
    client = make_client(retain_rows_days=62)
    assert client.get("/v1/retention").json()["retain_rows_days"] == 62
    answer = client.post("/v1/retention", json={"dry_run": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
