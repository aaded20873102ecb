"""Who may write a ledger in PostgreSQL: a session that holds a lock, and an epoch that every commit checks.

The session names the holder and frees the lease at once when its process or its connection ends; it is asked every few
seconds. The epoch is what keeps two writers apart: whoever takes the lease counts it up, and a transaction whose epoch
is no longer that of the ledger is rolled back instead of committed. A holder that lost one or the other writes nothing
more until it has taken the lease again, by the same checks as a start.

Owns the session, its thread, and what is lost. The transactions are `database`'s; a file has a lock of the system
(`flowtally.host.lease`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog
from sqlalchemy import Connection, NullPool, create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from flowtally.core.errors import LeaseLost, WriterBusy

LOCK: Final = 0x666C6F777461_1EA5  # the key of the session's advisory lock: "flowta", lease
ASK_EVERY_S: Final = 2.0
# A connection whose other end is gone is given up in seconds, not in the system's quarter of an hour.
ALIVE: Final = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "flowtally lease",
}
_OUST: Final = text(
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = :high AND objid = :low AND objsubid = 1"
)

log = structlog.get_logger(__name__)


class SessionLease:
    """Of one ledger in PostgreSQL. `epoch` is None until a start's transaction has counted it up."""

    def __init__(self, url: URL, holder: str) -> None:
        """WriterBusy names who has it."""
        self.holder = holder
        self.epoch: int | None = None
        self._shown = repr(url)
        known = {name: value for name, value in ALIVE.items() if name not in url.query}
        self._engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=known)
        self._why = ""  # it is lost; empty while it is held
        self._again: Callable[[], None] | None = None
        self._ending = threading.Event()
        self._asking = threading.Lock()  # a session is one thread's at a time
        self._keeper: threading.Thread | None = None
        try:
            self._session = self._connect()
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def lost(self) -> str:
        """Why nothing may be written; empty while all is well."""
        return self._why

    def check(self) -> None:
        """LeaseLost where nothing may be written."""
        if self._why:
            raise LeaseLost(f"This server does not hold the lease on the ledger: {self._why}", retry_after_s=5)

    def lose(self, why: str) -> None:
        """From now on nothing is written, until it was taken again."""
        if not self._why:
            self._why = why
            log.error("ledger_lease_lost", ledger=self._shown, why=why)

    def ask(self) -> None:
        """LeaseLost where the session is gone: found now, not at the keeper's next look. Asks it only where it is kept,
        and so taken again."""
        if self._again is not None and not self._why:
            self._ask()
        self.check()

    def oust(self, writer_lock: int) -> None:
        """End the sessions in which a former holder may still have a transaction open: it could not be committed any
        more, and would keep everybody waiting. Who may not end them waits."""
        with suppress(DBAPIError):
            self._session.execute(_OUST, {"high": writer_lock >> 32, "low": writer_lock & 0xFFFFFFFF})

    def keep(self, again: Callable[[], None]) -> None:
        """Ask the session from now on. `again` takes the lease anew after it was lost and the session is there: it
        checks and counts the epoch up, or raises."""
        self._again = again
        self._keeper = threading.Thread(target=self._run, name="lease", daemon=True)
        self._keeper.start()

    def release(self) -> None:
        """Give it back."""
        self._ending.set()
        if self._keeper is not None:
            self._keeper.join()
        with suppress(DBAPIError):
            self._session.close()
        self._engine.dispose()

    def _connect(self) -> Connection:
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            if not session.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar_one():
                raise WriterBusy(
                    f"The ledger {self._shown} is written by {_holder(session)}; one process writes an installation"
                )
        except BaseException:
            session.close()
            raise
        return session

    def _run(self) -> None:
        while not self._ending.wait(ASK_EVERY_S):
            self._ask()
            if self._why:
                try:
                    self._retake()
                except Exception as error:
                    log.warning("ledger_lease_not_taken", ledger=self._shown, error=str(error)[:500])

    def _ask(self) -> None:
        with self._asking:
            if self._why:
                return
            try:
                self._session.execute(text("SELECT 1"))
            except Exception as error:  # whatever it is: it is not known to be held
                self.lose(f"its session with the database ended ({type(error).__name__})")

    def _retake(self) -> None:
        """A session of its own, then the checks of a start; what was lost stays lost where one of them fails."""
        assert self._again is not None, "kept before it can be lost"
        with self._asking:
            with suppress(DBAPIError):
                self._session.close()
            self._session = self._connect()
        self.epoch = None
        try:
            self._again()
        except Exception as error:
            # Everybody may read it: the kind alone. What exactly is said to the log.
            self._why = f"it could not be taken again ({type(error).__name__}); the server's log says why"
            self._session.close()  # so that another server may have it
            raise
        self._why = ""
        log.warning("ledger_lease_taken_again", ledger=self._shown, epoch=self.epoch)


def _holder(session: Connection) -> str:
    """Who took it last, as far as the ledger tells."""
    if not inspect(session).has_table("installation"):
        return "another process"
    found: Any = session.execute(text("SELECT holder FROM installation")).scalar_one_or_none()
    return str(found) if found else "another process"
