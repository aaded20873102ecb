"""Imports and numbered sources against a real server that holds what it cannot store yet."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agents.test_ship import line
from tests.live import Live, live_server
from tests.program import run_here

from flowtally.cli import imports
from flowtally.client import ApiError, Client, NumberedSource, Use
from flowtally.protocol import AccountRequest, HeldFilter

IMPORT = ("--format", "squid-io", "--user-from", r"user:(?P<account>[^-]+)-(?P<user>.+)", "--batch", "10")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("live") / "data", {"FLOWTALLY_MAX_HELD_PER_SOURCE": "5"}) as one:
        with client(one) as admin:
            admin.create_account(AccountRequest(id="acme"))
        yield one


def client(live: Live) -> Client:
    return Client(live.url, live.token, retry_s=0)


def run(live: Live, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_here(live.environment, *arguments)


def run_process(live: Live, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flowtally", *arguments]
    return subprocess.run(command, env=live.environment, capture_output=True, text=True, check=False, timeout=120)


def log(path: Path, users: list[str]) -> str:
    path.write_bytes(b"".join(line(number, user) for number, user in enumerate(users)))
    return str(path)


def total(live: Live, account: str) -> int:
    with client(live) as admin:
        return admin.usage(account, start="2026-11-01", end="2026-12-01", bucket="total").total.requests


def test_an_import_says_what_is_held_until_it_counts_and_ends_with_0_then(live: Live, tmp_path: Path) -> None:
    path = log(tmp_path / "a.log", ["acme-bob", "later-ann", "acme-bob", "later-ann", "acme-bob"])
    done = run_process(live, "import", path, *IMPORT)
    assert done.returncode == 3
    assert "2 events are held by the server, and count once the reason has passed:" in done.stdout
    assert "  2: there is no account 'later'; create it and they count" in done.stdout
    assert "in all 3 stored, 2 held, 0 refused" in done.stdout
    again = run_process(live, "import", path, *IMPORT, "--json")
    state = {"stored": 3, "held": 2, "refused": 0, "more_refused": False}
    assert (again.returncode, json.loads(again.stdout)["lines"], json.loads(again.stdout)["state"]) == (3, 0, state)
    with client(live) as admin:
        admin.create_account(AccountRequest(id="later"))
        assert admin.retry_held(HeldFilter()).held == 0
    again = run_process(live, "import", path, *IMPORT)
    assert again.returncode == 0, again.stdout
    assert "in all 5 stored, 0 held, 0 refused" in again.stdout
    assert (total(live, "acme"), total(live, "later")) == (3, 2)


def test_an_import_of_which_nothing_can_be_stored_ends_with_the_reason_and_begins_anew(
    live: Live, tmp_path: Path
) -> None:
    path = log(tmp_path / "b.log", ["typo-bob"] * 25)
    for _ in range(2):
        done = run(live, "import", path, *IMPORT)
        assert done.returncode == 1
        assert "there is no account 'typo'" in done.stderr
        assert "Make it: `flowtally account create typo`" in done.stderr
        assert "no_such_account" in done.stderr
    with client(live) as admin:
        admin.create_account(AccountRequest(id="typo"))
    assert run(live, "import", path, *IMPORT).returncode == 0
    assert total(live, "typo") == 25


def test_an_import_that_met_the_bound_goes_on_when_there_is_room(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "IMPORT_PATIENCE_S", 0)  # else a minute, in which nobody makes room here
    path = log(tmp_path / "c.log", [*["acme-c"] * 12, *["full-c"] * 8, *["acme-c"] * 5])
    before = total(live, "acme")
    done = run(live, "import", path, *IMPORT)
    assert done.returncode == 1
    assert "holds_full" in done.stderr
    assert "5 events of this source are held" in done.stderr
    with client(live) as admin:
        admin.create_account(AccountRequest(id="full"))
        assert admin.retry_held(HeldFilter()).held == 0
    done = run(live, "import", path, *IMPORT)
    assert done.returncode == 0, done.stderr
    assert (total(live, "acme") - before, total(live, "full")) == (17, 8)


def test_a_numbered_source_goes_on_over_held_events_and_stays_where_none_was_taken(live: Live) -> None:
    uses = [Use(account=name, bytes_up=1) for name in ("acme", "soon", "acme")]
    with client(live) as admin:
        source = NumberedSource(admin, "mixed")
        answer = source.send(uses, position="3")
        assert (answer.stored, answer.refused, answer.held, source.mark, source.position) == (2, 1, 1, 3, "3")
        fresh = NumberedSource(admin, "fresh")
        answer = fresh.send([Use(account="soon", bytes_up=1)], position="1")
        assert (answer.refused, answer.held, fresh.mark, fresh.pending) == (1, 0, 0, [])
        assert answer.receipts[0].retriable
        with pytest.raises(ApiError, match="There is no source"):
            admin.source("fresh")
        with pytest.raises(ApiError) as caught:
            source.send([Use(account="soon", bytes_up=1)] * 6, position="9")
        assert (caught.value.code, caught.value.problem["sequence"]) == ("holds_full", 7)
        admin.create_account(AccountRequest(id="soon"))
        assert admin.retry_held(HeldFilter()).held == 0
        answer = source.settle()
        assert (answer.duplicate, answer.stored, source.mark, source.position) == (4, 2, 9, "9")
        assert fresh.send([Use(account="soon", bytes_up=1)]).stored == 1
