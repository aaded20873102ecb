"""Events that are dated before anything that could pay for them began: told in the answer to their request.

Owns a bounded memory of when accounts can tell at the latest that something pays, so that live events cost one look-up
each request; only events older than that are looked at one by one, by what the ledger says then. Comes after the block:
whatever fails here changes nothing of what is stored. What grants have left is a balance's to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from flowtally.edges import format_instant
from flowtally.errors import FlowtallyError
from flowtally.ingest.submission import DUPLICATE, STORED, Outcome, Submission
from flowtally.ledger import beginnings, names, pools
from flowtally.ledger.beginnings import OfAccount, OfUser
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.names import NOBODY, Name
from flowtally.ledger.pools import Pools
from flowtally.never_paid import Beginning, Part, before_all
from flowtally.protocol import EventsAnswer, NeverPaidEvents

log = structlog.get_logger(__name__)

REMEMBERED: Final = 100_000  # accounts
MOST: Final = 20  # told in one answer

Group = tuple[str, str, str]  # account, user (empty where its account pays), product


class _Found(msgspec.Struct):
    events: int
    amount: int
    first: int


class Early:
    """Asked on the event loop whether there may be any, and on a thread which."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._latest: dict[str, int] = {}  # by account: use from then on is told of nowhere here
        self._changes = 0
        self._telling = threading.Lock()

    def forget(self, account: str | None = None) -> None:
        """Call after a commit that gave the account (None: any) something, or made a user of it. From any thread."""
        with self._telling:
            self._changes += 1
            if account is None:
                self._latest.clear()
            else:
                self._latest.pop(account, None)

    def may_have(self, submission: Submission, outcome: Outcome) -> bool:
        """Whether an event of it may be early: by far the usual case is that none is. Asks nobody."""
        if outcome.times is None or not len(outcome.times):
            return False
        first = int(outcome.times.min())
        if len(submission.events) == 1:
            latest = self._latest.get(submission.events[0].account)
            return latest is None or first < latest
        found = {event.account for event in submission.events}
        return any(self._latest.get(account, first + 1) > first for account in found)

    def tell(self, submission: Submission, outcome: Outcome, answer: EventsAnswer) -> EventsAnswer:
        """The answer with what is early. Where the ledger does not answer, without."""
        try:
            with self._ledger.read() as tx:
                found = self._find(tx, submission, outcome)
        except FlowtallyError as error:
            log.warning("early_events_untold", error=str(error)[:500])
            return answer
        found.sort(key=lambda one: (-one.events, one.account, one.user, one.pool))
        return msgspec.structs.replace(answer, never_paid=found[:MOST], more_never_paid=max(0, len(found) - MOST))

    def _find(self, tx: Tx, submission: Submission, outcome: Outcome) -> list[NeverPaidEvents]:
        assert outcome.times is not None
        known = self._learn(tx, {event.account for event in submission.events})
        latest = max(map(_latest, known.values()), default=0)
        asked_at = self._clock()
        bound = asked_at if any(one.funds for one in known.values()) else latest
        rows = np.flatnonzero((outcome.times < bound) & _counted(outcome)).tolist()
        if not rows:
            return []
        return _Telling(tx, known, pools.read_pools(tx)).tell(submission, outcome, rows)

    def _learn(self, tx: Tx, accounts: Iterable[str]) -> dict[str, OfAccount]:
        with self._telling:
            changes = self._changes
        asked_at = self._clock()
        known = beginnings.of_accounts(tx, accounts)
        with self._telling:
            if changes == self._changes:
                if len(self._latest) + len(known) > REMEMBERED:
                    self._latest.clear()
                # A funded user was made by now, whenever that was: one that is made later is told of (`forget`).
                self._latest |= {id: max(_latest(one), asked_at if one.funds else 0) for id, one in known.items()}
        return known


class _Telling:
    """The early events of one request, by whose purse and pool."""

    def __init__(self, tx: Tx, known: dict[str, OfAccount], charging: Pools) -> None:
        self._tx, self._known, self._pools = tx, known, charging
        self._users: dict[Name, tuple[str, OfUser] | None] = {}
        self._bounds: dict[Group, Part | None] = {}

    def tell(self, submission: Submission, outcome: Outcome, rows: list[int]) -> list[NeverPaidEvents]:
        assert outcome.times is not None
        times = outcome.times.tolist()
        self._look_up(submission, rows, times)
        found: dict[tuple[str, str, str], tuple[Part, _Found]] = {}
        for row in rows:
            event, at = submission.events[row], times[row]
            user = event.user if self._users.get((event.account, event.user)) else ""
            group = (event.account, user, event.product)
            if group not in self._bounds:
                self._bounds[group] = self._bound(*group)
            part = self._bounds[group]
            if part is None or at >= part.before:
                continue
            pool = self._pools.pool_of(event.product)
            amount = event.requests if self._pools.charges[pool] == "requests" else event.bytes_up + event.bytes_down
            _, sums = found.setdefault((event.account, user, pool), (part, _Found(0, 0, at)))
            sums.events += 1
            sums.amount += amount
            sums.first = min(sums.first, at)
        return [self._shown(*whose, part, sums) for whose, (part, sums) in found.items()]

    def _look_up(self, submission: Submission, rows: list[int], times: list[int]) -> None:
        """Which of these events are of funded users."""
        asked: dict[Name, int] = {}
        for row in rows:
            event = submission.events[row]
            account = self._known.get(event.account)
            if event.user != NOBODY and account is not None and account.funds:
                asked.setdefault((event.account, event.user), times[row])
        histories = names.histories(self._tx, asked) if asked else {}
        bearers = {name: names.bearer_at(histories.get(name, ()), at) for name, at in asked.items()}
        funded = beginnings.of_users(self._tx, {id for id in bearers.values() if id})
        self._users = {name: (id, funded[id]) for name, id in bearers.items() if id in funded and id is not None}

    def _bound(self, account: str, user: str, product: str) -> Part | None:
        """Before what it would have to be; None where nothing is told of it."""
        of, pool = self._known.get(account), self._pools.pool_of(product)
        if of is None or self._pools.charges[pool] == "nothing":
            return None
        beginning, firsts = Beginning(of.carry_from, "account"), of.firsts
        if bearer := self._users.get((account, user)):
            firsts = bearer[1].firsts
            if bearer[1].created_at > of.carry_from:
                beginning = Beginning(bearer[1].created_at, "user")
        return before_all(firsts.get(pool), beginning, of.overage)

    def _shown(self, account: str, user: str, pool: str, part: Part, sums: _Found) -> NeverPaidEvents:
        return NeverPaidEvents(
            account=account,
            pool=pool,
            unit="requests" if self._pools.charges[pool] == "requests" else "bytes",
            events=sums.events,
            amount=sums.amount,
            first=format_instant(sums.first),
            before=format_instant(part.before),
            began=part.began,
            user=user,
            grant=part.grant or None,
        )


def _latest(one: OfAccount) -> int:
    """Use of the account's own purses from then on is waited for or paid, or told of by nobody."""
    if one.overage == "carry":
        return one.carry_from
    return max((starts for starts, _ in one.firsts.values()), default=0)


def _counted(outcome: Outcome) -> np.ndarray[Any, np.dtype[np.bool_]]:
    statuses = np.array(outcome.statuses, dtype=np.int8)
    counted: np.ndarray[Any, np.dtype[np.bool_]] = (statuses == STORED) | (statuses == DUPLICATE)
    return counted
