"""Servers that are measured: `flowtally serve` on a data directory, and the one that does nothing."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec

from bench.events import ACCOUNTS, SMALL, Ids, held_keys
from bench.process import BenchError, cpu_seconds, end, read_json_line, resident_bytes, spawn
from flowtally.client import Client
from flowtally.protocol import AccountRequest

TOKEN: Final = "ours-Zk3vQ9xTn2Wb7Jr5Hc8Pd4Ys6Lf1Mg"
START_S: Final = 120
# The bench asks in the name of one account without a pause, which is what a budget is there to stop: it would measure
# the waiting. Without a bound on that share nothing else changes; the part `fair` has it, and measures it.
RATIONS_NOBODY: Final[Mapping[str, str]] = {"FLOWTALLY_ACCOUNT_SHARE_PERCENT": "0"}
AS_IT_COMES: Final[Mapping[str, str]] = {}


class _Ready(msgspec.Struct):
    url: str


class Server:
    """`flowtally serve` as its user starts it: but for these settings all as they come, the log to a file."""

    def __init__(self, data: Path, settings: Mapping[str, str]) -> None:
        self.data = data
        self._settings = settings
        self.url = ""
        self._log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Seconds from the call until `/readyz` says yes."""
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "flowtally",
            "serve",
            "--data",
            self.data,
            "--port",
            "0",
            "--json",
        ]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FLOWTALLY_")}
        started = time.perf_counter()
        with self._log.open("ab") as log:
            environment = {**clean, **self._settings, "FLOWTALLY_ADMIN_TOKEN": TOKEN}
            self._process = spawn(command, env=environment, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        self.url = msgspec.json.decode(read_json_line(self._process.stdout, self._log), type=_Ready).url
        while time.perf_counter() - started < START_S:
            if httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK:
                return time.perf_counter() - started
            time.sleep(0.02)
        raise BenchError(f"the server was not ready after {START_S} s")

    def stop(self) -> None:
        """End it as its user would."""
        if self._process is None:
            return
        end(self._process)
        self._process = None

    def client(self) -> Client:
        return Client(self.url, TOKEN)

    def make_accounts(self) -> None:
        """The accounts of all events; what nobody pays for is carried from before the first of them."""
        with self.client() as client:
            for name in (*(f"acc{number}" for number in range(ACCOUNTS)), SMALL):
                client.create_account(AccountRequest(id=name, carry_from="2025-01-01T00:00:00Z"))

    def usage_parts(self) -> int:
        """How many parts the usage store has now."""
        lines = httpx.get(f"{self.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text.splitlines()
        found = [line for line in lines if line.startswith("flowtally_usage_parts")]
        if not found:
            raise BenchError("/metrics does not tell the number of parts")
        return int(float(found[0].split()[-1]))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def resident_bytes(self, *, peak: bool = False) -> int:
        return resident_bytes(self.pid, peak=peak)


@contextmanager
def serving(data: Path, settings: Mapping[str, str] = RATIONS_NOBODY) -> Iterator[Server]:
    """A new installation with its accounts, running."""
    server = Server(data, settings)
    try:
        server.start()
        server.make_accounts()
        yield server
    finally:
        server.stop()
        shutil.rmtree(data, ignore_errors=True)


@contextmanager
def serving_nothing(logs: Path) -> Iterator[str]:
    """The address of the server that does nothing."""
    log = logs / "noop.log"
    with log.open("wb") as errors:
        process = spawn([sys.executable, "-m", "bench.noop"], stdout=subprocess.PIPE, stderr=errors)
    try:
        assert process.stdout is not None
        yield msgspec.json.decode(read_json_line(process.stdout, log), type=_Ready).url
    finally:
        end(process, signal.SIGTERM)


def hold_keys(keys: Path, source: str, ids: Ids, count: int, seed: int) -> None:
    """Put keys of a source straight into the keys database of a stopped server, as if they had come long ago.

    Their rows are missing in the usage store on purpose: claiming never reads them, and neither `rows_total` nor a mark
    changes, so the start finds nothing wrong. Portions are sorted, as blocks are in an index; random ones overlap, so
    pages are split and filled as they would be by use.
    """
    with sqlite3.connect(keys) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -1000000")
        [number] = db.execute("SELECT no FROM sources WHERE name = ?", (source,)).fetchone()
        for portion in held_keys(ids, count, seed):
            packed = portion.tobytes()
            rows = ((number, b"\x00" + packed[at : at + 16], at, 1) for at in range(0, len(packed), 16))
            db.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?, ?, ?)", rows)
            db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    os.sync()
