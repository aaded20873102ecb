"""Connections to the engine: chDB in this process or a ClickHouse server, behind the same client.

Owns opening, the clients (one per thread at a time), the settings every connection has, and how much memory there is.
Leaves to `faults` what the engine's errors mean, to `readers` who is one. chDB allows one data path per process and one
process per data path; many clients of it are fine.

Nobody waits for a connection: there are as many as threads that ask, and these are bounded by who starts them. Those
of readers are apart and carry bounds: whatever they ask, the writer inserts through one of its own.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from flowtally.core.errors import BrokenParts, ConfigError, TableChanged, Unavailable
from flowtally.host import heap
from flowtally.usage import readers
from flowtally.usage.definitions import find_changed
from flowtally.usage.diagnosis import find_broken, is_open_elsewhere
from flowtally.usage.faults import QUERY_LIMIT_S, meaning
from flowtally.usage.place import embedded_directory
from flowtally.usage.temporary import find_place

MEMORY_BYTES: Final = 4 * 1024**3  # of the engine in this process, with all it does
READERS_PART: Final = 8  # of it: what one question of a reader may take
SETTINGS: Final[Mapping[str, Any]] = {
    "session_timezone": "UTC",
    "max_execution_time": QUERY_LIMIT_S,
    "async_insert": 0,
    "output_format_native_use_flattened_dynamic_and_json_serialization": 0,
}
# The engine in the process keeps its reason to itself but for what it prints on standard error.
EMBEDDED_HINT: Final = " (a file of it is broken: the engine says more on standard error)"
_DATABASE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class _Idle:
    """Clients that nobody uses now, of one kind; `busy`: how many are in use."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.busy = 0
        self._lock = threading.Lock()
        self._clients: list[Any] = []

    def take(self) -> Any:
        """One that is open, or None: then it is for the caller to open one."""
        with self._lock:
            self.busy += 1
            return self._clients.pop() if self._clients else None

    def give(self, client: Any) -> None:
        """It is used no more; None where it was closed."""
        with self._lock:
            self.busy -= 1
        if client is not None:
            self.keep(client)

    def keep(self, client: Any) -> None:
        """For whoever comes next."""
        with self._lock:
            self._clients.append(client)

    def close(self) -> None:
        while self._clients:
            self._clients.pop().close()


