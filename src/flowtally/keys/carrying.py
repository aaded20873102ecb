"""The write-ahead log of the keys comes into their file on a thread of its own: a commit would wait for the disk.

Owns when. Leaves to SQLite what is right then: it syncs the log before it writes the file, and the file before the log
begins anew, so what a power cut leaves is the keys as they were after one of their commits.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final

import structlog

log = structlog.get_logger(__name__)

CARRIED_ROWS: Final = 100_000  # changed, from which on the log is carried over
LOG_PAGES: Final = 16_384  # of the log, from which on it begins anew, for which the writer waits a moment


class LogCarrier:
    """Its thread begins with the first log that is worth it; `stop` ends it. `writing` is held by whoever writes."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], writing: threading.Lock) -> None:
        self._connect = connect
        self._writing = writing
        self._carried = 0  # rows changed by then
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def committed(self, changed: int) -> None:
        """Something was committed; so many rows were `changed` ever. From the one thread that writes."""
        if changed - self._carried < CARRIED_ROWS:
            return
        self._carried = changed
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="keys-log", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        with closing(self._connect()) as db:
            while True:
                self._wake.wait()
                self._wake.clear()
                if self._stopping:
                    return
                try:
                    self._carry(db)
                except sqlite3.Error as error:  # the writer does it where nobody else did, and says what is wrong
                    log.warning("keys_log_not_carried_over", error=str(error)[:500])

    def _carry(self, db: sqlite3.Connection) -> None:
        if carry_over(db) >= LOG_PAGES:
            with self._writing:  # the rest, so that the next commit begins the log anew
                carry_over(db)


def carry_over(db: sqlite3.Connection) -> int:
    """All that no reader holds back; how many pages the log has."""
    [(_, pages, _)] = db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    return int(pages)
