"""One pull: a vendor asked from where its figures may still move, and what it says put where it belongs, as it comes.

Owns from which instant is asked, what each statement becomes, and what the pull comes to. What was said before a pull
failed is kept; only where all of a stretch was said is it told (`stretches`), so the next pull begins there. Usage goes
into the series, by the one writer of usage; all else into the ledger. Leaves when to pull to `schedule`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Protocol, assert_never

import msgspec
import structlog

from flowtally.core.errors import FlowtallyError
from flowtally.core.reported import (
    BalancesSaid,
    GrantsSaid,
    Statement,
    SubUsersSaid,
    UseSaid,
)
from flowtally.core.times import DAY_MS
from flowtally.core.words import PullOutcome
from flowtally.ingest.report_plan import ReportAnswer
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.providers import connected, said, stretches
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.stretches import Stretch
from flowtally.ledger.trail import server
from flowtally.providers.connecting import ServerStops
from flowtally.providers.puller import EarlierLooks, Failed, Puller, ToPull, VendorFault

log = structlog.get_logger(__name__)

Report = Callable[[str, str, UseSaid], ReportAnswer]  # account and series; returns when it is stored
WORK = server("providers")


class VendorLine(Protocol):
    """What a pull needs of the connection to the vendor; `asking.VendorClient` is it."""

    calls: int

    def pull(self, puller: Puller, to_pull: ToPull) -> Iterator[Statement]: ...


class Came(msgspec.Struct):
    """What a pull came to. `after_s`: when the vendor wants to be asked again, where it says so."""

    outcome: PullOutcome = "ok"
    detail: str = ""
    after_s: float | None = None
    calls: int = 0
    figures: int = 0
    changed: int = 0


def lines_of(error: Exception) -> str:
    """Where it was raised, and not what it says: a value it tells of may be a secret."""
    return "".join(traceback.format_tb(error.__traceback__))


def failed_inside(provider: Provider, error: Exception) -> Came:
    """What the log says is where, and not what the error says."""
    log.error("pull_failed", provider=provider.name, kind=type(error).__name__, where=lines_of(error))
    return Came("late", f"It failed inside ({type(error).__name__}); the server's log says how.")


class Pulling:
    """Built once. `settings` of a provider were checked when they were given."""

    def __init__(self, ledger: Ledger, report: Report, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._report = report
        self._clock = clock
        self._holes: dict[str, _Hole] = {}  # by the provider's id

    def run(self, provider: Provider, puller: Puller, client: VendorLine, to_pull: ToPull) -> Came:
        """Ask, and keep what is said. Raises ServerStops alone."""
        came = Came()
        try:
            for statement in client.pull(puller, to_pull):
                self._keep(provider, to_pull, statement, came)
            self._note_hole(provider, puller, to_pull)
        except ServerStops:
            raise
        except VendorFault as error:
            came.outcome, came.detail, came.after_s = error.outcome, error.told, error.after_s
        except FlowtallyError as error:  # our own stores are away: the vendor is asked again
            came.outcome, came.detail = "late", f"what it said could not be kept: {error.detail}"
        except Exception as error:
            failed = failed_inside(provider, error)
            came.outcome, came.detail = failed.outcome, failed.detail
        came.calls = client.calls
        return came

    def to_pull(self, provider: Provider, puller: Puller, secrets: dict[str, str]) -> ToPull:
        """From where it was told without a hole, but for the days that the vendor may still change. A hole that it left
        though it was asked is asked for again once a day: it may be that it never tells it."""
        now = self._clock()
        first = _first(provider, puller, now)
        with self._ledger.read() as tx:
            told = stretches.told_until(tx, provider.id, first)
            hole = self._holes.get(provider.id)
            if hole is not None and hole.is_left(told, provider, now):
                last = stretches.told_last(tx, provider.id, first)
                told = told if last is None else last[1]
            looked = _looked(tx, provider)
        since = max(first, min(told, now) - puller.settle_days * DAY_MS)
        return ToPull(secrets, provider.settings, since, now, looked)

    def _note_hole(self, provider: Provider, puller: Puller, asked: ToPull) -> None:
        """What was asked for, and is not told though all went well."""
        with self._ledger.read() as tx:
            told = stretches.told_until(tx, provider.id, _first(provider, puller, asked.now))
        if asked.since <= told:
            self._holes[provider.id] = _Hole(told, asked.now, provider.changed_at)

    def _keep(self, provider: Provider, to_pull: ToPull, statement: Statement, came: Came) -> None:
        if isinstance(statement, UseSaid):
            with self._ledger.read() as tx:
                _check_wanted(tx, provider)
            self._keep_use(provider, statement, came)
            return
        with self._ledger.begin(WORK) as tx:
            _check_wanted(tx, provider)
            now = self._clock()
            if isinstance(statement, BalancesSaid):
                said.put_balances(tx, provider, statement.balances, now=now)
            elif isinstance(statement, GrantsSaid):
                # What was used of these before anybody looked is no use that was seen.
                first = {one.id: one.used for one in statement.grants} if to_pull.looked is None else {}
                said.put_grants(tx, provider, statement.grants, first, now=now)
            elif isinstance(statement, SubUsersSaid):
                said.put_sub_users(tx, provider, statement.sub_users, now=now)
            else:
                assert_never(statement)

    def _keep_use(self, provider: Provider, use: UseSaid, came: Came) -> None:
        done = self._report(provider.account, provider.name, use)
        came.figures += len(use.figures)
        came.changed += done.changed + done.gone
        if use.doubts:
            came.detail = "; ".join([*([came.detail] if came.detail else []), *use.doubts])
        if use.closes and use.starts_at < use.ends_at:
            told = Stretch(use.starts_at, use.ends_at, use.grain, use.zone, use.step, self._clock())
            with self._ledger.begin(WORK) as tx:
                stretches.put_stretch(tx, provider, told)


def _check_wanted(tx: Tx, provider: Provider) -> None:
    """Conflict for one that was removed meanwhile: it may be that of an account whose texts are gone, and none comes
    back. Failed where it was paused meanwhile."""
    if connected.read_live(tx, provider.name).paused and not provider.paused:
        raise Failed("It was paused while it was asked; what it had said until then is kept")


class _Hole(msgspec.Struct, frozen=True):
    """Where what was told ends, though more was asked for: when that was, and of which state of its settings."""

    at: int
    asked_at: int
    changed_at: int

    def is_left(self, told: int, provider: Provider, now: int) -> bool:
        return self.at == told and self.changed_at == provider.changed_at and now - self.asked_at < DAY_MS


def _first(provider: Provider, puller: Puller, now: int) -> int:
    """From when on usage is wanted and may be answered."""
    return provider.since if puller.keeps_days is None else max(provider.since, now - puller.keeps_days * DAY_MS)


def _looked(tx: Tx, provider: Provider) -> EarlierLooks | None:
    """The looks before, where all that was said of them is kept."""
    last = stretches.last_end(tx, provider.id)
    if last is None:
        return None
    return EarlierLooks(last, {one.grant.id: one.baseline for one in said.read_grants(tx, provider.id, gone=True)})
