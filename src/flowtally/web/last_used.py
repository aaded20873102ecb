"""When each credential was last used: noted in memory with every request, written once a minute.

Owns the minute's note and the thread that writes it, all of a minute in one transaction, and what is left at a clean
stop. Told to the minute: what a killed process had not written yet, at most a minute of notes, is lost. The first use
of one that replaces another is written without delay: from then on the other is not rotated again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

import structlog

from flowtally.core.errors import FlowtallyError
from flowtally.core.times import MINUTE_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.trail import server

EVERY_S: Final = 60

log = structlog.get_logger(__name__)


class LastUsed:
    """`note` is called on the event loop and in threads, so it is one store into a dictionary."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._noted: dict[str, int] = {}  # credential -> instant, of those not written yet
        self._hurried: set[str] = set()
        self._stopped = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, credential: Credential, now: int) -> None:
        self._noted[credential.id] = now
        first = credential.replaces is not None and credential.last_used_at is None
        if first and credential.id not in self._hurried:  # one that is remembered does not know that it was written
            self._hurried.add(credential.id)
            self._wake.set()

    def of(self, credential_id: str, written: int | None) -> int | None:
        """The minute it was last used in, where the ledger says `written`."""
        noted = self._noted.get(credential_id)
        return written if noted is None else max(_minute(noted), written or 0)

    def write(self) -> None:
        """All that is noted, in one transaction; none where nothing is. What fails is noted still."""
        noted = self._noted.copy()
        if not noted:
            return
        with self._ledger.begin(server("last used")) as tx:
            credentials.note_used(tx, {id: _minute(at) for id, at in noted.items()})
        self._forget(noted)

    def begin(self) -> None:
        """Write every minute from now on."""
        self._thread = threading.Thread(target=self._run, name="last-used", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, and stop."""
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._try()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(EVERY_S)
            self._wake.clear()
            self._try()

    def _try(self) -> None:
        try:
            self.write()
        except FlowtallyError as error:  # a ledger that is away, or a clock that cannot be believed: in a minute again
            log.warning("last_used_not_written", error=error.detail)
        except Exception as error:  # nobody waits for it, so nobody else can be told
            log.exception("last_used_not_written", error=str(error))

    def _forget(self, written: Mapping[str, int]) -> None:
        """One that was used meanwhile stays."""
        for id, at in written.items():
            last = self._noted.pop(id, None)
            if last is not None and last > at:
                self._noted.setdefault(id, last)


def _minute(at: int) -> int:
    return at - at % MINUTE_MS
