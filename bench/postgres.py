"""PostgreSQL doing the same work the way it is best at it: COPY, ON CONFLICT DO NOTHING, an hourly roll-up.

From the same file, with the same durability (fsync and synchronous_commit on), to a roll-up that answers the same
questions by the hour. What could be argued is in its favour: the fastest JSON reader, no HTTP, ids of type uuid,
`wal_level` minimal, a quarter of the memory for its buffers, rare checkpoints. `favoured` goes further, for comparison.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import msgspec
import psycopg

from bench.process import BenchError, end, spawn
from flowtally.core.events import UsageEvent

USER: Final = "bench"
COLUMNS: Final = 'source, id, account, "user", product, at, status, bytes_up, bytes_down, requests'
TYPES: Final = (
    'source text, id uuid, account text, "user" text, product text, at timestamptz, status int,'
    " bytes_up bigint, bytes_down bigint, requests bigint"
)


class Rollup(msgspec.Struct, frozen=True):
    """Hourly sums in a table of their own, by these columns."""

    table: str
    by: str

    def create(self) -> bytes:
        key = ", ".join(f"{name} text" for name in self.by.split(", "))
        sums = "bytes_up numeric, bytes_down numeric, requests numeric"
        return f"CREATE TABLE {self.table} ({key}, hour timestamptz, {sums}, PRIMARY KEY ({self.by}, hour))".encode()

    def store(self, given: str = f"SELECT {COLUMNS} FROM staging") -> bytes:
        """What is given goes into `events` unless it is there, and what was new into the sums."""
        keys = f"{self.by}, date_trunc('hour', at, 'UTC')"
        return f"""
            WITH new AS (
                INSERT INTO events ({COLUMNS}) {given} ON CONFLICT (source, id) DO NOTHING
                RETURNING {self.by}, at, bytes_up, bytes_down, requests
            )
            INSERT INTO {self.table} AS h
            SELECT {keys}, sum(bytes_up), sum(bytes_down), sum(requests) FROM new GROUP BY {keys} ORDER BY {keys}
            ON CONFLICT ({self.by}, hour) DO UPDATE SET bytes_up = h.bytes_up + excluded.bytes_up,
                bytes_down = h.bytes_down + excluded.bytes_down, requests = h.requests + excluded.requests
        """.encode()


BY_USER: Final = Rollup("hourly_by_user", 'account, "user", product')  # answers what our roll-up answers
BY_PRODUCT: Final = Rollup("hourly", "account, product")  # cheaper, and cannot tell users apart
# A version 7 id of the instant, as events.held_keys makes them.
V7: Final = (
    "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)"
    " || '8' || substr(md5(random()::text), 1, 15))::uuid"
)
_decoder: Final = msgspec.json.Decoder(UsageEvent)


def find_binaries() -> Path | None:
    """The directory of initdb and postgres, the newest installed; None without a PostgreSQL server."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb).resolve().parent]
    return max(found, key=lambda path: path.parent.name.zfill(4), default=None)


