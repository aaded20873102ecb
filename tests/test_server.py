"""The real process: data directory, first admin, socket, signals; over the real stores."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowtally.config import load_config
from flowtally.core.errors import ConfigError
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, credentials, managed
from flowtally.ledger.vault import KEY_FILE, Vault
from flowtally.server import address_of, bind, open_services

TOKEN = "ours-Zk3vQ9xTn2Wb7Jr5Hc8Pd4Ys6Lf1Mg"
SERVE = """
import sys
from flowtally import server
from flowtally.config import load_config
server.HEADER_READ_MS = 1000
config = load_config({}, data=sys.argv[1], port=0, body_idle_s=int(sys.argv[3]), admin_token=sys.argv[2])
server.run(config, lambda address: print(address, flush=True))
"""

Start = Callable[..., "tuple[subprocess.Popen[str], httpx.Client]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """A serving process over this test's data directory, and a client of it."""
    processes = []

    def make(body_idle_s: int = 1) -> tuple[subprocess.Popen[str], httpx.Client]:
        command = [sys.executable, "-c", SERVE, str(tmp_path / "data"), TOKEN, str(body_idle_s)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        return process, httpx.Client(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)

    yield make
    for process in processes:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


def raw(client: httpx.Client, request: bytes) -> bytes:
    """Everything the server answers to these bytes until it closes."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer


def test_events_are_metered_and_still_there_after_a_restart(start: Start) -> None:
    process, client = start()
    client.post("/v1/accounts", json={"id": "acme"})
    event = {"source": "gw", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5, "user": "alice"}
    sent = client.post("/v1/events", json=[event | {"id": "1"}, event | {"id": "2"}])
    assert sent.json()["stored"] == 2
    usage = "/v1/accounts/acme/usage?from=2026-03-01&to=2026-03-02&by=user"
    assert client.get(usage).json()["rows"][0]["bytes"] == 10
    assert client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]["overage"] == 10
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 0

    _, client = start()
    assert client.get(usage).json()["rows"][0]["user"] == "alice"
    assert client.post("/v1/events", json=[event | {"id": "2"}]).json()["duplicate"] == 1
    assert client.get("/readyz").status_code == 200


def test_a_second_process_on_the_same_data_refuses_and_says_why(start: Start, tmp_path: Path) -> None:
    _, client = start()
    command = [sys.executable, "-c", SERVE, str(tmp_path / "data"), TOKEN, "1"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode != 0
    assert "WriterBusy" in second.stderr
    assert "is written by process" in second.stderr
    assert client.get("/healthz").status_code == 200


def test_a_stop_finishes_what_is_under_way_and_accepts_nothing_new(start: Start) -> None:
    process, client = start(body_idle_s=20)
    answers: list[Any] = []

    def slowly() -> Iterator[bytes]:
        yield b"["
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{client.base_url}/healthz")
        yield b"]"

    def post() -> None:
        answers.append(client.post("/v1/events", content=slowly(), headers={"Content-Type": "application/json"}))

    # One that is connected and says nothing is not waited for.
    with closing(socket.create_connection((client.base_url.host, client.base_url.port or 0))):
        posting = threading.Thread(target=post)
        posting.start()
        posting.join(20)
        assert ended(process)[0] == 0
    assert [answer.status_code for answer in answers] == [200]


def test_a_body_that_stands_still_is_given_up(start: Start) -> None:
    _, client = start()
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n"
    answer = raw(client, head.encode() + b"[")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"code":"slow_body"' in answer


def test_who_connects_and_says_nothing_is_not_waited_for(start: Start) -> None:
    _, client = start()
    began = time.monotonic()
    assert raw(client, b"") == b""
    assert time.monotonic() - began < 10


def test_a_head_that_never_ends_is_given_up(start: Start) -> None:
    _, client = start()
    began = time.monotonic()
    assert raw(client, b"POST /v1/eve") == b""
    assert time.monotonic() - began < 10


def test_a_body_without_a_length_is_cut_off_at_the_limit(start: Start) -> None:
    _, client = start()
    chunks = (b" " * 65_536 for _ in range(10))
    answer = client.post("/v1/accounts", content=chunks, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_the_data_directory_is_the_owners_alone(tmp_path: Path) -> None:
    with open_services(load_config({}, data=str(tmp_path / "deep" / "data"), usage_url="memory://")):
        pass
    assert stat.S_IMODE(os.stat(tmp_path / "deep" / "data").st_mode) == 0o700


def test_a_data_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match=r"data = .*file"),
        open_services(load_config({}, data=f"{tmp_path}/file/data")),
    ):
        pass


def test_the_first_start_makes_an_admin_and_later_ones_do_not(tmp_path: Path) -> None:
    config = load_config({}, data=str(tmp_path), usage_url="memory://")
    told: list[str] = []
    for _ in range(2):
        with open_services(config, tell=told.append):
            pass
    [token] = told
    ledger = Ledger.open(config.ledger_url)
    with ledger.read() as tx:
        known = credentials.authenticate(tx, token)
    ledger.close()
    assert known is not None
    assert known.scope == "admin"


def test_a_chosen_admin_token_is_taken_and_a_changed_one_replaces_it(tmp_path: Path) -> None:
    first, second = ("chosen-m4Vq8xTzJw2kRb7nHc5pYd9sLf3g-" + end for end in "12")
    for token in (first, second):
        told: list[str] = []
        with open_services(
            load_config({}, data=str(tmp_path), usage_url="memory://", admin_token=token), tell=told.append
        ):
            pass
        assert told == []
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    with ledger.read() as tx:
        assert credentials.authenticate(tx, first) is None
        assert credentials.authenticate(tx, second) is not None
    ledger.close()


def test_a_port_in_use_is_an_error_and_port_0_is_told_truthfully() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = int(address_of(taken).rpartition(":")[2])
        assert port > 0
        with pytest.raises(ConfigError, match=f"Cannot listen at 127.0.0.1 port {port}"):
            bind("127.0.0.1", port)


def test_a_usage_store_that_does_not_answer_ends_the_start_with_its_reason(tmp_path: Path) -> None:
    config = load_config({}, data=str(tmp_path), usage_url="clickhouse://127.0.0.1:1/flowtally")
    with pytest.raises(ConfigError, match="usage_url: The usage store at"), open_services(config):
        pass


def test_a_start_without_the_key_of_its_passwords_is_refused(tmp_path: Path) -> None:
    config = load_config({}, data=str(tmp_path / "data"), usage_url="memory://")
    with open_services(config):
        pass
    ledger = Ledger.open(config.ledger_url)
    vault = Vault.open(config.data_dir / KEY_FILE, None)
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        managed.create_user(tx, "acme", "ann", password=vault.seal("a secret"), now=2)
    (config.data_dir / KEY_FILE).unlink()
    with pytest.raises(ConfigError, match="is missing"), open_services(config, ledger=ledger):
        pass
    assert not (config.data_dir / KEY_FILE).exists()
    ledger.close()
