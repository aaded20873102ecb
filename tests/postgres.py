"""A private PostgreSQL for tests and benchmarks: its own cluster in a temporary directory, gone afterwards.

PostgreSQL refuses to run as root, so there the programs run as the user `postgres`. Databases sort by the rules of
English (ICU), not by bytes: what depends on byte order must say so, or its test fails here.

A conftest takes the session fixture by importing it: `from tests.postgres import postgres`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

USER = "flowtally"
THROW_OUT: Final = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)  # whoever is still connected


def find_binaries() -> Path | None:
    """The directory of initdb and postgres, the newest installed; None without a PostgreSQL server."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb).resolve().parent]
    return max(found, key=lambda path: path.parent.name.zfill(4), default=None)


class Postgres:
    """A running cluster. `durable` keeps fsync on, for benchmarks; tests need no power-cut safety."""

    def __init__(self, binaries: Path, *, durable: bool = False) -> None:
        self._binaries = binaries
        self._directory = Path(tempfile.mkdtemp(prefix="flowtally-pg-", dir="/tmp"))  # short, and postgres may enter it
        self._numbers = count(1)
        self._spare: list[str] = []
        self._ledgers = _Ledgers(self)
        self._server: subprocess.Popen[bytes] | None = None
        self.port = 0
        if os.geteuid() == 0:
            shutil.chown(self._directory, "postgres", "postgres")
        try:
            self._initdb()
            self._start(durable)
        except BaseException:
            self.stop()
            raise

    def new_database(self) -> str:
        """An empty database; its URL as the ledger takes it."""
        if self._spare:
            return self._spare.pop()
        name = f"test_{next(self._numbers)}"
        self._execute("postgres", f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{name}"

    def give_back(self, url: str) -> None:
        """Empty a database for the next who wants one: much faster than a new one. Whoever is still connected (a test
        that failed half-way) is thrown out, or the emptying would wait for him."""
        empty = f"{THROW_OUT}; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        self._execute(url.rpartition("/")[2], empty)
        self._spare.append(url)

    def new_ledger(self) -> str:
        """A database with a ledger of today that nobody has used: what an upgrade from nothing leaves."""
        return self._ledgers.take()

    def give_back_ledger(self, url: str) -> None:
        """It is made what it was when it was given, whatever was written to it."""
        self._ledgers.give_back(url)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Not there meanwhile: connections are broken off, new ones refused. What was committed is kept."""
        self._end(signal.SIGINT)
        try:
            yield
        finally:
            self._start(durable=False, port=self.port)

    def stop(self) -> None:
        """Stop the server and remove its directory."""
        self._end(signal.SIGQUIT)  # at once: nothing in there is to be kept
        shutil.rmtree(self._directory, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(timeout=30)
            self._server = None

    def _initdb(self) -> None:
        how = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en", "--no-sync"]
        self._run("initdb", "-D", str(self._directory / "data"), "-U", USER, *how)

    def _start(self, durable: bool, port: int | None = None) -> None:
        self.port = port or _free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._directory,
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # in its directory: one that is killed leaves nothing in /dev/shm
        }
        if not durable:
            settings |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes", "wal_init_zero"), "off")
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = self._command("postgres", "-D", str(self._directory / "data"), *options)
        with (self._directory / "log").open("wb") as log:
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        assert self._server is not None
        end = time.monotonic() + 60
        while self._server.poll() is None and time.monotonic() < end:
            with suppress(psycopg.OperationalError), psycopg.connect(self._dsn("postgres")):
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start: {(self._directory / 'log').read_text(errors='replace')}")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(self._command(program, *arguments), capture_output=True, text=True, cwd="/", check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")

    def _command(self, program: str, *arguments: str) -> list[str]:
        """As the user postgres when we are root, and ended with us however we end: a killed run leaves no server."""
        become = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *become, "--pdeathsig=QUIT", str(self._binaries / program), *arguments]

    def _execute(self, database: str, text: str) -> None:
        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            connection.execute(text.encode())

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user={USER} dbname={database}"


class _Ledgers:
    """Ledgers that were upgraded from nothing once and are emptied after use: an upgrade takes a second, each time."""

    SHAPE = """
        SELECT (SELECT array_agg(a::text ORDER BY a::text) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
                WHERE relnamespace = 'public'::regnamespace),
               (SELECT array_agg(c::text ORDER BY c::text) FROM pg_constraint c
                WHERE connamespace = 'public'::regnamespace)"""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._spare: list[str] = []
        self._new: dict[str, tuple[Any, dict[str, list[Any]]]] = {}  # of each: its shape and its rows

    def take(self) -> str:
        if self._spare:
            return self._spare.pop()
        from flowtally.ledger.database import Ledger  # here, so that a benchmark's cluster does not load it

        url = self._server.new_database()
        Ledger.open(url).close()
        with self._connected(url) as tx:
            tables = [name for (name,) in tx.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
            rows = {
                name: tx.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name))).fetchall() for name in tables
            }
            self._new[url] = self._shape(tx), rows
        return url

    def give_back(self, url: str) -> None:
        shape, rows = self._new[url]
        with self._connected(url) as tx:
            tx.execute(THROW_OUT)
            if self._shape(tx) == shape:
                self._empty(tx, rows)
                self._spare.append(url)
            # else: a test has changed its tables, and nobody gets it again

    def _shape(self, tx: psycopg.Connection[Any]) -> Any:
        return tx.execute(self.SHAPE).fetchone()

    def _empty(self, tx: psycopg.Connection[Any], new: dict[str, list[Any]]) -> None:
        """Row by row is quicker than TRUNCATE, which makes new files for each table and index."""
        tx.execute("SET LOCAL session_replication_role = replica")  # in any order: no reference is looked at
        tables = {name: sql.Identifier(name) for name in new}
        tx.execute(sql.SQL(";").join(sql.SQL("DELETE FROM {}").format(table) for table in tables.values()))
        for name, rows in new.items():
            for row in rows:
                values = sql.SQL(",").join(map(sql.Literal, row))
                tx.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(tables[name], values))

    def _connected(self, url: str) -> psycopg.Connection[Any]:
        return psycopg.connect(self._server._dsn(url.rpartition("/")[2]))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for the whole run; skips where no PostgreSQL server is installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: initdb is neither in /usr/lib/postgresql/*/bin nor on the PATH")
    server = Postgres(binaries)
    yield server
    server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
