"""The ledger's engine, and the only place where its transactions start and end.

Callers are worker threads; `tx` is a SQLAlchemy Connection inside a transaction. Commands never commit: leaving
`begin()` does, an exception on the way rolls everything back.

**One writer at a time, on both databases.** SQLite knows nothing else; on PostgreSQL an advisory lock, released with
the transaction, does the same across processes. So a command may look and then write, and nobody writes in between.
Promises are few (grants, accounts, new users) next to usage, which does not come here: what this costs is not missed.
Readers wait for nobody (law 7) and see one moment of the ledger, also over several queries.

Every write transaction is counted (`installation`): the order of what was promised is that of these numbers. What it
did is recorded in it (`trail`), under the name of whoever it was begun for.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from flowtally.core.clock import dating
from flowtally.core.errors import ConfigError, FlowtallyError, LeaseLost, LedgerOlder, StoreDamaged, Unavailable
from flowtally.ledger import faults, installation, migrations, trail
from flowtally.ledger.lease import SessionLease
from flowtally.ledger.trail import SERVER, Actor, server

Tx: TypeAlias = Connection  # what commands take; callers above name it without knowing the library

BUSY_TIMEOUT_MS: Final = 10_000  # how long another process (a backup, a shell) may hold SQLite's write lock
# With a PostgreSQL that does not answer at all, and with a network that lets bytes vanish; the URL may say another.
PATIENCE: Final = {"connect_timeout": 5, "keepalives_idle": 15, "keepalives_interval": 5, "tcp_user_timeout": 30_000}
START_WAIT_S: Final = 15  # for a writer that was there before and is ending
STANDS: Final = "SELECT promises, epoch FROM installation"
TAKEN: Final = "another server took it"
_WRITER_LOCK: Final = 0x666C6F777461_6C6C  # "flowtall": the key of PostgreSQL's advisory lock


class Ledger:
    """Accounts, users, pools, grants, credentials and answered requests, in SQLite or PostgreSQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writing, self._reading = _facades(engine)
        self._turn = threading.Lock()
        self._date: Callable[[], int] = lambda: 0
        self._open_since: int | None = None  # when the write transaction that is open began
        self._dating = threading.Lock()
        self._counts = False  # once the schema is the present one
        self._writer: int | None = None  # the thread whose turn it is
        self._lease: SessionLease | None = None
        self._highest = 0  # the number of the last transaction that was committed here
        self._regained: list[Callable[[], None]] = []

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect and bring the schema up to date. ConfigError names a URL that cannot be used; LedgerTooNew (also a
        ConfigError) a ledger written by a later flowtally."""
        ledger = cls.reach(url)
        try:
            if not ledger._counts:  # as `reach` found it
                with ledger.begin_start(server("upgrade")):
                    pass
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def reach(cls, url: str) -> Self:
        """Connected to whatever is there; nothing is written, and no file made. ConfigError and LedgerTooNew as
        `open`."""
        ledger = cls(_engine(_parse(url)))
        try:
            ledger.is_current()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @property
    def absent(self) -> bool:
        """Whether there is no file of it yet. One in PostgreSQL is there, with or without tables."""
        return self.file is not None and not self.file.exists()

    def is_current(self) -> bool:
        """Whether its schema is the present one. Changes nothing."""
        if self.absent:
            return False
        with self._opening(), self.read() as tx:
            self._counts = migrations.is_current(tx)
            return self._counts

    def look(self) -> installation.State:
        """What a start compares with the other stores. Changes nothing, and needs no present schema."""
        if self.absent:
            return installation.State()
        with self._opening(), self.read() as tx:
            return installation.look(tx)

    def promises(self) -> int:
        """How many write transactions it has seen, ever."""
        with self.read() as tx:
            return installation.read_installation(tx).promises

    def stands(self) -> tuple[int, int]:
        """How many write transactions it has seen, and the epoch of its lease: as they are now. Asked for every block,
        so SQLite is asked without a transaction, whose steps cost fifteen times as much."""
        if self._engine.dialect.name != "sqlite":
            with self.read() as tx:
                found = installation.read_installation(tx)
                return found.promises, found.epoch
        with faults.named(writes=False):
            connection = self._engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(STANDS)
                [(promises, epoch)] = cursor.fetchall()
            except sqlite3.Error as error:
                raise DBAPIError(STANDS, None, error) from error
            finally:
                connection.close()
        return int(promises), int(epoch)

    @contextmanager
    def begin_start(self, actor: Actor = SERVER) -> Iterator[Connection]:
        """The transaction a start begins with: the schema is brought up to date first, the lease is counted up, and all
        of it, or nothing, is there afterwards. ConfigError where it cannot be written."""
        lease = self._lease
        with self._opening():
            if lease is not None:
                lease.oust(_WRITER_LOCK)
            with self._transaction(START_WAIT_S) as tx:
                if not migrations.is_current(tx):
                    migrations.upgrade(tx)
                    trail.note(tx, "ledger.upgrade", after={"version": migrations.version(tx)})
                self._counts = True  # nobody begins otherwise before this has succeeded once
                epoch = installation.take_epoch(tx, lease.holder) if lease is not None else None
                yield tx
                number = self._count(tx, epoch, actor)
        self._highest = max(self._highest, number)
        if lease is not None:
            lease.epoch = epoch

    @contextmanager
    def held(self, holder: str) -> Iterator[None]:
        """The lease on a ledger in PostgreSQL, to the end of the block: WriterBusy names who has it. It is good for
        writing once `begin_start` has succeeded. A file has a lock of the system, which is taken before (`lease`)."""
        if self.file is not None:
            yield
            return
        with self._opening():
            self._lease = SessionLease(self._engine.url, holder)
        try:
            yield
        finally:
            self._lease.release()
            self._lease = None

    def keep_lease(self, check: Callable[[], None]) -> None:
        """See to the lease from now on. `check` is asked, after it was lost, whether it may be taken again; it raises
        where not."""
        if self._lease is None:
            return

        def again() -> None:
            check()
            if (there := self.promises()) < self._highest:
                raise LedgerOlder(f"The ledger {self.shown} holds {there} promises, there were {self._highest}")
            with self.begin_start(server("start")):
                pass
            for tell in self._regained:
                tell()

        self._lease.keep(again)

    def when_regained(self, tell: Callable[[], None]) -> None:
        """Have this called when the lease was taken again: another server may have written in between."""
        self._regained.append(tell)

    @property
    def lost(self) -> str:
        """Why nothing may be written; empty while all is well."""
        return "" if self._lease is None else self._lease.lost

    def check_lease(self, epoch: int | None = None) -> None:
        """LeaseLost where nothing may be written; `epoch`: what the ledger was just seen to have."""
        if self._lease is None:
            return
        self._lease.check()
        if epoch is not None and epoch != self._lease.epoch:
            self._lease.lose(TAKEN)
            self._lease.check()

    def ask_lease(self) -> None:
        """LeaseLost where the session that holds it is gone. Asks the database, unlike `check_lease`: for who wants to
        know whether the next write will be taken."""
        if self._lease is not None:
            self._lease.ask()

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error, Unavailable, StoreDamaged) as error:
            raise ConfigError(f"ledger_url {self.shown} cannot be opened: {_reason(error)}") from error

    @classmethod
    @contextmanager
    def connected(cls, url: str) -> Iterator[Self]:
        """Connected to whatever is there, nothing looked at or changed: for who brings a ledger there. ConfigError."""
        target = _parse(url)
        ledger = cls(_engine(target))
        try:
            yield ledger
        except (DBAPIError, Unavailable, StoreDamaged) as error:
            raise ConfigError(f"ledger_url {_shown(target)} cannot be used: {_reason(error)}") from error
        finally:
            ledger.close()

    def use_clock(self, clock: Callable[[], int]) -> None:
        """Of whoever dates what is promised: the latest instant is kept beside the count. Without one none is. Where it
        refuses to date anything, no write transaction begins."""
        self._date = dating(clock)

    def open_since(self) -> int | None:
        """When the write transaction began that is open now: whatever it promises is dated from then on. None: there is
        none, and the next one begins at an instant that the clock says after this."""
        with self._dating:
            return self._open_since

    @property
    def shown(self) -> str:
        """Its URL without the password."""
        return _shown(self._engine.url)

    def close(self) -> None:
        """Give back every connection. Transactions must be over."""
        self._engine.dispose()

    @contextmanager
    def begin(self, actor: Actor = SERVER) -> Iterator[Connection]:
        """A write transaction; committed and durable when the block ends, rolled back when it raises. What it did is
        recorded as the actor's. LeaseLost where another server may write by now."""
        self.check_lease()
        with self._transaction() as tx:
            epoch = self._lease.epoch if self._lease is not None else None
            yield tx
            number = self._count(tx, epoch, actor) if self._counts else 0
        self._highest = max(self._highest, number)

    @contextmanager
    def _transaction(self, wait_s: int = 0) -> Iterator[Connection]:
        with self._my_turn(), self._begun(), faults.named(), self._writing.begin() as tx:
            if tx.dialect.name == "postgresql":
                if wait_s:
                    tx.execute(text(f"SET LOCAL lock_timeout = '{wait_s}s'"))
                tx.execute(select(func.pg_advisory_xact_lock(_WRITER_LOCK)))
            trail.begin(tx)
            yield tx

    def _count(self, tx: Connection, epoch: int | None, actor: Actor) -> int:
        """The last thing in a transaction: the record of what it did, its number, and whether this server may still
        commit it."""
        now = self._date()
        number = installation.count_promise(tx, now, epoch, trail.write(tx, actor, now))
        if number is None:
            assert self._lease is not None, "only a lease has an epoch"
            if self._lease.epoch == epoch:  # else it was lost and taken again while this transaction was open
                self._lease.lose(TAKEN)
            raise LeaseLost(f"Nothing was written: the lease on the ledger was lost, {TAKEN}", retry_after_s=5)
        return number

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction: one moment of the ledger. Writing in it fails."""
        with faults.named(writes=False), self._reading.begin() as tx:
            yield tx

    @property
    def file(self) -> Path | None:
        """The file of a ledger in SQLite."""
        return _file_of(self._engine.url)

    def drop_old_bytes(self) -> None:
        """Make what was deleted or changed disappear from SQLite's files too: free pages, and the write-ahead log.
        Writers wait for it. Unavailable while a reader still looks at what was. PostgreSQL does this by its own rules
        (VACUUM)."""
        if self.file is None:
            return
        with self._my_turn(), faults.named():
            connection = self._engine.raw_connection()  # VACUUM is no part of any transaction
            try:
                cursor = connection.cursor()
                cursor.execute("PRAGMA query_only = OFF")
                cursor.execute("VACUUM")
                [busy, *_] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.Error as error:
                raise DBAPIError("VACUUM", None, error) from error
            finally:
                connection.close()
        if busy:
            raise Unavailable("somebody reads the ledger as it was before; its old pages cannot be dropped yet")

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        me = threading.get_ident()
        assert self._writer != me, "begin() inside begin() would wait for itself"
        with self._turn:
            self._writer = me
            try:
                yield
            finally:
                self._writer = None

    @contextmanager
    def _begun(self) -> Iterator[None]:
        with self._dating:  # nobody asks between the clock and the note of what it said
            self._open_since = self._date()
        try:
            yield
        finally:
            with self._dating:
                self._open_since = None


def ledger_file(url: str) -> Path | None:
    """Of a ledger in SQLite, whether it is there or not. ConfigError names a URL that cannot be used."""
    return _file_of(_parse(url))


def _file_of(url: URL) -> Path | None:
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None


def _parse(url: str) -> URL:
    try:
        target = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError("ledger_url is no database URL (it is not shown: it may hold a password)") from None
    if "@" in (target.host or ""):
        raise ConfigError(
            "ledger_url has an @ too many (it is not shown: it may be part of a password). In a user's name or password"
            " write @ as %40, : as %3A, / as %2F and % as %25"
        )
    if target.get_backend_name() == "postgresql":
        return target.set(drivername="postgresql+psycopg")
    if target.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise ConfigError(f"ledger_url {_shown(target)}: only sqlite:/// and postgresql:// are supported")
    if target.database in (None, "", ":memory:") or "mode=memory" in str(target):
        raise ConfigError(f"ledger_url {_shown(target)} names no file: a ledger in memory would forget its promises")
    return target


def _shown(target: URL) -> str:
    """Without a password: that may be among the options too."""
    return repr(target.set(query={name: value for name, value in target.query.items() if "password" not in name}))


def _engine(target: URL) -> Engine:
    """Parameters stay out of error texts: they hold customers' names and hashes of secrets."""
    if target.get_backend_name() == "postgresql":
        patience = {name: value for name, value in PATIENCE.items() if name not in target.query}
        how = {"pool_size": 8, "max_overflow": 16, "pool_pre_ping": True, "connect_args": patience}
        engine = create_engine(target, hide_parameters=True, **how)
        trail.watch(engine)
        return engine
    engine = create_engine(target, pool_size=8, max_overflow=-1, hide_parameters=True)
    trail.watch(engine)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _facades(engine: Engine) -> tuple[Engine, Engine]:
    """Two views of one pool: writing, and reading a single moment."""
    if engine.dialect.name == "postgresql":
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return engine.execution_options(isolation_level="READ COMMITTED"), engine.execution_options(**snapshot)
    return engine.execution_options(flowtally_writes=True), engine.execution_options(flowtally_writes=False)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves; the driver would begin late, and not at all for DDL
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut, in WAL mode too
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Readers then do not wait for the writer. Of a new file: while another start writes, SQLite refuses this change at
    once, whatever the busy timeout."""
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the write lock at once: one that began by reading could be refused it later (SQLITE_BUSY)."""
    writes = connection.get_execution_options().get("flowtally_writes", True)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _reason(error: Exception) -> str:
    cause = error.__cause__ if isinstance(error, FlowtallyError) and error.__cause__ is not None else error
    return str(getattr(cause, "orig", cause)).strip()
