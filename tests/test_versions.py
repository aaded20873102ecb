"""What a later flowtally wrote is refused by name, and so is what this one wrote by an older one."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests import fork_server
from tests.fixtures import ADMIN, unpack
from tests.live import clean_environment, live_server

# What the program of commit 9c7d560 knows. Beyond, it refuses keys and ledger at its start, and a backup by its usage.
KNOWN_9C7D560: Final = {"keys": 1, "ledger": "0009", "usage": 3}


def refused(*arguments: str) -> str:
    """Why a command ends with an error, on one line and without a trace."""
    environment = {**clean_environment(), "FLOWTALLY_ADMIN_TOKEN": ADMIN}
    done = fork_server.run(*arguments, env=environment)
    assert done.returncode in (1, 2), done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def keys_of_later(data: Path) -> None:
    with sqlite3.connect(data / "keys.db") as db:
        db.execute("PRAGMA user_version = 99")


def ledger_of_later(data: Path) -> None:
    with sqlite3.connect(data / "ledger.db") as db:
        db.execute("UPDATE alembic_version SET version_num = '9999'")


def usage_of_later(data: Path) -> None:
    usage_command(data, "INSERT INTO schema_migrations VALUES (99, 'of_later')")


def usage_command(data: Path, text: str) -> str:
    """In a process of its own: one process has one engine."""
    program = (
        "import sys; from flowtally.usage.engine import Engine; engine = Engine(sys.argv[1]);"
        "print(engine.rows(sys.argv[2]) if sys.argv[2].startswith('SELECT') else engine.command(sys.argv[2]))"
    )
    done = subprocess.run([sys.executable, "-c", program, f"chdb:///{data / 'usage'}", text], capture_output=True,
                          text=True, check=True)  # fmt: skip
    return done.stdout


LATER: Final[list[tuple[Callable[[Path], None], str]]] = [
    (keys_of_later, "keys.db has schema 99, which this flowtally does not know"),
    (ledger_of_later, "version 9999, which this flowtally does not know"),
    (usage_of_later, "schema 99 (of_later), which this flowtally does not know"),
]


@pytest.mark.parametrize(("make_later", "said"), LATER)
def test_a_start_refuses_the_store_of_a_later_one_by_name(
    tmp_path: Path, make_later: Callable[[Path], None], said: str
) -> None:
    unpack(tmp_path)
    make_later(tmp_path / "data")
    for _ in range(2):
        assert said in refused("serve", "--data", str(tmp_path / "data"), "--port", "0")


def test_keys_of_a_later_one_are_not_rebuilt(tmp_path: Path) -> None:
    unpack(tmp_path)
    data = tmp_path / "data"
    keys_of_later(data)
    before = (data / "keys.db").read_bytes()
    assert "keys.db has schema 99" in refused("rebuild-keys", "--data", str(data))
    assert (data / "keys.db").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "has format 99, which this flowtally does not know"),
        ({"usage_schema": 99}, "has usage schema 99, made by flowtally"),
        (keys_of_later, "keys.db has schema 99"),
        (ledger_of_later, "version 9999"),
    ],
)
def test_a_restore_refuses_the_backup_of_a_later_one_by_name(
    tmp_path: Path, change: dict[str, int] | Callable[[Path], None], said: str
) -> None:
    unpack(tmp_path)
    backup = tmp_path / "backups" / "whole"
    told = json.loads((backup / "manifest.json").read_text())
    if callable(change):
        change(backup)
        for file in told["files"]:
            content = (backup / file["path"]).read_bytes()
            file |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    else:
        told |= change
    told.pop("sha256", None)
    (backup / "manifest.json").write_text(json.dumps(told))
    assert said in refused("restore", str(backup), "--data", str(tmp_path / "new"))
    assert list((tmp_path / "new").glob("*")) == []


def test_what_this_one_opened_or_saved_an_older_one_refuses_by_name(tmp_path: Path) -> None:
    """Raised by the first start: an older program knows neither whose installation it is nor the order of promises."""
    unpack(tmp_path)
    data = tmp_path / "data"
    with live_server(data, {"FLOWTALLY_ADMIN_TOKEN": ADMIN}) as live:
        environment = {**live.environment, "FLOWTALLY_TOKEN": ADMIN}
        fork_server.run("backup", "new", env=environment, check=True)
    told = json.loads((data / "backups" / "new" / "manifest.json").read_text())
    assert told["usage_schema"] > KNOWN_9C7D560["usage"]
    for place in (data, data / "backups" / "new"):
        with sqlite3.connect(place / "keys.db") as db:
            [(keys,)] = db.execute("PRAGMA user_version")
        with sqlite3.connect(place / "ledger.db") as db:
            [(ledger,)] = db.execute("SELECT version_num FROM alembic_version")
        assert (keys > KNOWN_9C7D560["keys"], ledger > KNOWN_9C7D560["ledger"]) == (True, True)
