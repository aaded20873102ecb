"""Looking before anything counts: what is read is shown, what would keep lines from counting is a fault, and neither
here nor at the server is anything changed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from tests import fork_server
from tests.agents.feeds.driving import squid_line
from tests.agents.journald import recorded
from tests.live import Live, live_server

from flowtally.client import Client
from flowtally.protocol import AccountRequest, CredentialRequest


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("check") / "data") as one:
        with Client(one.url, one.token) as client:
            client.create_account(AccountRequest(id="acme"))
        yield one


def agent(live: Live, config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return fork_server.run("agent", str(config), *options, env=live.environment, cwd=config.parent)


def log(folder: Path, lines: int, name: str = "access.log") -> Path:
    file = folder / name
    file.write_bytes(b"".join(squid_line(number, f"user-{number % 7}") + b"\n" for number in range(lines)))
    return file


def config(folder: Path, *more: str, path: str = "access.log", format: str = "squid") -> Path:
    file = folder / "agent.toml"
    entry = f'[[log]]\nname = "squid"\npath = "{folder}/{path}"\nformat = "{format}"\naccount = "acme"\n'
    file.write_text("\n".join([entry, *more]))
    return file


def looked(live: Live, file: Path) -> list[dict[str, Any]]:
    done = agent(live, file, "--check", "--json")
    assert done.stdout, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert (done.returncode == 1) == any(one.get("faults") for one in found)
    return found


def test_a_log_is_shown_and_then_where_the_server_stands(live: Live, tmp_path: Path) -> None:
    log(tmp_path, 1500)
    log(tmp_path, 3, "access.log.1")
    file = config(tmp_path)
    before = sorted(os.listdir(tmp_path))
    done = agent(live, file, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    for text in (
        "scope admin",
        "new at the server",
        "1,000 lines: 1,000 would be sent",
        "users     7",
        "the last lines",
        "left by rotation: 1",
    ):
        assert text in done.stdout
    assert "no fault" in done.stdout
    assert sorted(os.listdir(tmp_path)) == before

    assert agent(live, file, "--once").returncode == 0
    server, first, _ = looked(live, file)
    assert server["kind"] == "server"
    assert first["facts"] == ["the server has 1,500 events of it, of 1,500 lines"]
    assert first["last"]["read"]["samples"][-1]["bytes_down"] == 1499


def test_nothing_is_sent(live: Live, tmp_path: Path) -> None:
    log(tmp_path, 5)
    file = config(tmp_path)
    file.write_text('host = "untouched"\n' + file.read_text())
    looked(live, file)
    with Client(live.url, live.token) as client:
        assert not [one for one in client.sources() if "untouched" in one.source]


@pytest.mark.parametrize(
    ("path", "format", "fault"),
    [
        ("none.log", "squid", "No such file"),
        ("*.nothing", "squid", "no such file"),
        ("access.log", "combined", "no line of the first 5 can be read"),
        ("image.log", "squid", "image.log"),
    ],
)
def test_what_keeps_lines_from_counting_is_a_fault(
    live: Live, tmp_path: Path, path: str, format: str, fault: str
) -> None:
    log(tmp_path, 5)
    (tmp_path / "image.log").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    faults = [
        one for found in looked(live, config(tmp_path, path=path, format=format)) for one in found.get("faults", ())
    ]
    assert any(fault in one for one in faults), faults


def test_the_last_lines_tell_when_the_format_changed(live: Live, tmp_path: Path) -> None:
    with log(tmp_path, 1200).open("ab") as file:
        file.write(b"what is this\n" * 5)
    _, found = looked(live, config(tmp_path))
    assert found["faults"] == ["no line of the last 2 can be read"]


def test_a_key_that_may_not_write_is_a_fault(live: Live, tmp_path: Path) -> None:
    log(tmp_path, 5)
    with Client(live.url, live.token) as client:
        reader = client.create_credential(None, CredentialRequest(scope="custom", rights=["usage:read"])).token
    weak = Live(live.url, reader or "", live.data)
    server, *_ = looked(weak, config(tmp_path))
    assert server["faults"] == ["the key has no right events:write: nothing can be sent"]


def test_a_server_that_is_away_is_a_fault_and_logs_are_looked_at_still(live: Live, tmp_path: Path) -> None:
    log(tmp_path, 5)
    away = Live("http://127.0.0.1:9", live.token, live.data)
    server, found = looked(away, config(tmp_path))
    assert "(unreachable)" in server["faults"][0]
    assert found["first"]["read"]["requests"] == 5


@pytest.mark.system
def test_the_journal_and_syslog_are_looked_at(live: Live, tmp_path: Path) -> None:
    if which("journalctl") is None:
        pytest.skip("journalctl is not installed")
    log(tmp_path, 5)
    journal = recorded(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        entries = (
            f'[[journal]]\nname = "j"\nmatch = ["SYSLOG_IDENTIFIER=squid"]\ndirectory = "{journal}"\n'
            'format = "squid"\naccount = "acme"\n',
            f'[[syslog]]\nname = "s"\nlisten = "{address}"\nspool = "{tmp_path}/spool"\nformat = "squid"\n'
            'account = "acme"\n',
        )
        _, _, found, syslog = looked(live, config(tmp_path, *entries))
    assert found["first"]["read"]["requests"] == 1
    assert found["first"]["reasons"] == {"not_this_format": 5, "too_long": 1}
    assert "in use" in syslog["facts"][0]
    assert not (tmp_path / "spool").exists()
    shutil.rmtree(journal)
    *_, found, _ = looked(live, config(tmp_path, *entries))
    assert "journalctl" in found["faults"][0]
