"""What the program of commit 9c7d560 wrote: today's opens and restores it without a manual step, to equal figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import fork_server
from tests.fixtures import ADMIN, Answer, differences, unpack
from tests.live import Live, clean_environment, live_server

SETTINGS = {"FLOWTALLY_ADMIN_TOKEN": ADMIN, "FLOWTALLY_CHECK_IN_BYTES": "5000"}


@pytest.fixture
def old(tmp_path: Path) -> dict[str, list[Answer]]:
    return unpack(tmp_path)


def run(*arguments: str, live: Live | None = None) -> dict[str, object]:
    environment = {**clean_environment(), "FLOWTALLY_URL": live.url if live else "", "FLOWTALLY_TOKEN": ADMIN}
    done = fork_server.run(*arguments, "--json", env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def serve_and_compare(data: Path, wanted: list[Answer]) -> None:
    with live_server(data, SETTINGS) as live:
        assert differences(live.url, wanted) == []
        assert run("verify", live=live)["found"] == 0


@pytest.mark.parametrize(("name", "answers"), [("data", "clean"), ("killed", "killed")])
def test_an_old_data_directory_opens_with_every_figure_as_it_was(
    tmp_path: Path, old: dict[str, list[Answer]], name: str, answers: str
) -> None:
    for _ in range(2):  # the start that upgrades it, and the next one
        serve_and_compare(tmp_path / name, old[answers])


def test_an_old_backup_is_restored_with_every_figure_as_it_was(tmp_path: Path, old: dict[str, list[Answer]]) -> None:
    run("restore", str(tmp_path / "backups" / "whole"), "--data", str(tmp_path / "restored"))
    serve_and_compare(tmp_path / "restored", old["clean"])