class Postgres:
    """A cluster of its own in `beside` (the system's temporary place where its user may not go there), gone afterwards.

    `with Postgres(binaries, beside) as postgres: ...`"""

    def __init__(self, binaries: Path, beside: Path) -> None:
        self._binaries = binaries
        place = beside if _may_pass(beside) else Path(tempfile.gettempdir())
        self._place = Path(tempfile.mkdtemp(prefix="flowtally-bench-postgres-", dir=place))
        self._port = _free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None

    def __enter__(self) -> Self:
        try:
            if os.geteuid() == 0:  # PostgreSQL refuses to run as root
                shutil.chown(self._place, "postgres", "postgres")
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._server is not None:
            end(self._server, signal.SIGINT)  # fast shutdown
        shutil.rmtree(self._place, ignore_errors=True)

    def hold_keys(self, source: str, ids: str, count: int, begins_ms: int, step_ms: int) -> None:
        """The tables, with as many rows of this source as the other side holds keys, all before the first event."""
        db = self._db
        chosen = V7 if ids == "v7" else "gen_random_uuid()"
        older = f"to_timestamp({begins_ms} / 1000.0) - n * interval '{step_ms} ms'"
        db.execute(f"CREATE TABLE events ({TYPES}, received_at timestamptz DEFAULT now())".encode())
        db.execute(
            f"INSERT INTO events ({COLUMNS}) SELECT '{source}', {chosen}, 'acc' || n % 50, 'u' || n % 200,"
            f" 'residential', at, 200, n % 10000, n * 7 % 1000000, 1"
            f" FROM (SELECT n, {older} AS at FROM generate_series({count}, 1, -1) AS n) AS old".encode()
        )
        db.execute(b"ALTER TABLE events ADD PRIMARY KEY (source, id)")
        for rollup in (BY_USER, BY_PRODUCT):
            db.execute(rollup.create())
        db.commit()
        db.execute(f"CREATE TEMP TABLE staging ({TYPES}) ON COMMIT DELETE ROWS".encode())
        db.commit()
        db.autocommit = True
        db.execute(b"VACUUM ANALYZE events")
        db.execute(b"CHECKPOINT")
        db.autocommit = False

    def store(self, batches: Sequence[bytes], *, favoured: bool = False) -> float:
        """Seconds for these batches of lines, a transaction each. Favoured: reading the JSON is not on the clock, and
        the roll-up forgets users."""
        ready = [copy_text(batch) for batch in batches] if favoured else []
        statement = (BY_PRODUCT if favoured else BY_USER).store()
        started = time.perf_counter()
        for text in ready or map(copy_text, batches):
            self._store(text, statement)
        return time.perf_counter() - started

    def _store(self, text: bytes, statement: bytes) -> None:
        with self._db.transaction(), self._db.cursor() as cursor:
            with cursor.copy(f"COPY staging ({COLUMNS}) FROM STDIN".encode()) as copy:
                copy.write(text)
            cursor.execute(statement)

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self._port} user={USER} dbname=postgres"

    def count(self) -> int:
        """Rows of events: nothing may be missing."""
        row = self._db.execute("SELECT count(*) FROM events").fetchone()
        self._db.commit()
        assert row is not None
        assert isinstance(row[0], int)
        return row[0]

    @property
    def _db(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._connection is None:
            self._connection = psycopg.connect(self.conninfo)
        return self._connection

    def _start(self) -> None:
        data = self._place / "data"
        options = ["-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(
            self._command("initdb", "-D", data, "-U", USER, *options), capture_output=True, cwd="/", check=False
        )
        if done.returncode != 0:
            raise BenchError(f"initdb failed: {done.stderr.decode(errors='replace')}")
        settings = [f"--{name}={value}" for name, value in self._settings().items()]
        log = self._place / "log"
        with log.open("wb") as output:
            command = self._command("postgres", "-D", data, *settings)
            self._server = spawn(command, stdout=output, stderr=output, cwd="/")
        self._wait_until_ready(log)

    def _settings(self) -> dict[str, object]:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": self._place,
            "fsync": "on",
            "synchronous_commit": "on",
            "shared_buffers": f"{min(memory // 4, 4 << 30) >> 20}MB",
            "work_mem": "64MB",
            "maintenance_work_mem": "512MB",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "max_wal_size": "8GB",
            "checkpoint_timeout": "30min",
        }

    def _wait_until_ready(self, log: Path) -> None:
        assert self._server is not None
        until = time.monotonic() + 60
        while self._server.poll() is None and time.monotonic() < until:
            with suppress(psycopg.OperationalError):
                assert self._db
                return
            time.sleep(0.05)
        raise BenchError(f"PostgreSQL did not start: {log.read_text(errors='replace')}")

    def _command(self, program: str, *arguments: str | Path) -> list[str]:
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL"]
        return [*(become if os.geteuid() == 0 else []), str(self._binaries / program), *map(str, arguments)]


def copy_text(batch: bytes) -> bytes:
    """A batch of lines as COPY's text format. No value here needs escaping: the events are ours."""
    return "".join(
        f"{e.source}\t{e.id}\t{e.account}\t{e.user}\t{e.product}\t{e.time}\t{e.status}\t{e.bytes_up}\t{e.bytes_down}"
        f"\t{e.requests}\n"
        for e in _decoder.decode_lines(batch)
    ).encode()


def _may_pass(place: Path) -> bool:
    """Whether the user postgres, whom we become if we are root, can reach what is in this directory."""
    return os.geteuid() != 0 or all(step.stat().st_mode & stat.S_IXOTH for step in (place, *place.parents))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