class Engine:
    """Clients of one database of one engine. `explains`: where it cannot be opened, find out which part is broken; not
    for who finds that out. `memory_bytes`: of the engine in this process; what opened it first says it for all. One
    question of a reader may take an eighth of it, of an engine elsewhere too."""

    def __init__(self, url: str, *, explains: bool = True, memory_bytes: int = MEMORY_BYTES) -> None:
        self.url = url
        self._explains = explains
        self.embedded = url.startswith("chdb:")
        self.path, self.database, self._arguments = _read_url(url)
        if self.embedded:
            self._arguments["path"] += f"?max_server_memory_usage={memory_bytes}"
        self._own = _Idle(SETTINGS)
        self._readers = _Idle({**SETTINGS, "max_memory_usage": memory_bytes // READERS_PART})
        # The engine in this process ends with its last client, and begins anew with the next, which a full disk does
        # not let it: this one is never used, so no error closes it.
        self._anchor = self._prepare()
        self._own.keep(self._connect(self.database))

    @property
    def shown(self) -> str:
        """Its URL without user and password."""
        return _without_secret(self.url)

    def _prepare(self) -> Any:
        """The database is there; a client of the engine."""
        if self.path is not None:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            _leave_closed_directory()
        try:
            first = self._connect("default")
        except Unavailable:
            if self.path is not None and self._explains:
                self._tell_why(self.path)
            raise
        try:
            first.command(f"CREATE DATABASE IF NOT EXISTS {self.database}")
        except BaseException:
            first.close()
            raise
        return first

    def _tell_why(self, path: Path) -> None:
        told = f"The usage store at {_without_secret(self.url)} cannot be opened"
        if is_open_elsewhere(path):
            raise Unavailable(f"{told}: another process has it open")
        if changed := find_changed(path):
            raise TableChanged(f"{told}: a table is not what flowtally makes: {'; '.join(changed)}")
        if broken := find_broken(path):
            raise BrokenParts(f"{told}: a part is broken: {'; '.join(map(str, broken))}")

    def _connect(self, database: str, settings: Mapping[str, Any] = SETTINGS) -> Any:
        try:
            return clickhouse_connect.get_client(database=database, settings=dict(settings), **self._arguments)
        except (ClickHouseError, OSError) as error:
            hint = EMBEDDED_HINT if self.embedded else ""
            raise Unavailable(
                f"The usage store at {_without_secret(self.url)} cannot be opened{hint}: {error}"
            ) from error

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client for one thread at a time, of the kind that this thread is."""
        clients = self._readers if readers.is_one() else self._own
        client = clients.take()
        try:
            client = client or self._connect(self.database, clients.settings)
            yield client
        except BaseException as error:
            client = self._let_go(client)
            known = meaning(error) if isinstance(error, (ClickHouseError, HTTPError, OSError)) else None
            if known is None:
                raise
            raise known from error
        finally:
            clients.give(client)

    def _let_go(self, client: Any) -> Any:
        """After an error. In the process the next question on the same connection would be answered in the form the
        failed one had asked for (seen: bytes of Arrow where rows were expected), so another one is made for it."""
        if not self.embedded or client is None:
            return client
        with suppress(Exception):
            client.close()
        return None

    def rows(self, text: str, parameters: Mapping[str, Any] | None = None, **settings: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, decoded."""
        with self.client() as client:
            answer = client.query(text, parameters=dict(parameters or {}), settings=settings | self._cores() or None)
            return list(answer.result_rows)

    def arrow(self, text: str, parameters: Mapping[str, Any]) -> Any:
        """The rows of a query as a pyarrow.Table; text comes as text."""
        with self.client() as client:
            settings = self._cores() or None
            return client.query_arrow(text, parameters=dict(parameters), settings=settings, use_strings=True)

    def _cores(self) -> dict[str, Any]:
        """One question alone has all cores; readers who ask at the same time share them, and leave the writer his."""
        if not self.embedded or self._readers.busy < 2 or not readers.is_one():
            return {}
        return {"max_threads": 1}

    def command(self, text: str, query_id: str = "") -> None:
        """DDL. Never with values from outside. `query_id`: by which a server knows it, for `end_query`."""
        with self.client() as client:
            if query_id and not self.embedded:
                client.command(text, settings={"query_id": self._id_of_query(query_id)})
            else:
                client.command(text)

    def insert(self, table: str, rows: Any, query_id: str) -> None:
        """All rows as one block, hence one part; durable when it returns."""
        settings = {"query_id": self._id_of_query(query_id)} if not self.embedded else {}
        if self.embedded:
            find_place()
        with self.client() as client:
            client.insert_arrow(table, rows, settings=settings)

    def give_back(self) -> None:
        """Memory that is free goes back to the system: of the engine in this process, and of what feeds it."""
        if self.embedded:
            self.command("SYSTEM JEMALLOC PURGE")
        heap.give_back()

    def end_query(self, query_id: str) -> None:
        """After this no statement of that query id is running any more. In the process there is none once it
        returned."""
        if not self.embedded:
            self.rows("KILL QUERY WHERE query_id = {id:String} SYNC", {"id": self._id_of_query(query_id)})

    def _id_of_query(self, query_id: str) -> str:
        """Other installations have databases on the same server, and blocks of the same numbers."""
        return f"{self.database}/{query_id}"

    def check(self, table: str, part: str) -> str:
        """What the engine says when it has read all files of a part; empty where it is whole. Names of our own making,
        or of the engine's."""
        text = f"CHECK TABLE {table} PART '{part}' SETTINGS check_query_single_value_result = 0, max_execution_time = 0"
        with self.client() as client:
            answer = msgspec.json.decode(client.raw_query(text, fmt="JSONCompact"))
        return next((said or "it is broken" for _, whole, said in answer["data"] if not whole), "")

    def close(self) -> None:
        self._own.close()
        self._readers.close()
        self._anchor.close()


def _leave_closed_directory() -> None:
    """While it is imported, the engine goes to another directory and back: from one that this user may not enter (of
    root, who said `runuser`) or that is gone, it cannot. No path of ours begins there."""
    try:
        stays = os.access(os.getcwd(), os.X_OK)
    except OSError:
        stays = False
    if not stays:
        os.chdir("/")


def _read_url(url: str) -> tuple[Path | None, str, dict[str, Any]]:
    parts = _split(url)
    options = parse_qs(parts.query)
    if parts.scheme == "chdb":
        path = embedded_directory(url)
        database = options.get("database", ["default"])[0]
        return path, _checked(database), {"interface": "chdb", "path": str(path)}
    if parts.scheme in ("clickhouse", "clickhouses"):
        secure = parts.scheme == "clickhouses" or options.get("secure", ["0"])[0] in ("1", "true")
        arguments = {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or (8443 if secure else 8123),
            "username": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "secure": secure,
            "connect_timeout": 10,
            "send_receive_timeout": QUERY_LIMIT_S + 10,
            "form_encode_query_params": True,  # thousands of edges are too long for an address
            "autogenerate_session_id": False,  # a session allows one query at a time
            "dedicated_pool": True,  # of connections: one that all clients share keeps eight of them
        }
        return None, _checked(parts.path.strip("/") or "default"), arguments
    raise ConfigError(f"usage_url must start with chdb:// or clickhouse://, not {parts.scheme!r}")


def _split(url: str) -> SplitResult:
    """What is wrong may be in the password, so it is not shown."""
    try:
        parts = urlsplit(url)
        port = parts.port  # raises if it is no number
        if parts.scheme == "chdb" or (port != 0 and "@" not in parts.path):
            return parts
    except ValueError:
        pass
    raise ConfigError(
        "usage_url is no URL that can be used (it is not shown: it may hold a password). In a user's name or password"
        " write @ as %40, : as %3A, / as %2F and % as %25"
    )


def _checked(database: str) -> str:
    if not _DATABASE.fullmatch(database):
        raise ConfigError(f"usage_url names the database {database!r}; letters, digits and _ only")
    return database


def _without_secret(url: str) -> str:
    parts = _split(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
