"""What programs of earlier commits wrote: today's opens and restores it without a manual step, to equal figures."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests import fork_server
from tests.fixtures import ADMIN, Answer, differences, unpack
from tests.live import Live, clean_environment, live_server

SETTINGS = {"FLOWTALLY_ADMIN_TOKEN": ADMIN, "FLOWTALLY_CHECK_IN_BYTES": "5000"}
COMMITS: Final = ("9c7d560", "e58d439")
LAST_OF_INSERTS: Final = "e58d439"


def run(*arguments: str, live: Live | None = None) -> dict[str, object]:
    environment = {**clean_environment(), "FLOWTALLY_URL": live.url if live else "", "FLOWTALLY_TOKEN": ADMIN}
    done = fork_server.run(*arguments, "--json", env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def asking(live: Live) -> httpx.Client:
    return httpx.Client(base_url=live.url, headers={"authorization": f"Bearer {ADMIN}"}, timeout=60)


def acknowledged(client: httpx.Client) -> int:
    """How many rows the writer says it has acknowledged, of all blocks ever."""
    text = client.get("/metrics").text
    return int(float(text.partition("\nflowtally_ingest_rows_acknowledged_total ")[2].splitlines()[0]))


def entries(client: httpx.Client, accounts: Iterable[str]) -> int:
    """How many there are in the rows."""
    texts = [client.get(f"/v1/accounts/{account}/export", params={"format": "csv"}).text for account in accounts]
    return sum(int(row["entries"]) for text in texts for row in csv.DictReader(io.StringIO(text)))


def serve_and_compare(data: Path, wanted: list[Answer]) -> None:
    with live_server(data, SETTINGS) as live, asking(live) as client:
        assert differences(live.url, wanted) == []
        accounts = [one["id"] for one in client.get("/v1/accounts").json()["items"]]
        assert entries(client, accounts) == acknowledged(client) > 0
        assert run("verify", live=live)["found"] == 0


@pytest.mark.parametrize("commit", COMMITS)
@pytest.mark.parametrize(("name", "answers"), [("data", "clean"), ("killed", "killed")])
def test_an_old_data_directory_opens_with_every_figure_as_it_was(
    tmp_path: Path, commit: str, name: str, answers: str
) -> None:
    old = unpack(tmp_path, commit)
    for _ in range(2):  # the start that upgrades it, and the next one
        serve_and_compare(tmp_path / name, old[answers])


@pytest.mark.parametrize("commit", COMMITS)
def test_an_old_backup_is_restored_with_every_figure_as_it_was(tmp_path: Path, commit: str) -> None:
    old = unpack(tmp_path, commit)
    run("restore", str(tmp_path / "backups" / "whole"), "--data", str(tmp_path / "restored"))
    serve_and_compare(tmp_path / "restored", old["clean"])


@pytest.mark.parametrize(("name", "held"), [("data", 1), ("killed", 2)])
def test_what_an_older_program_held_counts_once_when_its_account_comes(tmp_path: Path, name: str, held: int) -> None:
    unpack(tmp_path, LAST_OF_INSERTS)
    with live_server(tmp_path / name, SETTINGS) as live, asking(live) as client:
        before = acknowledged(client)
        client.post("/v1/accounts", json={"id": "later"}).raise_for_status()
        stop = time.monotonic() + 30
        while client.get("/v1/held", params={"account": "later"}).json()["items"]:
            assert time.monotonic() < stop
            time.sleep(0.05)
        assert entries(client, ["later"]) == acknowledged(client) - before == held
        assert run("verify", live=live)["found"] == 0


def test_a_source_goes_on_where_an_older_program_left_it(tmp_path: Path) -> None:
    """Number and counter alike: the next one adds what it adds, and nothing that was counted before."""
    unpack(tmp_path, LAST_OF_INSERTS)
    with live_server(tmp_path / "killed", SETTINGS) as live, asking(live) as client:
        event = {"source": "last", "account": "berlin", "time": "2026-11-19T10:05:00Z", "bytes_up": 1}
        told = client.post("/v1/events", json=[event | {"sequence": 7}])
        assert (told.status_code, told.json()["sequence"]) == (409, 5)
        assert client.post("/v1/events", json=[event | {"sequence": 6}]).json()["stored"] == 1
        reading = {"source": "box", "counter": "a", "account": "berlin", "user": "ann", "epoch": "2", "bytes_up": 12}
        told = client.post("/v1/readings", json=[reading | {"time": "2026-11-19T10:30:00Z"}])
        assert told.json()["receipts"][0]["added"]["bytes_up"] == 12 - 5
