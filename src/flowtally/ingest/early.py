"""Events that are dated before anything that could pay for them began: told in the answer to their request.

Owns a bounded memory of when accounts can tell at the latest that something pays, so that live events cost one look-up
each request; only events older than that are looked at one by one, by what the ledger says then. Comes after the block:
whatever fails here changes nothing of what is stored. What grants have left is a balance's to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from flowtally.core.edges import format_instant
from flowtally.core.errors import FlowtallyError
from flowtally.core.events import NOBODY, UsageEvent
from flowtally.core.never_paid import Beginning, UnpaidPart, before_all
from flowtally.core.times import LAST_INSTANT
from flowtally.ingest.submission import DUPLICATE, STORED, Outcome, Submission
from flowtally.ledger import pools
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.people import names
from flowtally.ledger.people.names import History, Name
from flowtally.ledger.pools import Pools
from flowtally.ledger.traffic import beginnings
from flowtally.ledger.traffic.beginnings import OfAccount, OfUser
from flowtally.protocol import EventsAnswer, NeverPaidEvents

log = structlog.get_logger(__name__)

REMEMBERED: Final = 100_000  # accounts
MOST: Final = 20  # told in one answer

Group = tuple[str, str, str, str]  # account, user, the user's id, and product or pool


class _Found(msgspec.Struct):
    """Early events of a group; `whose` are account, user and its id (empty where the account pays) and pool."""

    whose: Group
    part: UnpaidPart | None
    in_requests: bool
    before: int
    events: int = 0
    amount: int = 0
    first: int = LAST_INSTANT


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
        if len(submission.events) == 1:
            first = int(outcome.times[0])  # the smallest of one: asking for that takes ten times as long
            latest = self._latest.get(submission.events[0].account)
            return latest is None or first < latest
        first = int(outcome.times.min())
        return any(self._latest.get(account, first + 1) > first for account in _accounts(submission))

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
        known = self._learn(tx, _accounts(submission))
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
        self._histories: dict[Name, History] = {}
        self._funded: dict[str, OfUser] = {}

    def tell(self, submission: Submission, outcome: Outcome, rows: list[int]) -> list[NeverPaidEvents]:
        assert outcome.times is not None
        times = outcome.times.tolist()
        events = list(submission.events)  # together, which is quick whatever they are kept as
        self._look_up([events[row] for row in rows])
        groups: dict[Group, _Found] = {}
        for row in rows:
            event, at = events[row], times[row]
            id = self._purse_of(event, at) if self._funded else ""
            group = (event.account, event.user if id else "", id, event.product)
            found = groups.get(group)
            if found is None:
                found = groups[group] = self._begun(*group)
            if at < found.before:
                found.events += 1
                found.amount += event.requests if found.in_requests else event.bytes_up + event.bytes_down
                found.first = min(found.first, at)
        return self._shown(groups)

    def _look_up(self, events: Iterable[UsageEvent]) -> None:
        """Which of these events may be of funded users."""
        asked = {(one.account, one.user) for one in events if one.user != NOBODY and self._funds(one.account)}
        self._histories = names.histories(self._tx, asked) if asked else {}
        bearers = {one.user_id for history in self._histories.values() for one in history}
        self._funded = beginnings.of_users(self._tx, bearers)

    def _funds(self, account: str) -> bool:
        of = self._known.get(account)
        return of is not None and of.funds

    def _purse_of(self, event: UsageEvent, at: int) -> str:
        """The id of the funded user who bore the event's name then; empty where the account pays."""
        id = names.bearer_at(self._histories.get((event.account, event.user), ()), at)
        return id if id is not None and id in self._funded else ""

    def _bound(self, account: str, user_id: str, pool: str) -> UnpaidPart | None:
        """Before what it would have to be; None where nothing is told of it."""
        of = self._known.get(account)
        if of is None or self._pools.charges[pool] == "nothing":
            return None
        beginning, firsts = Beginning(of.carry_from, "account"), of.firsts
        if user_id:
            purse = self._funded[user_id]
            firsts = purse.firsts
            if purse.created_at > of.carry_from:
                beginning = Beginning(purse.created_at, "user")
        return before_all(firsts.get(pool), beginning, of.overage)

    def _begun(self, account: str, user: str, user_id: str, product: str) -> _Found:
        """Nothing yet of these events, and before what they have to be."""
        pool = self._pools.pool_of(product)
        part, whose = self._bound(account, user_id, pool), (account, user, user_id, pool)
        return _Found(whose, part, self._pools.charges[pool] == "requests", part.before if part else 0)

    def _shown(self, groups: dict[Group, _Found]) -> list[NeverPaidEvents]:
        """By pool: products of one pool have one beginning."""
        by_pool: dict[Group, _Found] = {}
        for one in groups.values():
            if one.events:
                sums = by_pool.setdefault(one.whose, _Found(one.whose, one.part, one.in_requests, one.before))
                sums.events += one.events
                sums.amount += one.amount
                sums.first = min(sums.first, one.first)
        return [_show(one, one.part) for one in by_pool.values() if one.part is not None]


def _show(one: _Found, part: UnpaidPart) -> NeverPaidEvents:
    account, user, _, pool = one.whose
    return NeverPaidEvents(
        account=account,
        pool=pool,
        unit="requests" if one.in_requests else "bytes",
        events=one.events,
        amount=one.amount,
        first=format_instant(one.first),
        before=format_instant(part.before),
        began=part.began,
        user=user,
        grant=part.grant or None,
    )


def _accounts(submission: Submission) -> Collection[str]:
    if submission.prepared is not None:
        return submission.prepared.accounts()
    return {event.account for event in submission.events}


def _latest(one: OfAccount) -> int:
    """Use of the account's own purses from then on is waited for or paid, or told of by nobody."""
    if one.overage == "carry":
        return one.carry_from
    return max((starts for starts, _ in one.firsts.values()), default=0)


def _counted(outcome: Outcome) -> np.ndarray[Any, np.dtype[np.bool_]]:
    statuses = np.array(outcome.statuses, dtype=np.int8)
    counted: np.ndarray[Any, np.dtype[np.bool_]] = (statuses == STORED) | (statuses == DUPLICATE)
    return counted
