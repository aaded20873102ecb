"""Leases renewed by themselves: a thread that looks once a minute which are due, and renews one after the other.

Owns the looking, and how long a lease is left alone that could not be renewed. A renewal is one transaction and happens
once for each end of a lease, whoever was interrupted: `ledger.inventory.renewals` sees to that. Nothing here ends a
lease: ends are instants, and one that is not renewed is over by itself.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from flowtally.core.errors import FlowtallyError, StoreDamaged, Unavailable
from flowtally.core.times import MINUTE_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory.renewals import DueLease, due_leases, is_noted, note_not_renewed, renew_due
from flowtally.ledger.trail import server

LOOK_S: Final = 60
PAGE: Final = 200
REST_MS: Final = (5 * MINUTE_MS, 15 * MINUTE_MS, 60 * MINUTE_MS)  # then always the last
WORK: Final = server("lease renewals")

log = structlog.get_logger(__name__)


class _Rest(msgspec.Struct, frozen=True):
    """A lease that is left alone: of which end, until when, after how many tries."""

    ends_at: int
    until: int
    tries: int


class Renewing:
    """Built once; `begin` starts the thread. `turn` is one look, for whoever wants it now."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._rests: dict[str, _Rest] = {}
        self._counts: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="lease-renewals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave what is not begun."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def turn(self) -> int:
        """Renew what is due and not left alone; how many that were. Raises where nothing can be written now."""
        done, last, met = 0, None, set()
        while not self._stop.is_set():
            now = self._clock()
            with self._ledger.read() as tx:
                page = due_leases(tx, now, last, limit=PAGE)
            for one in page:
                met.add(one.id)
                if not self._stop.is_set() and not self._rests_now(one, now):
                    done += self._renew(one)
            if len(page) < PAGE:
                self._rests = {id: rest for id, rest in self._rests.items() if id in met}
                break
            last = page[-1]
        return done

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics."""
        return {
            "renewed": float(self._counts["renewed"]),
            "failed": float(self._counts["failed"]),
            "waiting": float(len(self._rests)),
        }

    def _rests_now(self, one: DueLease, now: int) -> bool:
        rest = self._rests.get(one.id)
        return rest is not None and rest.ends_at == one.ends_at and now < rest.until

    def _renew(self, one: DueLease) -> int:
        try:
            with self._ledger.begin(WORK) as tx:
                order = renew_due(tx, one, now=self._clock())
        except (StoreDamaged, Unavailable):
            raise  # it is not this lease
        except FlowtallyError as error:
            self._fails(one, error)
            return 0
        self._rests.pop(one.id, None)
        if order is None:
            return 0
        self._counts["renewed"] += 1
        log.info("lease_renewed", lease=one.id, account=one.account, order=order.id)
        return 1

    def _fails(self, one: DueLease, error: FlowtallyError) -> None:
        """Told once for each end, by the record and the log, and tried again later: the wallet may be filled."""
        with self._ledger.read() as tx:
            told = is_noted(tx, one)
        if not told:
            log.warning("lease_not_renewed", lease=one.id, account=one.account, why=error.code)
            with self._ledger.begin(WORK) as tx:
                note_not_renewed(tx, one, error.code)
        before = self._rests.get(one.id)
        tries = 1 if before is None or before.ends_at != one.ends_at else before.tries + 1
        until = self._clock() + REST_MS[min(tries, len(REST_MS)) - 1]
        self._rests[one.id] = _Rest(one.ends_at, until, tries)
        self._counts["failed"] += 1

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.turn()
            except FlowtallyError as error:  # the ledger is away: in a minute again
                log.warning("lease_renewals_wait", error=error.detail)
            except Exception as error:  # nobody waits for it, so nobody else can be told
                log.exception("lease_renewals_failed", error=str(error))
            self._stop.wait(LOOK_S)
