"""Real processes for the tests: a server that can be killed, agents, a program that writes logs, logrotate."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.fork_server import Program
from tests.live import clean_environment

from flowtally.client import Client
from flowtally.client.calls import export
from flowtally.protocol import AccountRequest, CredentialRequest

LOGROTATE = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin:/usr/local/sbin")
PATIENCE_S = 60


def wait_for(done: Callable[[], bool], what: Callable[[], str], seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"never {what()}"
        time.sleep(0.1)


class Server:
    """`flowtally serve` on one port over one data directory, whatever happens to it."""

    def __init__(self, folder: Path) -> None:
        self._data, self._log = folder / "data", folder / "server.log"
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self._port = one.getsockname()[1]
        self.token = ""
        self.start()
        self.client = Client(self.url, self.token, retry_s=PATIENCE_S)
        self.client.create_account(AccountRequest(id="acme"))
        self.agents_token = self.ingest_key()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        command = ("serve", "--data", str(self._data), "--port", str(self._port), "--json")
        with self._log.open("a") as log:
            self._process = Program(*command, env=clean_environment(), stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        self.token = json.loads(line)["admin_token"] or self.token

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self.client.close()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def stored(self) -> dict[str, list[int]]:
        """Bytes down of every row, by user."""
        with self.client.stream(export("acme", format="csv")) as answer:
            text = b"".join(answer.pieces).decode()
        found: dict[str, list[int]] = {}
        for row in csv.DictReader(io.StringIO(text)):
            found.setdefault(row["user"], []).append(int(row["bytes_down"]))
        return found

    def ingest_key(self) -> str:
        token = self.client.create_credential(None, CredentialRequest(scope="ingest")).token
        assert token is not None
        return token

    def requests(self) -> int:
        return self.client.usage("acme").total.requests


class Agent:
    """`flowtally agent` over one configuration, started again as often as it is killed."""

    def __init__(self, folder: Path, server: Server, text: str) -> None:
        self._config, self._log = folder / "agent.toml", folder / "agent.log"
        self._head = f'server = "{server.url}"\nhost = "gw"\n'
        self.configure(text)
        self._environment = {**clean_environment(), "FLOWTALLY_TOKEN": server.agents_token}
        self._process: Program | None = None

    def configure(self, text: str) -> None:
        self._config.write_text(self._head + text)

    def start(self, *more: str) -> None:
        with self._log.open("a") as log:
            self._process = Program("agent", str(self._config), *more, env=self._environment, stderr=log)

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGKILL) -> int:
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end()

    @property
    def said(self) -> str:
        return self._log.read_text()


WRITER = """
import os, signal, sys, time
rate, seconds = float(sys.argv[1]), float(sys.argv[2])
paths = sys.argv[3:]
opened = {path: open(path, "ab", buffering=0) for path in paths}
again = []
signal.signal(signal.SIGUSR1, lambda *_: again.append(1))
signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
ending = []
written = 0
begin = time.monotonic()
while not ending and time.monotonic() - begin < seconds:
    if again:
        again.clear()
        for path in paths:
            if "copy" not in path:
                opened[path].close()
                opened[path] = open(path, "ab", buffering=0)
    due = int((time.monotonic() - begin) * rate)
    while written < due:
        now = time.time()
        for path, file in opened.items():
            user = os.path.basename(path).split(".")[0]
            file.write(b"%d.%03d 5 10.0.0.1 TCP_MISS/200 %d GET http://n.test/ %s HIER_DIRECT/10.0.0.2 text/html 7\\n"
                       % (now, now * 1000 % 1000, written, user.encode()))
        written += 1
    time.sleep(0.005)
print(written, flush=True)
"""


class Writer:
    """A program that writes lines numbered in their bytes down to each log, and opens its logs again when told."""

    def __init__(self, paths: list[Path], rate: float, seconds: float = 600) -> None:
        command = [sys.executable, "-c", WRITER, str(rate), str(seconds), *map(str, paths)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid

    def end(self) -> int:
        """How many lines each log got."""
        self._process.terminate()
        assert self._process.stdout is not None
        written = int(self._process.stdout.readline())
        self._process.wait(PATIENCE_S)
        return written

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Rotation:
    """logrotate over logs, each with directives of its own; `rotate` makes it do so now."""

    def __init__(self, folder: Path, how: dict[Path, str], writer: int) -> None:
        self._config, self._state = folder / "logrotate.conf", folder / "logrotate.state"
        told = f"postrotate\nkill -USR1 {writer}; sleep 0.05\nendscript\n"
        self._config.write_text(
            "".join(
                f"{path} {{\nrotate 50\nmissingok\n{said}\n{'' if 'copytruncate' in said else told}}}\n"
                for path, said in how.items()
            )
        )
        self._config.chmod(0o644)

    def rotate(self) -> None:
        assert LOGROTATE is not None
        command = [LOGROTATE, "-f", "-s", str(self._state), str(self._config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
